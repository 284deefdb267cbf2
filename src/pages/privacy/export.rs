//! Exports a person's data as JSON, one feedback item at a time, so memory use stays small.

use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, FeedbackId, Id, WebhookId};
use crate::pages::framework::exports::ExportError;
use crate::server::long_reads::run_blocking;
use crate::store::{DeliveryExport, FeedbackExport, PageRequest, StatusHistoryEntry, Store};

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
    id: DeliveryId,
    webhook_id: WebhookId,
    event: &'static str,
    state: DeliveryState,
    created_at: Timestamp,
    format: Format,
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

/// The position of a chunk: the start of the file, or the feedback item after an id. `After(None)`
/// is the position of the first item.
pub(super) enum ExportPosition {
    Start,
    After(Option<FeedbackId>),
}

/// Returns the chunk at a position, and the next position, which is `None` at the end. A chunk is
/// the start of the file, or one feedback item with its history and deliveries.
pub(super) async fn next_chunk(
    store: &Store,
    email: &str,
    now: Timestamp,
    position: ExportPosition,
) -> Result<(Vec<u8>, Option<ExportPosition>), ExportError> {
    let before = match position {
        ExportPosition::Start => {
            let head = render_json_start(email, now).into_bytes();
            return Ok((head, Some(ExportPosition::After(None))));
        }
        ExportPosition::After(before) => before,
    };
    let is_first = before.is_none();
    let page = PageRequest {
        limit: 1,
        before: before.map(Id::ulid),
    };
    let mut page = store.feedback_by_email(email, page).await?;
    let Some(feedback) = page.items.pop() else {
        return Ok((b"\n]}\n".to_vec(), None));
    };
    let has_more = page.next_cursor.is_some();
    let next = has_more.then_some(ExportPosition::After(Some(feedback.id)));
    let export = store.feedback_export(feedback).await?;
    let is_last = next.is_none();
    let chunk = run_blocking(move || {
        let mut chunk = Vec::from(if is_first { "\n" } else { ",\n" });
        serde_json::to_writer(&mut chunk, &feedback_view(&export))?;
        if is_last {
            chunk.extend_from_slice(b"\n]}\n");
        }
        Ok(chunk)
    });
    let chunk = chunk
        .await?
        .map_err(|error: serde_json::Error| ExportError::Write(error.to_string()))?;
    Ok((chunk, next))
}

fn render_json_start(email: &str, now: Timestamp) -> String {
    let (email, now) = (json!(email), json!(now));
    format!("{{\"email\":{email},\"exportedAt\":{now},\"feedback\":[")
}

fn feedback_view(export: &FeedbackExport) -> FeedbackView<'_> {
    FeedbackView {
        feedback: &export.feedback,
        history: export.history.iter().map(status_change_view).collect(),
        deliveries: export.deliveries.iter().map(delivery_view).collect(),
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

fn delivery_view(delivery: &DeliveryExport) -> DeliveryView<'_> {
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
        id: delivery.id,
        webhook_id: delivery.webhook,
        event: delivery.event.as_str(),
        state: delivery.state,
        created_at: delivery.created_at,
        format: delivery.format,
        body: delivery.body.as_ref().map(json),
        attempts: attempts.collect(),
    }
}
