//! The pages, one file a page: its handlers and the structs that its templates show.
//!
//! Each works by plain links and forms, with a redirect after a post and the message on the next page; one script
//! makes them better without knowing any of them. Whoever asks is known by a session cookie ([`framework::auth`]).

mod account;
mod api_reference;
mod api_tokens;
mod deliveries;
mod feedback;
mod framework;
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

pub use api_reference::ApiDocs;
pub use routes::{configure, routes};

use crate::clock::Clock;
use framework::{flash, idempotent_form, live_updates};
use sign_in::{password_checks, throttle};

/// What the pages keep in memory; a restart forgets it, and nothing is lost by that.
pub struct PageState {
    sign_in_throttle: throttle::SignInThrottle,
    flash: flash::FlashStore,
    password_checks: password_checks::PasswordChecks,
    submission_keys: idempotent_form::SubmissionKeys,
    event_streams: live_updates::EventStreams,
}

impl PageState {
    pub fn new(clock: Clock) -> Self {
        Self {
            sign_in_throttle: throttle::SignInThrottle::new(clock.clone()),
            flash: flash::FlashStore::new(clock),
            password_checks: password_checks::PasswordChecks::new(),
            submission_keys: idempotent_form::SubmissionKeys::default(),
            event_streams: live_updates::EventStreams::default(),
        }
    }

    /// Ends the open streams of events, which would hold a graceful stop to its whole time.
    pub fn close_event_streams(&self) {
        self.event_streams.end();
    }
}
