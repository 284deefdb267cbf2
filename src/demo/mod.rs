//! The sample site, the receiver, and the sample data of `miniback demo`.
//!
//! [`site`] is a website with the widget. [`receiver`] is an endpoint that verifies and shows
//! deliveries, with the pages of a chat [`channel`] and a [`mailbox`]. [`history`] fills an empty
//! installation through the API. Apart from the clock, this module uses Miniback only through its
//! public interface, as a customer's code would.
//!
//! Start order: bind all listeners, create the history, start the receiver, create one more
//! feedback item, start the site. The listeners are bound first, because each server needs the
//! other servers' URLs.

pub mod api;
pub mod channel;
pub mod history;
mod inbox;
pub mod mailbox;
pub mod receiver;
pub mod samples;
mod server;
pub mod site;

pub use api::{ApiClient, ApiError};
pub use server::DemoServer;

#[cfg(test)]
mod tests;
