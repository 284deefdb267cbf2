//! Opening the store for a command, beside a running `serve` or without one.

use std::future::Future;

use super::Failure;
use crate::app::StartError;
use crate::clock::Clock;
use crate::config::DataDir;
use crate::store::{self, Store};

/// Runs `work` with the store of `data` open.
pub(super) fn with_store<F, T>(data: &DataDir, work: impl FnOnce(Store) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let open = || {
        store::create_directory(&data.data_dir)?;
        Store::open(&data.data_dir, None, Clock::System)
    };
    let store = open().map_err(|error| {
        let error = StartError::from(error);
        Failure {
            code: error.exit_code(),
            ..Failure::new(error)
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::new)?;
    let result = runtime.block_on(work(store.clone()));
    store.close();
    result
}
