//! Deliveries in the formats of chat services: rendered once, sent unchanged and without
//! signatures, and erased with the feedback.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, closed_socket_address};
use crate::support::wait::wait_until;

const CHAT_FORMATS: [&str; 6] = [
    "slack",
    "discord",
    "teams",
    "google-chat",
    "mattermost",
    "ntfy",
];

fn create(api: &Api, url: &str, format: &str) -> Value {
    api.create_webhook_with(json!({"url": url, "format": format}))
}

/// Returns the sorted names of a request's headers, except `Host`, `Date`, and `Content-Length`.
fn header_names(request: &ReceivedRequest) -> Vec<String> {
    let names = request.headers.iter().map(|(name, _)| name.clone());
    let mut names: Vec<String> = names
        .filter(|name| !["Host", "Date", "Content-Length"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

fn count(app: &App, from: &str) -> u64 {
    let connection = Connection::open(app.database()).unwrap();
    let statement = format!("SELECT count(*) FROM {from}");
    connection
        .query_row(&statement, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn chat_formats_are_json_without_signatures() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for format in CHAT_FORMATS {
        let receiver = Receiver::ok();
        let webhook = create(&api, &receiver.url("/alerts"), format);
        assert_eq!(webhook["format"], format);
        assert_eq!(webhook["secret"], Value::Null);
        let headers = json!({"headers": {"X-Api-Key": "4711"}});
        api.patch_webhook(&webhook, headers);
        api.create_feedback("shop", "The submit button does nothing");
        let request = receiver.first();
        let names = [
            "Content-Type",
            "User-Agent",
            "X-Api-Key",
            "X-Miniback-Delivery",
            "X-Miniback-Event",
            "X-Miniback-Timestamp",
        ];
        assert_eq!(header_names(&request), names, "{format}");
        assert_eq!(request.header("X-Miniback-Event"), "feedback.created");
        assert_eq!(request.header("Content-Type"), "application/json");
        assert_eq!(request.header("User-Agent"), "Miniback-Webhook/1.0");
        let body = request.json().to_string();
        assert!(body.contains("The submit button does nothing"), "{body}");
        assert!(body.contains("Shop"), "{body}");
        let delivery = api.only_delivery(&webhook);
        let delivery = api.wait_for_state(text(&delivery, "id"), "delivered");
        assert_eq!(delivery["request"]["body"], request.text());
        assert_eq!(delivery["id"], request.header("X-Miniback-Delivery"));
        let logged = delivery["request"]["headers"].as_object().unwrap();
        assert!(!logged.contains_key("X-Miniback-Signature"), "{logged:?}");
        assert!(!logged.contains_key("webhook-id"), "{logged:?}");
        api.delete_webhook(&webhook);
    }
}

#[test]
fn a_body_is_stored_once_for_each_format_and_details() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    for (format, details) in [
        ("standard", false),
        ("standard", false),
        ("standard", true),
        ("standard", true),
        ("slack", false),
        ("slack", false),
        ("slack", true),
        ("discord", false),
    ] {
        let url = receiver.url("/");
        api.create_webhook_with(json!({"url": url, "format": format, "details": details}));
    }
    api.create_feedback("shop", "Hello");
    receiver.wait_for(8);
    assert_eq!(count(&app, "events"), 1);
    let stored = |condition: &str| count(&app, &format!("event_bodies WHERE {condition}"));
    assert_eq!(stored("true"), 4);
    assert_eq!(stored("format = 'slack'"), 2);
    assert_eq!(stored("format = 'standard' AND details"), 1);
    assert_eq!(count(&app, "deliveries WHERE body_number IS NULL"), 2);
}

#[test]
fn plain_standard_webhooks_need_no_further_bodies() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&receiver.url("/1"));
    api.create_webhook(&receiver.url("/2"));
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    receiver.wait_for(4);
    assert_eq!(count(&app, "event_bodies"), 0);
    assert_eq!(count(&app, "events WHERE length(body) > 0"), 2);
}

#[test]
fn a_delivery_keeps_its_body_if_the_format_changes() {
    let app = App::builder().option("--retry-delays", "none").start();
    let receiver = Receiver::queue(vec![Reply::status(500)]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = create(&api, &receiver.url("/"), "slack");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "failed");
    let changed = api.patch_webhook(&webhook, json!({"format": "standard", "details": true}));
    assert_eq!(changed["format"], "standard");
    api.post_empty(&format!("/api/v1/deliveries/{id}/redeliver"))
        .expect(202);
    let requests = receiver.wait_for(2);
    assert_eq!(requests[0].text(), requests[1].text());
    assert_eq!(header_names(&requests[0]), header_names(&requests[1]));
    api.create_feedback("shop", "Hello again");
    let standard = &receiver.wait_for(3)[2];
    assert_eq!(standard.json()["event"], "feedback.created");
    assert!(!standard.header("X-Miniback-Signature").is_empty());
    // The webhook has had its secret since it was created.
    let secret = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
    api.get(&secret).expect(200);
}

#[test]
fn a_chat_delivery_survives_sigkill_unchanged() {
    let closed = format!("http://{}/", closed_socket_address());
    let app = App::builder().option("--retry-delays", "1h").start();
    let api = app.api();
    api.create_project("Shop");
    let webhooks = ["slack", "discord"].map(|format| create(&api, &closed, format));
    api.create_feedback("shop", "Hello");
    let bodies = webhooks.each_ref().map(|webhook| {
        let id = text(&api.only_delivery(webhook), "id").to_owned();
        text(&api.wait_for_attempts(&id, 1)["request"], "body").to_owned()
    });
    let token = app.token("ada@example.com", "full");
    let data = app.sigkill();
    let app = App::builder().with_data_dir(data).start();
    let api = app.api_with(&token);
    let receiver = Receiver::ok();
    for (path, webhook) in ["/slack", "/discord"].into_iter().zip(&webhooks) {
        let format = &webhook["format"];
        let target = json!({"url": receiver.url(path), "format": format});
        api.patch_webhook(webhook, target);
        let id = text(&api.only_delivery(webhook), "id").to_owned();
        api.post_empty(&format!("/api/v1/deliveries/{id}/retry"))
            .expect(202);
    }
    let mut requests = receiver.wait_for(2);
    requests.sort_by_key(|request| request.path() == "/discord");
    let received: Vec<String> = requests.iter().map(ReceivedRequest::text).collect();
    assert_eq!(received, bodies);
}

#[test]
fn a_delivery_between_email_and_http_fails_without_a_retry() {
    let closed = format!("http://{}/", closed_socket_address());
    let app = App::builder().option("--retry-delays", "1h").start();
    let api = app.api();
    api.create_project("Shop");
    let webhook = create(&api, &closed, "slack");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&id, 1);
    let token = app.token("ada@example.com", "full");
    let database = app.database();
    let data = app.sigkill();
    let change = "UPDATE event_bodies SET format = 'email'";
    let connection = Connection::open(database).unwrap();
    assert_eq!(connection.execute(change, []).unwrap(), 1);
    drop(connection);
    let app = App::builder().with_data_dir(data).start();
    let api = app.api_with(&token);
    api.post_empty(&format!("/api/v1/deliveries/{id}/retry"))
        .expect(202);
    let failed = api.wait_for_state(&id, "failed");
    let last = &attempts(&failed)[1];
    assert_eq!(last["errorCode"], "format_changed");
    assert_eq!(last["status"], Value::Null);
    assert!(
        text(last, "error").contains("between email and HTTP"),
        "{last}"
    );
    assert_eq!(failed["request"], Value::Null);
}

#[test]
fn a_change_between_http_and_email_cancels_pending_deliveries() {
    let app = App::builder()
        .option("--retry-delays", "1h")
        .option("--smtp-url", &format!("smtp://{}", closed_socket_address()))
        .option("--mail-from", "miniback@example.com")
        .start();
    let api = app.api();
    api.create_project("Shop");
    let receiver = Receiver::ok();
    let closed = format!("http://{}/", closed_socket_address());
    let email = "mailto:sam@example.com";
    for (first, second) in [(&*closed, email), (email, &receiver.url("/"))] {
        let webhook = api.create_webhook_with(json!({"url": first}));
        api.create_feedback("shop", "Hello");
        let id = text(&api.only_delivery(&webhook), "id").to_owned();
        api.wait_for_attempts(&id, 1);
        api.patch_webhook(&webhook, json!({"url": second}));
        assert_eq!(api.delivery(&id)["state"], "canceled");
        let redeliver = format!("/api/v1/deliveries/{id}/redeliver");
        api.post_empty(&redeliver).expect(409);
        let recover = format!("/api/v1/webhooks/{}/recover", text(&webhook, "id"));
        let since = json!({"since": "2020-01-01T00:00:00Z", "states": ["canceled"]});
        let recovered = api.post(&recover, since).expect(202).json();
        assert_eq!(recovered["count"], 0);
        // After the change back, the delivery can be sent again.
        api.patch_webhook(&webhook, json!({"url": first}));
        api.post_empty(&redeliver).expect(202);
        api.delete_webhook(&webhook);
    }
}

#[test]
fn deleting_feedback_erases_the_bodies_in_all_formats() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let slack = create(&api, &receiver.url("/"), "slack");
    let feedback = api.create_feedback("shop", "My secret is 4711");
    api.set_status(&feedback, "REVIEWED");
    receiver.wait_for(2);
    api.wait_until_none_pending(&slack);
    let with_text = "event_bodies WHERE instr(body, '4711')";
    assert_eq!(count(&app, with_text), 2);
    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    api.delete(&path).expect(204);
    assert_eq!(count(&app, with_text), 0);
    assert_eq!(count(&app, "events WHERE body IS NOT NULL"), 0);
    for delivery in api.deliveries(&slack) {
        let id = text(&delivery, "id");
        assert_eq!(api.delivery(id)["request"], Value::Null);
        let redeliver = format!("/api/v1/deliveries/{id}/redeliver");
        api.post_empty(&redeliver).expect(409);
    }
}

#[test]
fn discord_holds_a_webhook_with_json() {
    let app = App::builder().option("--retry-delays", "50ms,50ms").start();
    let limit = r#"{"message": "You are being rate limited.", "retry_after": 1800.5}"#;
    let receiver = Receiver::script(move |_| Reply::body(429, limit));
    let api = app.api();
    api.create_project("Shop");
    let discord = create(&api, &receiver.url("/"), "discord");
    let slack = create(&api, &receiver.url("/"), "slack");
    api.create_feedback("shop", "Hello");
    wait_until("the webhook is held", || {
        (!api.held_until(&discord).is_null()).then_some(())
    });
    api.wait_until_none_pending(&slack);
    assert_eq!(api.held_until(&slack), Value::Null);
}
