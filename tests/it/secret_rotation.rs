//! Rotating a secret: at once, or with an overlap in which receivers may verify with either.

use serde_json::{Value, json};

use crate::support::api::{Api, millis, text};
use crate::support::app::App;
use crate::support::receiver::{ReceivedRequest, Receiver, Reply};
use crate::support::signature::{hex_signature, verify_standard_webhook};

struct Rotating {
    app: App,
    receiver: Receiver,
    webhook: Value,
}

fn rotating() -> Rotating {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    Rotating {
        app,
        receiver,
        webhook,
    }
}

impl Rotating {
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
    fn rotate(&self, how: Value) -> Value {
        self.api()
            .post(&self.path("/rotate"), how)
            .expect(200)
            .json()
    }

    #[track_caller]
    fn finish(&self) -> Value {
        let path = self.path("/rotate/finish");
        self.api().post_empty(&path).expect(200).json()
    }

    fn stored(&self) -> Value {
        self.api().get(&self.path("")).expect(200).json()
    }

    /// The next delivery, as it came.
    #[track_caller]
    fn next_delivery(&self) -> ReceivedRequest {
        let before = self.receiver.received().len();
        self.api().create_feedback("shop", "Hello");
        self.receiver.wait_for(before + 1).remove(before)
    }
}

#[track_caller]
fn is_signed_by_one(request: &ReceivedRequest, secret: &str) {
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    assert!(request.all_headers("X-Miniback-Signature-Next").is_empty());
    verify_standard_webhook(secret, request).unwrap();
    assert_eq!(request.header("webhook-signature").split(' ').count(), 1);
}

#[track_caller]
fn is_signed_by_both(request: &ReceivedRequest, old: &str, new: &str) {
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
fn a_rotation_takes_effect_at_once() {
    let rotating = rotating();
    let old = text(&rotating.webhook, "secret");
    is_signed_by_one(&rotating.next_delivery(), old);
    for how in [json!({}), json!({"overlapHours": 0})] {
        let before = text(&rotating.stored(), "secret").to_owned();
        let rotated = rotating.rotate(how);
        let new = text(&rotated, "secret");
        assert_ne!(new, before);
        assert_eq!(rotated["nextSecret"], Value::Null);
        assert_eq!(rotated["overlapEndsAt"], Value::Null);
        assert_eq!(rotating.stored(), rotated);
        is_signed_by_one(&rotating.next_delivery(), new);
    }
}

#[test]
fn an_own_secret_can_be_rotated_to() {
    let rotating = rotating();
    let secret = "an-own-secret-of-mine";
    let rotated = rotating.rotate(json!({"secret": secret}));
    assert_eq!(rotated["secret"], secret);
    let request = rotating.next_delivery();
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    assert!(request.all_headers("webhook-signature").is_empty());
}

#[test]
fn during_an_overlap_both_secrets_sign() {
    let rotating = rotating();
    let old = text(&rotating.webhook, "secret");
    let rotated = rotating.rotate(json!({"overlapHours": 24}));
    assert_eq!(rotated["secret"], old);
    let new = text(&rotated, "nextSecret");
    let hours = millis(&rotated["overlapEndsAt"]) - jiff::Timestamp::now().as_millisecond();
    assert!(
        (23 * 3_600_000..=24 * 3_600_000).contains(&hours),
        "{rotated:#}"
    );
    assert_eq!(rotating.stored(), rotated);
    is_signed_by_both(&rotating.next_delivery(), old, new);
}

#[test]
fn switch_now_ends_the_overlap() {
    let rotating = rotating();
    let new = text(&rotating.rotate(json!({"overlapHours": 1})), "nextSecret").to_owned();
    let finished = rotating.finish();
    assert_eq!(finished["secret"], new.as_str());
    assert_eq!(finished["nextSecret"], Value::Null);
    assert_eq!(finished["overlapEndsAt"], Value::Null);
    is_signed_by_one(&rotating.next_delivery(), &new);
}

#[test]
fn switch_now_without_an_overlap_changes_nothing() {
    let rotating = rotating();
    let before = rotating.stored();
    assert_eq!(rotating.finish(), before);
    is_signed_by_one(&rotating.next_delivery(), text(&before, "secret"));
}

#[test]
fn rotating_again_ends_the_overlap_first() {
    let rotating = rotating();
    let second = text(&rotating.rotate(json!({"overlapHours": 1})), "nextSecret").to_owned();
    let again = rotating.rotate(json!({"overlapHours": 1}));
    assert_eq!(again["secret"], second.as_str(), "the first one is gone");
    let third = text(&again, "nextSecret");
    assert_ne!(third, second);
    is_signed_by_both(&rotating.next_delivery(), &second, third);
}

#[test]
fn an_attempt_is_signed_with_the_secret_of_its_own_moment() {
    let app = App::builder().option("--retry-delays", "1s").start();
    let receiver = Receiver::queue(vec![Reply::status(500)]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let first = receiver.first();
    let path = format!("/api/v1/webhooks/{}/secret/rotate", text(&webhook, "id"));
    let rotated = api.post(&path, json!({})).expect(200).json();
    let retried = &receiver.wait_for(2)[1];
    is_signed_by_one(&first, text(&webhook, "secret"));
    is_signed_by_one(retried, text(&rotated, "secret"));
    assert_eq!(first.body, retried.body);
}

#[test]
fn an_overlap_of_more_than_a_week_is_refused() {
    let rotating = rotating();
    let before = rotating.stored();
    let path = rotating.path("/rotate");
    for hours in [json!(-1), json!(169), json!(1.5), json!("24")] {
        let refused = rotating.api().post(&path, json!({"overlapHours": hours}));
        refused.problem_at("overlapHours");
    }
    assert_eq!(rotating.stored(), before);
    let week = rotating.rotate(json!({"overlapHours": 168}));
    assert_ne!(week["nextSecret"], Value::Null);
}

#[test]
fn a_secret_is_given_when_asked_for_and_not_with_the_webhook() {
    let rotating = rotating();
    let secret = text(&rotating.webhook, "secret");
    assert_eq!(rotating.stored()["secret"], secret);
    let api = rotating.api();
    let path = format!("/api/v1/webhooks/{}", text(&rotating.webhook, "id"));
    for response in [
        api.get(&path),
        api.get("/api/v1/webhooks"),
        api.patch(&path, json!({"description": "mine"})),
    ] {
        assert!(!response.text.contains(secret), "{response:?}");
    }
}
