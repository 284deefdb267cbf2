//! What faults of the store are in HTTP, for pages and API alike.

use actix_web::http::StatusCode;

use crate::store::StoreError;

impl StoreError {
    /// 507 for a full disk, 503 for what passes by itself or is being mended, else 500.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::ReadOnly
            | Self::Overloaded
            | Self::Busy
            | Self::Closed
            | Self::BatchRolledBack
            | Self::Pool(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Panicked | Self::Sqlite(_) | Self::InvalidValue(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}
