//! Verifies a delivery as an endpoint does, and returns the reason if verification fails.
//!
//! An HMAC can't distinguish a wrong secret from a changed body. So if the signature doesn't match,
//! this module checks whether a common change to the body ([`body_change`]) explains the mismatch.

use std::time::Duration;

use ring::hmac;

use super::body_change::{self, BodyChange};
use super::secret::Secret;
use super::signature;
use crate::clock::Timestamp;

/// Maximum clock difference that the libraries of Standard Webhooks accept.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The request that an endpoint received.
pub struct ReceivedRequest<'a> {
    /// Returns the value of a header. The case of the name doesn't matter.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub body: &'a [u8],
}

/// The reason a delivery can't be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    #[error(
        "the header X-Miniback-Signature is missing: a proxy removed it, or the request isn’t from Miniback"
    )]
    MissingSignature,
    #[error("X-Miniback-Signature isn’t 64 hex digits: it was truncated or changed in transit")]
    InvalidHex,
    #[error("the body {}; verify the raw bytes before anything parses them", .0.description())]
    BodyChanged(BodyChange),
    #[error("wrong secret, or the body was changed")]
    WrongSecretOrBody,
    #[error(
        "X-Miniback-Signature matches but webhook-signature doesn’t: webhook-id or webhook-timestamp was changed"
    )]
    StandardSignature,
    #[error(
        "webhook-timestamp differs from this machine’s clock by {0} s: the clock is wrong, or the delivery was replayed"
    )]
    ClockDifference(u64),
}

/// Verifies both signatures and the timestamp. Skips `webhook-signature` and the timestamp if a
/// `webhook-…` header is missing, or if the secret isn't in the format of Standard Webhooks.
pub fn verify(
    received: &ReceivedRequest<'_>,
    secret: &Secret,
    now: Timestamp,
) -> Result<(), VerificationError> {
    let signature =
        (received.header)("x-miniback-signature").ok_or(VerificationError::MissingSignature)?;
    let signature = decode_hex(signature.trim()).ok_or(VerificationError::InvalidHex)?;
    if !is_signed_by(secret, received.body, &signature) {
        return Err(explain_mismatch(received.body, secret, &signature));
    }
    let standard = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| (received.header)(name));
    let ([Some(id), Some(timestamp), Some(signatures)], Some(_)) =
        (standard, secret.standard_key())
    else {
        return Ok(());
    };
    let timestamp: i64 = timestamp
        .trim()
        .parse()
        .map_err(|_| VerificationError::StandardSignature)?;
    let is_valid = |entry| {
        signature::is_valid_standard_signature(secret, (&id, timestamp), received.body, entry)
    };
    if !signatures.split(' ').any(is_valid) {
        return Err(VerificationError::StandardSignature);
    }
    match now.seconds().abs_diff(timestamp) {
        difference if difference > CLOCK_TOLERANCE.as_secs() => {
            Err(VerificationError::ClockDifference(difference))
        }
        _ => Ok(()),
    }
}

/// Returns whether `signature` is the HMAC-SHA256 of `body`, keyed by `secret`.
pub(super) fn is_signed_by(secret: &Secret, body: &[u8], signature: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().as_bytes());
    hmac::verify(&key, body, signature).is_ok()
}

fn explain_mismatch(body: &[u8], secret: &Secret, signature: &[u8]) -> VerificationError {
    body_change::possible_original_bodies(body)
        .into_iter()
        .find(|(_, original)| is_signed_by(secret, original, signature))
        .map_or(VerificationError::WrongSecretOrBody, |(change, _)| {
            VerificationError::BodyChanged(change)
        })
}

/// Decodes an HMAC-SHA256 of 64 hex digits. Returns `None` for any other text.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"event":"test","data":{"message":"Grüße"}}"#;
    const SIGNED_AT: i64 = 1000;

    fn signer() -> Secret {
        Secret::from_random([1; 32])
    }

    /// Verifies a delivery after changing one of its headers; `None` removes the header.
    fn verify_with_header(
        changed: (&str, Option<&str>),
        body: &[u8],
        secret: &Secret,
        now: i64,
    ) -> Result<(), VerificationError> {
        let header = |name: &str| {
            if name == changed.0 {
                return changed.1.map(str::to_owned);
            }
            let body = BODY.as_bytes();
            match name {
                "x-miniback-signature" => Some(signature::sign_hex(&signer(), body)),
                "webhook-id" => Some("dlv_1".to_owned()),
                "webhook-timestamp" => Some(SIGNED_AT.to_string()),
                "webhook-signature" => {
                    signature::sign_standard(&signer(), "dlv_1", SIGNED_AT, body)
                }
                _ => None,
            }
        };
        let header = &header;
        verify(
            &ReceivedRequest { header, body },
            secret,
            Timestamp::from_millis(now * 1000),
        )
    }

    fn verify_body(body: &[u8]) -> Result<(), VerificationError> {
        verify_with_header(("", None), body, &signer(), SIGNED_AT)
    }

    #[test]
    fn reports_changed_headers() {
        let result =
            |name, value| verify_with_header((name, value), BODY.as_bytes(), &signer(), SIGNED_AT);
        assert_eq!(
            result("x-miniback-signature", None),
            Err(VerificationError::MissingSignature)
        );
        assert_eq!(
            result("x-miniback-signature", Some("sha256=00")),
            Err(VerificationError::InvalidHex)
        );
        assert_eq!(
            result("webhook-id", Some("dlv_2")),
            Err(VerificationError::StandardSignature)
        );
        assert_eq!(result("webhook-id", None), Ok(()));
    }

    #[test]
    fn reports_a_wrong_secret_and_a_wrong_clock() {
        let result =
            |secret: &Secret, now| verify_with_header(("", None), BODY.as_bytes(), secret, now);
        let other = Secret::from_random([2; 32]);
        assert_eq!(
            result(&other, SIGNED_AT),
            Err(VerificationError::WrongSecretOrBody)
        );
        assert_eq!(
            result(&signer(), SIGNED_AT + 301),
            Err(VerificationError::ClockDifference(301))
        );
    }

    #[test]
    fn reports_how_the_body_was_changed() {
        assert_eq!(verify_body(BODY.as_bytes()), Ok(()));
        let mojibake: String = BODY.bytes().map(char::from).collect();
        for (body, change) in [
            (format!("{BODY}\n"), BodyChange::TrailingWhitespace),
            (BODY.replace(':', ": "), BodyChange::Reserialized),
            (mojibake, BodyChange::WrongCharset),
        ] {
            assert_eq!(
                verify_body(body.as_bytes()),
                Err(VerificationError::BodyChanged(change))
            );
        }
    }
}
