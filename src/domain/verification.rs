//! Verifies a delivery as an endpoint does, and returns the reason if verification fails.
//!
//! An HMAC can't distinguish a wrong secret from a changed body. So if the signature doesn't match,
//! common changes to the body ([`body_change`]) are tried as an explanation.

use std::time::Duration;

use ring::hmac;

use super::body_change::{self, BodyChange};
use super::secret::Secret;
use super::signature;
use crate::clock::Timestamp;

/// Maximum clock difference that the libraries of Standard Webhooks accept.
pub(super) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The request that an endpoint received.
pub struct ReceivedRequest<'a> {
    /// Returns the value of a header. The case of the name doesn't matter.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub body: &'a [u8],
}

/// Why a delivery can't be verified.
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
        "webhook-timestamp is {0} s off this machine’s clock: the clock is wrong, or the delivery was replayed"
    )]
    ClockDifference(u64),
}

/// Verifies both signatures. Skips `webhook-signature` if its headers are incomplete or the secret
/// isn't in the format of Standard Webhooks.
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
    let expected = signature::sign_standard(secret, &id, timestamp, received.body);
    if !signatures
        .split(' ')
        .any(|signature| Some(signature) == expected.as_deref())
    {
        return Err(VerificationError::StandardSignature);
    }
    match now.seconds().abs_diff(timestamp) {
        difference if difference > TOLERANCE.as_secs() => {
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
    body_change::possible_originals(body)
        .into_iter()
        .find(|(_, original)| is_signed_by(secret, original, signature))
        .map_or(VerificationError::WrongSecretOrBody, |(change, _)| {
            VerificationError::BodyChanged(change)
        })
}

/// Decodes an HMAC-SHA256 of 64 hex digits.
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

    fn verify_changed(
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
    fn reports_why_verification_fails() {
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
        assert_eq!(verify_changed(kept, body, &right, 1000), Ok(()));
        assert_eq!(
            verify_changed(kept, body, &wrong, 1000),
            Err(VerificationError::WrongSecretOrBody)
        );
        assert_eq!(
            verify_changed(instead("x-miniback-signature", "gone"), body, &right, 1000),
            Err(VerificationError::MissingSignature)
        );
        assert_eq!(
            verify_changed(
                instead("x-miniback-signature", "sha256=00"),
                body,
                &right,
                1000
            ),
            Err(VerificationError::InvalidHex)
        );
        assert_eq!(
            verify_changed(instead("webhook-id", "dlv_2"), body, &right, 1000),
            Err(VerificationError::StandardSignature)
        );
        assert_eq!(
            verify_changed(instead("webhook-id", "gone"), body, &right, 1000),
            Ok(())
        );
        assert_eq!(
            verify_changed(kept, body, &right, 1301),
            Err(VerificationError::ClockDifference(301))
        );
        let newline = format!("{BODY}\n");
        assert!(matches!(
            verify_changed(kept, newline.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(
                BodyChange::TrailingWhitespace
            ))
        ));
        let spaced = BODY.replace(':', ": ");
        assert!(matches!(
            verify_changed(kept, spaced.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(BodyChange::Reserialized))
        ));
        let mangled: String = BODY.bytes().map(char::from).collect();
        assert!(matches!(
            verify_changed(kept, mangled.as_bytes(), &right, 1000),
            Err(VerificationError::BodyChanged(BodyChange::WrongCharset))
        ));
    }
}
