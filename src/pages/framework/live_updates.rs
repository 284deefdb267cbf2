//! Live updates: server-sent events (`/live`) notify open pages that they need a refresh.
//!
//! A region of a page (an element with an id and `data-region`) declares the data that it shows:
//! `data-live="feedback"`, `data-live="deliveries"` (of all webhooks), `data-live="deliveries:ID"`,
//! `data-live="failing-webhooks"`, or `data-live="people"`. While the page is visible, its script
//! subscribes to these names and fetches the page again when the stream sends one of them. The
//! stream contains only names, never data, so permissions are checked where the page is rendered.
//!
//! The query parameter `since` is the number of the latest change that the page shows (`<body
//! data-last-change>`). The stream reports all later changes, including changes before the stream
//! was opened.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::context::RequestContext;
use super::event_streams::StreamSlot;
use super::page_error::PageError;
use crate::domain::account::{Role, Scope};
use crate::domain::id::{Id, WebhookId};
use crate::server::AppState;
use crate::server::permissions::{Permission, is_allowed};
use crate::store::ChangeKind;

/// The minimum interval between `changed` events. Changes within the interval are sent together.
const BATCH_WINDOW: Duration = Duration::from_millis(250);
/// The interval between heartbeats, which detect closed connections.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// The interval at which an idle stream checks its session. A command in another process can end
/// the session.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_millis(800);
const SESSION_ENDED_MESSAGE: &str = "The session has ended.";
const STREAM_REPLACED_MESSAGE: &str = "Too many pages are open. Reload this page to see changes.";
/// Stops nginx from buffering the stream.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const INVALID_SUBSCRIPTION: PageError = PageError::Specific {
    status: StatusCode::BAD_REQUEST,
    title: "Invalid request",
    message: "Missing or invalid “of” parameter.",
};
const TOO_MANY_STREAMS: PageError =
    PageError::unavailable("Too many pages are open. Reload this page to see changes.");

/// The changes that a page wants to be notified of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subscription {
    Feedback,
    /// The deliveries of one webhook, or of all webhooks if `None`.
    Deliveries(Option<WebhookId>),
    FailingWebhooks,
    People,
}

impl Subscription {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "feedback" => Some(Self::Feedback),
            None if text == "deliveries" => Some(Self::Deliveries(None)),
            None if text == "failing-webhooks" => Some(Self::FailingWebhooks),
            None if text == "people" => Some(Self::People),
            Some(("deliveries", id)) => Some(Self::Deliveries(Some(WebhookId::parse_or_nil(id)))),
            _ => None,
        }
    }

    fn required_permission(&self) -> Permission {
        match self {
            Self::Feedback => Permission::Member,
            Self::Deliveries(_) | Self::FailingWebhooks | Self::People => Permission::Admin,
        }
    }

    fn is_allowed(&self, role: Role) -> bool {
        is_allowed(self.required_permission(), role, Scope::Full)
    }

    fn name(&self) -> String {
        match self {
            Self::Feedback => "feedback".into(),
            Self::Deliveries(None) => "deliveries".into(),
            Self::FailingWebhooks => "failing-webhooks".into(),
            Self::People => "people".into(),
            Self::Deliveries(Some(webhook)) => format!("deliveries:{webhook}"),
        }
    }

    fn includes_change(&self, change: &ChangeKind) -> bool {
        match (self, change) {
            (Self::Feedback, ChangeKind::Feedback)
            | (Self::Deliveries(None), ChangeKind::Deliveries(_))
            | (Self::FailingWebhooks, ChangeKind::FailingWebhooks)
            | (Self::People, ChangeKind::People) => true,
            (Self::Deliveries(Some(webhook)), ChangeKind::Deliveries(changed)) => {
                webhook == changed
            }
            _ => false,
        }
    }
}

/// Handles `GET /live?since=NUMBER&of=feedback&of=deliveries:ID`: streams the names of the
/// subscriptions with changes.
pub async fn stream_changes(context: RequestContext) -> Result<HttpResponse, PageError> {
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
        .ok_or(INVALID_SUBSCRIPTION)?;
    let role = session.user.role;
    if !subscriptions
        .iter()
        .all(|subscription| subscription.is_allowed(role))
    {
        return Err(PageError::Forbidden);
    }
    let changes = context.app.store.change_feed();
    // Ignore a number from an earlier run, because the changes since then are unknown. The page
    // then refreshes.
    let since = context
        .query_param("since")
        .and_then(|text| text.parse().ok());
    let seen = since.filter(|number| changes.is_from_current_run(*number));
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_ACCEL_BUFFERING, "no"));
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
        shutdown: context.state.event_streams.subscribe_to_shutdown(),
        slot: context
            .state
            .event_streams
            .acquire_slot(session.token_hash, &session.user.id)
            .ok_or(TOO_MANY_STREAMS)?,
        state: StreamState::Start,
    };
    let bytes = stream::unfold(events, |mut events| async {
        let bytes = events.next_bytes().await?;
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
    /// The number of the latest change that the page shows or that was sent; `None` if unknown.
    seen: Option<u64>,
    /// The number of the latest change when the session was last found valid.
    session_checked_at: u64,
    /// The end of the current batch window. Until then, changes are only collected.
    batch_until: Instant,
    state: StreamState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Start,
    Running,
    Ended,
}

/// The reason a waiting stream wakes up.
enum WakeReason {
    Change,
    Timeout,
    Evicted,
    Shutdown,
}

impl EventStream {
    /// Waits for the next bytes to send; `None` ends the stream.
    async fn next_bytes(&mut self) -> Option<Bytes> {
        match self.state {
            StreamState::Start => {
                self.state = StreamState::Running;
                // Send this line immediately, so that the browser receives the response head.
                return Some(Bytes::from_static(b"retry: 3000\n\n"));
            }
            StreamState::Running => {}
            StreamState::Ended => return None,
        }
        let heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
        loop {
            let latest = *self.latest.borrow_and_update();
            let names = self.changed_subscription_names();
            let can_send = !names.is_empty() && Instant::now() >= self.batch_until;
            if (can_send || self.has_ended_sessions()) && !self.is_session_valid(latest).await {
                return Some(self.end_stream(SESSION_ENDED_MESSAGE));
            }
            if can_send {
                self.seen = Some(latest);
                self.batch_until = Instant::now() + BATCH_WINDOW;
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                return Some(Bytes::from(format!("event: changed\ndata: {names}\n\n")));
            }
            let is_idle = names.is_empty();
            let until = if is_idle {
                heartbeat.min(Instant::now() + SESSION_CHECK_INTERVAL)
            } else {
                self.batch_until
            };
            match self.wait_until_woken(until, is_idle).await {
                WakeReason::Change => {}
                WakeReason::Shutdown => return None,
                WakeReason::Evicted => return Some(self.end_stream(STREAM_REPLACED_MESSAGE)),
                WakeReason::Timeout if !is_idle => {}
                WakeReason::Timeout if !self.is_session_valid(latest).await => {
                    return Some(self.end_stream(SESSION_ENDED_MESSAGE));
                }
                WakeReason::Timeout if Instant::now() < heartbeat => {}
                WakeReason::Timeout => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    async fn wait_until_woken(&mut self, until: Instant, for_changes: bool) -> WakeReason {
        tokio::select! {
            biased;
            _ = self.shutdown.wait_for(|shutdown| *shutdown) => WakeReason::Shutdown,
            () = self.slot.wait_until_evicted() => WakeReason::Evicted,
            _ = self.latest.changed(), if for_changes => WakeReason::Change,
            () = sleep_until(until) => WakeReason::Timeout,
        }
    }

    /// Returns the names of the subscriptions with changes that haven't been sent yet, or all names
    /// if the last sent change is unknown.
    fn changed_subscription_names(&self) -> BTreeSet<String> {
        let Some(seen) = self.seen else {
            return self.subscriptions.iter().map(Subscription::name).collect();
        };
        let is_covered = |change: &ChangeKind| {
            self.subscriptions
                .iter()
                .any(|subscription| subscription.includes_change(change))
        };
        let changed = self.app.store.change_feed().changes_since(seen, is_covered);
        changed
            .iter()
            .flat_map(|change| {
                self.subscriptions
                    .iter()
                    .filter(|subscription| subscription.includes_change(change))
            })
            .map(Subscription::name)
            .collect()
    }

    /// Returns whether any session was ended since this stream's session was last found valid.
    fn has_ended_sessions(&self) -> bool {
        let ended = |change: &ChangeKind| *change == ChangeKind::Sessions;
        !self
            .app
            .store
            .change_feed()
            .changes_since(self.session_checked_at, ended)
            .is_empty()
    }

    /// Returns whether the session exists and the user's role still permits all subscriptions. A
    /// failed query doesn't end the stream.
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
                tracing::warn!(%error, "session lookup failed");
                true
            }
        }
    }

    /// Ends the stream with an event, so the page doesn't reconnect immediately.
    fn end_stream(&mut self, reason: &str) -> Bytes {
        self.state = StreamState::Ended;
        Bytes::from(format!("event: ended\ndata: {reason}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_subscription_names() {
        for text in [
            "feedback",
            "deliveries",
            "deliveries:wh_01K8X2Y3Z4A5B6C7D8E9F0G1H2",
            "failing-webhooks",
            "people",
        ] {
            assert_eq!(Subscription::parse(text).unwrap().name(), text);
        }
        for text in ["", "sessions", "feedback:fb_1", "deliveries "] {
            assert_eq!(Subscription::parse(text), None, "{text}");
        }
    }
}
