//! Webhooks to chat services: the strict stub of each service accepts every message, and each error
//! of a service is explained.

use miniback::domain::format::Format;
use serde_json::{Value, json};

use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::App;
use crate::support::chat_services::{self, CHAT_FORMATS};
use crate::support::receiver::Receiver;

fn create_webhook(api: &Api, format: Format, receiver: &Receiver) -> Value {
    api.create_webhook_with(json!({
        "url": receiver.url("/alerts"),
        "format": format.as_str(),
        "details": true,
    }))
}

#[track_caller]
fn send_test(api: &Api, webhook: &Value, event: &str) -> Value {
    let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
    api.post(&path, json!({"event": event})).expect(200).json()
}

#[test]
fn services_accept_feedback_status_changes_and_tests() {
    let app = App::builder()
        .option("--base-url", "https://feedback.example.com")
        .start();
    let api = app.api();
    api.create_project("Shop");
    let receivers = CHAT_FORMATS.map(|format| (format, chat_services::receiver(format)));
    let webhooks = receivers
        .iter()
        .map(|(format, receiver)| create_webhook(&api, *format, receiver));
    let webhooks: Vec<Value> = webhooks.collect();
    let feedback = api
        .post(
            "/api/v1/feedback",
            json!({
                "project": "shop",
                "message": "The *button* <!channel> does nothing",
                "email": "sam@example.com",
                "url": "https://shop.example/checkout?a=1&b=2",
                "metadata": {"browser": "Firefox 131"},
            }),
        )
        .expect(201)
        .json();
    let link = format!(
        "https://feedback.example.com/feedback/{}",
        text(&feedback, "id")
    );
    api.set_status(&feedback, "REVIEWED");
    for (webhook, (format, receiver)) in webhooks.iter().zip(&receivers) {
        api.wait_until_none_pending(webhook);
        for delivery in api.deliveries(webhook) {
            assert_eq!(delivery["state"], "delivered", "{format:?}: {delivery:#}");
        }
        for request in receiver.wait_for(2) {
            // ntfy accepts JSON only at the root of the server.
            let path = if *format == Format::Ntfy {
                "/"
            } else {
                "/alerts"
            };
            assert_eq!(request.path(), path, "{format:?}");
        }
        let shown: Vec<_> = receiver
            .wait_for(2)
            .iter()
            .map(|request| chat_services::post(*format, &request.body).unwrap())
            .collect();
        for shown in &shown {
            let texts = shown.texts.join("\n").replace('\u{2060}', "");
            for part in [
                "Shop",
                "The *button* <!channel> does nothing",
                "https://shop.example/checkout?a=1&b=2",
                "sam@example.com",
                "browser: Firefox 131",
                "Open in Miniback",
            ] {
                let is_button = part == "Open in Miniback";
                assert!(
                    is_button || texts.contains(part),
                    "{format:?}: {part} isn't in {texts}"
                );
            }
            assert!(shown.links.contains(&link), "{format:?}: {shown:?}");
        }
        let texts: Vec<String> = shown.iter().map(|shown| shown.texts.join("\n")).collect();
        assert!(
            texts.iter().any(|text| text.contains("New → Reviewed")),
            "{texts:?}"
        );
        for event in ["test", "feedback.created", "feedback.updated"] {
            let result = send_test(&api, webhook, event);
            assert_eq!(result["success"], true, "{format:?}: {result:#}");
        }
    }
}

#[test]
fn each_error_of_a_service_is_explained_in_a_test() {
    let app = App::start();
    let api = app.api();
    for format in CHAT_FORMATS {
        let receiver = chat_services::receiver(format);
        for rejection in chat_services::rejections(format) {
            let response = rejection.clone();
            receiver.set_script(move |_| chat_services::reply(&response));
            let body = json!({"url": receiver.url("/alerts"), "format": format.as_str()});
            let result = api.post("/api/v1/webhooks/test", body).expect(200).json();
            assert_eq!(result["success"], false);
            assert_eq!(result["responseBody"], rejection.body);
            let error = text(&result, "error");
            assert!(error.contains(&rejection.status.to_string()), "{error}");
            assert!(
                error.len() > 80,
                "{format:?}: {error} doesn't say what to do"
            );
            for word in ["endpoint rejected", "signing secret"] {
                assert!(!error.contains(word), "{format:?}: {error}");
            }
        }
    }
}

#[test]
fn the_page_of_a_delivery_explains_the_error_of_the_service() {
    let app = App::without_retries();
    let api = app.api();
    api.create_project("Shop");
    let receiver = chat_services::receiver(Format::Slack);
    let rejections = chat_services::rejections(Format::Slack);
    let archived = rejections
        .into_iter()
        .find(|rejection| rejection.status == 410)
        .unwrap();
    receiver.set_script(move |_| chat_services::reply(&archived));
    let webhook = create_webhook(&api, Format::Slack, &receiver);
    api.create_feedback("shop", "Hello");
    api.wait_until_none_pending(&webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["state"], "failed");
    let path = format!(
        "/settings/notifications/{}/deliveries/{}",
        text(&webhook, "id"),
        text(&delivery, "id")
    );
    let page = app.signed_in().get(&path).expect(200).text();
    assert!(page.contains("The channel is archived."), "{page}");
}

#[test]
fn a_rate_limit_holds_the_webhook() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for format in CHAT_FORMATS {
        let receiver = chat_services::receiver(format);
        let rejections = chat_services::rejections(format);
        let limit = rejections
            .into_iter()
            .find(|rejection| !rejection.headers.is_empty());
        let limit = limit.expect("find the rate limit of the service");
        receiver.set_script(move |_| chat_services::reply(&limit));
        let webhook = create_webhook(&api, format, &receiver);
        api.create_feedback("shop", "Hello");
        let delivery = api.only_delivery(&webhook);
        let delivery = api.wait_for_attempts(text(&delivery, "id"), 1);
        assert_eq!(attempts(&delivery)[0]["status"], 429);
        assert_eq!(delivery["state"], "pending");
        assert!(millis(&api.held_until(&webhook)) > millis(&delivery["createdAt"]));
        api.delete_webhook(&webhook);
    }
}
