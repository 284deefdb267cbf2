//! The log of webhooks that fail and recover, and the state of webhooks in `miniback check`.

use serde_json::{Value, json};

use crate::support::api::{Api, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};

/// Creates feedback, and waits until its delivery is in the state `state`.
fn deliver(api: &Api, webhook: &Value, state: &str) -> Value {
    api.create_feedback("shop", "Hello");
    let newest = api.deliveries(webhook).remove(0);
    api.wait_for_state(text(&newest, "id"), state)
}

fn count_lines(app: &App, message: &str) -> usize {
    let lines = app.log.lines();
    let messages = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter(|line| line["message"] == message).count()
}

#[test]
fn logs_when_a_webhook_starts_to_fail_and_when_it_recovers() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/secret-path?key=4711"));
    for _ in 0..5 {
        deliver(&api, &webhook, "failed");
    }
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let failing_since = api.get(&path).json()["failingSince"].clone();
    let failing = app.log.wait_for_message("webhook failing");
    assert_eq!(failing["level"], "WARN");
    assert_eq!(failing["webhook"], webhook["id"]);
    assert_eq!(failing["host"], receiver.address().to_string());
    assert_eq!(
        (&failing["code"], &failing["status"]),
        (&json!("status"), &json!(500))
    );
    assert_eq!(failing["failing_since"], failing_since);
    let failed = app.log.wait_for_message("deliveries failed");
    assert_eq!(failed["level"], "WARN");
    assert_eq!(failed["failed_in_a_row"], 1);

    receiver.set_script(|_| Reply::status(200));
    deliver(&api, &webhook, "delivered");
    let recovered = app.log.wait_for_message("webhook recovered");
    assert_eq!(recovered["level"], "INFO");
    assert_eq!(recovered["webhook"], webhook["id"]);
    assert_eq!(recovered["failing_since"], failing_since);
    assert_eq!(recovered["failed_in_a_row"], 5);
    assert!(recovered["failing_seconds"].is_u64(), "{recovered}");

    // Further changes within a minute aren't logged, so an unstable endpoint can't fill the log.
    for state in ["failed", "delivered", "failed"] {
        let status = if state == "failed" { 500 } else { 200 };
        receiver.set_script(move |_| Reply::status(status));
        deliver(&api, &webhook, state);
    }
    for message in ["webhook failing", "deliveries failed", "webhook recovered"] {
        assert_eq!(count_lines(&app, message), 1, "{message}: {}", app.log);
    }
    assert!(!app.log.to_string().contains("secret-path"));
}

#[test]
fn failed_tests_are_not_logged_as_a_failing_webhook() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    receiver.set_script(|_| Reply::status(200));
    deliver(&api, &webhook, "delivered");
    assert_eq!(count_lines(&app, "webhook failing"), 0, "{}", app.log);
}

/// Returns the lines of `miniback check` about a webhook, without its id and host.
fn checked(app: &App, webhook: &Value) -> Vec<String> {
    let output = app.run(&["check"], "");
    let id = text(webhook, "id");
    let lines = output.stdout.lines().filter(|line| line.contains(id));
    lines
        .map(|line| {
            let (level, rest) = line.split_once(&format!("webhook {id} to ")).unwrap();
            let (_, state) = rest.split_once(": ").unwrap();
            format!("{}: {state}", level.trim())
        })
        .collect()
}

#[test]
fn check_reports_failing_and_disabled_webhooks() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    assert_eq!(checked(&app, &webhook), ["ok: reachable"]);
    let failed = deliver(&api, &webhook, "failed");
    deliver(&api, &webhook, "failed");
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let since = api.get(&path).json()["failingSince"].clone();
    assert!(millis(&since) >= millis(&failed["createdAt"]));
    let failures = "2 failed deliveries in the last 7 days; redeliver on Settings → Notifications";
    let expected = format!(
        "WARN: failing since {}; {failures}",
        since.as_str().unwrap()
    );
    assert_eq!(checked(&app, &webhook), ["ok: reachable", &expected]);
    // Warnings alone don't fail the check.
    app.run(&["check"], "").success();

    // After a recovery, the failed deliveries are still reported until they are redelivered.
    receiver.set_script(|_| Reply::status(200));
    deliver(&api, &webhook, "delivered");
    let expected = format!("info: {failures}");
    assert_eq!(checked(&app, &webhook), ["ok: reachable", &expected]);
    let recover = json!({"since": "2025-01-01T00:00:00Z"});
    api.post(&format!("{path}/recover"), recover).expect(202);
    api.wait_until_none_pending(&webhook);
    assert_eq!(checked(&app, &webhook), ["ok: reachable"]);

    api.patch_webhook(&webhook, json!({"enabled": false}));
    assert_eq!(checked(&app, &webhook), ["info: disabled"]);
    app.run(&["check"], "").success();
}

#[test]
fn check_does_not_connect_to_disabled_webhooks() {
    let app = App::start();
    let api = app.api();
    let url = format!("http://{}/", closed_socket_address());
    let webhook = api.create_webhook_with(json!({"url": url, "enabled": false}));
    assert_eq!(checked(&app, &webhook), ["info: disabled"]);
    api.patch_webhook(&webhook, json!({"enabled": true}));
    let lines = checked(&app, &webhook);
    assert!(
        lines.len() == 1 && lines[0].starts_with("FAIL: "),
        "{lines:?}"
    );
}
