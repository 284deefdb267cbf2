//! Miniback: feedback in, signed webhooks out.

pub mod api;
pub mod clock;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod random;
pub mod server;
pub mod store;
