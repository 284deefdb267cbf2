//! The rules of Miniback, pure: no web framework, no HTTP client, no database.
//!
//! What a feedback, a project, a webhook and an account are and which values they may have; what a receiver is sent
//! and how it is signed; what follows an attempt. All else in the program carries these rules out.

pub mod account;
pub mod alert;
pub mod body_change;
pub mod delivery;
pub mod diagnosis;
pub mod egress_policy;
pub mod endpoint_url;
pub mod event;
pub mod explanation;
pub mod feedback;
pub mod id;
pub mod password;
pub mod project;
pub mod rate_limit;
pub mod retry;
pub mod search;
pub mod secret;
pub mod signature;
pub mod validation;
pub mod verification;
pub mod webhook;
