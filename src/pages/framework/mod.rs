//! What all pages share: the request's context, the layout, sessions, messages, errors, and live updates.

pub mod auth;
pub mod context;
pub mod flash;
pub mod format;
pub mod idempotent_form;
pub mod layout;
pub mod live_updates;
pub mod page_error;
pub mod session;
pub mod user_agent;
