//! Retries: their times, their number, and their body, which is always the same.
//!
//! Times are read from the delivery log. Tests only check that attempts aren't early, because a
//! busy machine can make them late.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until_within;

/// The tolerance for rounding, because the start and the duration of an attempt are rounded to
/// milliseconds.
const ROUNDING_MS: f64 = 3.0;

fn app_with_short_delays() -> App {
    App::builder()
        .option("--retry-delays", "200ms,400ms,600ms")
        .start()
}

/// Checks the number and order of the attempts, and that no retry started before its delay after
/// the previous failure had passed.
#[track_caller]
pub fn assert_delays(delivery: &Value, delays_ms: &[f64]) {
    let attempts = attempts(delivery);
    assert_eq!(attempts.len(), delays_ms.len() + 1, "{delivery:#}");
    for (number, attempt) in attempts.iter().enumerate() {
        assert_eq!(
            attempt["number"],
            number + 1,
            "attempts aren't in order: {delivery:#}"
        );
    }
    for (pair, delay) in attempts.windows(2).zip(delays_ms) {
        let failed = millis(&pair[0]["startedAt"]) as f64 + pair[0]["durationMs"].as_f64().unwrap();
        let waited = millis(&pair[1]["startedAt"]) as f64 - failed;
        assert!(
            waited >= delay - ROUNDING_MS,
            "retried {waited} ms after the failure instead of {delay}: {delivery:#}"
        );
    }
}

#[test]
fn retries_three_times_with_the_configured_delays() {
    let (app, receiver) = (app_with_short_delays(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    assert_delays(&failed, &[200.0, 400.0, 600.0]);
    assert_eq!(failed["nextAttemptAt"], Value::Null);
    for attempt in attempts(&failed) {
        assert_eq!(attempt["status"], 500);
    }
    assert_eq!(receiver.received().len(), 4, "expected 4 attempts");
}

#[test]
fn retries_after_1_5_and_15_seconds_by_default() {
    let (app, receiver) = (App::start(), Receiver::status(503));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let failed = wait_until_within(Duration::from_secs(60), "the delivery has failed", || {
        let delivery = api.delivery(&id);
        (delivery["state"] == "failed").then_some(delivery)
    });
    assert_delays(&failed, &[1_000.0, 5_000.0, 15_000.0]);
    assert_eq!(receiver.received().len(), 4, "expected 4 attempts");
}

#[test]
fn between_attempts_a_delivery_is_pending_with_its_next_time() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let pending = api.deliver_one(&webhook, "pending");
    let pending = api.wait_for_attempts(text(&pending, "id"), 1);
    assert_eq!(pending["state"], "pending");
    let started = millis(&attempts(&pending)[0]["startedAt"]);
    let next = millis(&pending["nextAttemptAt"]);
    assert!(next - started >= 3_600_000 - 3, "{pending:#}");
}

#[test]
fn stops_retrying_after_a_success() {
    let app = app_with_short_delays();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(503),
        Reply::status(200),
        Reply::status(200),
    ]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivered = api.deliver_one(&webhook, "delivered");
    assert_delays(&delivered, &[200.0, 400.0]);
    assert_eq!(receiver.received().len(), 3);
}

#[test]
fn every_attempt_has_the_same_body_and_headers() {
    let (app, receiver) = (app_with_short_delays(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");

    let received = receiver.received();
    let first = &received[0];
    for repeat in &received[1..] {
        assert_eq!(repeat.body, first.body);
        for name in [
            "X-Miniback-Delivery",
            "X-Miniback-Timestamp",
            "X-Miniback-Event",
            "X-Miniback-Signature",
            "webhook-id",
        ] {
            assert_eq!(repeat.header(name), first.header(name), "{name}");
        }
    }
}

#[test]
fn later_changes_do_not_alter_the_body() {
    let app = App::builder().option("--retry-delays", "500ms").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.created"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    receiver.first();
    api.patch("/api/v1/projects/shop", json!({"name": "Renamed"}))
        .expect(200);
    api.set_status(&feedback, "RESOLVED");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "failed");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, received[1].body);
}

#[test]
fn webhook_timestamp_is_the_time_of_the_attempt() {
    let app = App::builder().option("--retry-delays", "2s").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    let received = receiver.received();
    let seconds = |index: usize| -> i64 {
        let request = &received[index];
        request.header("webhook-timestamp").parse().unwrap()
    };
    assert!(
        seconds(1) > seconds(0),
        "both attempts have the same timestamp"
    );
    let secret = text(&webhook, "secret");
    for request in &received {
        crate::support::signature::verify_standard_webhook(secret, request).unwrap();
    }
}

#[test]
fn retry_delays_none_means_a_single_attempt() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    assert_eq!(attempts(&failed).len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn after_the_standard_retries_a_patient_webhook_waits_a_minute() {
    let app = App::builder()
        .option("--retry-delays", "10ms,20ms,30ms")
        .start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "retries": "patient"}));
    assert_eq!(webhook["retries"], "patient");
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let pending = api.wait_for_attempts(&id, 4);
    assert_eq!(pending["state"], "pending");
    assert_delays(&pending, &[10.0, 20.0, 30.0]);
    let last = millis(&attempts(&pending)[3]["startedAt"]);
    let next = millis(&pending["nextAttemptAt"]);
    assert!(next - last >= 60_000 - 3, "{pending:#}");
}

#[test]
fn failures_never_disable_a_webhook() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    assert_eq!(webhook["retries"], "standard");
    api.create_project("Shop");
    for _ in 0..12 {
        api.create_feedback("shop", "Hello");
    }
    for delivery in api.deliveries(&webhook) {
        api.wait_for_state(text(&delivery, "id"), "failed");
    }
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    assert_eq!(api.get(&path).json()["enabled"], true);
}

fn failing_since(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
    api.get(&path).expect(200).json()["failingSince"].clone()
}

#[test]
fn failing_since_is_the_first_failure_since_the_last_success() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let send = |state: &str| {
        api.create_feedback("shop", "Hello");
        let newest = text(&api.deliveries(&webhook)[0], "id").to_owned();
        api.wait_for_state(&newest, state)
    };
    assert_eq!(failing_since(&api, &webhook), Value::Null);
    send("delivered");
    assert_eq!(failing_since(&api, &webhook), Value::Null);

    receiver.set_script(|_| Reply::status(500));
    let first = send("failed");
    let since = failing_since(&api, &webhook);
    let started = millis(&attempts(&first)[0]["startedAt"]);
    let duration = attempts(&first)[0]["durationMs"].as_f64().unwrap() as i64;
    assert!(
        (started..=started + duration + 1_000).contains(&millis(&since)),
        "{since} isn't the time of {first:#}"
    );
    send("failed");
    assert_eq!(
        failing_since(&api, &webhook),
        since,
        "failingSince changed with the second failure"
    );

    receiver.set_script(|_| Reply::status(200));
    send("delivered");
    assert_eq!(failing_since(&api, &webhook), Value::Null);
}
