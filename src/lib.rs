//! Miniback: feedback in, signed webhooks out.

pub mod clock;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod random;
