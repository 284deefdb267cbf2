//! Background tasks: retention and search indexing.

pub mod retention;
pub mod search_indexer;
