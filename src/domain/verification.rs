//! Verifying a delivery as its receiver does, and saying why it does not verify: not "invalid", but what is wrong.
//!
//! A wrong secret and a changed body look alike to an HMAC. What commonly happens to a body on its way (see
//! [`body_change`]) is tried, and told when it is that.

use std::time::Duration;

use ring::hmac;

use super::body_change::{self, BodyChange};
use super::secret::Secret;
use super::signature;
use crate::clock::Timestamp;

/// How far the two clocks may be apart by the Standard Webhooks specification's libraries.
pub(super) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// What a receiver saw.
pub struct ReceivedRequest<'a> {
    /// The value of a header, whatever the case of its name.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub body: &'a [u8],
}

/// Why a delivery does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    #[error(
        "the header X-Miniback-Signature is missing: a proxy may drop it, or this is no delivery of Miniback"
    )]
    NoSignature,
    #[error("X-Miniback-Signature is not 64 hex digits: it was cut or changed on its way")]
    NotHex,
    #[error("the body was changed: {}; verify the raw bytes, before anything reads them", .0.description())]
    BodyChanged(BodyChange),
    #[error("the secret is another one, or the body was changed")]
    SecretOrBody,
    #[error(
        "webhook-signature does not match although X-Miniback-Signature does: webhook-id or webhook-timestamp was changed"
    )]
    Standard,
    #[error(
        "webhook-timestamp is {0} s away from this machine’s clock: set the clock, or the delivery was replayed"
    )]
    Clock(u64),
}

/// Verifies by both signatures where both can be.
pub fn verify(
    seen: &ReceivedRequest<'_>,
    secret: &Secret,
    now: Timestamp,
) -> Result<(), VerificationError> {
    let given = (seen.header)("x-miniback-signature").ok_or(VerificationError::NoSignature)?;
    let given = decode_hex(given.trim()).ok_or(VerificationError::NotHex)?;
    if !matches(secret, seen.body, &given) {
        return Err(explain_mismatch(seen.body, secret, &given));
    }
    let standard =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (seen.header)(name));
    let ([Some(id), Some(timestamp), Some(signatures)], Some(_)) =
        (standard, secret.standard_key())
    else {
        return Ok(());
    };
    let timestamp: i64 = timestamp
        .trim()
        .parse()
        .map_err(|_| VerificationError::Standard)?;
    let expected = signature::sign_standard(secret, &id, timestamp, seen.body);
    if !signatures
        .split(' ')
        .any(|signature| Some(signature) == expected.as_deref())
    {
        return Err(VerificationError::Standard);
    }
    match now.seconds().abs_diff(timestamp) {
        apart if apart > TOLERANCE.as_secs() => Err(VerificationError::Clock(apart)),
        _ => Ok(()),
    }
}

pub(super) fn matches(secret: &Secret, body: &[u8], given: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().as_bytes());
    hmac::verify(&key, body, given).is_ok()
}

fn explain_mismatch(body: &[u8], secret: &Secret, given: &[u8]) -> VerificationError {
    body_change::possible_originals(body)
        .into_iter()
        .find(|(_, before)| matches(secret, before, given))
        .map_or(VerificationError::SecretOrBody, |(change, _)| {
            VerificationError::BodyChanged(change)
        })
}

pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32)
        .map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"event":"test","data":{"message":"Grüße"}}"#;

    fn verdict(
        change: impl Fn(&str) -> String,
        body: &[u8],
        secret: &Secret,
        now: i64,
    ) -> Result<(), VerificationError> {
        let signer = Secret::from_random([1; 32]);
        let header = |name: &str| {
            let value = match name {
                "x-miniback-signature" => signature::sign_hex(&signer, BODY.as_bytes()),
                "webhook-id" => "dlv_1".to_owned(),
                "webhook-timestamp" => "1000".to_owned(),
                "webhook-signature" => {
                    signature::sign_standard(&signer, "dlv_1", 1000, BODY.as_bytes())?
                }
                _ => return None,
            };
            Some(change(name))
                .filter(|changed| changed != "gone")
                .map(|changed| if changed.is_empty() { value } else { changed })
        };
        verify(
            &ReceivedRequest {
                header: &header,
                body,
            },
            secret,
            Timestamp::from_millis(now * 1000),
        )
    }

    #[test]
    fn what_is_wrong_is_told_by_its_name() {
        let (right, wrong) = (Secret::from_random([1; 32]), Secret::from_random([2; 32]));
        let kept = |_: &str| String::new();
        let instead = |header: &'static str, value: &'static str| {
            move |name: &str| {
                if name == header {
                    value.to_owned()
                } else {
                    String::new()
                }
            }
        };
        let body = BODY.as_bytes();
        assert_eq!(verdict(kept, body, &right, 1000), Ok(()));
        assert_eq!(
            verdict(kept, body, &wrong, 1000),
            Err(VerificationError::SecretOrBody)
        );
        assert_eq!(
            verdict(instead("x-miniback-signature", "gone"), body, &right, 1000),
            Err(VerificationError::NoSignature)
        );
        assert_eq!(
            verdict(
                instead("x-miniback-signature", "sha256=00"),
                body,
                &right,
                1000
            ),
            Err(VerificationError::NotHex)
        );
        assert_eq!(
            verdict(instead("webhook-id", "dlv_2"), body, &right, 1000),
            Err(VerificationError::Standard)
        );
        assert_eq!(
            verdict(instead("webhook-id", "gone"), body, &right, 1000),
            Ok(())
        );
        assert_eq!(
            verdict(kept, body, &right, 1301),
            Err(VerificationError::Clock(301))
        );
        let newline = format!("{BODY}\n");
        assert!(matches!(
            verdict(kept, newline.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(BodyChange::SpaceAtEnd))
        ));
        let spaced = BODY.replace(':', ": ");
        assert!(matches!(
            verdict(kept, spaced.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(BodyChange::Rewritten))
        ));
        let mangled: String = BODY.bytes().map(char::from).collect();
        assert!(matches!(
            verdict(kept, mangled.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(BodyChange::Charset))
        ));
    }
}
