//! [`StoreError`]: why something could not be read or stored.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::SCHEMA_VERSION;

/// A fault of the store itself, not of what it was asked to do. Of one that ends a whole batch each job gets a clone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("too much is being written at the moment")]
    Overloaded,
    #[error("the disk is full, or fails")]
    DiskFull,
    #[error("the database cannot be written: it is read-only")]
    ReadOnly,
    #[error("another program holds the database")]
    Busy,
    #[error("the database is being closed")]
    Closed,
    #[error("the work on the database ended unexpectedly")]
    Panicked,
    #[error("another change in the same commit failed, and took this one with it")]
    BatchRolledBack,
    #[error("database: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    #[error("no connection to the database: {0}")]
    Pool(String),
    #[error("the database holds a value that this version cannot read: {0}")]
    InvalidValue(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // EIO, EDQUOT, EFBIG: as a full disk, it takes the whole transaction with it, and may pass.
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::DiskFull,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl From<r2d2::Error> for StoreError {
    fn from(error: r2d2::Error) -> Self {
        Self::Pool(error.to_string())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("--data-dir: cannot make or use {path}: {source}; {hint}", path = .path.display(), hint = hint(.source))]
    Directory {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("--data-dir: {path} was written by a newer version of Miniback (its version is {found}, this program knows {SCHEMA_VERSION}); run that version, or restore the copy made before its migration", path = .path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error("--data-dir: {path} is not a database of Miniback, or is damaged; {RESTORE}", path = .path.display())]
    NotADatabase { path: PathBuf },
    #[error("--data-dir: {path} is damaged ({what}); {RESTORE}", path = .path.display())]
    Corrupt { path: PathBuf, what: String },
    #[error("--data-dir: {path} or a file beside it cannot be written; make them writable for the user that runs Miniback, or give another directory", path = .path.display())]
    ReadOnly { path: PathBuf },
    #[error(
        "another miniback serves this data directory already ({holder}); stop it first, or give another --data-dir"
    )]
    Held { holder: String },
    #[error("{path} is of version {found} and must be migrated to {SCHEMA_VERSION}, but a running miniback holds it; stop that one first", path = .path.display())]
    MigrationBlocked { path: PathBuf, found: u32 },
    #[error("the database cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database could not be migrated: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    #[error("the database could not be copied to {path} before its migration: {source}", path = .path.display())]
    Copy {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("the database cannot be read: {0}")]
    Unreadable(String),
}

/// What to do about a database that is damaged.
const RESTORE: &str = "move it away with miniback.db-wal and miniback.db-shm, put a copy that `miniback backup` made in its place, and start again";

/// What to do about a directory or file that cannot be used.
fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make it writable for the user that runs Miniback, or give another one"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there, or give another one",
        _ => "create it, or give another one",
    }
}
