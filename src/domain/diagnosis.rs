//! What is wrong with a delivery that an endpoint does not verify: secret, body, clock or headers, told by name.
//!
//! It goes further than a receiver can (see [`verification`]): it knows the secrets in force, and often what was sent.

mod signatures;

use super::body_change::{self, BodyChange, Excerpt};
use super::verification::{self, Seen};
use super::webhook::Secrets;
use crate::clock::Timestamp;
use signatures::{By, Signatures};

/// What is known of a delivery that is looked into.
pub struct Case<'a> {
    pub seen: Seen<'a>,
    pub secrets: &'a Secrets,
    /// `None`: the log does not hold it.
    pub sent: Option<Sent<'a>>,
    /// The secret by which the endpoint verifies, if it was given.
    pub given: Option<&'a str>,
    /// The endpoint's clock when it verified, if it was given.
    pub clock: Option<Timestamp>,
}

pub struct Sent<'a> {
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
    pub at: usize,
    pub sent: Excerpt,
    pub seen: Excerpt,
}

#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    /// `None`: it could not be told.
    pub good: Option<bool>,
    pub words: String,
}

/// Looks into it.
pub fn diagnose(case: &Case<'_>) -> Diagnosis {
    let signatures = Signatures::of(case);
    let (hex, standard) = (
        signatures.hex(case.seen.body),
        signatures.standard(case.seen.body),
    );
    let change = match &case.sent {
        Some(sent) => body_change::compare(sent.body, case.seen.body),
        None if hex.or(standard).is_some() => None,
        None => body_change::undone(case.seen.body)
            .into_iter()
            .find_map(|(change, body)| signatures.any(&body).map(|_| change)),
    };
    let difference = case.sent.as_ref().filter(|_| change.is_some()).map(|sent| {
        let (at, sent, seen) = body_change::first_difference(sent.body, case.seen.body);
        Difference { at, sent, seen }
    });
    let clock = clock(case, &signatures);
    let given = case.given.map(|given| given_secret(given, case.secrets));
    let (valid, finding, advice) = find(case, &signatures, change, clock.as_ref(), given.as_ref());

    let mut checks = vec![signatures.check_headers()];
    checks.push(Check {
        name: "Body",
        good: match (&case.sent, change) {
            (_, Some(_)) => Some(false),
            (Some(_), None) => Some(true),
            (None, None) => hex.or(standard).map(|_| true),
        },
        words: match (&case.sent, change) {
            (_, Some(change)) => format!("Changed: {}.", change.words()),
            (Some(_), None) => "The same as was sent, byte for byte.".into(),
            (None, None) if hex.or(standard).is_some() => "As it was signed.".into(),
            (None, None) => "This delivery is not in the log of this webhook, so there is nothing to compare it with.".into(),
        },
    });
    checks.push(signature_check(
        "X-Miniback-Signature",
        signatures.given_hex.is_some(),
        hex,
        true,
    ));
    let usable = case.secrets.current.standard_key().is_some();
    checks.push(signature_check(
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
fn find(
    case: &Case<'_>,
    signatures: &Signatures<'_>,
    change: Option<BodyChange>,
    clock: Option<&Check>,
    given: Option<&Check>,
) -> (bool, String, String) {
    let bad = |finding: &str, advice: &str| (false, finding.to_owned(), advice.to_owned());
    if let Some((finding, advice)) = signatures.missing() {
        return (false, finding, advice);
    }
    let wrong_secret = given.filter(|check| check.good == Some(false));
    let by = signatures.any(case.seen.body);
    if let Some(change) = change.filter(|_| by.is_none()) {
        let before = case.sent.as_ref().map(|sent| signatures.any(sent.body));
        let secret = match before {
            Some(None) => {
                " And what was sent is signed by none of the secrets in force: the secret was changed since."
            }
            _ => " The secret is right: the body that was sent fits the signature.",
        };
        return (
            false,
            format!("The body was changed: {}.", change.words()),
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
                check.words.clone(),
            );
        }
        return match case.sent {
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
            check.words.clone(),
        );
    }
    if signatures.standard_is_wrong(case.seen.body) {
        return bad(
            "webhook-signature does not fit, although X-Miniback-Signature does: webhook-id or webhook-timestamp was changed.",
            "Both are part of what is signed there. Hand them on as they came: as text, not as a number or a date.",
        );
    }
    if signatures.given_hex.is_some() && signatures.hex(case.seen.body).is_none() {
        return bad(
            "X-Miniback-Signature was changed, webhook-signature is right.",
            "It was cut or changed on its way; look at what stands between.",
        );
    }
    if let Some(check) = clock.filter(|check| check.good == Some(false)) {
        return (
            false,
            check.words.clone(),
            "Libraries refuse what is more than 5 minutes away: set the clock of the endpoint’s machine (NTP), and compare Unix seconds, not milliseconds or local time.".into(),
        );
    }
    (
        true,
        format!("Valid, by {}.", by.words()),
        "The endpoint got what was sent. If it refuses it all the same, look at its code: it has another secret, or verifies something else than the raw body. The key of X-Miniback-Signature is the whole secret as text, whsec_ included.".into(),
    )
}

fn signature_check(name: &'static str, given: bool, by: Option<By>, usable: bool) -> Check {
    let (good, words) = match (given, by) {
        (_, Some(by)) => (Some(true), format!("Fits, by {}.", by.words())),
        (true, None) if usable => (
            Some(false),
            "Does not fit the body that was seen.".to_owned(),
        ),
        (true, None) => (
            None,
            "This webhook’s secret is not of the form whsec_ and base64: it makes none.".to_owned(),
        ),
        (false, None) => (None, "Not there.".to_owned()),
    };
    Check { name, good, words }
}

/// `None` where there is no timestamp.
fn clock(case: &Case<'_>, signatures: &Signatures<'_>) -> Option<Check> {
    let at = signatures.timestamp?;
    let tolerance = verification::TOLERANCE.as_secs();
    let (good, words) = match (&case.clock, &case.sent) {
        (Some(clock), _) => {
            let apart = clock.seconds().abs_diff(at);
            let side = if clock.seconds() < at { "behind" } else { "ahead of" };
            match apart > tolerance {
                true => (Some(false), format!("The endpoint’s clock is {} {side} webhook-timestamp.", span(apart))),
                false => (Some(true), format!("{} away from webhook-timestamp.", span(apart))),
            }
        }
        (None, Some(sent)) if !sent.attempts.is_empty() && sent.attempts.iter().all(|sent| sent.abs_diff(at) > 2) => (
            Some(false),
            "webhook-timestamp is not the time of any attempt in the log: it was changed, or the delivery was replayed.".to_owned(),
        ),
        (None, _) => (None, format!("Signed at {}. Give the endpoint’s time to compare.", Timestamp::from_millis(at.saturating_mul(1000)))),
    };
    Some(Check {
        name: "Clock",
        good,
        words,
    })
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Compares the endpoint's secret with those in force, without telling either.
fn given_secret(given: &str, secrets: &Secrets) -> Check {
    let next = secrets.next.as_ref().map(|next| (By::Next, &next.secret));
    let in_force = [(By::Current, &secrets.current)].into_iter().chain(next);
    let is = |text: &str| {
        in_force
            .clone()
            .find(|(_, secret)| secret.as_str() == text)
            .map(|(by, _)| by)
    };
    let tidy = given.trim().trim_matches(['"', '\'']).trim();
    let (good, words) = if let Some(by) = is(given) {
        (true, format!("The endpoint’s secret is {}.", by.words()))
    } else if is(tidy).is_some() {
        (false, "The endpoint’s secret has quotes or white space around it, which then are part of the key: take them away.".into())
    } else if is(&format!("whsec_{tidy}")).is_some() {
        (false, "The endpoint’s secret lacks whsec_ at its beginning: the key of X-Miniback-Signature is the whole of it.".into())
    } else {
        (false, "The endpoint’s secret is none of those in force here: copy it anew from the webhook, and look whether the endpoint was started again since.".into())
    };
    Check {
        name: "Secret",
        good: Some(good),
        words,
    }
}

#[cfg(test)]
mod tests;
