//! `miniback init`: creates the data directory and an empty database.

use super::serve::into_command_error;
use super::{CommandError, escape_control_chars, print};
use crate::clock::Clock;
use crate::config::DataDirOptions;
use crate::store::{self, OpenError, Store};

pub(super) fn run(data: &DataDirOptions) -> Result<(), CommandError> {
    let is_new = create_database(data).map_err(|error| into_command_error(error.into()))?;
    let dir = escape_control_chars(&data.data_dir.display().to_string());
    print(&if is_new {
        format!("Created an empty database in {dir}.\n")
    } else {
        format!("{dir} already contains a database. Nothing was changed.\n")
    });
    Ok(())
}

/// Creates the data directory and the database. Returns `false` if a database already exists.
fn create_database(data: &DataDirOptions) -> Result<bool, OpenError> {
    let dir = &data.data_dir;
    store::create_data_directory(dir)?;
    let lock = store::lock_data_directory(dir)?;
    match store::require_database(dir) {
        Ok(()) => return Ok(false),
        Err(OpenError::NoDatabase { .. }) => {}
        Err(error) => return Err(error),
    }
    Store::open(dir, Some(&lock), Clock::system())?.close();
    Ok(true)
}
