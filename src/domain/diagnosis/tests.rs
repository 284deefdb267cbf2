//! What the diagnosis says of each thing that can be wrong.

use super::*;
use crate::domain::secret::Secret;
use crate::domain::signature;
use crate::domain::webhook::NextSecret;

const BODY: &str = r#"{"event":"test","timestamp":"2025-10-31T12:34:56.789Z","data":{"message":"Grüße","user":"a@b.c"}}"#;
const AT: i64 = 1_761_914_096;

fn secret(byte: u8) -> Secret {
    Secret::from_random([byte; 32])
}

/// What an endpoint saw, as it was sent until a test changes it.
struct Setting {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secrets: Secrets,
    sent: bool,
    given: Option<String>,
    clock: Option<i64>,
}

fn setting() -> Setting {
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
        ("webhook-timestamp", AT.to_string()),
        (
            "webhook-signature",
            signature::sign_standard(&signer, "dlv_1", AT, BODY.as_bytes()).unwrap(),
        ),
    ];
    Setting {
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: BODY.into(),
        secrets: Secrets {
            current: signer,
            next: None,
        },
        sent: true,
        given: None,
        clock: None,
    }
}

impl Setting {
    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    fn with(self, name: &str, value: &str) -> Self {
        let mut changed = self.without(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn rotated(mut self, current: u8, next: Option<u8>) -> Self {
        self.secrets = Secrets {
            current: secret(current),
            next: next.map(|next| NextSecret {
                secret: secret(next),
                overlap_ends_at: Timestamp::from_millis(0),
            }),
        };
        self
    }

    fn unknown(mut self) -> Self {
        self.sent = false;
        self
    }

    fn given(mut self, given: &str) -> Self {
        self.given = Some(given.to_owned());
        self
    }

    fn clock(mut self, clock: i64) -> Self {
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
        let found = diagnose(&DiagnosisInput {
            received: ReceivedRequest {
                header: &header,
                body: &self.body,
            },
            secrets: &self.secrets,
            sent: self.sent.then_some(SentDelivery {
                body: BODY.as_bytes(),
                attempts: &[AT],
            }),
            endpoint_secret: self.given.as_deref(),
            endpoint_clock: self
                .clock
                .map(|seconds| Timestamp::from_millis(seconds * 1000)),
        });
        let told = format!("{found:?}");
        for byte in [1, 2, 3] {
            assert!(
                !told.contains(secret(byte).as_str()),
                "a secret is told: {told}"
            );
        }
        found
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        let found = self.diagnosis();
        assert!(!found.valid, "{found:#?}");
        let text = format!("{} {}", found.finding, found.advice);
        assert!(text.contains(words), "{words}: {found:#?}");
        self
    }

    #[track_caller]
    fn valid_by(self, by: &str) {
        let found = self.diagnosis();
        assert!(found.valid && found.finding.contains(by), "{found:#?}");
    }
}

#[test]
fn what_was_sent_is_valid_by_the_secret_that_signed_it() {
    setting().valid_by("current");
    setting().unknown().valid_by("current");
    setting().rotated(2, Some(1)).valid_by("next");
    setting().clock(AT + 300).valid_by("current");
    setting().given(secret(1).as_str()).valid_by("current");
    // As the library of Standard Webhooks sees it, and one that knows the other header alone.
    setting()
        .without("X-Miniback-Signature")
        .valid_by("current");
    setting().without("webhook-signature").valid_by("current");
}

#[test]
fn a_secret_that_is_another_one_is_told_apart_from_a_body_that_was_changed() {
    setting().rotated(2, None).says("The secret is another one");
    setting()
        .rotated(2, None)
        .unknown()
        .says("or the body was changed");
    setting()
        .given(secret(3).as_str())
        .says("The endpoint’s secret is another one");
    setting()
        .given(&format!(" \"{}\"\n", secret(1).as_str()))
        .says("quotes or white space");
    let bare = secret(1).as_str().replace("whsec_", "");
    setting().given(&bare).says("lacks whsec_");
    for known in [true, false] {
        let changed = |body: &str| match known {
            true => setting().body(body),
            false => setting().body(body).unknown(),
        };
        changed(&format!("{BODY}\n"))
            .says("white space was added at its end")
            .says("The secret is right");
        changed(&BODY.replace("\":", "\": "))
            .says("read and written again")
            .says("The secret is right");
        changed(&BODY.bytes().map(char::from).collect::<String>()).says("another character set");
    }
    let other = setting()
        .body(&BODY.replace("a@b.c", "someone"))
        .says("something else than what was sent");
    let difference = other.diagnosis().difference.unwrap();
    assert_eq!(difference.offset, BODY.find("a@b.c").unwrap());
    setting().body("").says("it is empty");
    setting()
        .rotated(2, None)
        .body("{}")
        .says("the secret was changed since");
}

#[test]
fn a_clock_that_is_off_and_headers_that_are_missing_or_changed_are_named() {
    setting()
        .clock(AT + 301)
        .says("The endpoint’s clock is 5 min ahead of webhook-timestamp");
    setting().clock(AT - 86_400).says("24 h behind");
    let replayed = |setting: Setting| {
        let at = AT + 4_000;
        let signed = signature::sign_standard(&secret(1), "dlv_1", at, BODY.as_bytes()).unwrap();
        setting
            .with("webhook-timestamp", &at.to_string())
            .with("webhook-signature", &signed)
    };
    replayed(setting()).says("not the time of any attempt");
    setting()
        .with("webhook-id", "dlv_2")
        .says("webhook-id or webhook-timestamp was changed");
    setting()
        .with("X-Miniback-Signature", &"0".repeat(64))
        .says("X-Miniback-Signature was changed");
    let cut = setting()
        .with("X-Miniback-Signature", "sha256=00")
        .without("webhook-signature");
    cut.says("not 64 hex digits");

    let bare = setting()
        .without("X-Miniback-Signature")
        .without("webhook-signature");
    bare.says("X-Miniback-Signature is missing")
        .says("There are only X-Miniback-Timestamp");
    let mut none = setting();
    none.headers.clear();
    none.says("None of Miniback’s headers");
}
