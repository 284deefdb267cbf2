//! What the next page says about what was just done, kept for the time of a redirect.
//!
//! It stays on the server, by session: a test's answer is too long for a cookie, and a secret has no place in a URL.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::delivery::TestReport;
use crate::domain::id::{UserId, WebhookId};

/// How long it waits for the next page.
const LIFETIME: Duration = Duration::from_secs(600);

/// A sentence about what was done.
#[derive(Clone, Debug)]
pub struct Message {
    pub text: String,
    pub undo: Option<Undo>,
}

/// What the "Undo" beside it takes back: changes of status, and where to afterwards.
#[derive(Clone, Debug)]
pub struct Undo {
    /// `ID:PREVIOUS:STATUS`.
    pub changes: Vec<String>,
    pub back: String,
    pub return_to_item: String,
}

/// The form of a webhook that is being added, with the test that was made of it.
#[derive(Clone, Debug)]
pub struct Draft {
    pub url: String,
    pub secret: String,
    /// By which two presses of "Add" are known to be one.
    pub key: String,
    pub report: TestReport,
}

/// What is shown this once, and cannot be looked at again.
#[derive(Clone, Debug)]
pub enum OneTimeReveal {
    Token {
        name: String,
        token: String,
    },
    Invitation {
        email: String,
        link: String,
    },
    /// By which this user sets another password.
    Reset {
        user: UserId,
        link: String,
    },
    /// What was erased, in words.
    Erased {
        summary: String,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Flash {
    pub messages: Vec<Message>,
    pub draft: Option<Draft>,
    pub test: Option<(WebhookId, TestReport)>,
    /// Kept until the page that shows it asks for it (see [`FlashStore::take_reveal`]): another tab must not swallow it.
    pub reveal: Option<OneTimeReveal>,
}

/// All that waits, by the session's hash.
pub struct FlashStore {
    clock: Clock,
    pending: Mutex<HashMap<[u8; 32], (Timestamp, Flash)>>,
}

impl FlashStore {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            pending: Mutex::default(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Timestamp, Flash)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what the session's next page shows.
    pub fn update(&self, session: [u8; 32], change: impl FnOnce(&mut Flash)) {
        let now = self.clock.now();
        let mut pending = self.pending();
        pending.retain(|_, (since, _)| now.since(*since) < LIFETIME);
        change(
            &mut pending
                .entry(session)
                .or_insert_with(|| (now, Flash::default()))
                .1,
        );
    }

    /// Takes all but what was made, to be shown.
    pub fn take(&self, session: [u8; 32]) -> Flash {
        self.take_with(session, |flash| {
            let reveal = flash.reveal.take();
            let rest = std::mem::take(flash);
            flash.reveal = reveal;
            rest
        })
    }

    /// Takes what was made, if it is of the kind that the page shows.
    pub fn take_reveal(
        &self,
        session: [u8; 32],
        is_shown: fn(&OneTimeReveal) -> bool,
    ) -> Option<OneTimeReveal> {
        self.take_with(session, |flash| {
            flash.reveal.take_if(|reveal| is_shown(reveal))
        })
    }

    fn take_with<T: Default>(&self, session: [u8; 32], take: impl FnOnce(&mut Flash) -> T) -> T {
        let now = self.clock.now();
        match self.pending().get_mut(&session) {
            Some((since, flash)) if now.since(*since) < LIFETIME => take(flash),
            _ => T::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_message_is_shown_once_to_its_session_and_not_much_later() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let flashes = FlashStore::new(Clock::Manual(clock.clone()));
        let push = |session| {
            flashes.update(session, |flash| {
                flash.messages.push(Message {
                    text: "done".into(),
                    undo: None,
                })
            })
        };
        push([1; 32]);
        assert!(flashes.take([2; 32]).messages.is_empty());
        assert_eq!(flashes.take([1; 32]).messages.len(), 1);
        assert!(flashes.take([1; 32]).messages.is_empty());
        push([1; 32]);
        clock.advance(LIFETIME);
        assert!(flashes.take([1; 32]).messages.is_empty());
    }

    #[test]
    fn what_was_made_waits_for_its_own_page_and_is_shown_once() {
        let flashes = FlashStore::new(Clock::Manual(ManualClock::at(Timestamp::from_millis(0))));
        let reveal = OneTimeReveal::Token {
            name: "deploy".into(),
            token: "mb_1".into(),
        };
        flashes.update([1; 32], |flash| flash.reveal = Some(reveal));
        assert!(flashes.take([1; 32]).reveal.is_none());
        let is_token = |reveal: &OneTimeReveal| matches!(reveal, OneTimeReveal::Token { .. });
        assert!(
            flashes
                .take_reveal([1; 32], |reveal| !matches!(
                    reveal,
                    OneTimeReveal::Token { .. }
                ))
                .is_none()
        );
        assert!(flashes.take_reveal([1; 32], is_token).is_some());
        assert!(flashes.take_reveal([1; 32], is_token).is_none());
    }
}
