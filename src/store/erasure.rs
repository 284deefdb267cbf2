//! Deletes feedback with its history, its search entries, and its content in the delivery log.

use std::ops::AddAssign;

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::redelivery::SET_CANCELED;
use crate::domain::delivery::{CancelReason, DeliveryState};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{FeedbackId, ProjectId, WebhookId};

/// The numbers of items that were erased or canceled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    /// Deleted feedback items.
    pub feedback: usize,
    /// Event bodies removed from the delivery log.
    pub bodies: usize,
    /// Attempts whose requests and responses were removed.
    pub attempts: usize,
    /// Pending deliveries that were canceled.
    pub canceled: usize,
}

impl AddAssign for ErasureCounts {
    fn add_assign(&mut self, other: Self) {
        self.feedback += other.feedback;
        self.bodies += other.bodies;
        self.attempts += other.attempts;
        self.canceled += other.canceled;
    }
}

/// Deletes feedback with its history, its search entries, and its content in the delivery log.
/// Every deletion of feedback uses this function. Returns `None` if there is no such feedback.
pub(super) fn erase_feedback(
    tx: &mut WriteTx<'_>,
    id: &FeedbackId,
) -> Result<Option<ErasureCounts>, StoreError> {
    let select = "SELECT project_id, status FROM feedback WHERE id = ?1";
    let row: Option<(ProjectId, FeedbackStatus)> =
        sql::query_optional(tx, select, [id], |row| row.try_into())?;
    let Some((project, status)) = row else {
        return Ok(None);
    };
    // A trigger deletes the search entries.
    sql::execute(tx, "DELETE FROM feedback WHERE id = ?1", [id])?;
    tx.record_feedback_change(&project, Some(status), None);
    Ok(Some(redact_delivery_log(tx, id)?))
}

/// Cancels the pending deliveries of feedback, and removes the feedback's content from the delivery
/// log and from the responses stored under idempotency keys.
fn redact_delivery_log(
    tx: &mut WriteTx<'_>,
    feedback: &FeedbackId,
) -> Result<ErasureCounts, StoreError> {
    const FEEDBACK_EVENTS: &str = "(SELECT number FROM events WHERE feedback_id = ?1)";
    let deliveries = format!(
        "SELECT webhooks.id, state FROM deliveries
         JOIN webhooks ON webhooks.number = webhook_number
         WHERE event_number IN {FEEDBACK_EVENTS}"
    );
    let deliveries: Vec<(WebhookId, DeliveryState)> =
        sql::query_all(tx, &deliveries, [feedback], |row| row.try_into())?;
    for (webhook, state) in deliveries {
        // Finished deliveries are reported with a count of 0, so that open pages refresh.
        let pending = usize::from(state == DeliveryState::Pending);
        tx.record_delivery_state_changes(
            &webhook,
            DeliveryState::Pending,
            DeliveryState::Canceled,
            pending,
        );
    }
    let canceled = sql::execute(
        tx,
        &format!("{SET_CANCELED} WHERE state = 'pending' AND event_number IN {FEEDBACK_EVENTS}"),
        params![feedback, tx.now, CancelReason::FeedbackDeleted],
    )?;
    if canceled > 0 {
        tx.invalidate_read_ahead();
    }
    let redact = |statement: &str| sql::execute(tx, statement, [feedback]);
    let attempts = redact(&format!(
        "UPDATE attempts SET request_headers = NULL, response_headers = NULL,
         response_body = NULL, error = NULL
         WHERE delivery_number IN
             (SELECT number FROM deliveries WHERE event_number IN {FEEDBACK_EVENTS})"
    ))?;
    // An empty body is a placeholder (store/events.rs).
    let placeholders = "UPDATE events SET body = NULL WHERE feedback_id = ?1 AND body = x''";
    redact(placeholders)?;
    let mut bodies =
        redact("UPDATE events SET body = NULL WHERE feedback_id = ?1 AND body IS NOT NULL")?;
    bodies += redact(&format!(
        "UPDATE event_bodies SET body = NULL WHERE event_number IN {FEEDBACK_EVENTS}"
    ))?;
    redact("UPDATE idempotency_keys SET response = NULL WHERE feedback_id = ?1")?;
    Ok(ErasureCounts {
        feedback: 1,
        bodies,
        attempts,
        canceled,
    })
}
