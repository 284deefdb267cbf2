//! Stores events and their deliveries, in the transaction that changes the feedback.

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::feedback::Feedback;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId};
use crate::domain::webhook::Topic;

/// Stores an event with a delivery for each enabled webhook that subscribes to `topic` and to the
/// feedback's project. An event without matching webhooks isn't stored. Returns the ids of the
/// deliveries, in ascending order.
pub(super) fn store_event(
    tx: &mut WriteTx<'_>,
    topic: Topic,
    feedback: &Feedback,
    body: Vec<u8>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let matching = "SELECT number, id FROM webhooks WHERE enabled AND deleted_at IS NULL
        AND EXISTS (SELECT 1 FROM webhook_topics WHERE webhook_id = webhooks.id AND topic = ?1)
        AND (all_projects OR EXISTS (SELECT 1 FROM webhook_projects
                                     WHERE webhook_id = webhooks.id AND project_id = ?2))
        ORDER BY id";
    let values = params![topic, feedback.project.id];
    let webhooks: Vec<(i64, WebhookId)> =
        sql::query_all(tx, matching, values, |row| row.try_into())?;
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let event = insert_event(tx, EventType::Topic(topic), Some(&feedback.id), &body)?;
    let mut deliveries = Vec::with_capacity(webhooks.len());
    for (number, webhook) in webhooks {
        let id: DeliveryId = tx.next_id();
        sql::execute(
            tx,
            "INSERT INTO deliveries
             (id, event_number, webhook_number, state, due_at, attempts, round_attempts, created_at)
             VALUES (?1, ?2, ?3, 'pending', ?4, 0, 0, ?4)",
            params![id, event, number, tx.now],
        )?;
        tx.record_delivery_created(&webhook, DeliveryState::Pending);
        deliveries.push(id);
    }
    tx.notify_deliveries();
    Ok(deliveries)
}

/// Stores an event but not its deliveries. Returns the event's number.
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
