//! All outbound HTTP.

pub mod answer_head;
pub mod client;
pub mod connector;
pub mod stream;
