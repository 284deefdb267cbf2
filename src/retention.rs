//! Retention: removes finished deliveries that are older than `--retention`, a few at a time, and gives the space back.
//!
//! Each step is a write job like any other, small enough that nobody waits for it.

use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::store::{Store, StoreError};

/// How often it is looked for what is too old: gone within a minute after.
const EVERY: Duration = Duration::from_secs(20);
/// Between two steps others get their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until it is aborted.
pub async fn run(store: Store, clock: Clock, keep: Duration) {
    loop {
        match step(&store, clock.now().minus(keep)).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => clock.sleep_until(clock.now().plus(EVERY)).await,
            Err(error) => {
                tracing::warn!(%error, "old deliveries could not be removed");
                clock.sleep_until(clock.now().plus(EVERY)).await;
            }
        }
    }
}

/// Removes a little; where nothing is too old, gives a little space back. `false`: there was nothing to do.
async fn step(store: &Store, before: Timestamp) -> Result<bool, StoreError> {
    let removed = store.remove_deliveries_finished_before(before).await?;
    Ok(removed > 0 || store.give_back_space().await? > 0)
}
