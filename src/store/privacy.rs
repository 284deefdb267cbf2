//! Personal data: finds, reads, and erases all feedback sent with one email.

use std::time::Duration;

use rusqlite::params;

use super::db::error::StoreError;
use super::db::pagination::{Page, PageRequest};
use super::db::sql;
use super::deliveries::{self, LoggedAttempt};
use super::erasure::{self, ErasureCounts};
use super::events::{DELIVERY_BODY, DELIVERY_FORMAT};
use super::feedback_filter::last_number_before;
use super::status_history::{self, StatusHistoryEntry};
use super::{Store, feedback, search};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::email::normalize_email;
use crate::domain::event::EventType;
use crate::domain::feedback::Feedback;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId};

/// Maximum number of feedback items erased in one transaction. Other jobs run between two
/// transactions.
const ERASE_BATCH_SIZE: usize = 50;

/// Feedback with its status history and its content in the delivery log.
#[derive(Clone, Debug)]
pub struct FeedbackExport {
    pub feedback: Feedback,
    /// Oldest first.
    pub history: Vec<StatusHistoryEntry>,
    pub deliveries: Vec<DeliveryExport>,
}

/// A delivery with its body and the responses to its attempts.
#[derive(Clone, Debug)]
pub struct DeliveryExport {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub event: EventType,
    pub state: DeliveryState,
    pub created_at: Timestamp,
    pub body: Option<Vec<u8>>,
    pub format: Format,
    pub attempts: Vec<LoggedAttempt>,
}

impl Store {
    /// Returns a page of the feedback sent with any spelling of this email, newest first.
    pub async fn feedback_by_email(
        &self,
        email: &str,
        page: PageRequest,
    ) -> Result<Page<Feedback>, StoreError> {
        let email = normalize_email(email);
        self.reader
            .read_slow(move |c| {
                let statement = feedback::select_statement(
                    "normalized_email = ?1 AND number <= ?2 ORDER BY number DESC LIMIT ?3",
                );
                let last = last_number_before(c, page.before)?;
                let values = params![email, last, page.row_limit()];
                let rows = sql::query_all(c, &statement, values, feedback::feedback_from_row)?;
                Ok(page.build_page(rows, |feedback| feedback.id))
            })
            .await
    }

    pub async fn count_feedback_by_email(&self, email: &str) -> Result<u64, StoreError> {
        let email = normalize_email(email);
        self.reader
            .read_slow(move |c| {
                let statement = "SELECT count(*) FROM feedback WHERE normalized_email = ?1";
                sql::query_value(c, statement, [email])
            })
            .await
    }

    /// Returns the feedback with its status history and its content in the delivery log.
    pub async fn feedback_export(&self, feedback: Feedback) -> Result<FeedbackExport, StoreError> {
        self.reader
            .read_slow(move |c| {
                let statement = format!(
                    "/* may sort the deliveries of one feedback item */
                    SELECT deliveries.id, webhooks.id, type, state, deliveries.created_at,
                    {DELIVERY_BODY}, {DELIVERY_FORMAT}
                    FROM events JOIN deliveries ON event_number = events.number
                    JOIN webhooks ON webhooks.number = webhook_number
                    WHERE feedback_id = ?1 ORDER BY deliveries.id"
                );
                let mut deliveries = sql::query_all(c, &statement, [&feedback.id], |row| {
                    Ok(DeliveryExport {
                        id: row.get(0)?,
                        webhook: row.get(1)?,
                        event: row.get(2)?,
                        state: row.get(3)?,
                        created_at: row.get(4)?,
                        body: row.get(5)?,
                        format: row.get(6)?,
                        attempts: Vec::new(),
                    })
                })?;
                for delivery in &mut deliveries {
                    delivery.attempts =
                        deliveries::attempts(c, &delivery.id, deliveries::FULL_RESPONSE_COLUMNS)?;
                }
                Ok(FeedbackExport {
                    history: status_history::read_status_history(c, &feedback.id)?,
                    feedback,
                    deliveries,
                })
            })
            .await
    }

    /// Erases a batch of the feedback sent with this email. If `feedback` in the result is 0, no
    /// feedback with this email is left.
    ///
    /// After the last batch, call [`purge_erased_content`](Self::purge_erased_content).
    pub async fn erase_feedback_batch(&self, email: &str) -> Result<ErasureCounts, StoreError> {
        let email = normalize_email(email);
        self.writer
            .write(move |tx| {
                // Overwrite freed pages, so that no erased content remains in the file.
                tx.pragma_update(None, "secure_delete", true)?;
                search::set_secure_delete(tx, true)?;
                let erased = (|| {
                    let batch = "SELECT id FROM feedback
                        WHERE normalized_email = ?1 ORDER BY number LIMIT ?2";
                    let ids: Vec<FeedbackId> =
                        sql::query_column(tx, batch, params![email, ERASE_BATCH_SIZE])?;
                    let mut erased = ErasureCounts::default();
                    for id in ids {
                        erased += erasure::erase_feedback(tx, &id)?.unwrap_or_default();
                    }
                    Ok(erased)
                })();
                search::set_secure_delete(tx, false)?;
                tx.pragma_update(None, "secure_delete", "FAST")?;
                erased
            })
            .await
    }

    /// Removes erased content from the WAL and from pages that were freed earlier, and deletes the
    /// copies of earlier databases. Logs a warning if the WAL is still in use after about 1 s.
    pub async fn purge_erased_content(&self) -> Result<(), StoreError> {
        self.delete_all_copies().await;
        while self.incremental_vacuum_without_reserve().await? > 0 {}
        for _ in 0..10 {
            if self.writer.truncate_wal().await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tracing::warn!("the WAL is in use; erased content stays in it until a checkpoint");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
