//! What there is of one person: the feedback that was sent with their e-mail address, whatever its case.

use std::ops::AddAssign;
use std::time::Duration;

use rusqlite::params;

use super::db::error::StoreError;
use super::db::page::{Page, PageRequest};
use super::db::sql;
use super::deliveries::{self, LoggedAttempt};
use super::status_history::{self, StatusHistoryEntry};
use super::{Store, erasure, feedback, search};
use crate::clock::Timestamp;
use crate::domain::account::normalize_email;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::feedback::Feedback;
use crate::domain::id::{DeliveryId, WebhookId};

/// How many feedbacks a step erases: others write between two steps.
const STEP: usize = 50;

/// A feedback with the changes of its status and all that the log holds of it.
#[derive(Clone, Debug)]
pub struct PersonalFeedback {
    pub feedback: Feedback,
    /// Oldest first.
    pub history: Vec<StatusHistoryEntry>,
    pub deliveries: Vec<PersonalDelivery>,
}

/// A delivery with the body that was, or is to be, sent, and what was answered.
#[derive(Clone, Debug)]
pub struct PersonalDelivery {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub event: EventType,
    pub state: DeliveryState,
    pub created_at: Timestamp,
    pub body: Option<Vec<u8>>,
    pub attempts: Vec<LoggedAttempt>,
}

/// What was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    pub feedback: usize,
    /// Bodies of events in the log.
    pub bodies: usize,
    /// Attempts whose requests and answers were emptied.
    pub attempts: usize,
    /// Deliveries that were pending.
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

impl Store {
    /// The feedback of an address, newest first.
    pub async fn feedback_by_email(
        &self,
        email: &str,
        page: PageRequest,
    ) -> Result<Page<Feedback>, StoreError> {
        let key = normalize_email(email);
        self.reader
            .read_slow(move |c| {
                let statement = format!(
                    "{} WHERE normalized_email = ?1 AND feedback.id < ?2 ORDER BY feedback.id DESC LIMIT ?3",
                    feedback::SELECT
                );
                let values = params![key, page.before(), page.rows()];
                let rows = sql::query_all(c, &statement, values, feedback::read)?;
                Ok(page.page(rows, |feedback| feedback.id.as_str()))
            })
            .await
    }

    pub async fn count_feedback_by_email(&self, email: &str) -> Result<u64, StoreError> {
        let key = normalize_email(email);
        self.reader
            .read_slow(move |c| {
                let statement = "SELECT count(*) FROM feedback WHERE normalized_email = ?1";
                Ok(sql::query_optional(c, statement, [key], |row| row.get(0))?.unwrap_or(0))
            })
            .await
    }

    /// A feedback with its history and what the log holds of it.
    pub async fn personal_feedback(
        &self,
        feedback: Feedback,
    ) -> Result<PersonalFeedback, StoreError> {
        self.reader
            .read_slow(move |c| {
                let statement = "/* may sort those of one feedback */ SELECT deliveries.id, webhook_id, type, state, deliveries.created_at, body
                     FROM events JOIN deliveries ON event_id = events.id WHERE feedback_id = ?1 ORDER BY deliveries.id";
                let mut deliveries = sql::query_all(c, statement, [feedback.id.as_str()], |row| {
                    Ok(PersonalDelivery {
                        id: DeliveryId::new(row.get::<_, String>(0)?),
                        webhook: WebhookId::new(row.get::<_, String>(1)?),
                        event: sql::parse_column(row, "type", EventType::parse)?,
                        state: sql::parse_column(row, "state", DeliveryState::parse)?,
                        created_at: Timestamp::from_millis(row.get(4)?),
                        body: row.get(5)?,
                        attempts: Vec::new(),
                    })
                })?;
                for delivery in &mut deliveries {
                    delivery.attempts =
                        deliveries::attempts(c, &delivery.id, "response_headers, response_body")?;
                }
                Ok(PersonalFeedback {
                    history: status_history::of(c, &feedback.id)?,
                    feedback,
                    deliveries,
                })
            })
            .await
    }

    /// Erases some of the feedback of an address with its words in the log; nothing was left where `feedback` is 0.
    pub async fn erase_batch(&self, email: &str) -> Result<ErasureCounts, StoreError> {
        let key = normalize_email(email);
        self.writer
            .write(move |write| {
                // What is freed is overwritten, so that the words do not stay behind in the file.
                write.pragma_update(None, "secure_delete", true)?;
                search::set_secure_delete(write, true)?;
                let erased = (|| {
                    let some =
                        "SELECT id FROM feedback WHERE normalized_email = ?1 ORDER BY id LIMIT ?2";
                    let ids = sql::query_all(write, some, params![key, STEP], |row| {
                        row.get::<_, String>(0)
                    })?;
                    let mut erased = ErasureCounts::default();
                    for id in ids {
                        let emptied = erasure::erase_feedback(write, &id)?.unwrap_or_default();
                        erased += ErasureCounts {
                            feedback: 1,
                            bodies: emptied.bodies,
                            attempts: emptied.attempts,
                            canceled: emptied.canceled,
                        };
                    }
                    Ok(erased)
                })();
                search::set_secure_delete(write, false)?;
                write.pragma_update(None, "secure_delete", "FAST")?;
                erased
            })
            .await
    }

    /// After the last step: what was erased is left neither in pages that were freed before, without being overwritten,
    /// nor in the write-ahead log.
    pub async fn purge_free_pages(&self) -> Result<(), StoreError> {
        while self.vacuum_all_step().await? > 0 {}
        for _ in 0..10 {
            if self.writer.truncate_wal().await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tracing::warn!(
            "the write-ahead log is being read and could not be emptied; what was erased is overwritten there in time"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
