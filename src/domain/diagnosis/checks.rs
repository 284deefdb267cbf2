//! The individual checks: body, signatures, clock, and secret.

use super::signatures::{ReceivedSignatures, SigningSecret};
use super::{Check, CheckResult, DiagnosisInput, SigningSecrets};
use crate::clock::Timestamp;
use crate::domain::body_change::BodyChange;
use crate::domain::verification;
use crate::domain::webhook::Secrets;

/// Checks whether the received body is the sent body or, if the sent body is unknown, the signed
/// body.
pub(super) fn check_body(
    input: &DiagnosisInput<'_>,
    signing_secrets: &SigningSecrets,
    change: Option<BodyChange>,
) -> Check {
    let (result, message) = match (&input.sent, change) {
        (_, Some(change)) => (
            CheckResult::Failed,
            format!("The body {}.", change.description()),
        ),
        (Some(_), None) => (
            CheckResult::Passed,
            "Identical to the sent body.".to_owned(),
        ),
        (None, None) if signing_secrets.first_signing_secret().is_some() => (
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

/// Checks one signature header. `is_supported` is false if the current secret can't create this
/// kind of signature.
pub(super) fn check_signature(
    name: &'static str,
    is_present: bool,
    signer: Option<SigningSecret>,
    is_supported: bool,
) -> Check {
    let (result, message) = match (is_present, signer) {
        (_, Some(signer)) => (
            CheckResult::Passed,
            format!("Matches, signed with the {}.", signer.name()),
        ),
        (true, None) if is_supported => (
            CheckResult::Failed,
            "No active secret produces this signature for the received body.".to_owned(),
        ),
        (true, None) => (
            CheckResult::Unknown,
            "This webhook’s secret isn’t in the whsec_ format, so it can’t create this signature."
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

/// Compares `webhook-timestamp` with the endpoint's clock or, if the time on that clock is unknown,
/// with the times of the attempts. Returns `None` if there is no timestamp.
pub(super) fn check_clock(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
) -> Option<Check> {
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
    if difference <= verification::CLOCK_TOLERANCE.as_secs() {
        let message = format!(
            "Differs from webhook-timestamp by {}.",
            format_time_difference(difference)
        );
        return (CheckResult::Passed, message);
    }
    let direction = if clock < timestamp {
        "behind"
    } else {
        "ahead of"
    };
    let message = format!(
        "Your server’s clock is {} {direction} webhook-timestamp.",
        format_time_difference(difference)
    );
    (CheckResult::Failed, message)
}

/// Formats a time difference in seconds, minutes, hours, or days.
fn format_time_difference(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Compares the endpoint's secret with the active secrets. `is_signer` says whether the endpoint's
/// secret signed the delivery. The message contains no secret.
pub(super) fn check_endpoint_secret(
    endpoint_secret: &str,
    secrets: &Secrets,
    is_signer: bool,
) -> Check {
    let active = SigningSecret::active_secrets(secrets);
    let find = |text: &str| {
        let found = active.iter().find(|(_, secret)| secret.as_str() == text);
        found.map(|(signer, _)| *signer)
    };
    let unquoted = endpoint_secret.trim().trim_matches(['"', '\'']).trim();
    let (result, message) = if let Some(signer) = find(endpoint_secret) {
        (
            CheckResult::Passed,
            format!("Your server uses this webhook’s {}.", signer.name()),
        )
    } else if is_signer {
        (
            CheckResult::Failed,
            "Your server uses the secret that signed this delivery, but this secret was replaced. Copy the current secret from the webhook and restart your server.".into(),
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
