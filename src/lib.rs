//! Miniback: feedback in, signed webhooks out.
//!
//! In reading order: [`domain`] contains the rules, [`formats`] the bodies of webhooks, [`metrics`]
//! the counters, [`store`] the database, [`delivery`] the webhook sender, and [`background`] the
//! background tasks. [`intake`] accepts feedback without authentication. [`api`] and [`pages`]
//! handle all other requests. All three share [`server`]. [`app`] starts everything. [`cli`]
//! contains the commands, [`config`] their options, and [`demo`] the servers of `miniback demo`.

pub mod domain;

pub mod formats;

pub mod metrics;

pub mod store;

pub mod background;
pub mod delivery;

pub mod server;

pub mod intake;

pub mod api;
pub mod pages;

pub mod app;
pub mod cli;
pub mod config;
pub mod config_files;
pub mod demo;

pub mod clock;
pub mod io_errors;
pub mod logging;
pub mod random;
pub mod version;
