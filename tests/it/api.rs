//! The JSON API: projects, feedback, webhooks, and the delivery log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};

fn members(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_id(value: &Value, prefix: &str) {
    let random = value.as_str().and_then(|id| id.strip_prefix(prefix));
    let random = random.unwrap_or_default();
    assert!(
        !random.is_empty() && random.chars().all(|c| c.is_ascii_alphanumeric()),
        "{value} isn't an id with the prefix {prefix}"
    );
}

#[test]
fn creates_reads_updates_and_deletes_a_project() {
    let app = App::start();
    let api = app.api();
    let body = json!({"name": "My Shop", "slug": "shop"});
    let created = api.post("/api/v1/projects", body).expect(201).json();
    assert_eq!(
        members(&created),
        [
            "id",
            "name",
            "slug",
            "status",
            "allowedOrigins",
            "createdAt"
        ]
    );
    assert_id(&created["id"], "prj_");
    millis(&created["createdAt"]);
    assert_eq!(created["slug"], "shop");
    assert_eq!(created["status"], "ACTIVE");
    assert_eq!(created["allowedOrigins"], json!([]));

    let by_id = format!("/api/v1/projects/{}", text(&created, "id"));
    assert_eq!(api.get(&by_id).expect(200).json(), created);
    assert_eq!(api.get("/api/v1/projects/shop").expect(200).json(), created);

    let change =
        json!({"name": "Store", "status": "PAUSED", "allowedOrigins": ["https://shop.example"]});
    let changed = api.patch(&by_id, change).expect(200).json();
    assert_eq!(changed["name"], "Store");
    assert_eq!(changed["slug"], "shop", "the slug changed");
    assert_eq!(changed["status"], "PAUSED");
    assert_eq!(changed["allowedOrigins"], json!(["https://shop.example"]));
    assert_eq!(api.patch(&by_id, json!({})).expect(200).json(), changed);

    let deleted = api.delete("/api/v1/projects/shop").expect(204);
    assert_eq!(deleted.text, "");
    api.get(&by_id).problem(404);
    api.delete(&by_id).problem(404);
}

#[test]
fn generates_unique_slugs_from_names() {
    let app = App::start();
    let api = app.api();
    assert_eq!(api.create_project("My Shop")["slug"], "my-shop");
    assert_eq!(api.create_project("My Shop")["slug"], "my-shop-2");
    assert_eq!(api.create_project("my  shop!")["slug"], "my-shop-3");
    let duplicate = json!({"name": "Other", "slug": "my-shop"});
    api.post("/api/v1/projects", duplicate).problem(409);
    for name in ["日本語", "!!!", "Ünïcödé"] {
        let slug = text(&api.create_project(name), "slug").to_owned();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!slug.is_empty() && slug.chars().all(allowed), "{slug}");
    }
}

#[test]
fn a_paused_project_rejects_feedback() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.patch("/api/v1/projects/shop", json!({"status": "PAUSED"}))
        .expect(200);
    let body = json!({"project": "shop", "message": "Hello"});
    api.post("/api/v1/feedback", body.clone()).problem(403);
    api.patch("/api/v1/projects/shop", json!({"status": "ACTIVE"}))
        .expect(200);
    api.post("/api/v1/feedback", body).expect(201);
}

#[test]
fn creates_reads_updates_and_deletes_feedback() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop");
    let body = json!({
        "project": "shop", "message": "Grüße\n👋", "email": "visitor@example.com",
        "url": "https://shop.example/cart?x=1", "metadata": {"b": 1, "a": {"deep": [true, null]}},
    });
    let created = api.post("/api/v1/feedback", body).expect(201).json();
    let expected = [
        "id",
        "message",
        "status",
        "createdAt",
        "email",
        "url",
        "metadata",
        "project",
    ];
    assert_eq!(members(&created), expected);
    assert_id(&created["id"], "fb_");
    millis(&created["createdAt"]);
    assert_eq!(created["message"], "Grüße\n👋");
    assert_eq!(created["status"], "NEW");
    assert_eq!(created["email"], "visitor@example.com");
    assert_eq!(created["url"], "https://shop.example/cart?x=1");
    assert_eq!(
        created["metadata"],
        json!({"b": 1, "a": {"deep": [true, null]}})
    );
    let brief = json!({"id": project["id"], "name": "Shop", "slug": "shop"});
    assert_eq!(created["project"], brief);

    let path = format!("/api/v1/feedback/{}", text(&created, "id"));
    assert_eq!(api.get(&path).expect(200).json(), created);
    for status in ["RESOLVED", "REVIEWED", "NEW"] {
        let changed = api.set_status(&created, status);
        assert_eq!(changed["status"], status, "the status wasn't changed");
        assert_eq!(api.get(&path).json(), changed);
    }
    api.delete(&path).expect(204);
    api.get(&path).problem(404);
}

#[test]
fn feedback_requires_only_project_and_message() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop");
    let created = api.create_feedback(text(&project, "id"), "Hello");
    for member in ["email", "url"] {
        assert_eq!(created[member], Value::Null);
    }
    assert_eq!(created["project"]["slug"], "shop");
}

#[test]
fn creates_reads_and_updates_a_webhook() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let project = api.create_project("Shop");
    let created = api.create_webhook(&receiver.url("/hook"));
    let expected: BTreeSet<&str> = [
        "id",
        "url",
        "format",
        "details",
        "description",
        "topics",
        "projects",
        "enabled",
        "retries",
        "headers",
        "failingSince",
        "heldUntil",
        "createdAt",
        "secret",
    ]
    .into();
    assert_eq!(
        members(&created).into_iter().collect::<BTreeSet<_>>(),
        expected
    );
    assert_id(&created["id"], "wh_");
    assert_eq!(created["enabled"], true);
    assert_eq!(created["format"], "standard");
    assert_eq!(created["details"], false);
    assert_eq!(created["retries"], "standard");
    assert_eq!(created["headers"], json!({}));
    assert_eq!(created["failingSince"], Value::Null);
    assert_eq!(created["heldUntil"], Value::Null);

    let path = format!("/api/v1/webhooks/{}", text(&created, "id"));
    let seen = api.get(&path).expect(200).json();
    assert_eq!(
        seen["secret"],
        Value::Null,
        "reading a webhook returned its secret"
    );
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    assert_eq!(listed["data"], json!([seen]));
    assert_eq!(listed["nextCursor"], Value::Null);

    let change = json!({
        "url": receiver.url("/other"), "description": "Support team", "topics": [],
        "projects": [project["id"]], "enabled": false, "retries": "patient",
    });
    let changed = api.patch_webhook(&created, change.clone());
    for (member, value) in change.as_object().unwrap() {
        assert_eq!(&changed[member], value);
    }
    assert_eq!(changed["createdAt"], created["createdAt"]);
    assert_eq!(api.patch_webhook(&created, json!({})), changed);
    assert_eq!(api.get(&path).json(), changed);
}

#[test]
fn never_returns_the_values_of_custom_headers() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let headers = json!({"X-One": "first-value", "X-Two": "second-value"});
    let body = json!({"url": receiver.url("/"), "headers": headers});
    let created = api.create_webhook_with(body);
    let path = format!("/api/v1/webhooks/{}", text(&created, "id"));
    let names = |seen: &Value| -> BTreeSet<String> {
        let headers = seen["headers"].as_object().unwrap();
        headers.keys().cloned().collect()
    };
    let seen = api.get(&path);
    assert!(!seen.text.contains("first-value"), "{seen:?}");
    assert_eq!(names(&seen.json()).len(), 2);

    // A header with the value `null` keeps its stored value. Omitted headers are removed.
    let change = json!({"headers": {"X-One": null, "X-Three": "third-value"}});
    let changed = api.patch_webhook(&created, change);
    assert!(!changed.to_string().contains("third-value"));
    api.deliver_one(&created, "delivered");
    let request = receiver.first();
    assert_eq!(request.header("X-One"), "first-value");
    assert_eq!(request.header("X-Three"), "third-value");
    assert!(request.all_headers("X-Two").is_empty());
}

#[test]
fn allows_at_most_100_webhooks() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let created: Vec<Value> = (0..100)
        .map(|_| api.create_webhook(&receiver.url("/")))
        .collect();
    let one_more = json!({"url": receiver.url("/")});
    api.post("/api/v1/webhooks", one_more.clone()).problem(409);
    api.delete_webhook(&created[0]);
    api.post("/api/v1/webhooks", one_more).expect(201);
}

#[test]
fn filters_the_delivery_log_by_state_and_event() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let created = text(&api.deliveries(&webhook)[0], "id").to_owned();
    api.wait_for_state(&created, "delivered");
    receiver.set_script(|_| Reply::status(500));
    api.set_status(&feedback, "RESOLVED");
    let updated = text(&api.deliveries(&webhook)[0], "id").to_owned();
    api.wait_for_state(&updated, "failed");

    let path = format!("/api/v1/webhooks/{}/deliveries", text(&webhook, "id"));
    let ids = |query: &str| -> Vec<String> {
        let page = api.get(&format!("{path}{query}")).expect(200).json();
        let data = page["data"].as_array().unwrap().clone();
        data.iter()
            .map(|delivery| text(delivery, "id").to_owned())
            .collect()
    };
    assert_eq!(
        ids(""),
        [updated.clone(), created.clone()],
        "the newest delivery isn't first"
    );
    assert_eq!(ids("?state=failed"), [updated.as_str()]);
    assert_eq!(ids("?state=delivered"), [created.as_str()]);
    assert_eq!(ids("?event=feedback.updated"), [updated]);
    assert!(ids("?event=test").is_empty());

    let listed = api.get(&path).json()["data"][0].clone();
    for member in ["id", "webhookId", "event", "state", "createdAt", "attempts"] {
        assert!(!listed[member].is_null(), "no {member}: {listed:#}");
    }
    let attempt = &listed["attempts"][0];
    for member in ["number", "startedAt", "durationMs", "status"] {
        assert!(!attempt[member].is_null(), "no {member}: {listed:#}");
    }
    assert_id(&listed["id"], "dlv_");
}
