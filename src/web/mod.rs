//! The pages, one file a page: its handlers and the structs that its templates show.
//!
//! Each works by plain links and forms, with a redirect after a post and the message on the next page; one script
//! makes them better without knowing any of them. Whoever asks is known by a session cookie ([`guard`]).

mod account;
mod assets;
mod failure;
mod feedback;
mod fields;
mod flash;
mod guard;
mod home;
mod notifications;
mod page;
mod projects;
mod routes;
mod session;
mod setup;
mod sign_in;
mod throttle;
mod times;
mod visit;

pub use routes::configure;

use tokio::sync::Semaphore;

use crate::clock::Clock;

/// How many passwords are checked at once (each takes 19 MiB and a core), and how many may wait for that.
const CHECKS_AT_ONCE: usize = 2;
const CHECKS_WAITING: usize = 8;

/// What the pages keep in memory; a restart forgets it, and nothing is lost by that.
pub struct WebState {
    throttle: throttle::Throttle,
    flash: flash::Flashes,
    password_checks: Semaphore,
    password_queue: Semaphore,
}

impl WebState {
    pub fn new(clock: Clock) -> Self {
        Self {
            throttle: throttle::Throttle::new(clock.clone()),
            flash: flash::Flashes::new(clock),
            password_checks: Semaphore::new(CHECKS_AT_ONCE),
            password_queue: Semaphore::new(CHECKS_AT_ONCE + CHECKS_WAITING),
        }
    }
}
