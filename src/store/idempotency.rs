//! What a call or form answered, so that the same one sent again gets that answer and does nothing twice.
//!
//! The writer runs one job at a time, so of two calls at once the second finds the first one's answer.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::domain::id::FeedbackId;

/// How long a key is honoured.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// By what a repetition is known.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The token's or the user's id: a key belongs to who sent it.
    pub owner: String,
    /// A key belongs to one call.
    pub operation: &'static str,
    pub key: String,
    /// SHA-256 of the request: the same key with another one is a mistake.
    pub request_hash: [u8; 32],
}

pub(super) struct StoredResponse {
    pub(super) request_hash: [u8; 32],
    pub(super) feedback: Option<FeedbackId>,
    /// `None`: what it told of is deleted.
    pub(super) response: Option<String>,
}

pub(super) fn find(
    write: &WriteTx<'_>,
    key: &IdempotencyKey,
) -> Result<Option<StoredResponse>, StoreError> {
    let connection: &Connection = write;
    let statement = "SELECT request_hash, feedback_id, response FROM idempotency_keys WHERE owner = ?1 AND operation = ?2 AND key = ?3 AND created_at > ?4";
    let values = params![
        key.owner,
        key.operation,
        key.key,
        write.now.minus(LIFETIME).millis()
    ];
    sql::query_optional(connection, statement, values, |row| {
        Ok(StoredResponse {
            request_hash: row.get(0)?,
            feedback: row.get::<_, Option<String>>(1)?.map(FeedbackId::new),
            response: row.get(2)?,
        })
    })
}

/// Keeps an answer, and forgets a few that are too old, so that they never pile up.
pub(super) fn store(
    write: &WriteTx<'_>,
    key: &IdempotencyKey,
    feedback: Option<&FeedbackId>,
    response: &str,
) -> Result<(), StoreError> {
    let old = "DELETE FROM idempotency_keys WHERE (owner, operation, key) IN
        (SELECT owner, operation, key FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT 4)";
    sql::execute(write, old, [write.now.minus(LIFETIME).millis()])?;
    sql::execute(
        write,
        "INSERT OR REPLACE INTO idempotency_keys (owner, operation, key, request_hash, feedback_id, response, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key.owner,
            key.operation,
            key.key,
            key.request_hash,
            feedback.map(FeedbackId::as_str),
            response,
            write.now.millis()
        ],
    )?;
    Ok(())
}
