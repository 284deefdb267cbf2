//! The sample site, the receiver, and the sample data of `miniback demo`.
//!
//! [`site`] is a website with the widget. [`receiver`] is an endpoint that verifies and shows
//! deliveries. [`samples`] fills an empty installation through the API. This module uses Miniback
//! only through its public interface, as a customer's code would.
//!
//! Start order: bind both listeners (each server needs the URL of the other), start the receiver,
//! create the samples, start the site.

pub mod api;
mod inbox;
pub mod receiver;
pub mod samples;
mod server;
pub mod site;

pub use api::{ApiClient, ApiError};
pub use samples::{DemoError, SampleCounts, seed};
pub use server::DemoServer;

#[cfg(test)]
mod tests;
