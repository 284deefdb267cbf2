//! Checks the database files and the system clock every second, so that problems and clock jumps
//! are detected even while nothing is being written.

use std::time::Duration;

use crate::store::Store;

/// The time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Requests a check of the database files and the system clock every `CHECK_INTERVAL`. Runs until
/// aborted.
pub async fn run(store: Store) {
    loop {
        store.check_files_and_clock();
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
