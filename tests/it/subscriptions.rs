//! Who hears of what: topics, projects, and webhooks that are switched off.
//!
//! A delivery is stored before what caused it is acknowledged. So the log, read right after an
//! answer, shows what will be sent, and nothing has to be waited for to see that something is not.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::receiver::Receiver;

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
fn each_webhook_gets_the_topics_it_has() {
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
    let mut got: Vec<(&str, &str)> = received
        .iter()
        .map(|r| (r.path(), r.header("X-Miniback-Event")))
        .collect();
    got.sort_unstable();
    assert_eq!(
        got,
        [
            ("/changed", "feedback.updated"),
            ("/default", "feedback.created"),
            ("/default", "feedback.updated"),
            ("/new", "feedback.created"),
        ]
    );
}

#[test]
fn topics_that_are_changed_hold_from_the_next_event_on() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "topics": []}));
    api.create_project("Shop");
    api.create_feedback("shop", "before");
    api.patch_webhook(&webhook, json!({"topics": ["feedback.created"]}));
    api.create_feedback("shop", "after");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    assert_eq!(receiver.first().message(), "after");
}

#[test]
fn a_webhook_hears_only_of_the_projects_chosen_for_it() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let (shop, blog) = (api.create_project("Shop"), api.create_project("Blog"));
    let of_all = api.create_webhook(&receiver.url("/all"));
    let of_shop =
        api.create_webhook_with(json!({"url": receiver.url("/shop"), "projects": [shop["id"]]}));
    assert_eq!(of_all["projects"], json!([]), "an empty list means all");
    assert_eq!(of_shop["projects"], json!([shop["id"]]));

    let in_blog = api.create_feedback(text(&blog, "slug"), "about the blog");
    api.set_status(&in_blog, "RESOLVED");
    let in_shop = api.create_feedback(text(&shop, "slug"), "about the shop");
    api.set_status(&in_shop, "RESOLVED");

    assert_eq!(api.deliveries(&of_all).len(), 4);
    assert_eq!(api.deliveries(&of_shop).len(), 2);
    for request in receiver.wait_for(6) {
        if request.path() == "/shop" {
            assert_eq!(request.message(), "about the shop");
        }
    }
}

#[test]
fn a_webhook_of_all_projects_hears_of_one_made_later() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Later");
    api.create_feedback("later", "Hello");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    receiver.first();
}

#[test]
fn what_happens_while_a_webhook_is_off_is_not_sent_later() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "enabled": false}));
    assert_eq!(webhook["enabled"], false);
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "while it is off");
    api.set_status(&feedback, "REVIEWED");
    assert!(api.deliveries(&webhook).is_empty());

    api.patch_webhook(&webhook, json!({"enabled": true}));
    assert!(api.deliveries(&webhook).is_empty());
    api.create_feedback("shop", "while it is on");
    assert_eq!(api.deliveries(&webhook).len(), 1);
    assert_eq!(receiver.first().message(), "while it is on");
}

#[test]
fn the_status_that_it_has_already_makes_no_event() {
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
    assert_eq!(api.deliveries(&webhook).len(), 1, "`{{}}` changes nothing");
}

#[test]
fn a_change_and_its_undoing_are_two_events() {
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
fn a_press_on_the_page_makes_the_same_event_as_the_api() {
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

    // The same button again: it has that status already.
    ada.submit(&pressed);
    assert_eq!(api.deliveries(&webhook).len(), 1);
}

#[test]
fn two_webhooks_to_one_address_get_a_delivery_each() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let received = receiver.wait_for(2);
    assert_ne!(received[0].delivery(), received[1].delivery());
    assert_eq!(received[0].body, received[1].body, "one event");
}
