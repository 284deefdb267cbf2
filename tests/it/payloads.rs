//! Payloads: the exact bytes of the three events.

use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

/// A message with multi-byte characters and characters that JSON escapes.
const MESSAGE: &str = "Grüße \"quoted\" \\ 👋🏽\nnew line, <b>tag</b> & \u{7f}";

fn json_member(value: &Value, member: &str) -> String {
    serde_json::to_string(text(value, member)).unwrap()
}

#[test]
fn feedback_created_has_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/hook"));
    let project = api.create_project("Näme & \"Co\"");
    let feedback = api.create_feedback(text(&project, "slug"), MESSAGE);

    let request = receiver.first();

    let created = text(&feedback, "createdAt");
    // Check the format: `millis` panics if the timestamp isn't in UTC with three decimals.
    millis(&feedback["createdAt"]);
    let expected = format!(
        concat!(
            r#"{{"event":"feedback.created","timestamp":"{created}","data":{{"feedback":{{"id":{id},"#,
            r#""message":{message},"status":"NEW","createdAt":"{created}"}},"#,
            r#""project":{{"id":{project},"name":{name},"slug":{slug}}}}}}}"#,
        ),
        created = created,
        id = json_member(&feedback, "id"),
        message = serde_json::to_string(MESSAGE).unwrap(),
        project = json_member(&project, "id"),
        name = json_member(&project, "name"),
        slug = json_member(&project, "slug"),
    );
    assert_eq!(request.text(), expected);
}

#[test]
fn feedback_updated_has_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    let project = api.create_project("Shop");
    let feedback = api.create_feedback("shop", "The search is slow");
    let before = jiff::Timestamp::now().as_millisecond();
    api.set_status(&feedback, "REVIEWED");
    let after = jiff::Timestamp::now().as_millisecond();

    let request = receiver.first();

    let timestamp = request.json()["timestamp"].clone();
    let time = millis(&timestamp);
    assert!(
        (before - 1..=after + 1).contains(&time),
        "{timestamp} isn't the time of the change"
    );
    let expected = format!(
        concat!(
            r#"{{"event":"feedback.updated","timestamp":{timestamp},"data":{{"feedback":{{"id":{id},"#,
            r#""message":"The search is slow","status":"REVIEWED","createdAt":{created}}},"#,
            r#""project":{{"id":{project},"name":"Shop","slug":"shop"}},"previousStatus":"NEW"}}}}"#,
        ),
        timestamp = timestamp,
        id = json_member(&feedback, "id"),
        created = json_member(&feedback, "createdAt"),
        project = json_member(&project, "id"),
    );
    assert_eq!(request.text(), expected);
}

#[test]
fn a_test_event_has_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);

    let request = receiver.first();

    let timestamp = request.json()["timestamp"].clone();
    // Check the format: `millis` panics if the timestamp isn't in UTC with three decimals.
    millis(&timestamp);
    let expected = format!(
        concat!(
            r#"{{"event":"test","timestamp":{timestamp},"data":{{"#,
            r#""message":"Test webhook notification from Miniback","user":"{user}"}}}}"#,
        ),
        timestamp = timestamp,
        user = ADMIN,
    );
    assert_eq!(request.text(), expected);
}

#[test]
fn a_test_event_contains_the_owner_of_the_token() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.add_user("grace@example.com", "admin");
    let api = app.api_with(&app.token("grace@example.com", "full"));
    api.post("/api/v1/webhooks/test", json!({"url": receiver.url("/")}))
        .expect(200);
    assert_eq!(receiver.first().json()["data"]["user"], "grace@example.com");
}

#[test]
fn a_test_event_contains_the_user_who_pressed_test() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.api().create_webhook(&receiver.url("/"));
    let mut ada = app.signed_in();
    let page = ada.get("/settings/notifications").expect(200);
    let pressed = page.forms_with("Test")[0].press("Test");
    ada.submit(&pressed);
    assert_eq!(receiver.first().json()["data"]["user"], ADMIN);
}

#[test]
fn previous_status_is_the_status_before_the_change() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "The search is slow");
    for status in ["RESOLVED", "NEW", "REVIEWED", "NEW"] {
        api.set_status(&feedback, status);
    }

    // Deliveries can arrive in any order, so read the order from the delivery log.
    let received = receiver.wait_for(4);
    let mut changes = Vec::new();
    for delivery in api.deliveries(&webhook).iter().rev() {
        let id = text(delivery, "id");
        let body = received.iter().find(|r| r.delivery() == id).unwrap().json();
        let data = &body["data"];
        changes.push((
            text(data, "previousStatus").to_owned(),
            text(&data["feedback"], "status").to_owned(),
        ));
    }
    let expected = [
        ("NEW", "RESOLVED"),
        ("RESOLVED", "NEW"),
        ("NEW", "REVIEWED"),
        ("REVIEWED", "NEW"),
    ];
    assert_eq!(
        changes,
        expected.map(|(from, to)| (from.to_owned(), to.to_owned()))
    );
}

#[test]
fn preserves_the_whitespace_of_a_message() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let message = "  \t leading whitespace, trailing line break\r\n";
    let feedback = api.create_feedback("shop", message);
    assert_eq!(feedback["message"], message);
    assert_eq!(receiver.first().message(), message);
}

#[test]
fn payloads_omit_email_url_and_metadata() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let body = json!({
        "project": "shop", "message": "Hello", "email": "visitor@example.com",
        "url": "https://shop.example/cart", "metadata": {"plan": "pro"},
    });
    api.post("/api/v1/feedback", body).expect(201);
    let feedback = receiver.first().json()["data"]["feedback"].clone();
    let members: Vec<&String> = feedback.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "message", "status", "createdAt"]);
}
