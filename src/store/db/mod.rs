//! The database engine: opening, the writer thread, the read pool, and helpers to run statements.

pub(super) mod change_feed;
pub(super) mod counters;
pub(super) mod error;
mod integrity_check;
pub(super) mod open;
pub(super) mod page;
#[cfg(debug_assertions)]
mod query_plan_check;
pub(super) mod reader;
pub(super) mod sql;
pub(super) mod wal;
pub(super) mod writer;

use std::time::Duration;

use rusqlite_migration::M;

/// One entry a version; the number of those applied is `PRAGMA user_version`.
const MIGRATIONS: &[M<'_>] = &[M::up(include_str!("../schema/001_first.sql"))];

/// The version of the schema that this program works with.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// How long a writer waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the write-ahead log may become before it is cut.
const WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;
