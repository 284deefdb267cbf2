//! Code that all pages share, such as the request context, access checks, layout, forms, sessions,
//! errors, and live updates.

pub mod auth;
pub mod context;
pub mod day_range;
pub mod event_streams;
pub mod exports;
pub mod flash;
pub mod form_edits;
pub mod form_field;
pub mod form_page;
pub mod form_restore;
pub mod format;
pub mod idempotent_form;
pub mod interrupted_form;
pub mod layout;
pub mod live_updates;
pub mod navigation;
pub mod page_error;
pub mod session;
