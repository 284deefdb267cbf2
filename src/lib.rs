//! Miniback: feedback in, signed webhooks out.
//!
//! In reading order: [`domain`] has the rules, [`store`] keeps, [`delivery`] sends, [`api`] and [`pages`] are the two
//! faces over what they share in [`server`]; [`app`] puts them together, [`cli`] runs it, [`demo`] shows it.

pub mod domain;

pub mod store;

pub mod delivery;
pub mod indexing;
pub mod retention;

pub mod api;
pub mod pages;
pub mod server;

pub mod app;
pub mod cli;
pub mod config;
pub mod demo;

pub mod clock;
pub mod logging;
pub mod random;
