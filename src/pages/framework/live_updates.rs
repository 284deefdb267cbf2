//! Pages that are kept up to date while somebody looks at them.
//!
//! A page marks what it wants to be kept so, an element with an id and `data-part`: `data-live="feedback"`,
//! `data-live="deliveries:ID"` or, of all webhooks, `data-live="deliveries"`; several by a space. In `settings.html`
//! and `full_width.html` the block `live` puts it on the whole page. The script then holds a stream open here for as long as
//! the page is seen, and gets the page anew when a name of what it shows comes. The stream carries names alone, never
//! what changed: what may be seen is decided where the page is made. A change is told by `Write::changed` in the store.
//!
//! `since` is the number of the latest change that the page shows (`<body data-seen>`): nothing is missed between a page
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
const STREAMS_PER_SESSION: usize = 8;
/// How many all sessions together may have.
const STREAMS_MAX: usize = 256;
/// What changes within this time is told at once.
const BATCH_WINDOW: Duration = Duration::from_millis(250);
/// A sign of life, by which also a reader that is gone is noticed, and a session that has run out.
const HEARTBEAT: Duration = Duration::from_secs(15);
const SESSION_ENDED: &str = "The session has ended.";
const REPLACED: &str = "Newer pages of this session are kept up to date in place of this one.";
/// Sent by the script with the fetch of a page that brings itself up to date.
const REFRESH: HeaderName = HeaderName::from_static("miniback-refresh");
/// nginx passes an answer on as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether a page is asked for by a page that brings itself up to date.
pub fn is_refresh(request: &HttpRequest) -> bool {
    request.headers().contains_key(REFRESH)
}

/// The open streams.
pub struct EventStreams {
    shutdown: watch::Sender<bool>,
    /// In the order in which they came.
    open: Arc<Mutex<Vec<OpenStream>>>,
}

struct OpenStream {
    session: [u8; 32],
    /// Told when it has to give way; also what it is known by.
    evicted: Arc<Notify>,
}

/// A place among the open streams, free again when it is dropped.
struct StreamSlot {
    evicted: Arc<Notify>,
    open: Arc<Mutex<Vec<OpenStream>>>,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self {
            shutdown: watch::Sender::new(false),
            open: Arc::default(),
        }
    }
}

fn lock(open: &Mutex<Vec<OpenStream>>) -> MutexGuard<'_, Vec<OpenStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventStreams {
    /// Ends all of them, and each that is asked for from now on.
    pub fn end(&self) {
        self.shutdown.send_replace(true);
    }

    /// `None`: there are too many. A browser leaves a stream without a word, so the oldest of a session is most likely
    /// one that nobody reads any more.
    fn acquire(&self, session: [u8; 32]) -> Option<StreamSlot> {
        let mut open = lock(&self.open);
        let of_session = open
            .iter()
            .filter(|subscription| subscription.session == session)
            .count();
        if of_session >= STREAMS_PER_SESSION
            && let Some(oldest) = open
                .iter()
                .position(|subscription| subscription.session == session)
        {
            open.remove(oldest).evicted.notify_one();
        }
        if open.len() >= STREAMS_MAX {
            return None;
        }
        let evicted = Arc::new(Notify::new());
        open.push(OpenStream {
            session,
            evicted: evicted.clone(),
        });
        Some(StreamSlot {
            evicted,
            open: self.open.clone(),
        })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        lock(&self.open).retain(|one| !Arc::ptr_eq(&one.evicted, &self.evicted));
    }
}

/// What a page asks to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subscription {
    Feedback,
    /// Of one webhook, or of all.
    Deliveries(Option<WebhookId>),
}

impl Subscription {
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

    fn covers(&self, change: &ChangeKind) -> bool {
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
    let subscriptions: Option<Vec<Subscription>> = query
        .iter()
        .filter(|(name, _)| name == "of")
        .map(|(_, value)| Subscription::parse(value))
        .collect();
    let subscriptions = subscriptions
        .filter(|subscriptions| !subscriptions.is_empty())
        .ok_or(PageError::InvalidLiveTopic)?;
    let role = session.user.role;
    if !subscriptions
        .iter()
        .all(|subscription| subscription.is_allowed(role))
    {
        return Err(PageError::Forbidden);
    }
    let changes = context.app.store.change_feed();
    // A number of another run, or none, says nothing about what the page shows: it is told to look.
    let since = context
        .query_param("since")
        .and_then(|text| text.parse().ok());
    let seen = since.filter(|number| changes.is_current_run(*number));
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"));
    if context.request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let events = EventStream {
        latest: changes.subscribe(),
        seen,
        session_checked_at: 0,
        batch_until: Instant::now(),
        app: context.app.clone(),
        session: session.token_hash,
        subscriptions,
        shutdown: context.state.event_streams.shutdown.subscribe(),
        slot: context
            .state
            .event_streams
            .acquire(session.token_hash)
            .ok_or(PageError::TooManyStreams)?,
        step: Step::Start,
    };
    let bytes = stream::unfold(events, |mut events| async {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    Ok(response.streaming(bytes))
}

struct EventStream {
    app: Data<AppState>,
    session: [u8; 32],
    subscriptions: Vec<Subscription>,
    latest: watch::Receiver<u64>,
    shutdown: watch::Receiver<bool>,
    slot: StreamSlot,
    /// Changes up to this number were told, or are shown by the page; `None`: what it shows is not known.
    seen: Option<u64>,
    /// Up to which change it is known that the session is in force.
    session_checked_at: u64,
    /// Until when changes are gathered, to be told together.
    batch_until: Instant,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Running,
    Ended,
}

/// By what a events is woken.
enum Wakeup {
    Change,
    Time,
    Evicted,
    Stop,
}

impl EventStream {
    /// What to send next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Start => {
                self.step = Step::Running;
                // The head goes out with it, and the browser knows that the stream is open.
                return Some(Bytes::from_static(b"retry: 3000\n\n"));
            }
            Step::Running => {}
            Step::Ended => return None,
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let latest = *self.latest.borrow_and_update();
            let names = self.names();
            let has_news = !names.is_empty() && Instant::now() >= self.batch_until;
            if (has_news || self.sessions_ended()) && !self.is_session_valid(latest).await {
                return Some(self.end(SESSION_ENDED));
            }
            if has_news {
                self.seen = Some(latest);
                self.batch_until = Instant::now() + BATCH_WINDOW;
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                return Some(Bytes::from(format!("event: changed\ndata: {names}\n\n")));
            }
            let waits = names.is_empty();
            let until = if waits { heartbeat } else { self.batch_until };
            match self.wait(until, waits).await {
                Wakeup::Change => {}
                Wakeup::Stop => return None,
                Wakeup::Evicted => return Some(self.end(REPLACED)),
                Wakeup::Time if !waits => {}
                Wakeup::Time if self.is_session_valid(latest).await => {
                    return Some(Bytes::from_static(b":\n\n"));
                }
                Wakeup::Time => return Some(self.end(SESSION_ENDED)),
            }
        }
    }

    async fn wait(&mut self, until: Instant, for_changes: bool) -> Wakeup {
        tokio::select! {
            biased;
            _ = self.shutdown.wait_for(|shutdown| *shutdown) => Wakeup::Stop,
            () = self.slot.evicted.notified() => Wakeup::Evicted,
            _ = self.latest.changed(), if for_changes => Wakeup::Change,
            () = sleep_until(until) => Wakeup::Time,
        }
    }

    /// Of what the page shows, what has changed since.
    fn names(&self) -> BTreeSet<String> {
        let Some(seen) = self.seen else {
            return self.subscriptions.iter().map(Subscription::name).collect();
        };
        let wanted = |change: &ChangeKind| {
            self.subscriptions
                .iter()
                .any(|subscription| subscription.covers(change))
        };
        let changed = self.app.store.change_feed().since(seen, wanted);
        changed
            .iter()
            .flat_map(|change| {
                self.subscriptions
                    .iter()
                    .filter(|subscription| subscription.covers(change))
            })
            .map(Subscription::name)
            .collect()
    }

    fn sessions_ended(&self) -> bool {
        let ended = |change: &ChangeKind| *change == ChangeKind::Sessions;
        !self
            .app
            .store
            .change_feed()
            .since(self.session_checked_at, ended)
            .is_empty()
    }

    /// Whether who listens may still do so. A database that cannot be read at the moment is no reason to end.
    async fn is_session_valid(&mut self, latest: u64) -> bool {
        let now = self.app.clock.now();
        match self.app.store.session(self.session, now).await {
            Ok(Some(session)) => {
                self.session_checked_at = latest;
                let role = session.user.role;
                self.subscriptions
                    .iter()
                    .all(|subscription| subscription.is_allowed(role))
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "a session could not be looked up");
                true
            }
        }
    }

    /// Says why, so that the browser does not come back at once.
    fn end(&mut self, reason: &str) -> Bytes {
        self.step = Step::Ended;
        Bytes::from(format!("event: ended\ndata: {reason}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_of_a_session_takes_the_place_of_its_oldest_and_all_together_are_limited() {
        let streams = EventStreams::default();
        let count = || lock(&streams.open).len();
        let mut slots: Vec<StreamSlot> = (0..=STREAMS_PER_SESSION)
            .map(|_| streams.acquire([1; 32]).unwrap())
            .collect();
        assert_eq!(count(), STREAMS_PER_SESSION);
        let others = u8::try_from(STREAMS_MAX / STREAMS_PER_SESSION).unwrap();
        for session in 2..=others {
            slots.extend((0..STREAMS_PER_SESSION).map(|_| streams.acquire([session; 32]).unwrap()));
        }
        assert_eq!(count(), STREAMS_MAX);
        assert!(streams.acquire([255; 32]).is_none());
        assert!(streams.acquire([1; 32]).is_some());
        slots.clear();
        assert_eq!(count(), 0);
    }

    #[test]
    fn what_a_page_asks_for_is_read_and_written_alike() {
        for text in ["feedback", "deliveries", "deliveries:wh_1"] {
            assert_eq!(Subscription::parse(text).unwrap().name(), text);
        }
        for text in ["", "sessions", "feedback:fb_1", "deliveries "] {
            assert_eq!(Subscription::parse(text), None, "{text}");
        }
    }
}
