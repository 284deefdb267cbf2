//! Form tokens: signed timestamps in the widget's script and in the public form. They detect
//! programs that submit faster than a person.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::clock::{Clock, Timestamp};

/// Minimum age of a token. A person can't read and submit the form faster than this.
const AGE_MIN: Duration = Duration::from_secs(2);
/// Maximum age of a token. A cached script can be a day old, and a page can stay open for weeks. An
/// older token was probably collected by a bot.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Issues and checks form tokens. The key is stored in the database, so that tokens in open pages
/// stay valid after a restart.
pub(super) struct FormTokens(hmac::Key);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormTokenError {
    #[error("This form is no longer valid. Reload the page, then try again.")]
    InvalidSignature,
    #[error("Wait two seconds, then try again.")]
    TooFast,
    #[error("This page was loaded too long ago. Reload it, then try again.")]
    Expired,
}

impl FormTokens {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Returns a token for the time `now`. The token needs no escaping in HTML, JavaScript, or
    /// JSON.
    pub(super) fn issue_token(&self, now: Timestamp) -> String {
        let millis = now.millis().to_string();
        let tag = hmac::sign(&self.0, millis.as_bytes());
        format!("{millis}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub(super) fn check_token(&self, token: &str, clock: &Clock) -> Result<(), FormTokenError> {
        let issued_at = self
            .verified_issue_time(token)
            .ok_or(FormTokenError::InvalidSignature)?;
        let now = clock.now();
        // A timestamp in the future means that the clock was set back. The minimum age can't be
        // checked then.
        if now >= issued_at && now.since(issued_at) < AGE_MIN {
            return Err(FormTokenError::TooFast);
        }
        // If the system clock has jumped, either the clock's time or the time without the jump can
        // be correct. Use the time that results in the lower age.
        let age = now.min(clock.now_without_jumps()).since(issued_at);
        if age > AGE_MAX {
            return Err(FormTokenError::Expired);
        }
        Ok(())
    }

    /// Returns the time in a token, or `None` if its signature is invalid.
    fn verified_issue_time(&self, token: &str) -> Option<Timestamp> {
        let (millis, tag) = token.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, millis.as_bytes(), &tag).ok()?;
        millis.parse().ok().map(Timestamp::from_millis)
    }

    /// Returns whether a token is valid, or will be valid once it reaches the minimum age.
    pub(super) fn is_valid_now_or_soon(&self, token: &str, clock: &Clock) -> bool {
        matches!(
            self.check_token(token, clock),
            Ok(()) | Err(FormTokenError::TooFast)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn clock() -> (Clock, ManualClock) {
        let manual = ManualClock::starting_at(START);
        (Clock::manual(&manual), manual)
    }

    #[test]
    fn a_token_is_valid_from_2_seconds_to_30_days() {
        let tokens = FormTokens::new(&[7; 32]);
        let token = tokens.issue_token(START);
        let check_after = |age| {
            let (clock, manual) = clock();
            manual.advance(age);
            tokens.check_token(&token, &clock)
        };
        assert_eq!(
            check_after(Duration::from_millis(1_999)),
            Err(FormTokenError::TooFast)
        );
        assert!(tokens.is_valid_now_or_soon(&token, &clock().0));
        assert_eq!(check_after(AGE_MIN), Ok(()));
        assert_eq!(check_after(AGE_MAX), Ok(()));
        assert_eq!(
            check_after(AGE_MAX + Duration::from_millis(1)),
            Err(FormTokenError::Expired)
        );
    }

    #[test]
    fn a_token_stays_valid_when_the_clock_jumps() {
        let tokens = FormTokens::new(&[7; 32]);
        let token = tokens.issue_token(START);
        for to in [
            START.minus(HOUR),
            START.plus(HOUR),
            START.minus(YEAR),
            START.plus(YEAR),
        ] {
            let (clock, manual) = clock();
            manual.advance(AGE_MIN);
            manual.set_wall_clock(to);
            let jump = clock.pending_jump().unwrap();
            assert_eq!(clock.apply_jump(jump, || Ok::<_, ()>(())), Ok(()));
            assert_eq!(tokens.check_token(&token, &clock), Ok(()), "{to}");
            let new = tokens.issue_token(clock.now());
            let too_fast = Err(FormTokenError::TooFast);
            assert_eq!(tokens.check_token(&new, &clock), too_fast, "{to}");
            manual.advance(AGE_MIN);
            assert_eq!(tokens.check_token(&new, &clock), Ok(()), "{to}");
            // After a restart, the jump is unknown, so only the age by the system clock counts.
            let restarted = Clock::manual(&manual);
            assert_eq!(tokens.check_token(&new, &restarted), Ok(()), "{to}");
        }
    }

    #[test]
    fn rejects_tokens_that_were_changed_or_issued_elsewhere() {
        let tokens = FormTokens::new(&[7; 32]);
        let now = START;
        let (clock, manual) = clock();
        manual.advance(Duration::from_secs(60));
        let valid = tokens.issue_token(now);
        let (_, tag) = valid.split_once('.').unwrap();
        for invalid in [
            String::new(),
            ".".to_owned(),
            now.millis().to_string(),
            format!("{}.{tag}", now.millis() - 1),
            format!("{valid}x"),
            valid.replace('.', " "),
            FormTokens::new(&[8; 32]).issue_token(now),
        ] {
            assert_eq!(
                tokens.check_token(&invalid, &clock),
                Err(FormTokenError::InvalidSignature),
                "{invalid:?}"
            );
        }
    }
}
