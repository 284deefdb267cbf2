//! Stores events with their bodies and deliveries, in the transaction that changes the feedback.

use std::sync::Arc;

use rusqlite::params;

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::feedback::Feedback;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId};
use crate::domain::webhook_url::WebhookUrl;
use crate::formats::{self, EventContent};

/// The body of a delivery, in a statement that reads `deliveries` and `events`. `NULL` means that
/// the body was erased with the feedback.
pub(super) const DELIVERY_BODY: &str = "iif(body_number IS NULL, events.body,
    (SELECT body FROM event_bodies WHERE event_bodies.number = body_number))";
/// The format of a delivery's body, in a statement that reads `deliveries`.
pub(super) const DELIVERY_FORMAT: &str =
    "ifnull((SELECT format FROM event_bodies WHERE event_bodies.number = body_number), 'standard')";

/// A webhook that receives an event.
struct MatchingWebhook {
    number: i64,
    id: WebhookId,
    format: Format,
    details: bool,
    /// The URL, if the body depends on it.
    url: Option<WebhookUrl>,
}

/// The format, the details, and the URL, if the body depends on it. Webhooks with the same key
/// receive the same body of an event.
type BodyKey = (Format, bool, Option<WebhookUrl>);

impl MatchingWebhook {
    /// Returns whether the webhook receives the body that is stored with the event.
    fn uses_event_body(&self) -> bool {
        is_event_body(self.format, self.details)
    }
}

/// Returns whether a body is stored with its event. All other bodies are in `event_bodies`.
pub(super) fn is_event_body(format: Format, details: bool) -> bool {
    format == Format::Standard && !details
}

impl Store {
    /// Sets the public URL of Miniback, without a slash at the end. Payloads link to the pages of
    /// feedback under this URL.
    pub fn with_public_url(mut self, public_url: Option<String>) -> Self {
        self.feedback_links = FeedbackLinks(public_url.map(Into::into));
        self
    }

    pub fn feedback_links(&self) -> &FeedbackLinks {
        &self.feedback_links
    }
}

/// Builds the links from payloads to the pages of feedback. Contains the public URL, from
/// `--base-url`.
#[derive(Clone, Debug, Default)]
pub struct FeedbackLinks(Option<Arc<str>>);

impl FeedbackLinks {
    /// Returns the URL of the page of feedback, or `None` without a public URL.
    pub fn link_to(&self, id: &FeedbackId) -> Option<String> {
        let public_url = self.0.as_ref()?;
        Some(format!("{public_url}/feedback/{id}"))
    }
}

/// Stores an event with a delivery for each enabled webhook that subscribes to the event and to the
/// feedback's project. Renders the body once for each format that these webhooks need. An event
/// without matching webhooks isn't stored. Returns the ids of the deliveries, in ascending order.
pub(super) fn store_event(
    tx: &mut WriteTx<'_>,
    feedback: &Feedback,
    content: &EventContent<'_>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let event_type = content.event.event_type();
    let webhooks = matching_webhooks(tx, event_type, feedback)?;
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let event_body = match webhooks.iter().any(MatchingWebhook::uses_event_body) {
        true => formats::render(Format::Standard, false, content),
        false => Vec::new(),
    };
    let event = insert_event(tx, event_type, Some(&feedback.id), &event_body)?;
    let mut bodies: Vec<(BodyKey, i64)> = Vec::new();
    let mut deliveries = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let key = (webhook.format, webhook.details, webhook.url.clone());
        let stored = bodies.iter().find(|(stored, _)| *stored == key);
        let body_number = match stored {
            _ if webhook.uses_event_body() => None,
            Some((_, number)) => Some(*number),
            None => {
                let body = formats::render(webhook.format, webhook.details, content);
                let body = match &webhook.url {
                    Some(url) => formats::add_ntfy_topic(webhook.format, url, body),
                    None => body,
                };
                let number = insert_event_body(tx, event, webhook.format, webhook.details, &body)?;
                bodies.push((key, number));
                Some(number)
            }
        };
        let id: DeliveryId = tx.next_id();
        sql::execute(
            tx,
            "INSERT INTO deliveries (id, event_number, webhook_number, body_number, state, due_at,
             attempts, round_attempts, created_at)
             VALUES (?1, ?2, ?3, ?4, 'pending', ?5, 0, 0, ?5)",
            params![id, event, webhook.number, body_number, tx.now],
        )?;
        tx.record_delivery_created(&webhook.id, DeliveryState::Pending);
        deliveries.push(id);
    }
    tx.notify_deliveries();
    Ok(deliveries)
}

fn matching_webhooks(
    tx: &WriteTx<'_>,
    event_type: EventType,
    feedback: &Feedback,
) -> Result<Vec<MatchingWebhook>, StoreError> {
    let matching =
        "SELECT number, id, format, details, iif(format = 'ntfy', url, NULL) FROM webhooks
        WHERE enabled AND deleted_at IS NULL
        AND EXISTS (SELECT 1 FROM webhook_topics WHERE webhook_id = webhooks.id AND topic = ?1)
        AND (all_projects OR EXISTS (SELECT 1 FROM webhook_projects
                                     WHERE webhook_id = webhooks.id AND project_id = ?2))
        ORDER BY id";
    sql::query_all(
        tx,
        matching,
        params![event_type, feedback.project.id],
        |row| {
            Ok(MatchingWebhook {
                number: row.get(0)?,
                id: row.get(1)?,
                format: row.get(2)?,
                details: row.get(3)?,
                url: row.get(4)?,
            })
        },
    )
}

/// Stores an event but not its deliveries. `body` is the plain standard body, or empty if no
/// delivery needs it. A test has no feedback. Returns the event's number.
pub(super) fn insert_event(
    tx: &mut WriteTx<'_>,
    event_type: EventType,
    feedback: Option<&FeedbackId>,
    body: &[u8],
) -> Result<i64, StoreError> {
    sql::execute(
        tx,
        "INSERT INTO events (type, feedback_id, body, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![event_type, feedback, body, tx.now],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Stores a body of an event in another format, or with details. Returns the body's number.
pub(super) fn insert_event_body(
    tx: &mut WriteTx<'_>,
    event: i64,
    format: Format,
    details: bool,
    body: &[u8],
) -> Result<i64, StoreError> {
    let insert = "INSERT INTO event_bodies (event_number, format, details, body)
        VALUES (?1, ?2, ?3, ?4)";
    sql::execute(tx, insert, params![event, format, details, body])?;
    Ok(tx.last_insert_rowid())
}
