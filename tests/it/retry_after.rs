//! Endpoints that send `Retry-After`: Miniback holds the whole webhook until the requested time.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};

const HOUR_MS: i64 = 3_600_000;

fn receiver_with_retry_after(status: u16, retry_after: &str) -> Receiver {
    let retry_after = retry_after.to_owned();
    Receiver::script(move |_| Reply::status(status).header("Retry-After", &retry_after))
}

fn app_with_delays(delays: &str) -> App {
    App::builder().option("--retry-delays", delays).start()
}

/// Creates a project and feedback, and waits until the delivery's first attempt has failed. Returns
/// the delivery.
fn fail_once(api: &Api, webhook: &Value) -> Value {
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(webhook), "id").to_owned();
    api.wait_for_attempts(&id, 1)
}

/// Returns the time from the start of the first attempt to the planned next attempt, in
/// milliseconds.
fn next_delay_ms(delivery: &Value) -> i64 {
    millis(&delivery["nextAttemptAt"]) - millis(&attempts(delivery)[0]["startedAt"])
}

#[test]
fn retry_after_in_seconds_delays_the_next_retry() {
    for status in [429, 503] {
        let (app, receiver) = (
            app_with_delays("50ms,50ms"),
            receiver_with_retry_after(status, "600"),
        );
        let api = app.api();
        let webhook = api.create_webhook(&receiver.url("/"));
        let delivery = fail_once(&api, &webhook);
        assert_eq!(delivery["state"], "pending");
        assert!(next_delay_ms(&delivery) >= 600_000 - 3, "{delivery:#}");
        let held = millis(&api.held_until(&webhook));
        let started = millis(&attempts(&delivery)[0]["startedAt"]);
        assert!(held - started >= 600_000 - 3);
    }
}

#[test]
fn the_hold_ends_at_the_requested_time() {
    let app = app_with_delays("10ms");
    let receiver = Receiver::queue(vec![Reply::status(503).header("Retry-After", "2")]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivered = api.deliver_one(&webhook, "delivered");
    let starts: Vec<i64> = attempts(&delivered)
        .iter()
        .map(|attempt| millis(&attempt["startedAt"]))
        .collect();
    assert_eq!(
        starts.len(),
        2,
        "expected one failed and one successful attempt"
    );
    assert!(starts[1] - starts[0] >= 2_000 - 3, "{delivered:#}");
    assert_eq!(api.held_until(&webhook), Value::Null);
}

#[test]
fn accepts_retry_after_as_a_date() {
    let app = app_with_delays("50ms,50ms");
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(900);
    let date = until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let receiver = receiver_with_retry_after(429, &date);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = fail_once(&api, &webhook);
    let next = millis(&delivery["nextAttemptAt"]);
    assert!(
        next >= until.as_second() * 1_000,
        "the next attempt is before {date}"
    );
    assert!(
        next <= until.as_second() * 1_000 + 60_000,
        "the next attempt is long after {date}: {delivery:#}"
    );
}

#[test]
fn retry_after_holds_for_at_most_an_hour() {
    let (app, receiver) = (
        app_with_delays("50ms"),
        receiver_with_retry_after(503, "86400"),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = fail_once(&api, &webhook);
    let end = millis(&attempts(&delivery)[0]["startedAt"])
        + attempts(&delivery)[0]["durationMs"]
            .as_f64()
            .unwrap()
            .ceil() as i64;
    let next = millis(&delivery["nextAttemptAt"]);
    assert!(next >= end + HOUR_MS - 1_000, "{delivery:#}");
    // Recording the attempt can take a while on a busy machine.
    assert!(next <= end + HOUR_MS + 30_000, "{delivery:#}");
}

#[test]
fn retry_after_never_shortens_a_retry_delay() {
    let (app, receiver) = (app_with_delays("1h"), receiver_with_retry_after(503, "1"));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = fail_once(&api, &webhook);
    assert!(next_delay_ms(&delivery) >= HOUR_MS - 3, "{delivery:#}");
}

#[test]
fn ignores_retry_after_on_other_statuses() {
    let (app, receiver) = (
        app_with_delays("10m"),
        receiver_with_retry_after(500, "1800"),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = fail_once(&api, &webhook);
    assert!(next_delay_ms(&delivery) < 1_800_000, "{delivery:#}");
    assert_eq!(api.held_until(&webhook), Value::Null);
}

#[test]
fn ignores_an_invalid_retry_after() {
    for value in ["soon", "-5", "", "99999999999999999999999"] {
        let (app, receiver) = (
            app_with_delays("1s,1h"),
            receiver_with_retry_after(503, value),
        );
        let api = app.api();
        let webhook = api.create_webhook(&receiver.url("/"));
        let delivery = fail_once(&api, &webhook);
        assert!(next_delay_ms(&delivery) <= HOUR_MS + 30_000, "{delivery:#}");
    }
}

#[test]
fn a_held_webhook_receives_nothing_and_uses_no_attempts() {
    let (app, receiver) = (
        app_with_delays("50ms,50ms"),
        receiver_with_retry_after(429, "600"),
    );
    let available = Receiver::ok();
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    fail_once(&api, &webhook);
    // A finished delivery to another webhook shows that the dispatcher has handled all due
    // deliveries.
    let other = api.create_webhook(&available.url("/"));
    api.create_feedback("shop", "Sent during the hold");
    let sent = text(&api.only_delivery(&other), "id").to_owned();
    api.wait_for_state(&sent, "delivered");

    let deliveries = api.deliveries(&webhook);
    assert_eq!(deliveries.len(), 2);
    for delivery in &deliveries {
        assert_eq!(delivery["state"], "pending");
    }
    assert!(attempts(&deliveries[0]).is_empty(), "{deliveries:#?}");
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn a_hold_survives_a_restart() {
    let (app, receiver) = (
        app_with_delays("50ms,50ms"),
        receiver_with_retry_after(429, "600"),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    fail_once(&api, &webhook);
    let held = api.held_until(&webhook);
    let data = app.sigkill();

    let app = App::builder()
        .option("--retry-delays", "50ms,50ms")
        .with_data_dir(data)
        .start();
    let api = app.api();
    assert_eq!(api.held_until(&webhook), held);
    let available = Receiver::ok();
    let other = api.create_webhook(&available.url("/"));
    api.create_feedback("shop", "Sent after the restart");
    let sent = text(&api.only_delivery(&other), "id").to_owned();
    api.wait_for_state(&sent, "delivered");
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn a_successful_test_ends_the_hold_and_sends_held_deliveries() {
    let (app, receiver) = (
        app_with_delays("10ms,10ms"),
        receiver_with_retry_after(503, "3600"),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    fail_once(&api, &webhook);
    api.create_feedback("shop", "Sent during the hold");
    assert_ne!(api.held_until(&webhook), Value::Null);

    receiver.set_script(|_| Reply::status(200));
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    let result = api.post_empty(&path).expect(200).json();
    assert_eq!(result["success"], true);

    assert_eq!(api.held_until(&webhook), Value::Null);
    for delivery in api.deliveries(&webhook) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
}

#[test]
fn a_test_never_starts_a_hold() {
    let (app, receiver) = (
        app_with_delays("10ms"),
        receiver_with_retry_after(429, "3600"),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    let result = api.post_empty(&path).expect(200).json();
    assert_eq!(result["success"], false);
    assert_eq!(result["status"], 429);
    assert_eq!(api.held_until(&webhook), Value::Null);

    receiver.set_script(|_| Reply::status(200));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let sent = api.get(&format!(
        "/api/v1/webhooks/{}/deliveries?event=feedback.created",
        text(&webhook, "id")
    ));
    let sent = sent.expect(200).json();
    api.wait_for_state(text(&sent["data"][0], "id"), "delivered");
}

#[test]
fn a_failed_test_does_not_end_the_hold() {
    let (app, receiver) = (
        app_with_delays("10ms"),
        receiver_with_retry_after(429, "3600"),
    );
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/")}));
    fail_once(&api, &webhook);
    let held = api.held_until(&webhook);
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    api.post_empty(&path).expect(200);
    assert_eq!(api.held_until(&webhook), held);
}

#[test]
fn every_page_that_shows_a_hold_has_a_test_button() {
    for suffix in ["", "/ID/deliveries"] {
        let (app, receiver) = (
            app_with_delays("10ms,10ms"),
            receiver_with_retry_after(503, "3600"),
        );
        let api = app.api();
        let webhook = api.create_webhook(&receiver.url("/"));
        fail_once(&api, &webhook);
        let mut admin = app.signed_in();
        let suffix = suffix.replace("ID", text(&webhook, "id"));
        let path = format!("/settings/notifications{suffix}");
        let page = admin.get(&path).expect(200);
        assert!(
            page.text().contains("because the endpoint sent"),
            "{}",
            page.text()
        );
        let press = page.form_with("Test now").press("Test now");
        let failed = admin.submit_and_follow(&press);
        assert!(
            failed.text().contains("503") && failed.path.starts_with(&path),
            "{}",
            failed.path
        );
        assert_ne!(api.held_until(&webhook), Value::Null);

        receiver.set_script(|_| Reply::status(200));
        let page = admin.submit_and_follow(&press);
        assert!(
            page.text()
                .contains("Delivered. The endpoint responded with 200 OK"),
            "{}",
            page.text()
        );
        assert!(page.forms_with("Test now").is_empty());
        for delivery in api
            .deliveries(&webhook)
            .iter()
            .filter(|delivery| delivery["event"] != "test")
        {
            api.wait_for_state(text(delivery, "id"), "delivered");
        }
    }
}
