//! Jobs that run beside the server until they are aborted.

pub mod retention;
pub mod search_indexer;
