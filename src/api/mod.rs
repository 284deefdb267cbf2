//! The JSON API, one file a noun: a call is parsed into a domain type, given to the store, and answered.
//!
//! Callers are known by a bearer token alone; a cookie is never looked at. Errors are RFC 9457 problems.

mod accounting;
mod body;
mod deliveries;
mod door;
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

pub use routes::{configure, routes};
