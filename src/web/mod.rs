//! The pages, one file a page: its handlers and the structs that its templates show.
//!
//! Each works by plain links and forms, with a redirect after a post and the message on the next page; one script
//! makes them better without knowing any of them. Whoever asks is known by a session cookie ([`guard`]).

mod account;
mod accounting;
mod api_docs;
mod api_tokens;
mod assets;
mod browser;
mod deliveries;
mod delivery;
mod doctor;
mod failure;
mod feedback;
mod fields;
mod flash;
mod form;
mod guard;
mod guide;
mod home;
mod invitation;
mod live;
mod notifications;
mod once;
mod page;
mod password_checks;
mod people;
mod personal_data;
mod privacy;
mod projects;
mod routes;
mod session;
mod setup;
mod sign_in;
mod throttle;
mod times;
mod visit;
mod widget;
mod widget_use;
mod words;

pub use api_docs::ApiDocs;
pub use routes::{configure, routes};

use crate::clock::Clock;

/// What the pages keep in memory; a restart forgets it, and nothing is lost by that.
pub struct WebState {
    throttle: throttle::Throttle,
    flash: flash::Flashes,
    password_checks: password_checks::PasswordChecks,
    once: once::Once,
    live: live::Streams,
}

impl WebState {
    pub fn new(clock: Clock) -> Self {
        Self {
            throttle: throttle::Throttle::new(clock.clone()),
            flash: flash::Flashes::new(clock),
            password_checks: password_checks::PasswordChecks::new(),
            once: once::Once::default(),
            live: live::Streams::default(),
        }
    }

    /// Ends the open streams of events, which would hold a graceful stop to its whole time.
    pub fn end_streams(&self) {
        self.live.end();
    }
}
