//! Backs up the database of a running server, and checks a database. Both operations open their own
//! connections and don't use [`Store`](super::Store).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::db::counters;
use super::db::open::database_path;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("--data-dir: there is no database at {path}", path = .0.display())]
    NoDatabase(PathBuf),
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("can't read the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database is corrupt: {0}; restore a backup")]
    Corrupt(String),
}

/// How many items of each kind a database contains, and the size of the database in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    pub projects: u64,
    pub feedback: u64,
    pub webhooks: u64,
    pub deliveries: u64,
    /// Events that the delivery totals can't explain; 0 if nothing is lost.
    pub unexplained: u64,
    pub bytes: u64,
}

/// Copies a snapshot of the database in `dir` to `target` (mode 0600) and verifies the copy.
///
/// `target` is replaced atomically. If an error occurs, `target` remains unchanged.
pub fn backup(dir: &Path, target: &Path) -> Result<DatabaseSummary, BackupError> {
    let source = open_read_only(&database_path(dir))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // The partial copy is in the same directory, so that it can be renamed atomically.
    let partial = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let file_error = |source| BackupError::File {
        path: target.to_owned(),
        source,
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(file_error)?;
    let result = copy_and_verify(&source, &partial).and_then(|summary| {
        File::open(&partial)
            .and_then(|copy| copy.sync_all())
            .map_err(file_error)?;
        std::fs::rename(&partial, target).map_err(file_error)?;
        let parent = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(file_error)?;
        Ok(summary)
    });
    if result.is_err() {
        // Ignore errors of the cleanup, because the original error matters more.
        let _ = std::fs::remove_file(&partial);
    }
    result
}

/// Checks the integrity of the database in `dir`.
pub fn check_database(dir: &Path) -> Result<DatabaseSummary, BackupError> {
    let path = database_path(dir);
    check(&open_read_only(&path)?, &path)
}

fn copy_and_verify(source: &Connection, partial: &Path) -> Result<DatabaseSummary, BackupError> {
    source.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    check(&open_read_only(partial)?, partial)
}

fn open_read_only(path: &Path) -> Result<Connection, BackupError> {
    if !path.exists() {
        return Err(BackupError::NoDatabase(path.to_owned()));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn check(connection: &Connection, path: &Path) -> Result<DatabaseSummary, BackupError> {
    let result: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if result != "ok" {
        return Err(BackupError::Corrupt(result));
    }
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
    };
    Ok(DatabaseSummary {
        projects: count("projects")?,
        feedback: count("feedback")?,
        webhooks: count("webhooks WHERE deleted_at IS NULL")?,
        deliveries: count("deliveries")?,
        unexplained: counters::count_unexplained_events(connection)?,
        bytes: std::fs::metadata(path)
            .map_err(|source| BackupError::File {
                path: path.to_owned(),
                source,
            })?
            .len(),
    })
}
