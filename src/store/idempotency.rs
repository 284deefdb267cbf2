//! Stores responses by idempotency key, so that a repeated request receives the first response and
//! has no second effect.
//!
//! The writer runs one job at a time. If two requests arrive at the same time, the second request
//! finds the response to the first.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::clock::Timestamp;
use crate::domain::id::FeedbackId;

/// The period during which a key is valid.
pub(super) const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of expired keys that are deleted when a key is stored.
const DELETE_BATCH_SIZE: i64 = 4;

/// Identifies a request, so that it can be repeated safely.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The sender of the request: the id of a token or user, or the id or slug of a project. Keys
    /// of different owners are independent.
    pub owner: String,
    /// The requested operation, such as `create feedback`. Keys of different operations are
    /// independent.
    pub operation: &'static str,
    pub key: String,
    /// SHA-256 of the request. Using a key for two different requests is an error.
    pub request_hash: [u8; 32],
}

pub(super) struct StoredResponse {
    pub(super) request_hash: [u8; 32],
    pub(super) feedback: Option<FeedbackId>,
    /// `None` if the feedback in the response has been deleted.
    pub(super) response: Option<String>,
}

/// Finds the response that was stored with this key after `valid_after`.
pub(super) fn find_response(
    connection: &Connection,
    key: &IdempotencyKey,
    valid_after: Timestamp,
) -> Result<Option<StoredResponse>, StoreError> {
    let statement = "SELECT request_hash, feedback_id, response FROM idempotency_keys
        WHERE owner = ?1 AND operation = ?2 AND key = ?3 AND created_at > ?4";
    let values = params![key.owner, key.operation, key.key, valid_after];
    sql::query_optional(connection, statement, values, |row| {
        Ok(StoredResponse {
            request_hash: row.get(0)?,
            feedback: row.get(1)?,
            response: row.get(2)?,
        })
    })
}

/// Stores a response, and deletes some expired keys so that they don't accumulate.
pub(super) fn store_response(
    tx: &WriteTx<'_>,
    key: &IdempotencyKey,
    feedback: Option<&FeedbackId>,
    response: &str,
) -> Result<(), StoreError> {
    let expired = "DELETE FROM idempotency_keys WHERE (owner, operation, key) IN
        (SELECT owner, operation, key FROM idempotency_keys WHERE created_at <= ?1
         ORDER BY created_at LIMIT ?2)";
    sql::execute(
        tx,
        expired,
        params![tx.expiry_cutoff(KEY_LIFETIME), DELETE_BATCH_SIZE],
    )?;
    sql::execute(
        tx,
        "INSERT OR REPLACE INTO idempotency_keys
         (owner, operation, key, request_hash, feedback_id, response, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key.owner,
            key.operation,
            key.key,
            key.request_hash,
            feedback,
            response,
            tx.now
        ],
    )?;
    Ok(())
}

/// Adds `by` milliseconds to the creation time of each key that hadn't expired at `time`.
pub(super) fn shift_valid_keys(
    connection: &Connection,
    time: Timestamp,
    by: i64,
) -> Result<(), StoreError> {
    let statement = "UPDATE idempotency_keys SET created_at = created_at + ?2
        WHERE created_at > ?1";
    sql::execute(connection, statement, params![time.minus(KEY_LIFETIME), by]).map(|_| ())
}
