//! Rules and types: validation, event payloads, signatures, retries, and outcomes.
//!
//! This module does no I/O. It can derive `serde` and `utoipa` traits, but must not use the web
//! framework, the HTTP client, or the database.

pub mod account;
pub mod alert;
pub mod attempt_statistics;
pub mod body_change;
pub mod context;
pub mod delivery;
pub mod diagnosis;
pub mod egress_policy;
pub mod email;
pub mod endpoint_url;
pub mod event;
pub mod explanation;
pub mod feedback;
pub mod format;
pub mod id;
pub mod mail_failure;
pub mod mail_server;
pub mod password;
pub mod password_rules;
pub mod project;
pub mod rate_limit;
pub mod request_headers;
pub mod retry;
pub mod search;
pub mod secret;
pub mod service_advice;
pub mod signature;
pub mod text;
pub mod tls_problem;
pub mod user_agent;
pub mod validation;
pub mod verification;
pub mod webhook;
pub mod webhook_url;
