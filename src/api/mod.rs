//! The JSON API, one file a noun: a call is parsed into a domain type, given to the store, and answered.
//!
//! Callers are known by a token alone; a cookie is never looked at. Errors are RFC 9457 problems. What a call takes and
//! answers stands beside its handler, for the OpenAPI document.

mod auth;
mod body;
mod deliveries;
mod delivery_totals;
mod door;
mod etag;
mod feedback;
mod lists;
mod metrics;
mod openapi;
mod problem;
mod projects;
mod routes;
mod secrets;
mod test_events;
mod webhooks;

pub use openapi::document;
pub use routes::{configure, routes};
