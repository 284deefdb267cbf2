//! [`StoreError`]: why something could not be read or stored.

use std::sync::Arc;

use rusqlite::ErrorCode;

/// A fault of the store itself, not of what it was asked to do. Of one that ends a whole batch each job gets a clone.
#[derive(Clone, Debug, thiserror::Error)]
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
    #[error("another change in the same commit failed, and took this one with it")]
    GivenUp,
    #[error("database: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    #[error("no connection to the database: {0}")]
    Pool(String),
    #[error("the database holds a value that this version cannot read: {0}")]
    Unreadable(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // EIO, EDQUOT, EFBIG: as a full disk, it takes the whole transaction with it, and may pass.
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::Full,
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
