//! Adds new feedback to the search index, in small batches.
//!
//! Indexing feedback costs several times as much as storing it, so indexing is deferred. Searches
//! scan the backlog, which is the feedback that isn't indexed yet.

use std::time::Duration;

use crate::store::Store;

/// The delay before new feedback is indexed, and between two checks during a burst. More feedback
/// may arrive during this delay, and larger batches are cheaper.
const DEBOUNCE_DELAY: Duration = Duration::from_secs(1);
/// The delay before the next try after a failed read or write of the database.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(10);
/// The pause between two batches. Other writes can run during this pause.
const BATCH_PAUSE: Duration = Duration::from_millis(2);
/// The growth of the backlog between two checks, in rows, above which new feedback counts as a
/// burst. Indexing waits until the burst ends.
const BURST_GROWTH_MIN_ROWS: u64 = 100;
/// The size of the backlog, in rows, at which indexing runs even during a burst. A larger backlog
/// would make searches too slow.
const LARGE_BACKLOG_ROWS: u64 = 100_000;

/// Waits for new feedback and indexes it. Runs until aborted.
pub async fn run(store: Store) {
    let feedback_created = store.feedback_notifier();
    let mut previous_backlog = 0;
    loop {
        let backlog = match store.count_unindexed_feedback().await {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::warn!(%error, "reading the search backlog failed; trying again");
                tokio::time::sleep(STORE_RETRY_DELAY).await;
                continue;
            }
        };
        if backlog == 0 {
            feedback_created.notified().await;
            tokio::time::sleep(DEBOUNCE_DELAY).await;
        } else if backlog > previous_backlog + BURST_GROWTH_MIN_ROWS && backlog < LARGE_BACKLOG_ROWS
        {
            tokio::time::sleep(DEBOUNCE_DELAY).await;
        } else if let Err(error) = store.index_batch().await {
            tracing::warn!(%error, "search indexing failed; trying again");
            tokio::time::sleep(STORE_RETRY_DELAY).await;
        } else {
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        previous_backlog = backlog;
    }
}
