//! Test events for saved and unsaved webhooks: one real request, with a result that explains the
//! response.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};
use crate::support::signature::{hex_signature, verify_standard_webhook};

#[track_caller]
fn send_test(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
    api.post_empty(&path).expect(200).json()
}

#[track_caller]
fn send_test_to_unsaved(api: &Api, body: Value) -> Value {
    api.post("/api/v1/webhooks/test", body).expect(200).json()
}

#[test]
fn a_test_returns_status_time_and_body() {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::body(202, "thank you"));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let result = send_test(&api, &webhook);
    assert_eq!(result["success"], true);
    assert_eq!(result["status"], 202);
    assert_eq!(result["responseBody"], "thank you");
    assert_eq!(result["error"], Value::Null);
    assert!(result["durationMs"].is_number());
}

#[test]
fn a_failed_test_returns_the_error() {
    let app = App::builder().option("--timeout", "300ms").start();
    let api = app.api();
    let status = Receiver::script(|_| Reply::body(404, "Cannot POST /"));
    let result = send_test_to_unsaved(&api, json!({"url": status.url("/")}));
    assert_eq!(result["success"], false);
    assert_eq!(result["status"], 404);
    assert_eq!(result["responseBody"], "Cannot POST /");
    assert!(result["error"].is_string());

    let hanging = Receiver::script(|_| Reply::Hang);
    let closing = Receiver::script(|_| Reply::Close);
    for url in [
        hanging.url("/"),
        closing.url("/"),
        format!("http://{}/", closed_socket_address()),
        format!("https://{}/", status.address()),
    ] {
        let result = send_test_to_unsaved(&api, json!({"url": url}));
        assert_eq!(result["success"], false, "{url}: {result}");
        assert_eq!(result["status"], Value::Null, "{url}: {result}");
        assert!(!text(&result, "error").is_empty(), "{url}: {result}");
    }
}

#[test]
fn a_test_has_a_single_attempt() {
    let app = App::builder().option("--retry-delays", "10ms,10ms").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    send_test(&api, &webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["state"], "failed", "the test would be retried");
    assert_eq!(attempts(&delivery).len(), 1);
    assert_eq!(delivery["nextAttemptAt"], Value::Null);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn the_delivery_log_contains_tests() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    send_test(&api, &webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["event"], "test");
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(delivery["id"], receiver.first().delivery());
}

#[test]
fn disabled_webhooks_and_webhooks_without_topics_can_be_tested() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    for options in [json!({"enabled": false}), json!({"topics": []})] {
        let mut webhook = json!({"url": receiver.url("/")});
        for (name, value) in options.as_object().unwrap() {
            webhook[name] = value.clone();
        }
        let webhook = api.create_webhook_with(webhook);
        assert_eq!(send_test(&api, &webhook)["success"], true);
        assert_eq!(api.only_delivery(&webhook)["state"], "delivered");
        let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
        let after = api.get(&path).json();
        assert_eq!(after["enabled"], webhook["enabled"]);
    }
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn a_test_does_not_change_failing_since() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    send_test(&api, &webhook);
    assert_eq!(api.get(&path).json()["failingSince"], Value::Null);

    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.deliveries(&webhook)[0], "id").to_owned();
    api.wait_for_state(&id, "failed");
    let since = api.get(&path).json()["failingSince"].clone();
    assert!(since.is_string());

    receiver.set_script(|_| Reply::status(200));
    assert_eq!(send_test(&api, &webhook)["success"], true);
    assert_eq!(api.get(&path).json()["failingSince"], since);
}

#[test]
fn tests_an_unsaved_url_with_a_given_secret() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = json!({"url": receiver.url("/hook"), "secret": secret});
    let result = send_test_to_unsaved(&app.api(), body);
    assert_eq!(result["success"], true);
    let request = receiver.first();
    assert_eq!(request.header("X-Miniback-Event"), "test");
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    verify_standard_webhook(secret, &request).unwrap();
}

#[test]
fn tests_an_unsaved_url_with_a_temporary_secret() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let result = send_test_to_unsaved(&app.api(), json!({"url": receiver.url("/")}));
    let secret = text(&result, "secret");
    assert!(secret.starts_with("whsec_"));
    let request = receiver.first();
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
}

#[test]
fn testing_an_unsaved_url_saves_nothing() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    send_test_to_unsaved(&api, json!({"url": receiver.url("/")}));
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    assert_eq!(listed["data"], json!([]));
}

#[test]
fn a_url_that_cannot_be_saved_cannot_be_tested() {
    let app = App::start();
    for url in [
        "http://example.com/",
        "javascript:alert(1)",
        "http://10.0.0.1/",
    ] {
        app.api()
            .post("/api/v1/webhooks/test", json!({"url": url}))
            .problem_at("url");
    }
}

#[test]
fn a_test_does_not_follow_redirects() {
    let target = Receiver::ok();
    let location = target.url("/real");
    let receiver = Receiver::script(move |_| Reply::status(301).header("Location", &location));
    let app = App::start();
    let result = send_test_to_unsaved(&app.api(), json!({"url": receiver.url("/")}));
    assert_eq!(result["success"], false);
    assert_eq!(result["status"], 301);
    let error = text(&result, "error");
    assert!(
        error.contains(&target.url("/real")),
        "the error doesn't contain the redirect's target: {error}"
    );
    assert!(target.received().is_empty());
}

#[test]
fn testing_an_unknown_webhook_is_404() {
    let app = App::start();
    app.api()
        .post_empty("/api/v1/webhooks/wh_unknown/test")
        .problem(404);
}

#[test]
fn a_failed_test_hints_that_test_events_have_no_feedback() {
    let (app, receiver) = (
        App::without_retries(),
        Receiver::script(|_| Reply::body(500, "KeyError: 'feedback'")),
    );
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let hint = "Your handler reads data.feedback";
    for result in [
        send_test(&api, &webhook),
        send_test_to_unsaved(&api, json!({"url": receiver.url("/")})),
    ] {
        assert!(text(&result, "error").contains(hint), "{result}");
    }
    let mut admin = app.signed_in();
    let open = format!("/settings/notifications?open={}", text(&webhook, "id"));
    let press = admin.get(&open).form_with("Test").press("Test");
    assert!(admin.submit_and_follow(&press).text().contains(hint));
    let delivery_page = format!(
        "/settings/notifications/{}/deliveries/{}",
        text(&webhook, "id"),
        text(&api.deliveries(&webhook)[0], "id")
    );
    assert!(admin.get(&delivery_page).text().contains(hint));

    // If the response doesn't mention feedback, the hint isn't shown, because the error has another
    // cause.
    for body in [
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        "TypeError: x is undefined",
    ] {
        receiver.set_script(move |_| Reply::body(500, body));
        let result = send_test(&api, &webhook);
        assert!(
            !text(&result, "error").contains("data.feedback"),
            "{result}"
        );
    }
}

#[test]
fn a_test_sends_only_known_events() {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::status(200));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    for body in [json!({}), json!({"event": "test"})] {
        api.post(&path, body).expect(200);
    }
    for (path, rest) in [
        (path.as_str(), json!({})),
        ("/api/v1/webhooks/test", json!({"url": receiver.url("/")})),
    ] {
        for event in [
            json!("feedback.deleted"),
            json!("TEST"),
            json!(1),
            Value::Null,
        ] {
            let mut body = rest.clone();
            body["event"] = event;
            api.post(path, body).problem_at("event");
        }
    }
    let known = json!({"url": receiver.url("/"), "event": "test"});
    api.post("/api/v1/webhooks/test", known).expect(200);
    assert_eq!(receiver.received().len(), 3);
}
