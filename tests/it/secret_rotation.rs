//! Rotating a secret, either immediately or with an overlap during which both secrets are active.

use serde_json::{Value, json};

use crate::support::api::{Api, millis, text};
use crate::support::app::App;
use crate::support::receiver::{ReceivedRequest, Receiver, Reply};
use crate::support::signature::{hex_signature, verify_standard_webhook};

struct Fixture {
    app: App,
    receiver: Receiver,
    webhook: Value,
}

fn fixture() -> Fixture {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    Fixture {
        app,
        receiver,
        webhook,
    }
}

impl Fixture {
    fn api(&self) -> Api {
        self.app.api()
    }

    fn path(&self, rest: &str) -> String {
        format!(
            "/api/v1/webhooks/{}/secret{rest}",
            text(&self.webhook, "id")
        )
    }

    #[track_caller]
    fn rotate(&self, body: Value) -> Value {
        self.api()
            .post(&self.path("/rotate"), body)
            .expect(200)
            .json()
    }

    #[track_caller]
    fn finish(&self) -> Value {
        let path = self.path("/rotate/finish");
        self.api().post_empty(&path).expect(200).json()
    }

    fn current(&self) -> Value {
        self.api().get(&self.path("")).expect(200).json()
    }

    /// Creates feedback, waits for the request of its delivery, and returns the request.
    #[track_caller]
    fn next_delivery(&self) -> ReceivedRequest {
        let before = self.receiver.received().len();
        self.api().create_feedback("shop", "Hello");
        self.receiver.wait_for(before + 1).remove(before)
    }
}

#[track_caller]
fn assert_signed_only_with(request: &ReceivedRequest, secret: &str) {
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    assert!(request.all_headers("X-Miniback-Signature-Next").is_empty());
    verify_standard_webhook(secret, request).unwrap();
    assert_eq!(request.header("webhook-signature").split(' ').count(), 1);
}

#[track_caller]
fn assert_signed_with_both(request: &ReceivedRequest, old: &str, new: &str) {
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(old, &request.body)
    );
    assert_eq!(
        request.header("X-Miniback-Signature-Next"),
        hex_signature(new, &request.body)
    );
    verify_standard_webhook(old, request).unwrap();
    verify_standard_webhook(new, request).unwrap();
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
}

#[test]
fn a_rotation_without_overlap_takes_effect_immediately() {
    let fixture = fixture();
    let old = text(&fixture.webhook, "secret");
    assert_signed_only_with(&fixture.next_delivery(), old);
    for body in [json!({}), json!({"overlapHours": 0})] {
        let before = text(&fixture.current(), "secret").to_owned();
        let rotated = fixture.rotate(body);
        let new = text(&rotated, "secret");
        assert_ne!(new, before);
        assert_eq!(rotated["nextSecret"], Value::Null);
        assert_eq!(rotated["overlapEndsAt"], Value::Null);
        assert_eq!(fixture.current(), rotated);
        assert_signed_only_with(&fixture.next_delivery(), new);
    }
}

#[test]
fn can_rotate_to_a_custom_secret() {
    let fixture = fixture();
    let secret = "a-custom-secret-of-mine";
    let rotated = fixture.rotate(json!({"secret": secret}));
    assert_eq!(rotated["secret"], secret);
    let request = fixture.next_delivery();
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    assert!(request.all_headers("webhook-signature").is_empty());
}

#[test]
fn both_secrets_sign_during_an_overlap() {
    let fixture = fixture();
    let old = text(&fixture.webhook, "secret");
    let rotated = fixture.rotate(json!({"overlapHours": 24}));
    assert_eq!(rotated["secret"], old);
    let new = text(&rotated, "nextSecret");
    let remaining_ms = millis(&rotated["overlapEndsAt"]) - jiff::Timestamp::now().as_millisecond();
    assert!(
        (23 * 3_600_000..=24 * 3_600_000).contains(&remaining_ms),
        "{rotated:#}"
    );
    assert_eq!(fixture.current(), rotated);
    assert_signed_with_both(&fixture.next_delivery(), old, new);
}

#[test]
fn switch_now_ends_the_overlap() {
    let fixture = fixture();
    let new = text(&fixture.rotate(json!({"overlapHours": 1})), "nextSecret").to_owned();
    let finished = fixture.finish();
    assert_eq!(finished["secret"], new.as_str());
    assert_eq!(finished["nextSecret"], Value::Null);
    assert_eq!(finished["overlapEndsAt"], Value::Null);
    assert_signed_only_with(&fixture.next_delivery(), &new);
}

#[test]
fn switch_now_without_an_overlap_changes_nothing() {
    let fixture = fixture();
    let before = fixture.current();
    assert_eq!(fixture.finish(), before);
    assert_signed_only_with(&fixture.next_delivery(), text(&before, "secret"));
}

#[test]
fn rotating_again_ends_the_overlap_first() {
    let fixture = fixture();
    let second = text(&fixture.rotate(json!({"overlapHours": 1})), "nextSecret").to_owned();
    let rotated_again = fixture.rotate(json!({"overlapHours": 1}));
    assert_eq!(
        rotated_again["secret"],
        second.as_str(),
        "the first secret is still active"
    );
    let third = text(&rotated_again, "nextSecret");
    assert_ne!(third, second);
    assert_signed_with_both(&fixture.next_delivery(), &second, third);
}

#[test]
fn each_attempt_is_signed_with_the_secret_active_at_that_time() {
    let app = App::builder().option("--retry-delays", "1s").start();
    let receiver = Receiver::queue(vec![Reply::status(500)]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let first = receiver.first();
    let path = format!("/api/v1/webhooks/{}/secret/rotate", text(&webhook, "id"));
    let rotated = api.post(&path, json!({})).expect(200).json();
    let retry = &receiver.wait_for(2)[1];
    assert_signed_only_with(&first, text(&webhook, "secret"));
    assert_signed_only_with(retry, text(&rotated, "secret"));
    assert_eq!(first.body, retry.body);
}

#[test]
fn rejects_an_overlap_that_is_not_0_to_168_whole_hours() {
    let fixture = fixture();
    let before = fixture.current();
    let path = fixture.path("/rotate");
    for hours in [json!(-1), json!(169), json!(1.5), json!("24")] {
        let response = fixture.api().post(&path, json!({"overlapHours": hours}));
        response.problem_at("overlapHours");
    }
    assert_eq!(fixture.current(), before);
    let week = fixture.rotate(json!({"overlapHours": 168}));
    assert_ne!(week["nextSecret"], Value::Null);
}

#[test]
fn reading_or_changing_a_webhook_does_not_return_its_secret() {
    let fixture = fixture();
    let secret = text(&fixture.webhook, "secret");
    assert_eq!(fixture.current()["secret"], secret);
    let api = fixture.api();
    let path = format!("/api/v1/webhooks/{}", text(&fixture.webhook, "id"));
    for response in [
        api.get(&path),
        api.get("/api/v1/webhooks"),
        api.patch(&path, json!({"description": "Support team"})),
    ] {
        assert!(!response.text.contains(secret), "{response:?}");
    }
}
