//! [`StoreError`]: why something could not be read or stored.

use rusqlite::ErrorCode;

/// A fault of the store itself, not of what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("too much is being written at the moment")]
    Overloaded,
    #[error("the disk is full, or fails")]
    Full,
    #[error("the database cannot be written: it is read-only")]
    ReadOnly,
    #[error("another program holds the database")]
    Busy,
    #[error("the database is being closed")]
    Closed,
    #[error("the work on the database ended unexpectedly")]
    Panicked,
    #[error("database: {0}")]
    Sqlite(rusqlite::Error),
    #[error("no connection to the database: {0}")]
    Pool(#[from] r2d2::Error),
    #[error("the database holds a value that this version cannot read: {0}")]
    Unreadable(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl StoreError {
    /// The same fault again, for the other jobs of a batch that it took with it.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::ReadOnly => Self::ReadOnly,
            Self::Busy => Self::Busy,
            other => Self::Unreadable(other.to_string()),
        }
    }
}
