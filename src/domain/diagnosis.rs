//! What is wrong with a delivery that an endpoint does not verify: secret, body, clock or headers, told by name.
//!
//! It goes further than a receiver can (see [`verification`]): it knows the secrets in force, and often what was sent.

mod signatures;

use super::body_change::{self, BodyChange, Excerpt};
use super::verification::{self, ReceivedRequest};
use super::webhook::Secrets;
use crate::clock::Timestamp;
use signatures::{ReceivedSignatures, SigningSecret};

/// What is known of a delivery that is looked into.
pub struct DiagnosisInput<'a> {
    pub received: ReceivedRequest<'a>,
    pub secrets: &'a Secrets,
    /// `None`: the log does not hold it.
    pub sent: Option<SentDelivery<'a>>,
    /// The secret by which the endpoint verifies, if it was given.
    pub endpoint_secret: Option<&'a str>,
    /// The endpoint's clock when it verified, if it was given.
    pub endpoint_clock: Option<Timestamp>,
}

pub struct SentDelivery<'a> {
    pub body: &'a [u8],
    /// When it was attempted, in Unix seconds.
    pub attempts: &'a [i64],
}

/// What came of it: one finding, and what was looked at.
#[derive(Debug)]
pub struct Diagnosis {
    pub valid: bool,
    pub finding: String,
    pub advice: String,
    pub difference: Option<Difference>,
    pub checks: Vec<Check>,
}

/// Where the body that was seen begins to differ from the one that was sent.
#[derive(Debug)]
pub struct Difference {
    pub offset: usize,
    pub sent: Excerpt,
    pub received: Excerpt,
}

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
    /// There was nothing to compare with.
    Unknown,
}

/// One line of the result.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    pub result: CheckResult,
    pub message: String,
}

/// Looks into it.
pub fn diagnose(input: &DiagnosisInput<'_>) -> Diagnosis {
    let signatures = ReceivedSignatures::new(input);
    let (hex, standard) = (
        signatures.hex(input.received.body),
        signatures.standard(input.received.body),
    );
    let change = match &input.sent {
        Some(sent) => body_change::compare(sent.body, input.received.body),
        None if hex.or(standard).is_some() => None,
        None => body_change::possible_originals(input.received.body)
            .into_iter()
            .find_map(|(change, body)| signatures.any(&body).map(|_| change)),
    };
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
    let given = input
        .endpoint_secret
        .map(|given| check_endpoint_secret(given, input.secrets));
    let (valid, finding, advice) =
        summarize(input, &signatures, change, clock.as_ref(), given.as_ref());

    let mut checks = vec![signatures.check_headers()];
    checks.push(Check {
        name: "Body",
        result: match (&input.sent, change) {
            (_, Some(_)) => CheckResult::Failed,
            (Some(_), None) => CheckResult::Passed,
            (None, None) if hex.or(standard).is_some() => CheckResult::Passed,
            (None, None) => CheckResult::Unknown,
        },
        message: match (&input.sent, change) {
            (_, Some(change)) => format!("Changed: {}.", change.description()),
            (Some(_), None) => "The same as was sent, byte for byte.".into(),
            (None, None) if hex.or(standard).is_some() => "As it was signed.".into(),
            (None, None) => "This delivery is not in the log of this webhook, so there is nothing to compare it with.".into(),
        },
    });
    checks.push(check_signature(
        "X-Miniback-Signature",
        signatures.given_hex.is_some(),
        hex,
        true,
    ));
    let usable = input.secrets.current.standard_key().is_some();
    checks.push(check_signature(
        "webhook-signature",
        signatures.timestamp.is_some(),
        standard,
        usable,
    ));
    checks.extend(clock);
    checks.extend(given);
    Diagnosis {
        valid,
        finding,
        advice,
        difference,
        checks,
    }
}

/// The one finding that explains the most: whether all is well, what is wrong, and what to do.
fn summarize(
    input: &DiagnosisInput<'_>,
    signatures: &ReceivedSignatures<'_>,
    change: Option<BodyChange>,
    clock: Option<&Check>,
    given: Option<&Check>,
) -> (bool, String, String) {
    let bad = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some((finding, advice)) = signatures.missing() {
        return (false, finding, advice);
    }
    let wrong_secret = given.filter(|check| check.result == CheckResult::Failed);
    let by = signatures.any(input.received.body);
    if let Some(change) = change.filter(|_| by.is_none()) {
        let before = input.sent.as_ref().map(|sent| signatures.any(sent.body));
        let secret = match before {
            Some(None) => {
                " And what was sent is signed by none of the secrets in force: the secret was changed since."
            }
            _ => " The secret is right: the body that was sent fits the signature.",
        };
        return (
            false,
            format!("The body was changed: {}.", change.description()),
            format!("{}{secret}", change.advice()),
        );
    }
    let Some(by) = by else {
        if signatures
            .given_hex
            .as_ref()
            .is_some_and(|given| verification::decode_hex(given).is_none())
        {
            return bad(
                "X-Miniback-Signature is not 64 hex digits.",
                "It was cut or changed on its way, or only a part of it was pasted. Nothing stands before the digits: no sha256=.",
            );
        }
        if let Some(check) = wrong_secret {
            return (
                false,
                "The secret is another one.".into(),
                check.message.clone(),
            );
        }
        return match input.sent {
            Some(_) => bad(
                "The secret is another one: none in force signs this delivery so.",
                "The body is what was sent. The secret was changed after this was sent, or the signature on its way: redeliver it, and look at that.",
            ),
            None => bad(
                "The secret is another one, or the body was changed.",
                "Which of the two cannot be told without what was sent: paste the headers whole, X-Miniback-Delivery among them, or send a Test and paste that.",
            ),
        };
    };
    if let Some(check) = wrong_secret {
        return (
            false,
            "The endpoint’s secret is another one.".into(),
            check.message.clone(),
        );
    }
    if signatures.standard_is_wrong(input.received.body) {
        return bad(
            "webhook-signature does not fit, although X-Miniback-Signature does: webhook-id or webhook-timestamp was changed.",
            "Both are part of what is signed there. Hand them on as they came: as text, not as a number or a date.",
        );
    }
    if signatures.given_hex.is_some() && signatures.hex(input.received.body).is_none() {
        return bad(
            "X-Miniback-Signature was changed, webhook-signature is right.",
            "It was cut or changed on its way; look at what stands between.",
        );
    }
    if let Some(check) = clock.filter(|check| check.result == CheckResult::Failed) {
        return (
            false,
            check.message.clone(),
            "Libraries refuse what is more than 5 minutes away: set the clock of the endpoint’s machine (NTP), and compare Unix seconds, not milliseconds or local time.".into(),
        );
    }
    (
        true,
        format!("Valid, by {}.", by.description()),
        "The endpoint got what was sent. If it refuses it all the same, look at its code: it has another secret, or verifies something else than the raw body. The key of X-Miniback-Signature is the whole secret as text, whsec_ included.".into(),
    )
}

fn check_signature(
    name: &'static str,
    given: bool,
    by: Option<SigningSecret>,
    usable: bool,
) -> Check {
    let (result, message) = match (given, by) {
        (_, Some(by)) => (
            CheckResult::Passed,
            format!("Fits, by {}.", by.description()),
        ),
        (true, None) if usable => (
            CheckResult::Failed,
            "Does not fit the body that was seen.".to_owned(),
        ),
        (true, None) => (
            CheckResult::Unknown,
            "This webhook’s secret is not of the form whsec_ and base64: it makes none.".to_owned(),
        ),
        (false, None) => (CheckResult::Unknown, "Not there.".to_owned()),
    };
    Check {
        name,
        result,
        message,
    }
}

/// `None` where there is no timestamp.
fn check_clock(input: &DiagnosisInput<'_>, signatures: &ReceivedSignatures<'_>) -> Option<Check> {
    let at = signatures.timestamp?;
    let tolerance = verification::TOLERANCE.as_secs();
    let (result, message) = match (&input.endpoint_clock, &input.sent) {
        (Some(clock), _) => {
            let apart = clock.seconds().abs_diff(at);
            let side = if clock.seconds() < at { "behind" } else { "ahead of" };
            match apart > tolerance {
                true => (CheckResult::Failed, format!("The endpoint’s clock is {} {side} webhook-timestamp.", format_age(apart))),
                false => (CheckResult::Passed, format!("{} away from webhook-timestamp.", format_age(apart))),
            }
        }
        (None, Some(sent)) if !sent.attempts.is_empty() && sent.attempts.iter().all(|sent| sent.abs_diff(at) > 2) => (
            CheckResult::Failed,
            "webhook-timestamp is not the time of any attempt in the log: it was changed, or the delivery was replayed.".to_owned(),
        ),
        (None, _) => (CheckResult::Unknown, format!("Signed at {}. Give the endpoint’s time to compare.", Timestamp::from_millis(at.saturating_mul(1000)))),
    };
    Some(Check {
        name: "Clock",
        result,
        message,
    })
}

fn format_age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Compares the endpoint's secret with those in force, without telling either.
fn check_endpoint_secret(given: &str, secrets: &Secrets) -> Check {
    let next = secrets
        .next
        .as_ref()
        .map(|next| (SigningSecret::Next, &next.secret));
    let active = [(SigningSecret::Current, &secrets.current)]
        .into_iter()
        .chain(next);
    let is = |text: &str| {
        active
            .clone()
            .find(|(_, secret)| secret.as_str() == text)
            .map(|(by, _)| by)
    };
    let tidy = given.trim().trim_matches(['"', '\'']).trim();
    let (result, message) = if let Some(by) = is(given) {
        (
            CheckResult::Passed,
            format!("The endpoint’s secret is {}.", by.description()),
        )
    } else if is(tidy).is_some() {
        (CheckResult::Failed, "The endpoint’s secret has quotes or white space around it, which then are part of the key: take them away.".into())
    } else if is(&format!("whsec_{tidy}")).is_some() {
        (CheckResult::Failed, "The endpoint’s secret lacks whsec_ at its beginning: the key of X-Miniback-Signature is the whole of it.".into())
    } else {
        (CheckResult::Failed, "The endpoint’s secret is none of those in force here: copy it anew from the webhook, and look whether the endpoint was started again since.".into())
    };
    Check {
        name: "Secret",
        result,
        message,
    }
}

#[cfg(test)]
mod tests;
