//! Background tasks: retention and search indexing.

pub mod database_monitor;
pub mod retention;
pub mod search_indexer;
