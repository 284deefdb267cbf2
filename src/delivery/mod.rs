//! All outbound HTTP.

pub mod client;
pub mod connector;
