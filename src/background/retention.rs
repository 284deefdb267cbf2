//! Retention: deletes finished deliveries older than `--retention`, feedback older than
//! `--feedback-retention`, and old copies of the database. Shrinks the database file.
//!
//! Each batch is an ordinary write job, small enough that other writes don't wait long.

use std::time::Duration;

use crate::clock::Clock;
use crate::metrics::METRICS;
use crate::store::{Store, StoreError};

/// The pause between two runs. Rows are usually deleted within a minute of their expiry.
const RUN_INTERVAL: Duration = Duration::from_secs(50);
/// The pause between two batches. Other writes can run during this pause.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// The retention periods of finished deliveries and of feedback. If `feedback` is `None`, feedback
/// is kept forever.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPeriods {
    pub deliveries: Duration,
    pub feedback: Option<Duration>,
}

/// Deletes all expired rows in batches, releases free pages, waits for `RUN_INTERVAL`, and repeats.
/// Runs until aborted.
pub async fn run(store: Store, clock: Clock, periods: RetentionPeriods) {
    loop {
        match delete_expired_batch(&store, &clock, periods).await {
            Ok(true) => tokio::time::sleep(BATCH_PAUSE).await,
            Ok(false) => {
                if clock.is_trusted() {
                    store.delete_expired_copies(clock.now()).await;
                    METRICS.last_retention.set(clock.now().seconds());
                }
                clock.sleep(RUN_INTERVAL).await;
            }
            Err(error) => {
                tracing::warn!(%error, "retention failed; trying again");
                clock.sleep(RUN_INTERVAL).await;
            }
        }
    }
}

/// Deletes a batch of expired feedback and a batch of expired deliveries, if the clock is trusted.
/// If nothing was deleted, releases a batch of free pages. Returns `false` if there was nothing to
/// do.
async fn delete_expired_batch(
    store: &Store,
    clock: &Clock,
    periods: RetentionPeriods,
) -> Result<bool, StoreError> {
    let mut deleted = 0;
    if let Some(age) = periods.feedback.filter(|_| clock.is_trusted()) {
        deleted += store.delete_feedback_older_than(age).await?;
    }
    if clock.is_trusted() {
        deleted += store
            .delete_deliveries_older_than(periods.deliveries)
            .await?;
    }
    Ok(deleted > 0 || store.incremental_vacuum().await? > 0)
}
