//! Pages that are kept up to date while somebody looks at them.
//!
//! A page marks what it wants to be kept so, an element with an id and `data-part`: `data-live="feedback"`,
//! `data-live="deliveries:ID"` or, of all webhooks, `data-live="deliveries"`; several by a space. In `settings.html`
//! and `wide.html` the block `live` puts it on the whole page. The script then holds a stream open here for as long as
//! the page is seen, and gets the page anew when a name of what it shows comes. The stream carries names alone, never
//! what changed: what may be seen is decided where the page is made. A change is told by `Write::changed` in the store.
//!
//! `since` is the number of the newest change that the page shows (`<body data-seen>`): nothing is missed between a page
//! and its stream, nor while it was out of sight, and nothing is fetched in vain.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::context::RequestContext;
use super::page_error::PageError;
use crate::domain::account::{Role, Scope};
use crate::domain::id::WebhookId;
use crate::server::AppState;
use crate::server::permissions::{Permission, is_allowed};
use crate::store::ChangeKind;

/// How many streams a session may have; one more takes the place of the oldest.
const PER_SESSION: usize = 8;
/// How many all sessions together may have.
const TOTAL: usize = 256;
/// What changes within this time is told at once.
const PAUSE: Duration = Duration::from_millis(250);
/// A sign of life, by which also a reader that is gone is noticed, and a session that has run out.
const HEARTBEAT: Duration = Duration::from_secs(15);
const SESSION_OVER: &str = "The session has ended.";
const GIVEN_WAY: &str = "Newer pages of this session are kept up to date in place of this one.";
/// Sent by the script with the fetch of a page that brings itself up to date.
const REFRESH: HeaderName = HeaderName::from_static("miniback-refresh");
/// nginx passes an answer on as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether a page is asked for by a page that brings itself up to date.
pub fn is_refresh(request: &HttpRequest) -> bool {
    request.headers().contains_key(REFRESH)
}

/// The open streams.
pub struct Streams {
    over: watch::Sender<bool>,
    /// In the order in which they came.
    open: Arc<Mutex<Vec<Open>>>,
}

struct Open {
    session: [u8; 32],
    /// Told when it has to give way; also what it is known by.
    give_way: Arc<Notify>,
}

/// A place among the open streams, free again when it is dropped.
struct Seat {
    give_way: Arc<Notify>,
    open: Arc<Mutex<Vec<Open>>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            over: watch::Sender::new(false),
            open: Arc::default(),
        }
    }
}

fn lock(open: &Mutex<Vec<Open>>) -> MutexGuard<'_, Vec<Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Ends all of them, and each that is asked for from now on.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// `None`: there are too many. A browser leaves a stream without a word, so the oldest of a session is most likely
    /// one that nobody reads any more.
    fn sit_down(&self, session: [u8; 32]) -> Option<Seat> {
        let mut open = lock(&self.open);
        let of_session = open.iter().filter(|one| one.session == session).count();
        if of_session >= PER_SESSION
            && let Some(oldest) = open.iter().position(|one| one.session == session)
        {
            open.remove(oldest).give_way.notify_one();
        }
        if open.len() >= TOTAL {
            return None;
        }
        let give_way = Arc::new(Notify::new());
        open.push(Open {
            session,
            give_way: give_way.clone(),
        });
        Some(Seat {
            give_way,
            open: self.open.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.open).retain(|one| !Arc::ptr_eq(&one.give_way, &self.give_way));
    }
}

/// What a page asks to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Watched {
    Feedback,
    /// Of one webhook, or of all.
    Deliveries(Option<WebhookId>),
}

impl Watched {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "feedback" => Some(Self::Feedback),
            None if text == "deliveries" => Some(Self::Deliveries(None)),
            Some(("deliveries", id)) => Some(Self::Deliveries(Some(WebhookId::new(id)))),
            _ => None,
        }
    }

    fn permission(&self) -> Permission {
        match self {
            Self::Feedback => Permission::Member,
            Self::Deliveries(_) => Permission::Admin,
        }
    }

    fn is_allowed(&self, role: Role) -> bool {
        is_allowed(self.permission(), role, Scope::Full)
    }

    fn name(&self) -> String {
        match self {
            Self::Feedback => "feedback".into(),
            Self::Deliveries(None) => "deliveries".into(),
            Self::Deliveries(Some(webhook)) => format!("deliveries:{webhook}"),
        }
    }

    fn is_about(&self, change: &ChangeKind) -> bool {
        match (self, change) {
            (Self::Feedback, ChangeKind::Feedback)
            | (Self::Deliveries(None), ChangeKind::Deliveries(_)) => true,
            (Self::Deliveries(Some(asked)), ChangeKind::Deliveries(changed)) => asked == changed,
            _ => false,
        }
    }
}

/// `GET /live?since=NUMBER&of=feedback&of=deliveries:ID`.
pub async fn stream(context: RequestContext) -> Result<HttpResponse, PageError> {
    let session = context.session().ok_or(PageError::SignedOut)?;
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(context.request.query_string()).unwrap_or_default();
    let watched: Option<Vec<Watched>> = query
        .iter()
        .filter(|(name, _)| name == "of")
        .map(|(_, value)| Watched::parse(value))
        .collect();
    let watched = watched
        .filter(|watched| !watched.is_empty())
        .ok_or(PageError::LiveOfNothing)?;
    let role = session.user.role;
    if !watched.iter().all(|one| one.is_allowed(role)) {
        return Err(PageError::Forbidden);
    }
    let changes = context.app.store.change_feed();
    // A number of another run, or none, says nothing about what the page shows: it is told to look.
    let since = context.query("since").and_then(|text| text.parse().ok());
    let seen = since.filter(|number| changes.is_current_run(*number));
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"));
    if context.request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let listener = Listener {
        newest: changes.subscribe(),
        seen,
        checked: 0,
        rests_until: Instant::now(),
        app: context.app.clone(),
        session: session.token_hash,
        watched,
        over: context.state.live.over.subscribe(),
        seat: context
            .state
            .live
            .sit_down(session.token_hash)
            .ok_or(PageError::TooManyStreams)?,
        step: Step::Begin,
    };
    let bytes = stream::unfold(listener, |mut listener| async {
        let bytes = listener.next().await?;
        Some((Ok::<_, Infallible>(bytes), listener))
    });
    Ok(response.streaming(bytes))
}

struct Listener {
    app: Data<AppState>,
    session: [u8; 32],
    watched: Vec<Watched>,
    newest: watch::Receiver<u64>,
    over: watch::Receiver<bool>,
    seat: Seat,
    /// Changes up to this number were told, or are shown by the page; `None`: what it shows is not known.
    seen: Option<u64>,
    /// Up to which change it is known that the session is in force.
    checked: u64,
    /// Until when changes are gathered, to be told together.
    rests_until: Instant,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Listen,
    End,
}

/// By what a listener is woken.
enum Woken {
    Change,
    Time,
    GiveWay,
    Stop,
}

impl Listener {
    /// What to send next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Begin => {
                self.step = Step::Listen;
                // The head goes out with it, and the browser knows that the stream is open.
                return Some(Bytes::from_static(b"retry: 3000\n\n"));
            }
            Step::Listen => {}
            Step::End => return None,
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let newest = *self.newest.borrow_and_update();
            let names = self.names();
            let tells = !names.is_empty() && Instant::now() >= self.rests_until;
            if (tells || self.sessions_ended()) && !self.is_in_force(newest).await {
                return Some(self.end(SESSION_OVER));
            }
            if tells {
                self.seen = Some(newest);
                self.rests_until = Instant::now() + PAUSE;
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                return Some(Bytes::from(format!("event: changed\ndata: {names}\n\n")));
            }
            let waits = names.is_empty();
            let until = if waits { heartbeat } else { self.rests_until };
            match self.wait(until, waits).await {
                Woken::Change => {}
                Woken::Stop => return None,
                Woken::GiveWay => return Some(self.end(GIVEN_WAY)),
                Woken::Time if !waits => {}
                Woken::Time if self.is_in_force(newest).await => {
                    return Some(Bytes::from_static(b":\n\n"));
                }
                Woken::Time => return Some(self.end(SESSION_OVER)),
            }
        }
    }

    async fn wait(&mut self, until: Instant, for_changes: bool) -> Woken {
        tokio::select! {
            biased;
            _ = self.over.wait_for(|over| *over) => Woken::Stop,
            () = self.seat.give_way.notified() => Woken::GiveWay,
            _ = self.newest.changed(), if for_changes => Woken::Change,
            () = sleep_until(until) => Woken::Time,
        }
    }

    /// Of what the page shows, what has changed since.
    fn names(&self) -> BTreeSet<String> {
        let Some(seen) = self.seen else {
            return self.watched.iter().map(Watched::name).collect();
        };
        let wanted = |change: &ChangeKind| self.watched.iter().any(|one| one.is_about(change));
        let changed = self.app.store.change_feed().since(seen, wanted);
        changed
            .iter()
            .flat_map(|change| self.watched.iter().filter(|one| one.is_about(change)))
            .map(Watched::name)
            .collect()
    }

    fn sessions_ended(&self) -> bool {
        let ended = |change: &ChangeKind| *change == ChangeKind::Sessions;
        !self
            .app
            .store
            .change_feed()
            .since(self.checked, ended)
            .is_empty()
    }

    /// Whether who listens may still do so. A database that cannot be read at the moment is no reason to end.
    async fn is_in_force(&mut self, newest: u64) -> bool {
        let now = self.app.clock.now();
        match self.app.store.session(self.session, now).await {
            Ok(Some(session)) => {
                self.checked = newest;
                let role = session.user.role;
                self.watched.iter().all(|one| one.is_allowed(role))
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "a session could not be looked up");
                true
            }
        }
    }

    /// Says why, so that the browser does not come back at once.
    fn end(&mut self, sentence: &str) -> Bytes {
        self.step = Step::End;
        Bytes::from(format!("event: over\ndata: {sentence}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_of_a_session_takes_the_place_of_its_oldest_and_all_together_are_limited() {
        let streams = Streams::default();
        let count = || lock(&streams.open).len();
        let mut seats: Vec<Seat> = (0..=PER_SESSION)
            .map(|_| streams.sit_down([1; 32]).unwrap())
            .collect();
        assert_eq!(count(), PER_SESSION);
        let others = u8::try_from(TOTAL / PER_SESSION).unwrap();
        for session in 2..=others {
            seats.extend((0..PER_SESSION).map(|_| streams.sit_down([session; 32]).unwrap()));
        }
        assert_eq!(count(), TOTAL);
        assert!(streams.sit_down([255; 32]).is_none());
        assert!(streams.sit_down([1; 32]).is_some());
        seats.clear();
        assert_eq!(count(), 0);
    }

    #[test]
    fn what_a_page_asks_for_is_read_and_written_alike() {
        for text in ["feedback", "deliveries", "deliveries:wh_1"] {
            assert_eq!(Watched::parse(text).unwrap().name(), text);
        }
        for text in ["", "sessions", "feedback:fb_1", "deliveries "] {
            assert_eq!(Watched::parse(text), None, "{text}");
        }
    }
}
