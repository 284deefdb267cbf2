//! Detects that the database files were replaced or deleted, or that the system clock jumped, even
//! if nothing is being written.

use std::time::Duration;

use crate::store::Store;

/// The time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until aborted.
pub async fn run(store: Store) {
    loop {
        store.check_files_and_clock();
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
