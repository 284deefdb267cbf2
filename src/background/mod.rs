//! Background tasks: retention, search indexing, and checks of the database files and the system
//! clock.

pub mod database_monitor;
pub mod retention;
pub mod search_indexer;
