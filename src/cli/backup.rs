//! `miniback backup`: copies the database, even while the server is running.

mod temporary_directory;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use self::temporary_directory::TemporaryDirectory;
use super::{CommandError, escape_control_chars, print};
use crate::clock::Clock;
use crate::config::DataDirOptions;
use crate::io_errors;
use crate::store::{self, DatabaseSummary};

pub(super) fn run(file: &Path, data: &DataDirOptions) -> Result<(), CommandError> {
    if file == Path::new("-") {
        return write_to_stdout(&data.data_dir);
    }
    let contents = store::back_up_database(&data.data_dir, file).map_err(CommandError::new)?;
    print(&format!(
        "Wrote and checked {}: {}.\n",
        escape_control_chars(&file.display().to_string()),
        format_database_summary(&contents)
    ));
    record_backup(&data.data_dir);
    Ok(())
}

/// Stores the time of the backup, so that `miniback check` and the metrics show its age. The backup
/// is complete, so a failure is only a warning.
fn record_backup(data_dir: &Path) {
    if let Err(error) = store::record_backup(data_dir, Clock::system().now()) {
        let reason = io_errors::describe(&error);
        eprintln!("miniback: warning: can’t store the time of this backup: {reason}");
    }
}

/// Writes a backup to standard output, and a summary to standard error. The backup is first written
/// to a temporary file, because SQLite can write and check only files.
fn write_to_stdout(data_dir: &Path) -> Result<(), CommandError> {
    if io::stdout().is_terminal() {
        return Err(CommandError::usage_error(
            "standard output is a terminal; redirect it: miniback backup - > FILE",
        ));
    }
    let directory = TemporaryDirectory::create().map_err(CommandError::io_error(
        "can’t create a directory in the temporary directory (TMPDIR)",
    ))?;
    let path = directory.backup_path();
    let contents = store::back_up_database(data_dir, &path).map_err(CommandError::new)?;
    let failed = CommandError::io_error("can’t write the backup to standard output");
    let mut copy = File::open(&path).map_err(&failed)?;
    // Delete the file before the slow copy to standard output, so that an interrupted command
    // leaves no file behind. The open handle still works.
    directory.close().map_err(&failed)?;
    let mut out = io::stdout().lock();
    io::copy(&mut copy, &mut out).map_err(&failed)?;
    out.flush().map_err(&failed)?;
    eprintln!(
        "Wrote and checked the backup: {}.",
        format_database_summary(&contents)
    );
    record_backup(data_dir);
    Ok(())
}

/// Formats a summary: `3 projects, 120 feedback items, 2 webhooks, 240 deliveries, 1.2 MB`.
pub(super) fn format_database_summary(contents: &DatabaseSummary) -> String {
    format!(
        "{}, {}, {}, {}, {:.1} MB",
        format_quantity(contents.projects, "project", "projects"),
        format_quantity(contents.feedback, "feedback item", "feedback items"),
        format_quantity(contents.webhooks, "webhook", "webhooks"),
        format_quantity(contents.deliveries, "delivery", "deliveries"),
        contents.bytes as f64 / 1e6
    )
}

/// Formats a count with its noun: `1 project`, `2 projects`.
pub(super) fn format_quantity(count: u64, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}
