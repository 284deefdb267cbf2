//! Diagnoses why an endpoint can't verify a delivery: the secret, the body, the clock, or the
//! headers.
//!
//! It can explain more than an endpoint can (see [`verification`]), because it knows the active
//! secrets and often the sent body.

mod signatures;

use super::body_change::{self, BodyChange, Excerpt};
use super::verification::{self, ReceivedRequest};
use super::webhook::Secrets;
use crate::clock::Timestamp;
use signatures::{ReceivedSignatures, SigningSecret};

/// Everything that is known about a delivery and its endpoint.
pub struct DiagnosisInput<'a> {
    pub received: ReceivedRequest<'a>,
    pub secrets: &'a Secrets,
    /// `None` if the delivery log doesn't contain the request.
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

/// The result: one finding and the individual checks.
#[derive(Debug)]
pub struct Diagnosis {
    pub valid: bool,
    pub finding: String,
    pub advice: String,
    pub difference: Option<Difference>,
    pub checks: Vec<Check>,
}

/// The first difference between the sent and the received body.
#[derive(Debug)]
pub struct Difference {
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
    /// There is nothing to compare with.
    Unknown,
}

/// A single check and its result.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    pub result: CheckResult,
    pub message: String,
}

/// The secrets that made the signatures of the received body, if any did.
struct Signers {
    hex: Option<SigningSecret>,
    standard: Option<SigningSecret>,
}

impl Signers {
    fn any(&self) -> Option<SigningSecret> {
        self.hex.or(self.standard)
    }
}

/// Diagnoses why a delivery can't be verified.
pub fn diagnose(input: &DiagnosisInput<'_>) -> Diagnosis {
    let signatures = ReceivedSignatures::new(input);
    let signers = Signers {
        hex: signatures.hex_signer(input.received.body),
        standard: signatures.standard_signer(input.received.body),
    };
    let change = find_body_change(input, &signatures, &signers);
    let difference = input
        .sent
        .as_ref()
        .filter(|_| change.is_some())
        .map(|sent| {
            let (offset, sent, received) =
                body_change::first_difference(sent.body, input.received.body);
            Difference {
                offset,
                sent,
                received,
            }
        });
    let clock = check_clock(input, &signatures);
    let secret = input
        .endpoint_secret
        .map(|secret| check_endpoint_secret(secret, input.secrets));
    let (valid, finding, advice) = summarize(
        input,
        &signatures,
        &signers,
        change,
        clock.as_ref(),
        secret.as_ref(),
    );

    let mut checks = vec![
        signatures.check_headers(),
        check_body(input, &signers, change),
        check_signature(
            "X-Miniback-Signature",
            signatures.hex.is_some(),
            signers.hex,
            true,
        ),
        check_signature(
            "webhook-signature",
            signatures.timestamp.is_some(),
            signers.standard,
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

/// Detects a change by comparing the bodies, or by reversing changes until a signature matches.
fn find_body_change(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    signers: &Signers,
) -> Option<BodyChange> {
    match &input.sent {
        Some(sent) => body_change::compare(sent.body, input.received.body),
        None if signers.any().is_some() => None,
        None => body_change::possible_originals(input.received.body)
            .into_iter()
            .find_map(|(change, original)| signatures.any_signer(&original).map(|_| change)),
    }
}

/// Returns the finding that explains the most: whether the delivery is valid, what is wrong, and
/// what to do.
fn summarize(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    signers: &Signers,
    change: Option<BodyChange>,
    clock: Option<&Check>,
    secret: Option<&Check>,
) -> (bool, String, String) {
    let invalid = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some((finding, advice)) = signatures.explain_missing() {
        return (false, finding, advice);
    }
    let wrong_secret = secret.filter(|check| check.result == CheckResult::Failed);
    let Some(signer) = signers.any() else {
        return explain_mismatch(input, signatures, change, wrong_secret);
    };
    if let Some(check) = wrong_secret {
        return invalid("Wrong secret.", &check.message);
    }
    if signatures.is_standard_wrong(input.received.body) {
        return invalid(
            "X-Miniback-Signature matches, but webhook-signature doesn’t: webhook-id or webhook-timestamp was changed.",
            "webhook-signature covers both headers. Pass them on unchanged, as text and not as a number or a date.",
        );
    }
    if signatures.hex.is_some() && signers.hex.is_none() {
        return invalid(
            "webhook-signature matches, but X-Miniback-Signature was changed.",
            "It was truncated or changed in transit. Check the proxies in front of your server.",
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

/// Explains why no active secret signed the received body.
fn explain_mismatch(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    change: Option<BodyChange>,
    wrong_secret: Option<&Check>,
) -> (bool, String, String) {
    let invalid = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some(change) = change {
        let sent = input.sent.as_ref();
        let is_secret_replaced =
            sent.is_some_and(|sent| signatures.any_signer(sent.body).is_none());
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
            "It was truncated or changed in transit, or only part of it was pasted. It has no prefix such as sha256=.",
        );
    }
    if let Some(check) = wrong_secret {
        return invalid("Wrong secret.", &check.message);
    }
    match input.sent {
        Some(_) => invalid(
            "Wrong secret: no current secret produces this signature.",
            "The body is unchanged. The secret was rotated after this delivery, or the signature was changed in transit. Redeliver it, and check the new request.",
        ),
        None => invalid(
            "Wrong secret, or the body was changed.",
            "To find out which, paste all headers, including X-Miniback-Delivery, or send a test and paste that request.",
        ),
    }
}

fn check_body(input: &DiagnosisInput<'_>, signers: &Signers, change: Option<BodyChange>) -> Check {
    let (result, message) = match (&input.sent, change) {
        (_, Some(change)) => (
            CheckResult::Failed,
            format!("The body {}.", change.description()),
        ),
        (Some(_), None) => (
            CheckResult::Passed,
            "Identical to the sent body.".to_owned(),
        ),
        (None, None) if signers.any().is_some() => (
            CheckResult::Passed,
            "Matches the signature.".to_owned(),
        ),
        (None, None) => (
            CheckResult::Unknown,
            "This delivery isn’t in the delivery log of this webhook, so the body can’t be compared."
                .to_owned(),
        ),
    };
    Check {
        name: "Body",
        result,
        message,
    }
}

/// Checks one signature header. `is_supported` is false if the secret can't make such a signature.
fn check_signature(
    name: &'static str,
    is_present: bool,
    signer: Option<SigningSecret>,
    is_supported: bool,
) -> Check {
    let (result, message) = match (is_present, signer) {
        (_, Some(signer)) => (
            CheckResult::Passed,
            format!("Matches, signed with {}.", signer.description()),
        ),
        (true, None) if is_supported => (
            CheckResult::Failed,
            "Doesn’t match the received body.".to_owned(),
        ),
        (true, None) => (
            CheckResult::Unknown,
            "This webhook’s secret isn’t in the whsec_ format, so it can’t make this signature."
                .to_owned(),
        ),
        (false, None) => (CheckResult::Unknown, "Missing.".to_owned()),
    };
    Check {
        name,
        result,
        message,
    }
}

/// Compares `webhook-timestamp` with the endpoint's clock, or with the times of the attempts.
/// Returns `None` without a timestamp.
fn check_clock(input: &DiagnosisInput<'_>, signatures: &ReceivedSignatures<'_>) -> Option<Check> {
    let timestamp = signatures.timestamp?;
    let is_other_time = |attempt: &i64| attempt.abs_diff(timestamp) > 2;
    let (result, message) = match (&input.endpoint_clock, &input.sent) {
        (Some(clock), _) => compare_clocks(clock.seconds(), timestamp),
        (None, Some(sent))
            if !sent.attempts.is_empty() && sent.attempts.iter().all(is_other_time) =>
        {
            (
                CheckResult::Failed,
                "webhook-timestamp isn’t the time of any attempt in the delivery log: it was changed, or the delivery was replayed."
                    .to_owned(),
            )
        }
        (None, _) => {
            let signed_at = Timestamp::from_millis(timestamp.saturating_mul(1000));
            (
                CheckResult::Unknown,
                format!("Signed at {signed_at}. To compare, enter the time on your server."),
            )
        }
    };
    Some(Check {
        name: "Clock",
        result,
        message,
    })
}

/// Compares the endpoint's clock with a timestamp, both in Unix seconds.
fn compare_clocks(clock: i64, timestamp: i64) -> (CheckResult, String) {
    let difference = clock.abs_diff(timestamp);
    if difference <= verification::TOLERANCE.as_secs() {
        let message = format!("{} from webhook-timestamp.", format_age(difference));
        return (CheckResult::Passed, message);
    }
    let direction = if clock < timestamp {
        "behind"
    } else {
        "ahead of"
    };
    let message = format!(
        "Your server’s clock is {} {direction} webhook-timestamp.",
        format_age(difference)
    );
    (CheckResult::Failed, message)
}

/// Formats a time difference in its largest suitable unit.
fn format_age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Compares the endpoint's secret with the active ones. The message contains neither.
fn check_endpoint_secret(endpoint_secret: &str, secrets: &Secrets) -> Check {
    let next = secrets
        .next
        .as_ref()
        .map(|next| (SigningSecret::Next, &next.secret));
    let active = [(SigningSecret::Current, &secrets.current)]
        .into_iter()
        .chain(next);
    let find = |text: &str| {
        active
            .clone()
            .find(|(_, secret)| secret.as_str() == text)
            .map(|(signer, _)| signer)
    };
    let unquoted = endpoint_secret.trim().trim_matches(['"', '\'']).trim();
    let (result, message) = if let Some(signer) = find(endpoint_secret) {
        (
            CheckResult::Passed,
            format!("Your server uses {}.", signer.description()),
        )
    } else if find(unquoted).is_some() {
        (
            CheckResult::Failed,
            "The secret on your server is wrapped in quotes or spaces. Remove them.".into(),
        )
    } else if find(&format!("whsec_{unquoted}")).is_some() {
        (
            CheckResult::Failed,
            "The secret on your server lacks the whsec_ prefix. Use the whole string as the key."
                .into(),
        )
    } else {
        (
            CheckResult::Failed,
            "Your server uses a different secret. Copy it again from the webhook and restart your server.".into(),
        )
    };
    Check {
        name: "Secret",
        result,
        message,
    }
}

#[cfg(test)]
mod tests;
