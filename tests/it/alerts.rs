//! Alerts to `--alert-url` when a webhook keeps failing and when it recovers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, millis, text};
use crate::support::app::{App, AppBuilder};
use crate::support::command::{miniback, run};
use crate::support::in_process::InProcess;
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, closed_socket_address};
use crate::support::signature::{hex_signature, verify_standard_webhook};
use crate::support::wait::wait_until;

const SECRET: &str = "whsec_YWxlcnRzIGFyZSBzaWduZWQgd2l0aCB0aGlzIGtleSE=";

fn with_alerts(alerts: &Receiver) -> AppBuilder {
    App::builder()
        .option("--retry-delays", "none")
        .option("--alert-url", &alerts.url("/alerts"))
        .env("MINIBACK_ALERT_SECRET", SECRET)
}

/// Creates `count` feedback items and waits until their deliveries to `webhook` are in the state
/// `state`.
fn create_feedback_and_wait(api: &Api, webhook: &Value, count: usize, state: &str) {
    let path = format!("/api/v1/webhooks/{}/accounting", text(webhook, "id"));
    let count_in_state = |json: &Value| json[state].as_u64().unwrap_or(0);
    let before = count_in_state(&api.get(&path).expect(200).json());
    for n in 0..count {
        api.create_feedback("shop", &format!("number {n}"));
    }
    wait_until(&format!("{count} more deliveries are {state}"), || {
        (count_in_state(&api.get(&path).expect(200).json()) == before + count as u64).then_some(())
    });
}

fn event_types(received: &[ReceivedRequest]) -> Vec<String> {
    received
        .iter()
        .map(|alert| text(&alert.json(), "event").to_owned())
        .collect()
}

/// Returns the secret that a page shows.
fn find_secret(html: &str) -> String {
    let start = html.find("whsec_").expect("find a secret on the page");
    html[start..].split('"').next().unwrap().to_owned()
}

#[test]
fn alerts_once_after_ten_failures_in_a_row_and_once_on_recovery() {
    let (alerts, receiver) = (Receiver::ok(), Receiver::status(500));
    let app = with_alerts(&alerts).start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook_with(
        json!({"url": receiver.url("/secret-path?key=1"), "description": "Orders"}),
    );
    create_feedback_and_wait(&api, &webhook, 9, "failed");
    assert_eq!(alerts.received().len(), 0);
    create_feedback_and_wait(&api, &webhook, 1, "failed");
    let alert = alerts.first();
    assert_eq!(alert.path(), "/alerts");
    let body = alert.json();
    assert_eq!(body["event"], "webhook.failing");
    let host = receiver.address().to_string();
    assert_eq!(
        body["data"]["webhook"],
        json!({"id": webhook["id"], "host": host, "description": "Orders"})
    );
    assert_eq!(body["data"]["failedInARow"], 10);
    assert_eq!(body["data"]["lastFailure"]["status"], 500);
    let failing = api
        .get(&format!("/api/v1/webhooks/{}", text(&webhook, "id")))
        .json();
    assert_eq!(body["data"]["failingSince"], failing["failingSince"]);
    assert!(!alert.text().contains("secret-path"));
    // Alerts are signed like other events.
    assert_eq!(
        alert.header("X-Miniback-Signature"),
        hex_signature(SECRET, &alert.body)
    );
    assert_eq!(alert.header("X-Miniback-Event"), "webhook.failing");
    verify_standard_webhook(SECRET, &alert).unwrap();

    create_feedback_and_wait(&api, &webhook, 12, "failed");
    receiver.set_script(|_| Reply::status(200));
    let failed = api.deliveries(&webhook).remove(5);
    let path = format!("/api/v1/deliveries/{}/redeliver", text(&failed, "id"));
    api.post_empty(&path).expect(202);
    api.wait_for_attempts(text(&failed, "id"), 2);
    create_feedback_and_wait(&api, &webhook, 2, "delivered");
    let all = alerts.wait_for(2);
    assert_eq!(event_types(&all), ["webhook.failing", "webhook.recovered"]);
    let recovered = all[1].json();
    assert_eq!(recovered["data"]["failingSince"], failing["failingSince"]);
    // 22 deliveries failed, and one of them was redelivered.
    assert_eq!(recovered["data"]["failedDeliveries"], 21);
    assert_eq!(body["data"].get("failedDeliveries"), None);
    assert!(millis(&recovered["timestamp"]) >= millis(&body["timestamp"]));
    assert_ne!(all[0].delivery(), all[1].delivery());

    // New failures after the recovery cause another alert.
    receiver.set_script(|_| Reply::status(500));
    create_feedback_and_wait(&api, &webhook, 10, "failed");
    assert_eq!(event_types(&alerts.wait_for(3))[2], "webhook.failing");
}

#[test]
fn an_alert_contains_the_latest_failure_even_of_an_older_delivery() {
    let (alerts, receiver) = (Receiver::ok(), Receiver::status(500));
    let app = with_alerts(&alerts).start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    create_feedback_and_wait(&api, &webhook, 9, "failed");
    let oldest = api.deliveries(&webhook).pop().unwrap();
    receiver.set_script(|_| Reply::status(503));
    let path = format!("/api/v1/deliveries/{}/redeliver", text(&oldest, "id"));
    api.post_empty(&path).expect(202);
    let redelivered = api.wait_for_attempts(text(&oldest, "id"), 2);
    let last_failure = &alerts.first().json()["data"]["lastFailure"];
    assert_eq!(last_failure["status"], 503);
    assert_eq!(last_failure["at"], redelivered["attempts"][1]["startedAt"]);
}

#[test]
fn an_expired_alert_is_not_sent() {
    let (alerts, receiver) = (Receiver::status(503), Receiver::status(500));
    let app = InProcess::start(&["--retry-delays", "none", "--alert-url", &alerts.url("/")]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    create_feedback_and_wait(&api, &webhook, 10, "failed");
    assert_eq!(event_types(&alerts.wait_for(1)), ["webhook.failing"]);
    let before = alerts.received().len();
    alerts.set_script(|_| Reply::status(200));
    app.advance(Duration::from_secs(8 * 24 * 3600));
    app.wait_for_commit();
    receiver.set_script(|_| Reply::status(200));
    create_feedback_and_wait(&api, &webhook, 1, "delivered");
    let later = &alerts.wait_for(before + 1)[before..];
    assert_eq!(event_types(later), ["webhook.recovered"]);
}

#[test]
fn alerts_after_five_minutes_of_failing() {
    let (alerts, receiver) = (Receiver::ok(), Receiver::status(500));
    let app = InProcess::start(&["--retry-delays", "none", "--alert-url", &alerts.url("/")]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    create_feedback_and_wait(&api, &webhook, 1, "failed");
    app.advance(Duration::from_secs(299));
    // Wait until another delivery fails, so that a premature alert has time to arrive.
    create_feedback_and_wait(&api, &webhook, 1, "failed");
    assert_eq!(alerts.received().len(), 0);
    app.advance(Duration::from_secs(1));
    let alert = alerts.first().json();
    assert_eq!(alert["event"], "webhook.failing");
    assert_eq!(alert["data"]["failedInARow"], 2);
}

#[test]
fn failed_tests_and_working_webhooks_cause_no_alert() {
    let (alerts, receiver) = (Receiver::ok(), Receiver::status(500));
    let app = with_alerts(&alerts).start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for _ in 0..11 {
        api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
            .expect(200);
    }
    receiver.set_script(|_| Reply::status(200));
    create_feedback_and_wait(&api, &webhook, 11, "delivered");
    // Ten failures cause an alert. If the failed tests had caused alerts, the list would contain
    // those alerts too.
    receiver.set_script(|_| Reply::status(500));
    create_feedback_and_wait(&api, &webhook, 10, "failed");
    assert_eq!(event_types(&alerts.wait_for(1)), ["webhook.failing"]);
}

#[test]
fn retries_a_failed_alert_after_a_crash() {
    let (alerts, receiver) = (Receiver::status(503), Receiver::status(500));
    let app = with_alerts(&alerts).start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    create_feedback_and_wait(&api, &webhook, 10, "failed");
    let first = alerts.first();
    let data = app.sigkill();
    alerts.set_script(|_| Reply::status(200));
    let _app = with_alerts(&alerts).with_data_dir(data).start();
    let again = alerts.wait_for(2).remove(1);
    assert_eq!(
        (again.delivery(), &again.body),
        (first.delivery(), &first.body)
    );
}

#[test]
fn the_page_shows_the_generated_secret_for_alerts() {
    let (alerts, receiver) = (Receiver::ok(), Receiver::status(500));
    let builder = || {
        App::builder()
            .option("--retry-delays", "none")
            .option("--alert-url", &alerts.url("/alerts?key=1"))
    };
    let app = builder().start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    create_feedback_and_wait(&api, &webhook, 10, "failed");
    let alert = alerts.first();
    let mut visitor = app.signed_in();
    let hidden = visitor.get("/settings/notifications").expect(200);
    assert!(!hidden.response.text.contains("whsec_"));
    assert!(hidden.text().contains(&alerts.address().to_string()));
    assert!(!hidden.response.text.contains("key=1"));
    let shown = visitor
        .get("/settings/notifications?reveal=alerts")
        .expect(200);
    let secret = find_secret(&shown.response.text);
    verify_standard_webhook(&secret, &alert).unwrap();
    // After a restart, the secret is the same.
    let app = builder().with_data_dir(app.sigkill()).start();
    let mut visitor = app.signed_in();
    let again = visitor
        .get("/settings/notifications?reveal=alerts")
        .expect(200);
    assert_eq!(find_secret(&again.response.text), secret);
}

#[test]
fn rejects_invalid_alert_options_at_startup() {
    let start_error = |arguments: &[&str]| {
        let data = tempfile::TempDir::new().unwrap();
        let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(data.path()).args(arguments);
        run(command, "").error_line(2)
    };
    for (arguments, option) in [
        (&["--alert-url", "example.com/alerts"][..], "--alert-url"),
        (&["--alert-url", "http://10.0.0.1/"], "--alert-url"),
        (
            &[
                "--alert-url",
                "http://127.0.0.1:9/",
                "--alert-secret",
                "short",
            ],
            "--alert-secret",
        ),
    ] {
        let line = start_error(arguments);
        assert!(line.contains(option), "{line}");
    }
}

#[test]
fn check_detects_an_unreachable_alert_url() {
    let app = App::start();
    let url = format!("http://{}/secret-path", closed_socket_address());
    let output = app.run(&["check", "--alert-url", &url], "");
    assert!(
        output.stdout.contains("FAIL   --alert-url"),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains("secret-path"));
}
