//! Retention: removes finished deliveries that are older than `--retention`, a few at a time.
//!
//! Each step is a write job like any other, small enough that nobody waits for it.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::Store;

/// How often it is looked for what is too old: gone within a minute after.
const EVERY: Duration = Duration::from_secs(20);
/// Between two steps others get their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until it is aborted.
pub async fn run(store: Store, clock: Clock, keep: Duration) {
    loop {
        match store
            .remove_deliveries_finished_before(clock.now().minus(keep))
            .await
        {
            Ok(0) => clock.sleep_until(clock.now().plus(EVERY)).await,
            Ok(_) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "old deliveries could not be removed");
                clock.sleep_until(clock.now().plus(EVERY)).await;
            }
        }
    }
}
