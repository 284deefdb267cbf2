//! Maps store errors to HTTP statuses and to messages for users.

use actix_web::http::StatusCode;

use crate::store::StoreError;

impl StoreError {
    /// Returns 507 for a full disk, 503 for an unavailable or busy database, and 500 otherwise.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::ReadOnly
            | Self::DatabaseReplaced
            | Self::Damaged(_)
            | Self::Overloaded
            | Self::Busy
            | Self::Closed
            | Self::BatchRolledBack
            | Self::Pool => StatusCode::SERVICE_UNAVAILABLE,
            Self::Panicked | Self::Sqlite(_) | Self::InvalidValue(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Returns a message that is safe to show to anybody. The details are only in the log.
    pub fn public_message(&self) -> &'static str {
        match self {
            Self::DiskFull => {
                "The server’s disk is full or failing. Nothing was saved. Try again later."
            }
            Self::ReadOnly => "The server can’t write to its database. Nothing was saved.",
            Self::Overloaded | Self::Busy | Self::BatchRolledBack | Self::Pool => {
                "The server is busy. Nothing was saved. Try again in a moment."
            }
            Self::DatabaseReplaced => {
                "The server’s database was replaced, overwritten, or deleted. Nothing was saved. \
                 The server log says what to do."
            }
            Self::Damaged(_) => {
                "The server’s database is corrupt. Nothing was saved. An admin has to restore a backup."
            }
            Self::Closed => "The server is restarting. Try again in a moment.",
            Self::Panicked | Self::Sqlite(_) | Self::InvalidValue(_) => "See the server log.",
        }
    }
}
