//! Flash data: messages and results for the page after a redirect, stored in memory by session.
//!
//! Cookies and URLs aren't used. They are too short for test responses, and must not contain
//! secrets.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::interrupted_form::InterruptedForm;
use crate::clock::Clock;
use crate::delivery::TestReport;
use crate::domain::format::Format;
use crate::domain::id::{UserId, WebhookId};
use crate::pages::people::LinkEmailReport;

/// Lifetime of flash data that no page has shown yet.
const FLASH_LIFETIME: Duration = Duration::from_secs(600);

/// A message about the last action, with an optional "Undo" button.
#[derive(Clone, Debug)]
pub struct FlashMessage {
    pub text: String,
    pub undo: Option<StatusUndo>,
}

/// The status changes that "Undo" reverts, and the page to return to.
#[derive(Clone, Debug)]
pub struct StatusUndo {
    /// Each change as `ID:PREVIOUS:STATUS`.
    pub changes: Vec<String>,
    /// The query string of the feedback list.
    pub back: String,
    /// The id of the feedback item to whose page "Undo" returns; empty for the list.
    pub return_to_item: String,
}

/// The form of a webhook that isn't saved yet. Reloading the page keeps the form and its secret.
#[derive(Clone, Debug)]
pub struct WebhookDraft {
    /// The value of `?add`. Each rendered "Add Webhook" link contains a new id.
    pub id: String,
    /// The URL or the email, as entered.
    pub url: String,
    /// The format that the person chose; `None` if it is detected.
    pub format: Option<Format>,
    pub secret: String,
    /// Idempotency key of "Add".
    pub key: String,
    /// The result of the last test.
    pub report: Option<TestReport>,
}

/// A value that a page shows only once.
#[derive(Clone, Debug)]
pub enum OneTimeValue {
    Token {
        name: String,
        token: String,
        fingerprint: String,
    },
    Invitation {
        email: String,
        link: String,
        sent: Option<LinkEmailReport>,
    },
    /// A password reset link for this user.
    Reset {
        user: UserId,
        link: String,
        sent: Option<LinkEmailReport>,
    },
    /// A summary of the erased data.
    Erased { summary: String },
}

#[derive(Clone, Debug, Default)]
pub struct Flash {
    pub messages: Vec<FlashMessage>,
    /// Only the Notifications page removes the draft, with [`FlashStore::take_webhook_draft`]. The
    /// form keeps its values while the user visits another page.
    pub draft: Option<WebhookDraft>,
    pub test: Option<(WebhookId, TestReport)>,
    /// A value to show once. Only the page that shows the value removes it, with
    /// [`FlashStore::take_one_time_value`]. A different page in another tab can't consume the
    /// value.
    pub one_time_value: Option<OneTimeValue>,
    /// A form that was submitted after the previous session had ended. Only the form's page removes
    /// it, with [`FlashStore::take_interrupted_form`].
    pub interrupted: Option<InterruptedForm>,
}

/// The pending flash data of all sessions, by the hash of the session token.
pub struct FlashStore {
    clock: Clock,
    /// Each entry contains the monotonic time of its first change.
    pending: Mutex<HashMap<[u8; 32], (Duration, Flash)>>,
}

impl FlashStore {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            pending: Mutex::default(),
        }
    }

    fn lock_pending_flashes(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Duration, Flash)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the flash data for the session's next page.
    pub fn update_flash(&self, session: [u8; 32], change: impl FnOnce(&mut Flash)) {
        let now = self.clock.monotonic_time();
        let mut pending = self.lock_pending_flashes();
        pending.retain(|_, (since, _)| now.saturating_sub(*since) < FLASH_LIFETIME);
        change(
            &mut pending
                .entry(session)
                .or_insert_with(|| (now, Flash::default()))
                .1,
        );
    }

    /// Removes and returns the session's flash data, except the webhook draft, the one-time value,
    /// and the interrupted form.
    pub fn take_flash(&self, session: [u8; 32]) -> Flash {
        self.take_if_unexpired(session, |flash| {
            let kept = Flash {
                draft: flash.draft.take(),
                one_time_value: flash.one_time_value.take(),
                interrupted: flash.interrupted.take(),
                ..Flash::default()
            };
            std::mem::replace(flash, kept)
        })
    }

    /// Removes and returns the webhook draft.
    pub fn take_webhook_draft(&self, session: [u8; 32]) -> Option<WebhookDraft> {
        self.take_if_unexpired(session, |flash| flash.draft.take())
    }

    /// Removes and returns the interrupted form if its page is at `url`.
    pub fn take_interrupted_form(&self, session: [u8; 32], url: &str) -> Option<InterruptedForm> {
        self.take_if_unexpired(session, |flash| {
            flash.interrupted.take_if(|form| form.url == url)
        })
    }

    /// Removes and returns the one-time value if `is_shown` returns true for it.
    pub fn take_one_time_value(
        &self,
        session: [u8; 32],
        is_shown: fn(&OneTimeValue) -> bool,
    ) -> Option<OneTimeValue> {
        self.take_if_unexpired(session, |flash| {
            flash.one_time_value.take_if(|value| is_shown(value))
        })
    }

    fn take_if_unexpired<T: Default>(
        &self,
        session: [u8; 32],
        take: impl FnOnce(&mut Flash) -> T,
    ) -> T {
        let now = self.clock.monotonic_time();
        match self.lock_pending_flashes().get_mut(&session) {
            Some((since, flash)) if now.saturating_sub(*since) < FLASH_LIFETIME => take(flash),
            _ => T::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    #[test]
    fn returns_a_message_once_and_expires_it() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(0));
        let flashes = FlashStore::new(Clock::manual(&clock));
        let push = |session| {
            flashes.update_flash(session, |flash| {
                flash.messages.push(FlashMessage {
                    text: "done".into(),
                    undo: None,
                })
            })
        };
        push([1; 32]);
        assert!(flashes.take_flash([2; 32]).messages.is_empty());
        assert_eq!(flashes.take_flash([1; 32]).messages.len(), 1);
        assert!(flashes.take_flash([1; 32]).messages.is_empty());
        push([1; 32]);
        clock.advance(FLASH_LIFETIME);
        assert!(flashes.take_flash([1; 32]).messages.is_empty());
    }

    #[test]
    fn returns_a_one_time_value_once_and_only_to_its_own_page() {
        let flashes = FlashStore::new(Clock::manual(&ManualClock::starting_at(
            Timestamp::from_millis(0),
        )));
        let one_time_value = OneTimeValue::Token {
            name: "deploy".into(),
            token: "mb_1".into(),
            fingerprint: "00000000".into(),
        };
        flashes.update_flash([1; 32], |flash| flash.one_time_value = Some(one_time_value));
        assert!(flashes.take_flash([1; 32]).one_time_value.is_none());
        let is_token = |value: &OneTimeValue| matches!(value, OneTimeValue::Token { .. });
        assert!(
            flashes
                .take_one_time_value([1; 32], |value| !matches!(
                    value,
                    OneTimeValue::Token { .. }
                ))
                .is_none()
        );
        assert!(flashes.take_one_time_value([1; 32], is_token).is_some());
        assert!(flashes.take_one_time_value([1; 32], is_token).is_none());
    }
}
