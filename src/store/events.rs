//! Events, each stored with its deliveries in the transaction that made it happen.

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::Feedback;
use crate::domain::id::{DeliveryId, EventId, WebhookId};
use crate::domain::webhook::Topic;

/// Stores an event with a delivery for each webhook that is enabled and has its topic and project. One that nobody
/// hears of is not stored.
pub(super) fn publish(
    write: &mut WriteTx<'_>,
    topic: Topic,
    feedback: &Feedback,
    body: Vec<u8>,
) -> Result<(), StoreError> {
    let column = match topic {
        Topic::FeedbackCreated => "topic_created",
        Topic::FeedbackUpdated => "topic_updated",
    };
    let statement = format!(
        "SELECT id FROM webhooks WHERE enabled AND deleted_at IS NULL AND {column}
         AND (all_projects OR EXISTS (SELECT 1 FROM webhook_projects WHERE webhook_id = webhooks.id AND project_id = ?1))
         ORDER BY id"
    );
    let webhooks = sql::query_all(write, &statement, [feedback.project.id.as_str()], |row| {
        row.get::<_, String>(0)
    })?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let event = insert(write, topic.as_str(), Some(feedback.id.as_str()), &body)?;
    let now = write.now.millis();
    for webhook in webhooks {
        let (id, webhook): (DeliveryId, _) = (write.next_id(), WebhookId::new(webhook));
        sql::execute(
            write,
            "INSERT INTO deliveries (id, event_id, webhook_id, state, due_at, attempts, round_attempts, created_at)
             VALUES (?1, ?2, ?3, 'pending', ?4, 0, 0, ?4)",
            params![id.as_str(), event.as_str(), webhook.as_str(), now],
        )?;
        write.delivery_created(&webhook, DeliveryState::Pending);
    }
    write.notify_deliveries();
    Ok(())
}

/// Stores an event alone.
pub(super) fn insert(
    write: &mut WriteTx<'_>,
    event_type: &str,
    feedback_id: Option<&str>,
    body: &[u8],
) -> Result<EventId, StoreError> {
    let id: EventId = write.next_id();
    sql::execute(
        write,
        "INSERT INTO events (id, type, feedback_id, body, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id.as_str(),
            event_type,
            feedback_id,
            body,
            write.now.millis()
        ],
    )?;
    Ok(id)
}
