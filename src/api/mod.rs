//! The JSON API, with one file per resource. A handler parses the request into domain types, calls
//! the store, and returns JSON.
//!
//! Authentication is by API token only; cookies are ignored. Errors are RFC 9457 problems. Each
//! handler's request and response types also define its part of the OpenAPI document.

mod auth;
mod deliveries;
mod delivery_totals;
mod etag;
mod feedback;
mod hosted;
mod known_query_parameters;
mod lists;
mod metrics;
mod openapi;
mod projects;
mod redelivery;
mod routes;
mod secrets;
mod test_events;
mod webhooks;

pub use openapi::document;
pub use routes::{configure, routes};
