//! The two small servers of `miniback demo`, and the samples it shows.
//!
//! They are what a customer would write, and know of Miniback only what its public pages say:
//! [`site`] is a product's page that carries the widget; [`receiver`] is an endpoint that checks
//! the signature of each webhook and shows what it got; [`samples`] fills an empty installation
//! through the API. Nothing here touches the store, the API's code or the pages, so what works here
//! works for anybody.
//!
//! In order: both listeners are bound (each page names the other's address), the receiver is
//! started, the samples are made (the webhook last), the site is started; at the end both are
//! stopped.

pub mod api;
mod inbox;
pub mod receiver;
pub mod samples;
mod server;
pub mod site;

pub use api::{Api, ApiError};
pub use samples::{DemoError, SampleData, seed};
pub use server::DemoServer;

#[cfg(test)]
mod tests;
