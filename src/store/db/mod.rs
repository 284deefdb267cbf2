//! The database engine: opens the database, runs the writer thread and the read pools, and provides
//! helpers for statements.

pub(super) mod change_feed;
pub(super) mod clock_jumps;
pub(super) mod counters;
pub(super) mod error;
pub(super) mod file_checker;
pub(super) mod file_header;
pub(super) mod file_permissions;
pub(super) mod files;
pub(super) mod health;
pub(super) mod integrity_check;
pub(super) mod lock;
mod migrations;
pub(super) mod old_copies;
pub(super) mod open;
pub(super) mod pagination;
#[cfg(debug_assertions)]
mod query_plan_check;
pub(super) mod reader;
pub(super) mod schema_check;
pub(super) mod sql;
pub(super) mod wal;
pub(super) mod writer;

use std::time::Duration;

use rusqlite_migration::M;

/// The schema's migrations. `PRAGMA user_version` is the number of applied migrations. A released
/// migration never changes (`tests/it/upgrades.rs`).
const MIGRATIONS: &[M<'_>] = &[
    M::up(include_str!("../schema/001_first.sql")),
    M::up(include_str!("../schema/002_formats.sql")),
];

/// The schema version that this program works with.
pub(super) const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// The maximum time that a connection waits while another connection has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The size of the WAL, in bytes, above which it is truncated.
const WAL_MAX_BYTES: u64 = 8 * 1024 * 1024;
