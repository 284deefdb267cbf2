//! Retries: when they come, how many, and that they are the same request again.
//!
//! When an attempt came is read from the log. Only "not before" is checked: how late one may be is
//! the machine's affair.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until_within;

/// Clock and log have milliseconds; begin and length of an attempt may each be rounded.
const ROUNDING_MS: f64 = 3.0;

fn quick_app() -> App {
    App::builder()
        .option("--retry-delays", "200ms,400ms,600ms")
        .start()
}

/// Checks that each attempt began no earlier than its delay after the failure before it.
#[track_caller]
pub fn starts_after(delivery: &Value, delays_ms: &[f64]) {
    let attempts = attempts(delivery);
    assert_eq!(attempts.len(), delays_ms.len() + 1, "{delivery:#}");
    for (number, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["number"], number + 1, "in order: {delivery:#}");
    }
    for (pair, delay) in attempts.windows(2).zip(delays_ms) {
        let failed = millis(&pair[0]["startedAt"]) as f64 + pair[0]["durationMs"].as_f64().unwrap();
        let waited = millis(&pair[1]["startedAt"]) as f64 - failed;
        assert!(
            waited >= delay - ROUNDING_MS,
            "{waited} ms after the failure, and not {delay}: {delivery:#}"
        );
    }
}

#[test]
fn three_retries_come_after_their_delays_and_then_the_delivery_has_failed() {
    let (app, receiver) = (quick_app(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    starts_after(&failed, &[200.0, 400.0, 600.0]);
    assert_eq!(failed["nextAttemptAt"], Value::Null);
    for attempt in attempts(&failed) {
        assert_eq!(attempt["status"], 500);
    }
    assert_eq!(receiver.received().len(), 4, "at most 4 attempts");
}

#[test]
fn by_default_they_come_1_s_5_s_and_15_s_after_the_failure_before() {
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
    starts_after(&failed, &[1_000.0, 5_000.0, 15_000.0]);
    assert_eq!(receiver.received().len(), 4, "at most 4 attempts");
}

#[test]
fn between_attempts_it_is_pending_and_the_log_says_when_the_next_comes() {
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
fn a_success_on_the_way_ends_the_retries() {
    let app = quick_app();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(503),
        Reply::status(200),
        Reply::status(200),
    ]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivered = api.deliver_one(&webhook, "delivered");
    starts_after(&delivered, &[200.0, 400.0]);
    assert_eq!(receiver.received().len(), 3);
}

#[test]
fn every_attempt_has_the_same_body_delivery_and_timestamp() {
    let (app, receiver) = (quick_app(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");

    // What the project and the feedback are called meanwhile is of no concern: the event has
    // happened.
    let received = receiver.received();
    let first = &received[0];
    for again in &received[1..] {
        assert_eq!(again.body, first.body);
        for name in [
            "X-Miniback-Delivery",
            "X-Miniback-Timestamp",
            "X-Miniback-Event",
            "X-Miniback-Signature",
            "webhook-id",
        ] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    }
}

#[test]
fn the_body_stays_the_same_when_project_and_status_change_between_attempts() {
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
fn the_standard_timestamp_is_that_of_each_attempt() {
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
    assert!(seconds(1) > seconds(0), "two seconds lie between them");
    let secret = text(&webhook, "secret");
    for request in &received {
        crate::support::signature::verify_standard_webhook(secret, request).unwrap();
    }
}

#[test]
fn none_means_that_there_is_one_attempt() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    assert_eq!(attempts(&failed).len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn a_patient_webhook_goes_on_a_minute_after_the_last_delay() {
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
    let waiting = api.wait_for_attempts(&id, 4);
    assert_eq!(waiting["state"], "pending");
    starts_after(&waiting, &[10.0, 20.0, 30.0]);
    let last = millis(&attempts(&waiting)[3]["startedAt"]);
    let next = millis(&waiting["nextAttemptAt"]);
    assert!(next - last >= 60_000 - 3, "{waiting:#}");
}

#[test]
fn a_webhook_is_standard_by_default_and_stays_enabled_however_much_fails() {
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
fn failing_since_is_the_first_failed_attempt_since_the_last_success() {
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
    let length = attempts(&first)[0]["durationMs"].as_f64().unwrap() as i64;
    assert!(
        (started..=started + length + 1_000).contains(&millis(&since)),
        "{since} is the time of {first:#}"
    );
    send("failed");
    assert_eq!(failing_since(&api, &webhook), since, "it is the first one");

    receiver.set_script(|_| Reply::status(200));
    send("delivered");
    assert_eq!(failing_since(&api, &webhook), Value::Null);
}
