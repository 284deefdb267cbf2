//! Adds new feedback to the search index, in small batches.
//!
//! Indexing costs ten times as much as storing, so it is deferred. Searches scan rows that aren't
//! indexed yet.

use std::time::Duration;

use crate::store::Store;

/// The delay before new feedback is indexed. More feedback may arrive meanwhile, and larger batches
/// are cheaper.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// The pause between two batches, so that other writes can run.
const BATCH_PAUSE: Duration = Duration::from_millis(2);
/// If the backlog grows by more rows than this between two checks, indexing waits until the burst
/// ends.
const BURST_ROWS: u64 = 100;
/// With a backlog of at least this many rows, indexing continues even during a burst, because every
/// search scans the backlog.
const BACKLOG_MAX: u64 = 100_000;

/// Indexes new feedback whenever there is any. Runs until aborted.
pub async fn run(store: Store) {
    let feedback_created = store.feedback_notifier();
    let mut previous_backlog = 0;
    loop {
        let backlog = match store.unindexed_count().await {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::warn!(%error, "reading the search backlog failed");
                0
            }
        };
        if backlog == 0 {
            feedback_created.notified().await;
            tokio::time::sleep(DEBOUNCE).await;
        } else if backlog > previous_backlog + BURST_ROWS && backlog < BACKLOG_MAX {
            tokio::time::sleep(DEBOUNCE).await;
        } else if let Err(error) = store.index_batch().await {
            tracing::warn!(%error, "search indexing failed");
            tokio::time::sleep(DEBOUNCE * 10).await;
        } else {
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        previous_backlog = backlog;
    }
}
