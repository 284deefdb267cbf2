//! What an endpoint gets to read: the exact bytes of the three events.

use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

/// Hard to write as JSON, and to count.
const MESSAGE: &str = "Grüße \"quoted\" \\ 👋🏽\nnew line, <b>tag</b> & \u{7f}";

fn quoted(value: &Value, member: &str) -> String {
    serde_json::to_string(text(value, member)).unwrap()
}

#[test]
fn a_new_feedback_is_sent_as_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/hook"));
    let project = api.create_project("Näme & \"Co\"");
    let feedback = api.create_feedback(text(&project, "slug"), MESSAGE);

    let got = receiver.first();

    let created = text(&feedback, "createdAt");
    millis(&feedback["createdAt"]);
    let expected = format!(
        concat!(
            r#"{{"event":"feedback.created","timestamp":"{created}","data":{{"feedback":{{"id":{id},"#,
            r#""message":{message},"status":"NEW","createdAt":"{created}"}},"#,
            r#""project":{{"id":{project},"name":{name},"slug":{slug}}}}}}}"#,
        ),
        created = created,
        id = quoted(&feedback, "id"),
        message = serde_json::to_string(MESSAGE).unwrap(),
        project = quoted(&project, "id"),
        name = quoted(&project, "name"),
        slug = quoted(&project, "slug"),
    );
    assert_eq!(got.text(), expected);
}

#[test]
fn a_change_of_status_is_sent_as_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    let project = api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Please");
    let before = jiff::Timestamp::now().as_millisecond();
    api.set_status(&feedback, "REVIEWED");
    let after = jiff::Timestamp::now().as_millisecond();

    let got = receiver.first();

    let timestamp = got.json()["timestamp"].clone();
    let happened = millis(&timestamp);
    assert!(
        (before - 1..=after + 1).contains(&happened),
        "{timestamp} is when it happened"
    );
    let expected = format!(
        concat!(
            r#"{{"event":"feedback.updated","timestamp":{timestamp},"data":{{"feedback":{{"id":{id},"#,
            r#""message":"Please","status":"REVIEWED","createdAt":{created}}},"#,
            r#""project":{{"id":{project},"name":"Shop","slug":"shop"}},"previousStatus":"NEW"}}}}"#,
        ),
        timestamp = timestamp,
        id = quoted(&feedback, "id"),
        created = quoted(&feedback, "createdAt"),
        project = quoted(&project, "id"),
    );
    assert_eq!(got.text(), expected);
}

#[test]
fn a_test_is_sent_as_exactly_these_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);

    let got = receiver.first();

    let timestamp = got.json()["timestamp"].clone();
    millis(&timestamp);
    let expected = format!(
        concat!(
            r#"{{"event":"test","timestamp":{timestamp},"data":{{"#,
            r#""message":"Test webhook notification from Miniback","user":"{user}"}}}}"#,
        ),
        timestamp = timestamp,
        user = ADMIN,
    );
    assert_eq!(got.text(), expected);
}

#[test]
fn a_test_names_the_user_whose_token_asked_for_it() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.add_user("grace@example.com", "admin");
    let api = app.api_with(&app.token("grace@example.com", "full"));
    api.post("/api/v1/webhooks/test", json!({"url": receiver.url("/")}))
        .expect(200);
    assert_eq!(receiver.first().json()["data"]["user"], "grace@example.com");
}

#[test]
fn a_test_names_the_user_who_pressed_test() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.api().create_webhook(&receiver.url("/"));
    let mut ada = app.signed_in();
    let page = ada.get("/settings/notifications").expect(200);
    let pressed = page.forms_with("Test")[0].press("Test");
    ada.submit(&pressed);
    assert_eq!(receiver.first().json()["data"]["user"], ADMIN);
}

#[test]
fn previous_status_is_the_one_before_this_change() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Please");
    for status in ["RESOLVED", "NEW", "REVIEWED", "NEW"] {
        api.set_status(&feedback, status);
    }

    // No order between deliveries is promised, so the log tells which came first.
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
fn a_message_is_sent_as_it_was_stored_with_its_spaces() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let message = "  \t two spaces before, a line after\r\n";
    let feedback = api.create_feedback("shop", message);
    assert_eq!(feedback["message"], message);
    assert_eq!(receiver.first().message(), message);
}

#[test]
fn what_a_form_added_beside_the_message_is_not_sent() {
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
