//! Backs up and checks a database, even while a server is using it. Both operations open their own
//! connections and don't use [`Store`](super::Store).

mod last_backup;
mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rusqlite_migration::Error as MigrationError;

use super::db::error::{OpenError, describe_sqlite_error, is_corruption_error};
use super::db::files::DatabaseFiles;
use super::db::open::{copy_database, database_path, require_database};
use super::db::{counters, schema_check};
pub use last_backup::{last_backup_at, record_backup};
use target::BackupTarget;
pub use target::TargetError;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("can't read the database: {}", describe_sqlite_error(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error(
        "can't write the backup to {path}: {}; check the free space on the disk",
        describe_sqlite_error(.source), path = .path.display()
    )]
    Write {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("the database is corrupt: {0}; restore a backup")]
    Corrupt(String),
    #[error(
        "the backup wasn't written, because the copy is corrupt: {0}; check the disk and try again"
    )]
    CorruptCopy(String),
}

/// The numbers of items in a database, and its size in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    pub projects: u64,
    pub feedback: u64,
    pub webhooks: u64,
    pub deliveries: u64,
    /// The sum of the differences between the delivery totals and the deliveries; 0 unless an event
    /// was lost.
    pub unexplained: u64,
    pub bytes: u64,
}

/// Copies a snapshot of the database in `dir` to the file `path` (mode 0600) and verifies the copy.
///
/// `path` must be a new path or a regular file. Rejects a file that belongs to a database, unless
/// the database is a backup. The file is replaced atomically after the copy has been verified. If
/// an error occurs before the replacement, the file stays unchanged.
pub fn back_up_database(dir: &Path, path: &Path) -> Result<DatabaseSummary, BackupError> {
    let database = database_path(dir);
    let source = open_existing_database(dir)?;
    let live = DatabaseFiles::find_in(dir).map_err(|source| OpenError::Directory {
        path: dir.to_owned(),
        source,
    })?;
    let target = BackupTarget::open(path, &live)?;
    let partial = target.create_partial()?;
    copy_database(&source, &partial.path).map_err(|error| to_backup_error(error, path))?;
    let summary = match check_and_summarize(&open_read_only(&partial.path)?, &partial.path)? {
        Ok(summary) => summary,
        // Find out whether the database or only the copy is corrupt.
        Err(details) => {
            check_and_summarize(&source, &database)?.map_err(BackupError::Corrupt)?;
            return Err(BackupError::CorruptCopy(details));
        }
    };
    partial.replace_target()?;
    Ok(summary)
}

/// Checks the integrity of the database in `dir`, and returns its summary.
pub fn check_database(dir: &Path) -> Result<DatabaseSummary, BackupError> {
    let connection = open_existing_database(dir)?;
    check_and_summarize(&connection, &database_path(dir))?.map_err(BackupError::Corrupt)
}

/// Opens the database in `dir`. Fails if the database doesn't exist, or if this version of Miniback
/// can't read it.
fn open_existing_database(dir: &Path) -> Result<Connection, BackupError> {
    require_database(dir)?;
    open_read_only(&database_path(dir))
}

pub(super) fn to_backup_error(error: rusqlite::Error, path: &Path) -> BackupError {
    match error.sqlite_error_code() {
        _ if is_corruption_error(&error) => BackupError::Corrupt(describe_sqlite_error(&error)),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
            BackupError::Write {
                path: path.to_owned(),
                source: error,
            }
        }
        _ => BackupError::Sqlite(error),
    }
}

pub(super) fn open_read_only(path: &Path) -> Result<Connection, BackupError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Checks and summarizes a database. The inner error describes the corruption; the outer error
/// means that the check couldn't run.
pub(super) fn check_and_summarize(
    connection: &Connection,
    path: &Path,
) -> Result<Result<DatabaseSummary, String>, BackupError> {
    match check_integrity_and_summarize(connection, path) {
        Err(MigrationError::RusqliteError { err, .. }) if is_corruption_error(&err) => {
            Ok(Err(describe_sqlite_error(&err)))
        }
        Err(MigrationError::RusqliteError { err, .. }) => Err(err.into()),
        Err(error) => Err(OpenError::from(error).into()),
        Ok(result) => Ok(result),
    }
}

fn check_integrity_and_summarize(
    connection: &Connection,
    path: &Path,
) -> Result<Result<DatabaseSummary, String>, MigrationError> {
    let result: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if result != "ok" {
        return Ok(Err("its integrity check failed".to_owned()));
    }
    if let Some(difference) = schema_check::find_schema_difference(connection)? {
        return Ok(Err(format!(
            "its schema isn't the expected one: {difference}"
        )));
    }
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
    };
    Ok(Ok(DatabaseSummary {
        projects: count("projects")?,
        feedback: count("feedback")?,
        webhooks: count("webhooks WHERE deleted_at IS NULL")?,
        deliveries: count("deliveries")?,
        unexplained: counters::count_unexplained_events(connection)?,
        bytes: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
    }))
}
