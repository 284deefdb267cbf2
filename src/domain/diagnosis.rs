//! Diagnoses why an endpoint can't verify a delivery: the secret, the body, the clock, or the
//! headers.
//!
//! This module can explain more than an endpoint can (see [`verification`]), because it knows the
//! active secrets and often the sent body.

mod checks;
mod signatures;
mod summary;

use super::body_change::{self, BodyChange, Excerpt};
use super::verification::ReceivedRequest;
use super::webhook::Secrets;
use crate::clock::Timestamp;
use checks::{check_body, check_clock, check_endpoint_secret, check_signature};
use signatures::{ReceivedSignatures, SigningSecret};
use summary::{Evidence, WRONG_SECRET};

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
    let evidence = Evidence {
        clock: check_clock(input, &signatures),
        secret: input.endpoint_secret.map(|secret| {
            let signs = |body: &[u8]| signatures.is_signed_with(secret, body);
            let is_signer = signs(input.received.body)
                || input.sent.as_ref().is_some_and(|sent| signs(sent.body));
            (
                check_endpoint_secret(secret, input.secrets, is_signer),
                is_signer,
            )
        }),
        input,
        signatures,
        signing_secrets,
        change,
    };
    let (valid, finding, advice) = evidence.summarize();
    let Evidence {
        signatures,
        signing_secrets,
        clock,
        secret,
        ..
    } = evidence;
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
    checks.extend(secret.map(|(check, _)| check));
    Diagnosis {
        valid,
        finding,
        advice,
        difference: find_difference(input, change),
        checks,
    }
}

/// Compares the endpoint's secret with the active secrets, without a received delivery.
pub fn diagnose_secret(endpoint_secret: &str, secrets: &Secrets) -> Diagnosis {
    let check = check_endpoint_secret(endpoint_secret, secrets, false);
    let valid = check.result == CheckResult::Passed;
    let (finding, advice) = match valid {
        true => (
            "The secret is right.",
            "To find out why your server rejects a request, paste the headers and body of the request too.",
        ),
        false => (WRONG_SECRET, check.message.as_str()),
    };
    Diagnosis {
        valid,
        finding: finding.to_owned(),
        advice: advice.to_owned(),
        difference: None,
        checks: vec![check],
    }
}

/// Detects a change to the body by comparing the bodies or, if the sent body is unknown, by
/// reversing changes until a signature matches.
fn find_body_change(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    signing_secrets: &SigningSecrets,
) -> Option<BodyChange> {
    let received = input.received.body;
    match &input.sent {
        Some(sent) => body_change::detect_change(sent.body, received),
        None if signing_secrets.first_signing_secret().is_some() => None,
        // Miniback never sends an empty body.
        None if received.trim_ascii().is_empty() => Some(BodyChange::Empty),
        None => body_change::possible_original_bodies(received)
            .into_iter()
            .find_map(|(change, original)| {
                signatures
                    .find_secret_for_any_signature(&original)
                    .map(|_| change)
            }),
    }
}

fn find_difference(
    input: &DiagnosisInput<'_>,
    change: Option<BodyChange>,
) -> Option<BodyDifference> {
    let sent = input.sent.as_ref()?;
    change.filter(|change| *change != BodyChange::Empty)?;
    let (offset, sent, received) = body_change::first_difference(sent.body, input.received.body);
    Some(BodyDifference {
        offset,
        sent,
        received,
    })
}

#[cfg(test)]
mod tests;
