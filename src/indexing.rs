//! Takes new feedback into the search, a little at a time, when there is time for it.
//!
//! It costs ten times as much as storing a feedback, and nobody waits for it: a search reads what is not taken in yet.

use std::time::Duration;

use crate::store::Store;

/// After something new came: more may follow, and taking in many at once is cheaper.
const QUIET: Duration = Duration::from_secs(1);
/// Between two steps others get their turn.
const PAUSE: Duration = Duration::from_millis(2);
/// So many more in [`QUIET`] are a burst, which goes first.
const BURST: u64 = 100;
/// With so many waiting it goes on all the same: a search reads them all.
const WAITING_MAX: u64 = 100_000;

/// Runs until it is aborted.
pub async fn run(store: Store) {
    let came = store.feedback_created();
    let mut before = 0;
    loop {
        let waiting = match store.unindexed_count().await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "what waits for the search could not be read");
                0
            }
        };
        if waiting == 0 {
            came.notified().await;
            tokio::time::sleep(QUIET).await;
        } else if waiting > before + BURST && waiting < WAITING_MAX {
            tokio::time::sleep(QUIET).await;
        } else if let Err(error) = store.index_batch().await {
            tracing::warn!(%error, "new feedback could not be taken into the search");
            tokio::time::sleep(QUIET * 10).await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
        before = waiting;
    }
}
