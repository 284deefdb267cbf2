//! Opens the store for a command, whether `serve` is running or not.

use std::future::Future;

use super::CommandError;
use crate::app::StartError;
use crate::clock::Clock;
use crate::config::DataDirOptions;
use crate::store::{self, Store};

/// Opens the store in `data`, runs `work`, and closes the store.
pub(super) fn with_store<F, T>(
    data: &DataDirOptions,
    work: impl FnOnce(Store) -> F,
) -> Result<T, CommandError>
where
    F: Future<Output = Result<T, CommandError>>,
{
    let open = || {
        store::create_directory(&data.data_dir)?;
        Store::open(&data.data_dir, None, Clock::System)
    };
    let store = open().map_err(|error| {
        let error = StartError::from(error);
        CommandError {
            code: error.exit_code(),
            ..CommandError::new(error)
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::new)?;
    let result = runtime.block_on(work(store.clone()));
    store.close();
    result
}
