//! Deletes feedback with its history, its search entries, and its content in the delivery log.

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::domain::delivery::DeliveryState;
use crate::domain::id::{ProjectId, WebhookId};

/// What the log held of a feedback that is deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RedactionCounts {
    pub(super) canceled: usize,
    pub(super) bodies: usize,
    pub(super) attempts: usize,
}

/// Deletes a feedback with its history, and its words in the log and the search: the one way by which a feedback goes. `None`: there is no such
/// feedback.
pub(super) fn erase_feedback(
    write: &mut WriteTx<'_>,
    id: &str,
) -> Result<Option<RedactionCounts>, StoreError> {
    let its = "SELECT project_id, status FROM feedback WHERE id = ?1";
    let its = sql::query_optional(write, its, [id], |row| {
        let status = sql::parse_column(row, "status", |text| text.parse().ok())?;
        Ok((ProjectId::new(row.get::<_, String>(0)?), status))
    })?;
    let Some((project, status)) = its else {
        return Ok(None);
    };
    sql::execute(write, "DELETE FROM feedback WHERE id = ?1", [id])?;
    write.feedback_changed(&project, Some(status), None);
    Ok(Some(redact_delivery_log(write, id)?))
}

/// Cancels what is pending of a feedback and empties what the log holds of its words: bodies, requests and answers.
fn redact_delivery_log(
    write: &mut WriteTx<'_>,
    feedback_id: &str,
) -> Result<RedactionCounts, StoreError> {
    const ITS_EVENTS: &str = "(SELECT id FROM events WHERE feedback_id = ?1)";
    let heard = format!("SELECT webhook_id, state FROM deliveries WHERE event_id IN {ITS_EVENTS}");
    let heard = sql::query_all(write, &heard, [feedback_id], |row| {
        let webhook = WebhookId::new(row.get::<_, String>(0)?);
        Ok((
            webhook,
            sql::parse_column(row, "state", DeliveryState::parse)?,
        ))
    })?;
    for (webhook, state) in heard {
        let pending = usize::from(state == DeliveryState::Pending);
        write.delivery_states_changed(
            &webhook,
            DeliveryState::Pending,
            DeliveryState::Canceled,
            pending,
        );
    }
    let canceled = sql::execute(
        write,
        &format!(
            "UPDATE deliveries SET state = 'canceled', due_at = NULL, finished_at = ?2
             WHERE state = 'pending' AND event_id IN {ITS_EVENTS}"
        ),
        params![feedback_id, write.now.millis()],
    )?;
    if canceled > 0 {
        write.invalidate_read_ahead();
    }
    let empty = |statement: &str| sql::execute(write, statement, [feedback_id]);
    let attempts = empty(&format!(
        "UPDATE attempts SET request_headers = NULL, response_headers = NULL, response_body = NULL, error = NULL
         WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id IN {ITS_EVENTS})"
    ))?;
    let bodies = empty("UPDATE events SET body = NULL WHERE feedback_id = ?1")?;
    empty("UPDATE idempotency_keys SET response = NULL WHERE feedback_id = ?1")?;
    Ok(RedactionCounts {
        canceled,
        bodies,
        attempts,
    })
}
