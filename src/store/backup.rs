//! A copy of the database, made beside a running server and proven before it takes its name; and a look at the
//! database itself. Both use connections of their own: nothing here goes through the open store.

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
    #[error("--data-dir: there is no database {path}", path = .0.display())]
    NoDatabase(PathBuf),
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the database could not be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database is damaged: {0}; restore a backup")]
    Corrupt(String),
}

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    pub projects: u64,
    pub feedback: u64,
    pub webhooks: u64,
    pub deliveries: u64,
    /// Events whose delivery is in no state, or is not there: 0, unless something is lost.
    pub unexplained: u64,
    pub bytes: u64,
}

/// Copies the database of `dir` to `target`: one moment of it, mode 0600, checked. `target` is replaced whole, or not
/// at all.
pub fn backup(dir: &Path, target: &Path) -> Result<DatabaseSummary, BackupError> {
    let source = open_to_read(&database_path(dir))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // In the same directory, so that the last step is a rename within one file system.
    let partial = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let file = |source| BackupError::File {
        path: target.to_owned(),
        source,
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(file)?;
    let written = copy_and_verify(&source, &partial).and_then(|contents| {
        File::open(&partial)
            .and_then(|copy| copy.sync_all())
            .map_err(file)?;
        std::fs::rename(&partial, target).map_err(file)?;
        let parent = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(file)?;
        Ok(contents)
    });
    if written.is_err() {
        // What is left is of no use; if it cannot be removed, the error that counts is the first one.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Looks through the whole database of `dir`: whether it is intact, and what it holds.
pub fn check_database(dir: &Path) -> Result<DatabaseSummary, BackupError> {
    let path = database_path(dir);
    contents(&open_to_read(&path)?, &path)
}

fn copy_and_verify(source: &Connection, partial: &Path) -> Result<DatabaseSummary, BackupError> {
    source.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    contents(&open_to_read(partial)?, partial)
}

fn open_to_read(path: &Path) -> Result<Connection, BackupError> {
    if !path.exists() {
        return Err(BackupError::NoDatabase(path.to_owned()));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn contents(connection: &Connection, path: &Path) -> Result<DatabaseSummary, BackupError> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(BackupError::Corrupt(verdict));
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
        unexplained: counters::audit(connection)?,
        bytes: std::fs::metadata(path)
            .map_err(|source| BackupError::File {
                path: path.to_owned(),
                source,
            })?
            .len(),
    })
}
