//! Deletes expired deliveries and feedback, in batches of a few milliseconds.

use std::time::{Duration, Instant};

use rusqlite::params;
use ulid::Ulid;

use super::db::error::StoreError;
use super::db::sql;
use super::{Store, erasure};
use crate::clock::Timestamp;
use crate::domain::id::{FeedbackId, Id, WebhookId, lowest_ulid_at};

/// Maximum number of deliveries in one batch.
const DELIVERY_BATCH_SIZE: i64 = 200;
/// Maximum number of feedback items in one batch. It is lower than the maximum for deliveries,
/// because each item also has search entries and content in the delivery log.
const FEEDBACK_BATCH_SIZE: i64 = 25;
/// Maximum duration of a batch. A batch with long responses ends early, because long responses take
/// longer to delete.
const BATCH_DURATION_MAX: Duration = Duration::from_millis(5);

impl Store {
    /// Deletes a batch of deliveries that finished more than `age` ago, with their attempts. Also
    /// deletes events that have no deliveries left. Returns the number of deleted deliveries; 0
    /// means that no expired deliveries are left.
    pub async fn delete_deliveries_older_than(&self, age: Duration) -> Result<usize, StoreError> {
        self.writer
            .write(move |tx| {
                let time = tx.expiry_cutoff(age);
                let recent = RecentIds::created_since(time, tx.now);
                let expired = "SELECT deliveries.number, event_number, webhooks.id FROM deliveries
                    CROSS JOIN webhooks ON webhooks.number = webhook_number
                    WHERE finished_at < ?1 AND (deliveries.id < ?3 OR deliveries.id > ?4)
                    ORDER BY finished_at LIMIT ?2";
                let limits = params![
                    time,
                    DELIVERY_BATCH_SIZE,
                    recent.first.to_bytes(),
                    recent.last.to_bytes()
                ];
                let expired: Vec<(i64, i64, WebhookId)> =
                    sql::query_all(tx, expired, limits, |row| row.try_into())?;
                let started = Instant::now();
                let mut deleted = 0;
                for (delivery, event, webhook) in &expired {
                    if deleted > 0 && started.elapsed() > BATCH_DURATION_MAX {
                        break;
                    }
                    sql::execute(tx, "DELETE FROM deliveries WHERE number = ?1", [delivery])?;
                    tx.record_delivery_deleted(webhook);
                    let orphan = "DELETE FROM events WHERE number = ?1
                        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_number = ?1)";
                    sql::execute(tx, orphan, [event])?;
                    deleted += 1;
                }
                Ok(deleted)
            })
            .await
    }

    /// Deletes a batch of feedback that is older than `age`, with its content in the delivery log.
    /// Returns the number of deleted items; 0 means that no expired feedback is left.
    pub async fn delete_feedback_older_than(&self, age: Duration) -> Result<usize, StoreError> {
        self.writer
            .write(move |tx| {
                let time = tx.expiry_cutoff(age);
                let recent = RecentIds::created_since(time, tx.now);
                // The oldest feedback has the lowest numbers, so only this batch is read.
                let oldest = "/* may scan the first rows */
                    SELECT id, created_at FROM feedback ORDER BY number LIMIT ?1";
                let oldest: Vec<(FeedbackId, Timestamp)> =
                    sql::query_all(tx, oldest, [FEEDBACK_BATCH_SIZE], |row| row.try_into())?;
                let started = Instant::now();
                let mut deleted = 0;
                for (id, created_at) in oldest {
                    if created_at >= time
                        || recent.contains(id.ulid())
                        || (deleted > 0 && started.elapsed() > BATCH_DURATION_MAX)
                    {
                        break;
                    }
                    deleted += usize::from(erasure::erase_feedback(tx, &id)?.is_some());
                }
                Ok(deleted)
            })
            .await
    }
}

/// The range of ids that were created between a given time and now. Retention doesn't delete rows
/// in this range. A row that was created while the clock was behind has a creation time that is too
/// early. Its id is still in the range, because ids ascend, so the row isn't deleted too early.
struct RecentIds {
    first: Ulid,
    last: Ulid,
}

impl RecentIds {
    fn created_since(time: Timestamp, now: Timestamp) -> Self {
        Self {
            first: lowest_ulid_at(time),
            // Exclude ids from the future, which were created while the clock was ahead.
            last: lowest_ulid_at(now.plus(Duration::from_millis(1))),
        }
    }

    fn contains(&self, id: Ulid) -> bool {
        (self.first..self.last).contains(&id)
    }
}
