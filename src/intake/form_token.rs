//! Form tokens: signed timestamps in the widget's script and in the public form. They detect
//! programs that submit faster than a person.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::clock::Timestamp;

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

    /// Returns a token for the time `now`. It needs no escaping in HTML, JavaScript, or JSON.
    pub(super) fn issue(&self, now: Timestamp) -> String {
        let millis = now.millis().to_string();
        let tag = hmac::sign(&self.0, millis.as_bytes());
        format!("{millis}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub(super) fn check(&self, token: &str, now: Timestamp) -> Result<(), FormTokenError> {
        let issued_at = self
            .issue_time(token)
            .ok_or(FormTokenError::InvalidSignature)?;
        match now.since(issued_at) {
            age if age < AGE_MIN => Err(FormTokenError::TooFast),
            age if age > AGE_MAX => Err(FormTokenError::Expired),
            _ => Ok(()),
        }
    }

    /// Returns the time in a token, or `None` if its signature is invalid.
    fn issue_time(&self, token: &str) -> Option<Timestamp> {
        let (millis, tag) = token.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, millis.as_bytes(), &tag).ok()?;
        millis.parse().ok().map(Timestamp::from_millis)
    }

    /// Returns whether a token is valid now or will be valid soon.
    pub(super) fn is_valid_now_or_soon(&self, token: &str, now: Timestamp) -> bool {
        matches!(
            self.check(token, now),
            Ok(()) | Err(FormTokenError::TooFast)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_from_2_seconds_to_30_days() {
        let tokens = FormTokens::new(&[7; 32]);
        let now = Timestamp::from_millis(1_767_225_600_000);
        let token = tokens.issue(now);
        let check_after = |age| tokens.check(&token, now.plus(age));
        assert_eq!(
            check_after(Duration::from_millis(1_999)),
            Err(FormTokenError::TooFast)
        );
        assert!(tokens.is_valid_now_or_soon(&token, now));
        assert_eq!(check_after(AGE_MIN), Ok(()));
        assert_eq!(check_after(AGE_MAX), Ok(()));
        assert_eq!(
            check_after(AGE_MAX + Duration::from_millis(1)),
            Err(FormTokenError::Expired)
        );
    }

    #[test]
    fn rejects_tokens_that_were_changed_or_issued_elsewhere() {
        let tokens = FormTokens::new(&[7; 32]);
        let now = Timestamp::from_millis(1_767_225_600_000);
        let later = now.plus(Duration::from_secs(60));
        let valid = tokens.issue(now);
        let (_, tag) = valid.split_once('.').unwrap();
        for invalid in [
            String::new(),
            ".".to_owned(),
            now.millis().to_string(),
            format!("{}.{tag}", now.millis() - 1),
            format!("{valid}x"),
            valid.replace('.', " "),
            FormTokens::new(&[8; 32]).issue(now),
        ] {
            assert_eq!(
                tokens.check(&invalid, later),
                Err(FormTokenError::InvalidSignature),
                "{invalid:?}"
            );
        }
    }
}
