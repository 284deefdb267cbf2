//! The web pages. Each page has a module with its handlers and the data for its templates.
//!
//! Pages work with plain links and forms, and redirect after a POST. The script in `static/app/`
//! updates pages in place. It contains no code that is specific to a page. Users are authenticated
//! by a session cookie ([`framework::auth`]).

mod account;
mod api_reference;
mod api_tokens;
mod deliveries;
#[cfg(debug_assertions)]
mod design;
mod docs;
mod examples;
mod feedback;
mod framework;
mod getting_started;
mod guide;
mod people;
mod privacy;
mod projects;
mod redirects;
mod routes;
mod sign_in;
mod signature_check;
mod static_files;
mod webhooks;

pub use api_reference::ApiReference;
pub use routes::{configure, routes};

// Public for the fuzz targets.
pub use feedback::csv_cells;
pub use framework::form_restore;
pub use framework::format::mailto_url;
pub use signature_check::request_parser;

use std::sync::atomic::AtomicBool;

use ring::hmac;

use crate::clock::Clock;
use framework::{event_streams, exports, flash, idempotent_form, session};
use sign_in::demo_link::DemoSignInLink;
use sign_in::{password_hashing_limiter, throttle};

/// In-memory state of the pages, such as flash messages. Losing it at a restart is harmless.
pub struct PageState {
    sign_in_throttle: throttle::SignInThrottle,
    pub demo_sign_in_link: DemoSignInLink,
    flash: flash::FlashStore,
    password_hashing_limiter: password_hashing_limiter::PasswordHashingLimiter,
    /// The key that signs device cookies (see `sign_in/device_cookie.rs`).
    device_key: hmac::Key,
    /// The key from which the secrets of webhooks that aren't saved yet are derived.
    draft_key: hmac::Key,
    cookie_names: session::SessionCookieNames,
    /// Whether this process has logged a warning that a browser dropped a cookie that needs HTTPS.
    has_warned_of_http: AtomicBool,
    submission_keys: idempotent_form::SubmissionKeys,
    event_streams: event_streams::EventStreamRegistry,
    exports: exports::ExportLimiter,
}

impl PageState {
    /// Creates the state. `device_key` and `draft_key` are stored keys of this installation.
    pub fn new(clock: Clock, device_key: &[u8], draft_key: &[u8]) -> Self {
        let device_key = hmac::Key::new(hmac::HMAC_SHA256, device_key);
        Self {
            sign_in_throttle: throttle::SignInThrottle::new(clock.clone()),
            demo_sign_in_link: DemoSignInLink::default(),
            flash: flash::FlashStore::new(clock.clone()),
            password_hashing_limiter: password_hashing_limiter::PasswordHashingLimiter::new(),
            cookie_names: session::SessionCookieNames::new(&device_key),
            device_key,
            draft_key: hmac::Key::new(hmac::HMAC_SHA256, draft_key),
            has_warned_of_http: AtomicBool::new(false),
            submission_keys: idempotent_form::SubmissionKeys::new(clock),
            event_streams: event_streams::EventStreamRegistry::default(),
            exports: exports::ExportLimiter::default(),
        }
    }

    /// Closes all event streams, which would otherwise delay a graceful shutdown until its timeout.
    pub fn close_event_streams(&self) {
        self.event_streams.close_all();
    }
}
