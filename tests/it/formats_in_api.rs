//! The members `format` and `details` of webhooks in the API, and tests with example events.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::signature::verify_standard_webhook;

const SLACK_URL: &str = "https://hooks.slack.com/services/T0/B0/x";

fn secret_path(webhook: &Value) -> String {
    format!("/api/v1/webhooks/{}/secret", text(webhook, "id"))
}

#[track_caller]
fn check_rejected(response: crate::support::http::Response, field: &str) -> String {
    let problem = response.expect(422).json();
    assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    text(&problem["errors"][0], "message").to_owned()
}

#[track_caller]
fn change(api: &Api, webhook: &Value, body: Value) -> Value {
    api.patch_webhook(webhook, body)["format"].clone()
}

#[test]
fn the_url_shows_the_format_unless_it_is_given() {
    let app = App::start();
    let api = app.api();
    let format_of = |body| api.create_webhook_with(body)["format"].clone();
    assert_eq!(format_of(json!({"url": SLACK_URL})), "slack");
    assert_eq!(
        format_of(json!({"url": "https://discord.com/api/webhooks/1/x"})),
        "discord"
    );
    let given = json!({"url": SLACK_URL, "format": "standard"});
    assert_eq!(format_of(given), "standard");
    let localhost = "http://127.0.0.1:9/hooks/x";
    assert_eq!(format_of(json!({"url": localhost})), "standard");
    let given = json!({"url": localhost, "format": "mattermost"});
    assert_eq!(format_of(given), "mattermost");
    let unknown = json!({"url": localhost, "format": "telegram"});
    api.post("/api/v1/webhooks", unknown).expect(422);
}

#[test]
fn the_format_is_detected_again_only_if_the_url_changes() {
    let app = App::start();
    let api = app.api();
    let localhost = "http://127.0.0.1:9/hooks/x";
    let webhook = api.create_webhook_with(json!({"url": localhost, "format": "mattermost"}));
    for (body, format) in [
        (json!({"description": "Our chat"}), "mattermost"),
        (json!({"url": localhost, "details": true}), "mattermost"),
        (json!({"url": SLACK_URL}), "slack"),
        (json!({"format": "standard"}), "standard"),
        (json!({"url": SLACK_URL}), "standard"),
        (json!({"url": localhost, "format": "ntfy"}), "ntfy"),
        (json!({"url": "http://127.0.0.1:9/other"}), "standard"),
    ] {
        assert_eq!(change(&api, &webhook, body.clone()), format, "{body}");
    }
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    assert_eq!(api.get(&path).json()["details"], true);
}

#[test]
fn rejects_formats_that_contradict_the_url() {
    let app = App::start();
    let api = app.api();
    let create = |body| api.post("/api/v1/webhooks", body);
    let email = json!({"url": SLACK_URL, "format": "email"});
    check_rejected(create(email), "format");
    let webhook = api.create_webhook(SLACK_URL);
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    check_rejected(api.patch(&path, json!({"format": "email"})), "format");
    let test = json!({"url": SLACK_URL, "format": "email"});
    check_rejected(api.post("/api/v1/webhooks/test", test), "format");
    assert_eq!(api.get(&path).json()["format"], "slack");
}

#[test]
fn mailto_urls_require_a_mail_server() {
    let app = App::start();
    let api = app.api();
    let mailto = json!({"url": "mailto:team@example.com"});
    for path in ["/api/v1/webhooks", "/api/v1/webhooks/test"] {
        let message = check_rejected(api.post(path, mailto.clone()), "url");
        assert!(message.contains("--smtp-url"), "{message}");
    }
    let several = json!({"url": "mailto:a@example.com,b@example.com"});
    let message = check_rejected(api.post("/api/v1/webhooks", several), "url");
    assert!(message.contains("only one email"), "{message}");
}

#[test]
fn only_the_standard_format_has_a_secret() {
    let app = App::start();
    let api = app.api();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for path in ["/api/v1/webhooks", "/api/v1/webhooks/test"] {
        let body = json!({"url": SLACK_URL, "secret": secret});
        check_rejected(api.post(path, body), "secret");
    }
    let created = api.create_webhook(SLACK_URL);
    assert_eq!(created["secret"], Value::Null);
    assert!(created.as_object().unwrap().contains_key("secret"));
    let path = secret_path(&created);
    api.get(&path).expect(409);
    api.post_empty(&format!("{path}/rotate")).expect(409);
    api.post_empty(&format!("{path}/rotate/finish")).expect(409);
    api.patch_webhook(&created, json!({"format": "standard"}));
    api.get(&path).expect(200);
    api.get("/api/v1/webhooks/wh_00000000000000000000000000/secret")
        .expect(404);
}

#[test]
fn details_add_four_members_at_the_end_of_the_feedback() {
    for (base_url, link_start) in [
        (None, None),
        (
            Some("https://feedback.example.com/app"),
            Some("https://feedback.example.com/app/feedback/fb_"),
        ),
    ] {
        let mut builder = App::builder();
        if let Some(url) = base_url {
            builder = builder.option("--base-url", url);
        }
        let app = builder.start();
        let receiver = Receiver::ok();
        let api = app.api();
        api.create_project("Shop");
        let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "details": true}));
        let full = json!({
            "project": "shop", "message": "Hello", "email": "sam@example.com",
            "url": "https://shop.example.com/", "metadata": {"plan": "pro", "browser": "Firefox"}
        });
        let feedback = api.post("/api/v1/feedback", full).expect(201).json();
        api.set_status(&feedback, "REVIEWED");
        for request in receiver.wait_for(2) {
            verify_standard_webhook(text(&webhook, "secret"), &request).unwrap();
            let payload = request.json();
            let sent = payload["data"]["feedback"].as_object().unwrap();
            let members: Vec<_> = sent.keys().map(String::as_str).collect();
            let expected = [
                "id",
                "message",
                "status",
                "createdAt",
                "email",
                "url",
                "metadata",
                "link",
            ];
            assert_eq!(members, expected);
            assert_eq!(sent["email"], "sam@example.com");
            assert_eq!(sent["url"], "https://shop.example.com/");
            assert_eq!(sent["metadata"], feedback["metadata"]);
            let link = link_start
                .map(|start| format!("{}{}", start.trim_end_matches("fb_"), text(&feedback, "id")));
            assert_eq!(sent["link"].as_str(), link.as_deref());
        }
    }
}

#[test]
fn a_test_can_send_an_example_of_each_event() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "details": true}));
    let saved = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    for event in ["feedback.created", "feedback.updated"] {
        api.post(&saved, json!({"event": event})).expect(200);
        let unsaved = json!({"url": receiver.url("/"), "event": event});
        let result = api.post("/api/v1/webhooks/test", unsaved).expect(200);
        assert!(result.json()["secret"].is_string());
    }
    for (at, request) in receiver.wait_for(4).iter().enumerate() {
        let payload = request.json();
        let is_update = at >= 2;
        let event = ["feedback.created", "feedback.updated"][usize::from(is_update)];
        assert_eq!(payload["event"], event);
        assert_eq!(request.header("X-Miniback-Event"), event);
        let feedback = &payload["data"]["feedback"];
        assert!(text(feedback, "message").contains("test"), "{payload}");
        let path = format!("/api/v1/feedback/{}", text(feedback, "id"));
        api.get(&path).expect(404);
        assert_eq!(
            feedback["status"],
            ["NEW", "REVIEWED"][usize::from(is_update)]
        );
        let previous = payload["data"]["previousStatus"].as_str();
        assert_eq!(previous, is_update.then_some("NEW"));
        let is_saved = at % 2 == 0;
        assert_eq!(
            feedback.as_object().unwrap().contains_key("email"),
            is_saved
        );
    }
    let deliveries = api.deliveries(&webhook);
    let events: Vec<_> = deliveries.iter().map(|d| text(d, "event")).collect();
    assert_eq!(events, ["feedback.updated", "feedback.created"]);
    assert_eq!(api.get("/api/v1/feedback").json()["data"], json!([]));
    let unknown = json!({"event": "feedback.deleted"});
    api.post(&saved, unknown).expect(422);
    api.post(&saved, json!({"event": null})).expect(422);
}

#[test]
fn a_test_with_an_example_counts_as_a_test() {
    let app = App::builder().option("--retry-delays", "10ms").start();
    let receiver = Receiver::script(|_| Reply::status(500));
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "format": "slack"}));
    let base = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let event = json!({"event": "feedback.created"});
    api.post(&format!("{base}/test"), event).expect(200);
    let failed = api.only_delivery(&webhook);
    assert_eq!(failed["state"], "failed");
    assert_eq!(api.get(&base).json()["failingSince"], Value::Null);
    let since = json!({"since": "2020-01-01T00:00:00.000Z"});
    let recovered = api.post(&format!("{base}/recover"), since).expect(202);
    assert_eq!(recovered.json()["count"], 0);
    let redeliver = format!("/api/v1/deliveries/{}/redeliver", text(&failed, "id"));
    api.post_empty(&redeliver).expect(202);
    let requests = receiver.wait_for(2);
    assert_eq!(requests[0].text(), requests[1].text());
    let failed = api.wait_for_state(text(&failed, "id"), "failed");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(api.get(&base).json()["failingSince"], Value::Null);
}
