//! Tests of the finding for each cause that the diagnosis distinguishes.

use super::*;
use crate::domain::secret::Secret;
use crate::domain::signature;
use crate::domain::webhook::NextSecret;

const BODY: &str = r#"{"event":"test","timestamp":"2025-10-31T12:34:56.789Z","data":{"message":"Grüße","user":"a@b.c"}}"#;
const SIGNED_AT: i64 = 1_761_914_096;

fn secret(byte: u8) -> Secret {
    Secret::from_random([byte; 32])
}

/// A received delivery. It is valid until a test changes it.
struct Scenario {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secrets: Secrets,
    is_logged: bool,
    endpoint_secret: Option<String>,
    clock: Option<i64>,
}

fn scenario() -> Scenario {
    let signer = secret(1);
    let headers = [
        (
            "X-Miniback-Signature",
            signature::sign_hex(&signer, BODY.as_bytes()),
        ),
        (
            "X-Miniback-Timestamp",
            "2025-10-31T12:34:56.789Z".to_owned(),
        ),
        ("X-Miniback-Event", "test".to_owned()),
        ("X-Miniback-Delivery", "dlv_1".to_owned()),
        ("webhook-id", "dlv_1".to_owned()),
        ("webhook-timestamp", SIGNED_AT.to_string()),
        (
            "webhook-signature",
            signature::sign_standard(&signer, "dlv_1", SIGNED_AT, BODY.as_bytes()).unwrap(),
        ),
    ];
    Scenario {
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: BODY.into(),
        secrets: Secrets {
            current: signer,
            next: None,
        },
        is_logged: true,
        endpoint_secret: None,
        clock: None,
    }
}

impl Scenario {
    fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    fn with_header(self, name: &str, value: &str) -> Self {
        let mut changed = self.without_header(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    fn with_body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn with_rotated_secret(mut self, current: u8, next: Option<u8>) -> Self {
        self.secrets = Secrets {
            current: secret(current),
            next: next.map(|next| NextSecret {
                secret: secret(next),
                overlap_ends_at: Timestamp::from_millis(0),
            }),
        };
        self
    }

    fn without_logged_delivery(mut self) -> Self {
        self.is_logged = false;
        self
    }

    fn with_endpoint_secret(mut self, secret: &str) -> Self {
        self.endpoint_secret = Some(secret.to_owned());
        self
    }

    fn with_clock(mut self, clock: i64) -> Self {
        self.clock = Some(clock);
        self
    }

    fn diagnosis(&self) -> Diagnosis {
        let header = |name: &str| {
            let found = self
                .headers
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let diagnosis = diagnose(&DiagnosisInput {
            received: ReceivedRequest {
                header: &header,
                body: &self.body,
            },
            secrets: &self.secrets,
            sent: self.is_logged.then_some(SentDelivery {
                body: BODY.as_bytes(),
                attempts: &[SIGNED_AT],
            }),
            endpoint_secret: self.endpoint_secret.as_deref(),
            endpoint_clock: self
                .clock
                .map(|seconds| Timestamp::from_millis(seconds * 1000)),
        });
        let output = format!("{diagnosis:?}");
        for byte in [1, 2, 3] {
            assert!(
                !output.contains(secret(byte).as_str()),
                "the diagnosis contains a secret: {output}"
            );
        }
        diagnosis
    }

    #[track_caller]
    fn assert_finding(self, text: &str) -> Self {
        let diagnosis = self.diagnosis();
        assert!(!diagnosis.valid, "{diagnosis:#?}");
        let explanation = format!("{} {}", diagnosis.finding, diagnosis.advice);
        assert!(explanation.contains(text), "{text}: {diagnosis:#?}");
        self
    }

    #[track_caller]
    fn assert_valid_with_secret(self, secret: &str) {
        let diagnosis = self.diagnosis();
        assert!(
            diagnosis.valid && diagnosis.finding.contains(secret),
            "{diagnosis:#?}"
        );
    }
}

#[test]
fn says_which_secret_signed_a_valid_delivery() {
    scenario().assert_valid_with_secret("current");
    scenario()
        .without_logged_delivery()
        .assert_valid_with_secret("current");
    scenario()
        .with_rotated_secret(2, Some(1))
        .assert_valid_with_secret("new");
    scenario()
        .with_clock(SIGNED_AT + 300)
        .assert_valid_with_secret("current");
    scenario()
        .with_endpoint_secret(secret(1).as_str())
        .assert_valid_with_secret("your server’s");
    // One valid signature is enough.
    scenario()
        .without_header("X-Miniback-Signature")
        .assert_valid_with_secret("current");
    scenario()
        .without_header("webhook-signature")
        .assert_valid_with_secret("current");
}

#[test]
fn distinguishes_a_wrong_secret_from_a_changed_body() {
    scenario()
        .with_rotated_secret(2, None)
        .assert_finding("no active secret produces this signature");
    scenario()
        .with_rotated_secret(2, None)
        .without_logged_delivery()
        .assert_finding("or the body was changed");
    scenario()
        .with_endpoint_secret(secret(3).as_str())
        .assert_finding("Your server uses a different secret");
    scenario()
        .with_endpoint_secret(&format!(" \"{}\"\n", secret(1).as_str()))
        .assert_finding("wrapped in quotes or spaces");
    let bare = secret(1).as_str().replace("whsec_", "");
    scenario()
        .with_endpoint_secret(&bare)
        .assert_finding("lacks the whsec_ prefix");
    for is_logged in [true, false] {
        let changed = |body: &str| match is_logged {
            true => scenario().with_body(body),
            false => scenario().with_body(body).without_logged_delivery(),
        };
        changed(&format!("{BODY}\n"))
            .assert_finding("has trailing whitespace")
            .assert_finding("matches this webhook’s current secret");
        changed(&BODY.replace("\":", "\": "))
            .assert_finding("was re-serialized")
            .assert_finding("matches this webhook’s current secret");
        changed(&BODY.bytes().map(char::from).collect::<String>())
            .assert_finding("a character set other than UTF-8");
    }
    let other = scenario()
        .with_body(&BODY.replace("a@b.c", "someone"))
        .assert_finding("differs from the sent body");
    let difference = other.diagnosis().difference.unwrap();
    assert_eq!(difference.offset, BODY.find("a@b.c").unwrap());
    scenario().with_body("").assert_finding("is empty");
    scenario()
        .with_rotated_secret(2, None)
        .with_body("{}")
        .assert_finding("The secret was also replaced");
}

#[test]
fn reports_clock_differences_and_missing_or_changed_headers() {
    scenario()
        .with_clock(SIGNED_AT + 301)
        .assert_finding("Your server’s clock is 5 min ahead of webhook-timestamp");
    scenario()
        .with_clock(SIGNED_AT - 86_400)
        .assert_finding("24 h behind");
    let replayed = |scenario: Scenario| {
        let at = SIGNED_AT + 4_000;
        let signed = signature::sign_standard(&secret(1), "dlv_1", at, BODY.as_bytes()).unwrap();
        scenario
            .with_header("webhook-timestamp", &at.to_string())
            .with_header("webhook-signature", &signed)
    };
    replayed(scenario()).assert_finding("isn’t the time of any attempt");
    scenario()
        .with_header("webhook-id", "dlv_2")
        .assert_finding("webhook-id or webhook-timestamp was changed");
    scenario()
        .with_header("X-Miniback-Signature", &"0".repeat(64))
        .assert_finding("X-Miniback-Signature was changed");
    let truncated = scenario()
        .with_header("X-Miniback-Signature", "sha256=00")
        .without_header("webhook-signature");
    truncated.assert_finding("isn’t 64 hex digits");

    let missing = scenario().without_header("webhook-signature").diagnosis();
    let check = missing
        .checks
        .iter()
        .find(|check| check.name == "webhook-signature")
        .unwrap();
    assert_eq!(check.message, "Missing.", "{missing:#?}");

    let bare = scenario()
        .without_header("X-Miniback-Signature")
        .without_header("webhook-signature");
    bare.assert_finding("X-Miniback-Signature is missing")
        .assert_finding("Only X-Miniback-Timestamp");
    let mut none = scenario();
    none.headers.clear();
    none.assert_finding("None of Miniback’s headers");
}

/// The relation of the endpoint's secret to the webhook's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndpointSecret {
    Unknown,
    Right,
    /// The secret that signed the delivery, before a rotation.
    Replaced,
    /// The current secret, which was created after the delivery was signed.
    Newer,
    Wrong,
}

#[test]
fn the_finding_never_contradicts_the_checks() {
    use EndpointSecret::{Newer, Replaced, Right, Unknown, Wrong};
    let empty_headers = ["X-Miniback-Signature", "webhook-signature"];
    for endpoint_secret in [Unknown, Right, Replaced, Newer, Wrong] {
        for (body, is_changed) in [("", true), (BODY, false), ("{\"event\":1}", true)] {
            for (is_logged, has_headers) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let mut case = scenario().with_body(body);
                case.is_logged = is_logged;
                if !has_headers {
                    case.headers
                        .retain(|(name, _)| !empty_headers.contains(&name.as_str()));
                }
                case = match endpoint_secret {
                    Unknown => case,
                    Right => case.with_endpoint_secret(secret(1).as_str()),
                    Wrong => case.with_endpoint_secret(secret(3).as_str()),
                    Replaced => case
                        .with_rotated_secret(2, None)
                        .with_endpoint_secret(secret(1).as_str()),
                    Newer => case
                        .with_rotated_secret(2, None)
                        .with_endpoint_secret(secret(2).as_str()),
                };
                let what = format!(
                    "secret {endpoint_secret:?}, changed: {is_changed}, logged: {is_logged}, \
                     headers: {has_headers}"
                );
                let diagnosis = case.diagnosis();
                assert_consistent(&diagnosis, &what);
                let has_wrong_secret = matches!(endpoint_secret, Replaced | Wrong);
                assert_eq!(
                    diagnosis.finding == "Wrong secret.",
                    has_wrong_secret,
                    "{what}: {diagnosis:#?}"
                );
                let is_valid =
                    matches!(endpoint_secret, Unknown | Right) && !is_changed && has_headers;
                assert_eq!(diagnosis.valid, is_valid, "{what}: {diagnosis:#?}");
                let mentions_missing = diagnosis.finding.contains("is missing");
                let is_missing = !has_headers && !has_wrong_secret;
                assert_eq!(mentions_missing, is_missing, "{what}: {diagnosis:#?}");
            }
        }
    }
}

/// Asserts that the finding, the advice, and the checks don't contradict each other.
#[track_caller]
fn assert_consistent(diagnosis: &Diagnosis, what: &str) {
    let result = |name: &str| {
        let check = diagnosis.checks.iter().find(|check| check.name == name);
        check.map(|check| check.result)
    };
    let failed = |check: &Check| check.result == CheckResult::Failed;
    let explanation = format!("{} {}", diagnosis.finding, diagnosis.advice);
    let claims = |text: &str| explanation.contains(text);
    let context = format!("{what}: {diagnosis:#?}");
    assert_eq!(
        diagnosis.checks.iter().any(failed),
        !diagnosis.valid,
        "{context}"
    );
    let (body, secret) = (result("Body"), result("Secret"));
    let wrong = Some(CheckResult::Failed);
    assert_eq!(claims("Wrong secret."), secret == wrong, "{context}");
    assert!(
        !claims("The secret is right") || secret == Some(CheckResult::Passed),
        "{context}"
    );
    assert!(
        !claims("it uses a different secret") || secret.is_none(),
        "{context}"
    );
    assert!(
        !claims("The body is unchanged") || body == Some(CheckResult::Passed),
        "{context}"
    );
    if diagnosis.finding.starts_with("The body") {
        assert_eq!(body, wrong, "{context}");
    }
    // With a wrong secret, the finding doesn't mention the body.
    if body == wrong && secret != wrong && !claims("is missing") {
        assert!(diagnosis.finding.starts_with("The body"), "{context}");
    }
}

#[test]
fn checks_a_secret_without_a_request() {
    let secrets = scenario().secrets;
    let right = diagnose_secret(secret(1).as_str(), &secrets);
    assert!(
        right.valid && right.finding == "The secret is right.",
        "{right:#?}"
    );
    assert_consistent(&right, "right");
    let wrong = diagnose_secret(secret(3).as_str(), &secrets);
    assert!(
        !wrong.valid && wrong.finding == "Wrong secret.",
        "{wrong:#?}"
    );
    assert_consistent(&wrong, "wrong");
}

#[test]
fn distinguishes_the_active_secrets_during_a_rotation() {
    // Before the rotation, requests have no signature with the new secret.
    scenario()
        .with_rotated_secret(1, Some(2))
        .with_endpoint_secret(secret(2).as_str())
        .assert_finding("different active secret");
    let next = signature::sign_hex(&secret(2), BODY.as_bytes());
    scenario()
        .with_rotated_secret(1, Some(2))
        .with_header("X-Miniback-Signature-Next", &next)
        .with_endpoint_secret(secret(2).as_str())
        .assert_valid_with_secret("your server’s");
}
