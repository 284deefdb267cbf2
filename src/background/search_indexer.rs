//! Takes new feedback into the search, a little at a time, when there is time for it.
//!
//! It costs ten times as much as storing a feedback, and nobody waits for it: a search reads what is not taken in yet.

use std::time::Duration;

use crate::store::Store;

/// After something new came: more may follow, and taking in many at once is cheaper.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Between two steps others get their turn.
const PAUSE: Duration = Duration::from_millis(2);
/// So many more in [`DEBOUNCE`] are a burst, which goes first.
const BURST: u64 = 100;
/// With so many waiting it goes on all the same: a search reads them all.
const BACKLOG_MAX: u64 = 100_000;

/// Runs until it is aborted.
pub async fn run(store: Store) {
    let feedback_created = store.feedback_came();
    let mut previous_backlog = 0;
    loop {
        let backlog = match store.waiting_for_search().await {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::warn!(%error, "what waits for the search could not be read");
                0
            }
        };
        if backlog == 0 {
            feedback_created.notified().await;
            tokio::time::sleep(DEBOUNCE).await;
        } else if backlog > previous_backlog + BURST && backlog < BACKLOG_MAX {
            tokio::time::sleep(DEBOUNCE).await;
        } else if let Err(error) = store.take_into_search().await {
            tracing::warn!(%error, "new feedback could not be taken into the search");
            tokio::time::sleep(DEBOUNCE * 10).await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
        previous_backlog = backlog;
    }
}
