//! `miniback restore`: replaces the database of a stopped server with a backup.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::backup::format_database_summary;
use super::serve::into_command_error;
use super::{CommandError, escape_control_chars, print};
use crate::config::DataDirOptions;
use crate::store::{BackupSource, RestoreError, restore_database};

pub(super) fn run(file: &Path, data: &DataDirOptions) -> Result<(), CommandError> {
    let restored = if file == Path::new("-") {
        let mut input = io::stdin().lock();
        if input.is_terminal() {
            return Err(CommandError::usage_error(
                "standard input is a terminal; redirect it: miniback restore - < FILE",
            ));
        }
        restore_database(&data.data_dir, BackupSource::StandardInput(&mut input))
    } else {
        restore_database(&data.data_dir, BackupSource::File(file))
    };
    let restored = restored.map_err(|error| match error {
        RestoreError::Open(error) => into_command_error(error.into()),
        error => CommandError::new(error),
    })?;
    let show = |path: &Path| escape_control_chars(&path.display().to_string());
    print(&format!(
        "Checked the backup and restored it as {}: {}.\n",
        show(&restored.path),
        format_database_summary(&restored.summary)
    ));
    if let Some(old) = &restored.old_database {
        print(&format!(
            "The old database is now {}. Delete it when you no longer need it.\n",
            show(old)
        ));
    }
    Ok(())
}
