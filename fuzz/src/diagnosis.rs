//! A fuzz target for the explanations of deliveries that can't be verified.

use miniback::clock::Timestamp;
use miniback::domain::body_change::{self, BodyChange};
use miniback::domain::diagnosis::{DiagnosisInput, SentDelivery, diagnose};
use miniback::domain::secret::Secret;
use miniback::domain::signature::{sign_hex, sign_standard};
use miniback::domain::verification::{ReceivedRequest, VerificationError, verify};
use miniback::domain::webhook::Secrets;

use super::support::{split_at, text};

const SIGNED_AT: i64 = 1_767_225_600;

/// Fuzzes the comparison of bodies and the diagnosis of a delivery. Input: the sent body, a line
/// with `---`, the received body, another line with `---`, and a header value.
pub fn diagnosis(data: &[u8]) -> bool {
    let (sent, rest) = split_at(data, b"\n---\n");
    let (received, value) = split_at(rest, b"\n---\n");
    let change = body_change::detect_change(sent, received);
    assert_eq!(change.is_none(), sent == received);
    check_originals(received);
    check_difference(sent, received);
    check_signed(sent, received, change);
    check_header(received, &text(value));
    !matches!(change, None | Some(BodyChange::Other | BodyChange::Empty))
}

fn check_originals(received: &[u8]) {
    let originals = body_change::possible_original_bodies(received);
    assert!(originals.len() <= 10);
    for (change, original) in originals {
        assert!(!original.is_empty() && original != received);
        // No received byte becomes more than six bytes: a replacement character has three bytes,
        // and an escaped control character in JSON has six.
        assert!(original.len() <= 6 * received.len(), "{change:?}");
    }
}

fn check_difference(sent: &[u8], received: &[u8]) {
    let (offset, sent_excerpt, received_excerpt) = body_change::first_difference(sent, received);
    assert_eq!(sent[..offset], received[..offset]);
    for excerpt in [sent_excerpt, received_excerpt] {
        for part in [excerpt.before, excerpt.differs, excerpt.after] {
            assert!(part.chars().count() <= 17 * 10, "{part}");
            assert!(!part.contains(char::is_control), "{part:?}");
        }
    }
}

/// Checks that verification and diagnosis accept a signed request if, and only if, the received
/// body is the sent body.
fn check_signed(sent: &[u8], received: &[u8], change: Option<BodyChange>) {
    let secret = Secret::from_random([7; 32]);
    let header = |name: &str| match name {
        "x-miniback-signature" => Some(sign_hex(&secret, sent)),
        "webhook-id" => Some("dlv_1".to_owned()),
        "webhook-timestamp" => Some(SIGNED_AT.to_string()),
        "webhook-signature" => sign_standard(&secret, "dlv_1", SIGNED_AT, sent),
        _ => None,
    };
    let now = Timestamp::from_millis(SIGNED_AT * 1000);
    let request = || ReceivedRequest {
        header: &header,
        body: received,
    };
    let verified = verify(&request(), &secret, now);
    assert_eq!(verified.is_ok(), sent == received);
    if let Err(error) = verified {
        assert!(matches!(
            error,
            VerificationError::BodyChanged(_) | VerificationError::WrongSecretOrBody
        ));
    }
    let secrets = Secrets {
        current: secret.clone(),
        next: None,
    };
    for is_logged in [true, false] {
        let result = diagnose(&DiagnosisInput {
            received: request(),
            secrets: &secrets,
            sent: is_logged.then_some(SentDelivery {
                body: sent,
                attempts: &[SIGNED_AT],
            }),
            endpoint_secret: Some(secret.as_str()),
            endpoint_clock: Some(now),
        });
        assert_eq!(result.valid, sent == received, "{}", result.finding);
        // An empty body has no useful difference.
        let is_different = change.is_some_and(|change| change != BodyChange::Empty);
        assert_eq!(result.difference.is_some(), is_logged && is_different);
        for text in [result.finding, result.advice] {
            assert!(
                text.ends_with('.') && !text.contains(secret.as_str()),
                "{text}"
            );
        }
    }
}

/// Checks that a request is invalid if all its headers have the same arbitrary value.
fn check_header(body: &[u8], value: &str) {
    let secrets = Secrets {
        current: Secret::from_random([7; 32]),
        next: None,
    };
    let header = |_: &str| Some(value.to_owned());
    let received = || ReceivedRequest {
        header: &header,
        body,
    };
    let clock = Timestamp::parse(value);
    let result = diagnose(&DiagnosisInput {
        received: received(),
        secrets: &secrets,
        sent: None,
        endpoint_secret: Some(value),
        endpoint_clock: clock,
    });
    assert!(!result.valid);
    let now = clock.unwrap_or(Timestamp::from_millis(0));
    assert!(verify(&received(), &secrets.current, now).is_err());
}
