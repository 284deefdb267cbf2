//! Removing what is too old, in steps that hold no other writer up for more than some milliseconds.

use std::time::{Duration, Instant};

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::{Store, erasure};
use crate::clock::Timestamp;
use crate::domain::id::WebhookId;

/// How many deliveries a step removes at most, and how long it takes at most: some have long answers to remove.
const STEP: i64 = 200;
const STEP_TIME: Duration = Duration::from_millis(5);
/// How many feedbacks; each takes its words out of the log and the search too.
const FEEDBACK_STEP: i64 = 25;

impl Store {
    /// Removes some of the deliveries that finished before `time`, with their attempts, and the events that have no
    /// delivery left. Returns how many deliveries it removed: 0 = none is left.
    pub async fn delete_deliveries_finished_before(
        &self,
        time: Timestamp,
    ) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| {
                let old = "SELECT id, event_id, webhook_id FROM deliveries WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2";
                let ids = |row: &rusqlite::Row<'_>| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, WebhookId::new(row.get::<_, String>(2)?)))
                };
                let old = sql::query_all(write, old, params![time.millis(), STEP], ids)?;
                let begun = Instant::now();
                let mut removed = 0;
                for (delivery, event, webhook) in &old {
                    if removed > 0 && begun.elapsed() > STEP_TIME {
                        break;
                    }
                    sql::execute(write, "DELETE FROM deliveries WHERE id = ?1", [delivery])?;
                    write.delivery_deleted(webhook);
                    let alone = "DELETE FROM events WHERE id = ?1
                        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = ?1)";
                    sql::execute(write, alone, [event])?;
                    removed += 1;
                }
                Ok(removed)
            })
            .await
    }

    /// Removes some of the feedback that was made before `time`, as a delete does. Returns how many: 0 = none is left.
    pub async fn delete_feedback_created_before(
        &self,
        time: Timestamp,
    ) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| {
                // The oldest stand first, so that nothing more is read than these.
                let oldest = "/* may look at the first rows */ SELECT id, created_at FROM feedback ORDER BY number LIMIT ?1";
                let pairs =
                    |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
                let begun = Instant::now();
                let mut removed = 0;
                for (id, made) in sql::query_all(write, oldest, [FEEDBACK_STEP], pairs)? {
                    if made >= time.millis() || begun.elapsed() > STEP_TIME {
                        break;
                    }
                    removed += usize::from(erasure::erase_feedback(write, &id)?.is_some());
                }
                Ok(removed)
            })
            .await
    }
}
