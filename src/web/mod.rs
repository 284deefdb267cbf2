//! The pages.

use crate::clock::Clock;

pub struct WebState;

impl WebState {
    pub fn new(_clock: Clock) -> Self {
        Self
    }
}

pub fn configure(_config: &mut actix_web::web::ServiceConfig) {}
