//! The JSON API, one file a noun: a call is parsed into a domain type, given to the store, and answered.
//!
//! Callers are known by a token alone; a cookie is never looked at. Errors are RFC 9457 problems. What a call takes and
//! answers stands beside its handler, for the OpenAPI document.

mod accounting;
mod body;
mod deliveries;
mod document;
mod door;
mod etag;
mod feedback;
mod guard;
mod lists;
mod metrics;
mod problem;
mod projects;
mod routes;
mod secrets;
mod webhook_tests;
mod webhooks;

pub use document::document;
pub use routes::{configure, routes};
