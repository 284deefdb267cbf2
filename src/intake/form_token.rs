//! Stamps: a signed time that comes with the widget's script and with the form, so that what is sent the moment it is
//! loaded is known for what it is.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::clock::Timestamp;

/// Nobody reads, writes and sends faster.
const AGE_MIN: Duration = Duration::from_secs(2);
/// A script stays in caches for a day, and a page open for weeks; what is older was collected.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes and checks stamps; the key is kept in the database, so that those of pages that are open outlive a restart.
pub struct Stamps(hmac::Key);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    #[error("This stamp was not made by this server; load the page anew.")]
    NotOurs,
    #[error("That was fast: wait two seconds, then send it again.")]
    TooYoung,
    #[error("This page was loaded too long ago; load it anew, then send again.")]
    TooOld,
}

impl Stamps {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Characters that need no escaping anywhere.
    pub fn issue(&self, now: Timestamp) -> String {
        let millis = now.millis().to_string();
        let tag = hmac::sign(&self.0, millis.as_bytes());
        format!("{millis}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub fn check(&self, stamp: &str, now: Timestamp) -> Result<(), StampError> {
        let (millis, tag) = stamp.split_once('.').ok_or(StampError::NotOurs)?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| StampError::NotOurs)?;
        hmac::verify(&self.0, millis.as_bytes(), &tag).map_err(|_| StampError::NotOurs)?;
        let issued = millis
            .parse()
            .map(Timestamp::from_millis)
            .map_err(|_| StampError::NotOurs)?;
        match now.since(issued) {
            age if age < AGE_MIN => Err(StampError::TooYoung),
            age if age > AGE_MAX => Err(StampError::TooOld),
            _ => Ok(()),
        }
    }

    /// Whether a stamp is good, or becomes so by waiting.
    pub fn will_do(&self, stamp: &str, now: Timestamp) -> bool {
        matches!(self.check(stamp, now), Ok(()) | Err(StampError::TooYoung))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_good_from_two_seconds_to_thirty_days() {
        let stamps = Stamps::new(&[7; 32]);
        let now = Timestamp::from_millis(1_767_225_600_000);
        let stamp = stamps.issue(now);
        let at = |after| stamps.check(&stamp, now.plus(after));
        assert_eq!(at(Duration::from_millis(1_999)), Err(StampError::TooYoung));
        assert!(stamps.will_do(&stamp, now));
        assert_eq!(at(AGE_MIN), Ok(()));
        assert_eq!(at(AGE_MAX), Ok(()));
        assert_eq!(
            at(AGE_MAX + Duration::from_millis(1)),
            Err(StampError::TooOld)
        );
    }

    #[test]
    fn a_stamp_that_was_changed_or_made_elsewhere_is_not_ours() {
        let stamps = Stamps::new(&[7; 32]);
        let now = Timestamp::from_millis(1_767_225_600_000);
        let later = now.plus(Duration::from_secs(60));
        let good = stamps.issue(now);
        let (_, tag) = good.split_once('.').unwrap();
        for bad in [
            String::new(),
            ".".to_owned(),
            now.millis().to_string(),
            format!("{}.{tag}", now.millis() - 1),
            format!("{good}x"),
            good.replace('.', " "),
            Stamps::new(&[8; 32]).issue(now),
        ] {
            assert_eq!(
                stamps.check(&bad, later),
                Err(StampError::NotOurs),
                "{bad:?}"
            );
        }
    }
}
