//! Opens the store for a command, whether `serve` is running or not.

use std::fmt::Display;

use super::CommandError;
use super::serve::into_command_error;
use crate::clock::Clock;
use crate::config::DataDirOptions;
use crate::store::{self, Store};

/// Opens the existing store in `data`, runs `work`, and closes the store.
pub(super) fn with_store<T, E: Display>(
    data: &DataDirOptions,
    work: impl AsyncFnOnce(Store) -> Result<T, E>,
) -> Result<T, CommandError> {
    let open = || {
        store::require_database(&data.data_dir)?;
        Store::open(&data.data_dir, None, Clock::system())
    };
    let store = open().map_err(|error| into_command_error(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io_error("can’t start"))?;
    let result = runtime.block_on(work(store.clone()));
    store.close();
    result.map_err(CommandError::new)
}
