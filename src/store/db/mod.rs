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
