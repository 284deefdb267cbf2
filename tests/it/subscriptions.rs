//! Selection of the webhooks that receive an event: by topic and by project. Disabled webhooks
//! receive no events.
//!
//! Deliveries are stored before the request that caused them is acknowledged. So the delivery log
//! is complete right after the response, and tests don't have to wait to see that nothing is sent.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::receiver::Receiver;

/// Returns the event types in a webhook's delivery log, sorted.
fn events(api: &Api, webhook: &Value) -> Vec<String> {
    let mut events: Vec<String> = api
        .deliveries(webhook)
        .iter()
        .map(|delivery| text(delivery, "event").to_owned())
        .collect();
    events.sort();
    events
}

#[test]
fn each_webhook_receives_events_of_its_topics() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let with = |path: &str, topics: Value| {
        api.create_webhook_with(json!({"url": receiver.url(path), "topics": topics}))
    };
    let by_default = api.create_webhook(&receiver.url("/default"));
    let new = with("/new", json!(["feedback.created"]));
    let changed = with("/changed", json!(["feedback.updated"]));
    let none = with("/none", json!([]));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");

    assert_eq!(
        by_default["topics"],
        json!(["feedback.created", "feedback.updated"])
    );
    assert_eq!(
        events(&api, &by_default),
        ["feedback.created", "feedback.updated"]
    );
    assert_eq!(events(&api, &new), ["feedback.created"]);
    assert_eq!(events(&api, &changed), ["feedback.updated"]);
    assert!(events(&api, &none).is_empty());

    let received = receiver.wait_for(4);
    let mut received_events: Vec<(&str, &str)> = received
        .iter()
        .map(|r| (r.path(), r.header("X-Miniback-Event")))
        .collect();
    received_events.sort_unstable();
    assert_eq!(
        received_events,
        [
            ("/changed", "feedback.updated"),
            ("/default", "feedback.created"),
            ("/default", "feedback.updated"),
            ("/new", "feedback.created"),
        ]
    );
}

#[test]
fn changed_topics_apply_to_the_next_event() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "topics": []}));
    api.create_project("Shop");
    api.create_feedback("shop", "Sent before the change");
    api.patch_webhook(&webhook, json!({"topics": ["feedback.created"]}));
    api.create_feedback("shop", "Sent after the change");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    assert_eq!(receiver.first().message(), "Sent after the change");
}

#[test]
fn a_webhook_receives_only_events_of_its_projects() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let (shop, blog) = (api.create_project("Shop"), api.create_project("Blog"));
    let all_projects = api.create_webhook(&receiver.url("/all"));
    let shop_only =
        api.create_webhook_with(json!({"url": receiver.url("/shop"), "projects": [shop["id"]]}));
    assert_eq!(
        all_projects["projects"],
        json!([]),
        "expected an empty list, which means all projects"
    );
    assert_eq!(shop_only["projects"], json!([shop["id"]]));

    let in_blog = api.create_feedback(text(&blog, "slug"), "Feedback about the blog");
    api.set_status(&in_blog, "RESOLVED");
    let in_shop = api.create_feedback(text(&shop, "slug"), "Feedback about the shop");
    api.set_status(&in_shop, "RESOLVED");

    assert_eq!(api.deliveries(&all_projects).len(), 4);
    assert_eq!(api.deliveries(&shop_only).len(), 2);
    for request in receiver.wait_for(6) {
        if request.path() == "/shop" {
            assert_eq!(request.message(), "Feedback about the shop");
        }
    }
}

#[test]
fn a_webhook_for_all_projects_includes_new_projects() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Later");
    api.create_feedback("later", "Hello");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    receiver.first();
}

#[test]
fn events_for_a_disabled_webhook_are_not_sent_later() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "enabled": false}));
    assert_eq!(webhook["enabled"], false);
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Sent while it was disabled");
    api.set_status(&feedback, "REVIEWED");
    assert!(api.deliveries(&webhook).is_empty());

    api.patch_webhook(&webhook, json!({"enabled": true}));
    assert!(api.deliveries(&webhook).is_empty());
    api.create_feedback("shop", "Sent while it was enabled");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    assert_eq!(receiver.first().message(), "Sent while it was enabled");
}

#[test]
fn setting_the_current_status_creates_no_event() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "NEW");
    assert!(api.deliveries(&webhook).is_empty());
    api.set_status(&feedback, "RESOLVED");
    api.set_status(&feedback, "RESOLVED");
    assert_eq!(api.deliveries(&webhook).len(), 1);

    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    let unchanged = api.patch(&path, json!({})).expect(200).json();
    assert_eq!(unchanged["status"], "RESOLVED");
    assert_eq!(
        api.deliveries(&webhook).len(),
        1,
        "an empty change created an event"
    );
}

#[test]
fn changing_a_status_and_changing_it_back_are_two_events() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "RESOLVED");
    api.set_status(&feedback, "NEW");
    assert_eq!(api.deliveries(&webhook).len(), 2);
    receiver.wait_for(2);
}

#[test]
fn pages_create_the_same_event_as_the_api() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let pressed = page.form_with("Reviewed").press("Reviewed");
    ada.submit_and_follow(&pressed).expect(200);
    assert_eq!(api.deliveries(&webhook).len(), 1);
    let data = receiver.first().json()["data"].clone();
    assert_eq!(data["feedback"]["id"], feedback["id"]);
    assert_eq!(data["feedback"]["status"], "REVIEWED");
    assert_eq!(data["previousStatus"], "NEW");

    // Pressing the button again doesn't change the status, so it creates no event.
    ada.submit(&pressed);
    assert_eq!(api.deliveries(&webhook).len(), 1);
}

#[test]
fn two_webhooks_with_the_same_url_receive_separate_deliveries() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let received = receiver.wait_for(2);
    assert_ne!(received[0].delivery(), received[1].delivery());
    assert_eq!(
        received[0].body, received[1].body,
        "the same event has different bodies"
    );
}
