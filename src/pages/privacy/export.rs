//! Exports a person's data as JSON. The file is streamed in batches, so memory use stays small.

use actix_web::web::Bytes;
use futures_util::stream::{Stream, try_unfold};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::store::{
    PageRequest, PersonalDelivery, PersonalFeedback, StatusHistoryEntry, Store, StoreError,
};

/// The number of feedback items that are read at once.
const BATCH_SIZE: usize = 50;

#[derive(Serialize)]
struct FeedbackView<'a> {
    #[serde(flatten)]
    feedback: &'a Feedback,
    history: Vec<StatusChangeView<'a>>,
    deliveries: Vec<DeliveryView<'a>>,
}

/// An entry of the status history.
#[derive(Serialize)]
struct StatusChangeView<'a> {
    at: Timestamp,
    from: FeedbackStatus,
    to: FeedbackStatus,
    by: &'a str,
    /// The name of the API token; `None` for a change on a page.
    token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryView<'a> {
    id: &'a str,
    webhook_id: &'a str,
    event: &'static str,
    state: DeliveryState,
    created_at: Timestamp,
    body: Option<Value>,
    attempts: Vec<AttemptView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptView<'a> {
    number: u32,
    started_at: Timestamp,
    status: Option<u16>,
    error: Option<&'a str>,
    response_body: Option<String>,
}

/// Progress of the export.
enum Position {
    Start,
    /// The next batch contains feedback older than this id or, with `None`, the newest.
    Before(Option<String>),
    End,
}

/// Streams the file. A store error aborts the response, so the client knows that the file is
/// incomplete.
pub fn stream(
    store: Store,
    email: String,
    now: Timestamp,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    try_unfold(Position::Start, move |position| {
        let (store, email) = (store.clone(), email.clone());
        async move {
            let (text, next) = match position {
                Position::Start => (json_start(&email, now), Position::Before(None)),
                Position::Before(before) => next_batch(&store, &email, before).await?,
                Position::End => return Ok(None),
            };
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

fn json_start(email: &str, now: Timestamp) -> String {
    let (email, now) = (json!(email), json!(now));
    format!("{{\"email\":{email},\"exportedAt\":{now},\"feedback\":[")
}

async fn next_batch(
    store: &Store,
    email: &str,
    before: Option<String>,
) -> Result<(String, Position), StoreError> {
    let mut is_first = before.is_none();
    let page = PageRequest {
        limit: BATCH_SIZE,
        before,
    };
    let page = store.feedback_by_email(email, page).await?;
    let mut text = String::new();
    for feedback in page.items {
        let personal = store.personal_feedback(feedback).await?;
        text.push_str(if is_first { "\n" } else { ",\n" });
        is_first = false;
        let json = serde_json::to_string(&feedback_view(&personal));
        text.push_str(&json.map_err(|error| StoreError::InvalidValue(error.to_string()))?);
    }
    if page.next_cursor.is_some() {
        return Ok((text, Position::Before(page.next_cursor)));
    }
    text.push_str("\n]}\n");
    Ok((text, Position::End))
}

fn feedback_view(personal: &PersonalFeedback) -> FeedbackView<'_> {
    FeedbackView {
        feedback: &personal.feedback,
        history: personal.history.iter().map(status_change_view).collect(),
        deliveries: personal.deliveries.iter().map(delivery_view).collect(),
    }
}

fn status_change_view(entry: &StatusHistoryEntry) -> StatusChangeView<'_> {
    StatusChangeView {
        at: entry.changed_at,
        from: entry.previous,
        to: entry.status,
        by: &entry.by.email,
        token: entry.by.token.as_deref(),
    }
}

fn delivery_view(delivery: &PersonalDelivery) -> DeliveryView<'_> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let json = |bytes: &Vec<u8>| {
        let parsed = serde_json::from_slice(bytes);
        parsed.unwrap_or_else(|_| Value::String(text(bytes)))
    };
    let attempts = delivery.attempts.iter().map(|attempt| AttemptView {
        number: attempt.number,
        started_at: attempt.started_at,
        status: attempt.status,
        error: attempt.error.as_deref(),
        response_body: attempt.response_body.as_deref().map(text),
    });
    DeliveryView {
        id: delivery.id.as_str(),
        webhook_id: delivery.webhook.as_str(),
        event: delivery.event.as_str(),
        state: delivery.state,
        created_at: delivery.created_at,
        body: delivery.body.as_ref().map(json),
        attempts: attempts.collect(),
    }
}
