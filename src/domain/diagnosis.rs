//! Diagnoses why an endpoint can't verify a delivery: the secret, the body, the clock, or the
//! headers.
//!
//! This module can explain more than an endpoint can (see [`verification`]), because it knows the
//! active secrets and often the sent body.

mod checks;
mod signatures;

use super::body_change::{self, BodyChange, Excerpt};
use super::verification::{self, ReceivedRequest};
use super::webhook::Secrets;
use crate::clock::Timestamp;
use checks::{check_body, check_clock, check_endpoint_secret, check_signature};
use signatures::{ReceivedSignatures, SigningSecret};

/// Everything that is known about a delivery and its endpoint.
pub struct DiagnosisInput<'a> {
    pub received: ReceivedRequest<'a>,
    pub secrets: &'a Secrets,
    /// The sent delivery; `None` if the delivery log doesn't contain the delivery.
    pub sent: Option<SentDelivery<'a>>,
    /// The secret that the endpoint uses, if known.
    pub endpoint_secret: Option<&'a str>,
    /// The time on the endpoint's clock when it verified the request, if known.
    pub endpoint_clock: Option<Timestamp>,
}

/// A delivery in the delivery log.
pub struct SentDelivery<'a> {
    pub body: &'a [u8],
    /// The times of all attempts, in Unix seconds.
    pub attempts: &'a [i64],
}

/// The result of a diagnosis: whether the delivery is valid, the most useful finding, advice, the
/// first difference in the body, and the individual checks.
#[derive(Debug)]
pub struct Diagnosis {
    pub valid: bool,
    pub finding: String,
    pub advice: String,
    pub difference: Option<BodyDifference>,
    pub checks: Vec<Check>,
}

/// The first difference between the sent and the received body.
#[derive(Debug)]
pub struct BodyDifference {
    /// Number of equal bytes before the difference.
    pub offset: usize,
    pub sent: Excerpt,
    pub received: Excerpt,
}

/// The result of a single check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
    /// The check is inconclusive, for example because a value to compare with is missing.
    Unknown,
}

/// A single check and its result.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    pub result: CheckResult,
    pub message: String,
}

/// The active secrets that signed the received body, at most one for each kind of signature.
struct SigningSecrets {
    hex: Option<SigningSecret>,
    standard: Option<SigningSecret>,
}

impl SigningSecrets {
    fn first_signing_secret(&self) -> Option<SigningSecret> {
        self.hex.or(self.standard)
    }
}

/// Runs all checks on a received delivery, and returns the most useful finding.
pub fn diagnose(input: &DiagnosisInput<'_>) -> Diagnosis {
    let signatures = ReceivedSignatures::new(input);
    let signing_secrets = SigningSecrets {
        hex: signatures.find_secret_for_hex_signature(input.received.body),
        standard: signatures.find_secret_for_standard_signature(input.received.body),
    };
    let change = find_body_change(input, &signatures, &signing_secrets);
    let difference = input
        .sent
        .as_ref()
        .filter(|_| change.is_some())
        .map(|sent| {
            let (offset, sent, received) =
                body_change::first_difference(sent.body, input.received.body);
            BodyDifference {
                offset,
                sent,
                received,
            }
        });
    let clock = check_clock(input, &signatures);
    let secret = input
        .endpoint_secret
        .map(|secret| check_endpoint_secret(secret, input.secrets));
    let (valid, finding, advice) = summarize_checks(
        input,
        &signatures,
        &signing_secrets,
        change,
        clock.as_ref(),
        secret.as_ref(),
    );

    let mut checks = vec![
        signatures.check_headers(),
        check_body(input, &signing_secrets, change),
        check_signature(
            "X-Miniback-Signature",
            signatures.hex.is_some(),
            signing_secrets.hex,
            true,
        ),
        check_signature(
            "webhook-signature",
            signatures.standard.is_some(),
            signing_secrets.standard,
            input.secrets.current.standard_key().is_some(),
        ),
    ];
    checks.extend(clock);
    checks.extend(secret);
    Diagnosis {
        valid,
        finding,
        advice,
        difference,
        checks,
    }
}

/// Detects a change to the body by comparing the bodies or, if the sent body is unknown, by
/// reversing changes until a signature matches.
fn find_body_change(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    signing_secrets: &SigningSecrets,
) -> Option<BodyChange> {
    match &input.sent {
        Some(sent) => body_change::detect_change(sent.body, input.received.body),
        None if signing_secrets.first_signing_secret().is_some() => None,
        None => body_change::possible_original_bodies(input.received.body)
            .into_iter()
            .find_map(|(change, original)| {
                signatures
                    .find_secret_for_any_signature(&original)
                    .map(|_| change)
            }),
    }
}

/// Returns three values: whether the delivery is valid, the most useful finding, and the advice.
fn summarize_checks(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    signing_secrets: &SigningSecrets,
    change: Option<BodyChange>,
    clock: Option<&Check>,
    secret: Option<&Check>,
) -> (bool, String, String) {
    let invalid = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some((finding, advice)) = signatures.explain_missing_signature() {
        return (false, finding, advice);
    }
    let wrong_secret = secret.filter(|check| check.result == CheckResult::Failed);
    let Some(signer) = signing_secrets.first_signing_secret() else {
        return explain_mismatch(input, signatures, change, wrong_secret);
    };
    if let Some(check) = wrong_secret {
        return invalid("Wrong secret.", &check.message);
    }
    if signatures.has_standard_signature_mismatch(input.received.body) {
        return invalid(
            "X-Miniback-Signature matches, but webhook-signature doesn’t: webhook-id or webhook-timestamp was changed.",
            "webhook-signature covers both headers. Pass them on unchanged, as text and not as a number or a date.",
        );
    }
    if signatures.hex.is_some() && signing_secrets.hex.is_none() {
        return invalid(
            "webhook-signature matches, but X-Miniback-Signature was changed.",
            "X-Miniback-Signature was truncated or changed in transit. Check the proxies in front of your server.",
        );
    }
    if let Some(check) = clock.filter(|check| check.result == CheckResult::Failed) {
        return invalid(
            &check.message,
            "Libraries reject timestamps more than 5 minutes off. Sync your server’s clock (NTP), and compare Unix seconds, not milliseconds or local time.",
        );
    }
    (
        true,
        format!("Valid. Signed with {}.", signer.description()),
        "Your server received exactly what was sent. If it still rejects the request, check its code: it uses a different secret, or it doesn’t verify the raw body. The key of X-Miniback-Signature is the whole secret as text, including whsec_.".into(),
    )
}

/// Explains why no active secret signed the received body. Returns validity, finding, and advice,
/// as [`summarize_checks`] does.
fn explain_mismatch(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    change: Option<BodyChange>,
    wrong_secret: Option<&Check>,
) -> (bool, String, String) {
    let invalid = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some(change) = change {
        let sent = input.sent.as_ref();
        let is_secret_replaced = sent.is_some_and(|sent| {
            signatures
                .find_secret_for_any_signature(sent.body)
                .is_none()
        });
        let secret = if is_secret_replaced {
            "The secret was also replaced: no active secret produces the signature of the sent body."
        } else {
            "The secret is right: the sent body matches the signature."
        };
        return (
            false,
            format!("The body {}.", change.description()),
            format!("{} {secret}", change.advice()),
        );
    }
    let hex = signatures.hex.as_ref();
    if hex.is_some_and(|hex| verification::decode_hex(hex).is_none()) {
        return invalid(
            "X-Miniback-Signature isn’t 64 hex digits.",
            "The header was truncated or changed in transit, or only part of it was pasted. The header contains only the digits, without a prefix such as sha256=.",
        );
    }
    if let Some(check) = wrong_secret {
        return invalid("Wrong secret.", &check.message);
    }
    match input.sent {
        Some(_) => invalid(
            "Wrong secret: no active secret produces this signature.",
            "The body is unchanged. The secret was rotated after this delivery, or the signature was changed in transit. Redeliver the event, and check the new request.",
        ),
        None => invalid(
            "Wrong secret, or the body was changed.",
            "To find out which, paste all headers, including X-Miniback-Delivery, or send a test and paste that request.",
        ),
    }
}

#[cfg(test)]
mod tests;
