//! What a call or form answered, so that the same one sent again gets that answer and does nothing twice.
//!
//! The writer runs one job at a time, so of two calls at once the second finds the first one's answer.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::Write;
use crate::domain::id::FeedbackId;

/// How long a key is honoured.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// By what a repetition is known.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The token's or the user's id: a key belongs to who sent it.
    pub owner: String,
    /// A key belongs to one call.
    pub call: &'static str,
    pub key: String,
    /// SHA-256 of the request: the same key with another one is a mistake.
    pub request_hash: [u8; 32],
}

pub(super) struct Stored {
    pub(super) request_hash: [u8; 32],
    pub(super) feedback: Option<FeedbackId>,
    /// `None`: what it told of is deleted.
    pub(super) answer: Option<String>,
}

pub(super) fn find(write: &Write<'_>, key: &Idempotency) -> Result<Option<Stored>, StoreError> {
    let connection: &Connection = write;
    let statement = "SELECT request_hash, feedback_id, answer FROM idempotency WHERE owner = ?1 AND call = ?2 AND key = ?3 AND created_at > ?4";
    let values = params![key.owner, key.call, key.key, write.now.minus(KEPT).millis()];
    sql::first(connection, statement, values, |row| {
        Ok(Stored {
            request_hash: row.get(0)?,
            feedback: row.get::<_, Option<String>>(1)?.map(FeedbackId::new),
            answer: row.get(2)?,
        })
    })
}

/// Keeps an answer, and forgets a few that are too old, so that they never pile up.
pub(super) fn remember(
    write: &Write<'_>,
    key: &Idempotency,
    feedback: Option<&FeedbackId>,
    answer: &str,
) -> Result<(), StoreError> {
    let old = "DELETE FROM idempotency WHERE (owner, call, key) IN
        (SELECT owner, call, key FROM idempotency WHERE created_at <= ?1 ORDER BY created_at LIMIT 4)";
    sql::run(write, old, [write.now.minus(KEPT).millis()])?;
    sql::run(
        write,
        "INSERT OR REPLACE INTO idempotency (owner, call, key, request_hash, feedback_id, answer, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key.owner,
            key.call,
            key.key,
            key.request_hash,
            feedback.map(FeedbackId::as_str),
            answer,
            write.now.millis()
        ],
    )?;
    Ok(())
}
