//! The JSON API as a program uses it: projects, feedback and webhooks, lists, and the log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::{Api, millis, text};
use crate::support::app::App;
use crate::support::receiver::Receiver;

fn members(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn is_id(value: &Value, prefix: &str) {
    let rest = value.as_str().and_then(|id| id.strip_prefix(prefix));
    let rest = rest.unwrap_or_default();
    assert!(
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()),
        "{value} is no id that begins with {prefix}"
    );
}

#[test]
fn a_project_is_made_seen_changed_and_deleted() {
    let app = App::start();
    let api = app.api();
    let body = json!({"name": "My Shop", "slug": "shop"});
    let made = api.post("/api/v1/projects", body).expect(201).json();
    assert_eq!(
        members(&made),
        [
            "id",
            "name",
            "slug",
            "status",
            "allowedOrigins",
            "createdAt"
        ]
    );
    is_id(&made["id"], "prj_");
    millis(&made["createdAt"]);
    assert_eq!(made["slug"], "shop");
    assert_eq!(made["status"], "ACTIVE");
    assert_eq!(made["allowedOrigins"], json!([]));

    let by_id = format!("/api/v1/projects/{}", text(&made, "id"));
    assert_eq!(api.get(&by_id).expect(200).json(), made);
    assert_eq!(api.get("/api/v1/projects/shop").expect(200).json(), made);

    let change =
        json!({"name": "Store", "status": "PAUSED", "allowedOrigins": ["https://shop.example"]});
    let changed = api.patch(&by_id, change).expect(200).json();
    assert_eq!(changed["name"], "Store");
    assert_eq!(changed["slug"], "shop", "fixed once made");
    assert_eq!(changed["status"], "PAUSED");
    assert_eq!(changed["allowedOrigins"], json!(["https://shop.example"]));
    assert_eq!(api.patch(&by_id, json!({})).expect(200).json(), changed);

    let gone = api.delete("/api/v1/projects/shop").expect(204);
    assert_eq!(gone.text, "");
    api.get(&by_id).problem(404);
    api.delete(&by_id).problem(404);
}

#[test]
fn a_slug_is_made_from_the_name_and_one_that_is_taken_gets_a_number() {
    let app = App::start();
    let api = app.api();
    assert_eq!(api.create_project("My Shop")["slug"], "my-shop");
    assert_eq!(api.create_project("My Shop")["slug"], "my-shop-2");
    assert_eq!(api.create_project("my  shop!")["slug"], "my-shop-3");
    let taken = json!({"name": "Other", "slug": "my-shop"});
    api.post("/api/v1/projects", taken).problem(409);
    for name in ["日本語", "!!!", "Ünïcödé"] {
        let slug = text(&api.create_project(name), "slug").to_owned();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!slug.is_empty() && slug.chars().all(allowed), "{slug}");
    }
}

#[test]
fn a_paused_project_takes_no_feedback() {
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
fn a_feedback_is_made_seen_changed_and_deleted() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop");
    let body = json!({
        "project": "shop", "message": "Grüße\n👋", "email": "visitor@example.com",
        "url": "https://shop.example/cart?x=1", "metadata": {"b": 1, "a": {"deep": [true, null]}},
    });
    let made = api.post("/api/v1/feedback", body).expect(201).json();
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
    assert_eq!(members(&made), expected);
    is_id(&made["id"], "fb_");
    millis(&made["createdAt"]);
    assert_eq!(made["message"], "Grüße\n👋");
    assert_eq!(made["status"], "NEW");
    assert_eq!(made["email"], "visitor@example.com");
    assert_eq!(made["url"], "https://shop.example/cart?x=1");
    assert_eq!(
        made["metadata"],
        json!({"b": 1, "a": {"deep": [true, null]}})
    );
    let brief = json!({"id": project["id"], "name": "Shop", "slug": "shop"});
    assert_eq!(made["project"], brief);

    let path = format!("/api/v1/feedback/{}", text(&made, "id"));
    assert_eq!(api.get(&path).expect(200).json(), made);
    for status in ["RESOLVED", "REVIEWED", "NEW"] {
        let changed = api.set_status(&made, status);
        assert_eq!(changed["status"], status, "any may follow any");
        assert_eq!(api.get(&path).json(), changed);
    }
    api.delete(&path).expect(204);
    api.get(&path).problem(404);
}

#[test]
fn a_feedback_needs_only_project_and_message() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop");
    let made = api.create_feedback(text(&project, "id"), "Hello");
    for member in ["email", "url"] {
        assert_eq!(made[member], Value::Null);
    }
    assert_eq!(made["project"]["slug"], "shop");
}

#[test]
fn feedback_is_found_by_project_status_and_words() {
    let app = App::start();
    let api = app.api();
    let shop = api.create_project("Shop");
    api.create_project("Blog");
    let broken = api.create_feedback("shop", "The Checkout is broken, 100%");
    api.create_feedback("shop", "I like it");
    api.create_feedback("blog", "A typo at the checkout");
    api.set_status(&broken, "REVIEWED");
    let found = |query: &str| -> Vec<String> {
        let listed = api
            .get(&format!("/api/v1/feedback?{query}"))
            .expect(200)
            .json();
        let data = listed["data"].as_array().unwrap().clone();
        data.iter().map(|f| text(f, "message").to_owned()).collect()
    };
    assert_eq!(found("").len(), 3);
    assert_eq!(found("project=shop").len(), 2);
    assert_eq!(found(&format!("project={}", text(&shop, "id"))).len(), 2);
    assert_eq!(found("status=REVIEWED"), ["The Checkout is broken, 100%"]);
    assert_eq!(found("status=NEW&project=shop"), ["I like it"]);
    assert_eq!(found("q=checkout").len(), 2);
    assert_eq!(found("q=100%25"), ["The Checkout is broken, 100%"]);
    assert!(found("q=nothing-like-this").is_empty());
    assert!(found("status=RESOLVED").is_empty());
}

#[test]
fn a_webhook_is_made_seen_changed_and_deleted() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let project = api.create_project("Shop");
    let made = api.create_webhook(&receiver.url("/hook"));
    let expected: BTreeSet<&str> = [
        "id",
        "url",
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
        members(&made).into_iter().collect::<BTreeSet<_>>(),
        expected
    );
    is_id(&made["id"], "wh_");
    assert_eq!(made["enabled"], true);
    assert_eq!(made["retries"], "standard");
    assert_eq!(made["headers"], json!({}));
    assert_eq!(made["failingSince"], Value::Null);
    assert_eq!(made["heldUntil"], Value::Null);

    let path = format!("/api/v1/webhooks/{}", text(&made, "id"));
    let seen = api.get(&path).expect(200).json();
    assert_eq!(seen["secret"], Value::Null, "only when it is made");
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    assert_eq!(listed["data"], json!([seen]));
    assert_eq!(listed["nextCursor"], Value::Null);

    let change = json!({
        "url": receiver.url("/other"), "description": "Ours", "topics": [],
        "projects": [project["id"]], "enabled": false, "retries": "patient",
    });
    let changed = api.patch_webhook(&made, change.clone());
    for (member, value) in change.as_object().unwrap() {
        assert_eq!(&changed[member], value);
    }
    assert_eq!(changed["createdAt"], made["createdAt"]);
    assert_eq!(api.patch_webhook(&made, json!({})), changed);
    assert_eq!(api.get(&path).json(), changed);
}

#[test]
fn the_values_of_own_headers_are_never_shown_again() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let body = json!({"url": receiver.url("/"), "headers": {"X-One": "first-value", "X-Two": "second-value"}});
    let made = api.create_webhook_with(body);
    let path = format!("/api/v1/webhooks/{}", text(&made, "id"));
    let names = |seen: &Value| -> BTreeSet<String> {
        let headers = seen["headers"].as_object().unwrap();
        headers.keys().cloned().collect()
    };
    let seen = api.get(&path);
    assert!(!seen.text.contains("first-value"), "{seen:?}");
    assert_eq!(names(&seen.json()).len(), 2);

    // `null` keeps the stored value; what is not named goes.
    let change = json!({"headers": {"X-One": null, "X-Three": "third-value"}});
    let changed = api.patch_webhook(&made, change);
    assert!(!changed.to_string().contains("third-value"));
    api.deliver_one(&made, "delivered");
    let got = receiver.first();
    assert_eq!(got.header("X-One"), "first-value");
    assert_eq!(got.header("X-Three"), "third-value");
    assert!(got.all_headers("X-Two").is_empty());
}

#[test]
fn there_are_at_most_100_webhooks() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let made: Vec<Value> = (0..100)
        .map(|_| api.create_webhook(&receiver.url("/")))
        .collect();
    let one_more = json!({"url": receiver.url("/")});
    api.post("/api/v1/webhooks", one_more.clone()).problem(409);
    api.delete_webhook(&made[0]);
    api.post("/api/v1/webhooks", one_more).expect(201);
}

/// All ids of a list, page by page.
fn page_through(api: &Api, path: &str, limit: usize, mut between: impl FnMut()) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = format!("{path}?limit={limit}");
    loop {
        let page = api.get(&next).expect(200).json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        ids.extend(data.iter().map(|item| text(item, "id").to_owned()));
        between();
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}?limit={limit}&cursor={cursor}"),
            None => return ids,
        }
    }
}

#[test]
fn lists_are_newest_first_and_pages_skip_and_repeat_nothing() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..7 {
        let project = api.create_project(&format!("Project {number}"));
        expected[0].push(text(&project, "id").to_owned());
        let feedback = api.create_feedback(text(&project, "slug"), "Hello");
        expected[1].push(text(&feedback, "id").to_owned());
        let webhook = api.create_webhook(&receiver.url("/"));
        expected[2].push(text(&webhook, "id").to_owned());
    }
    let lists = ["/api/v1/projects", "/api/v1/feedback", "/api/v1/webhooks"];
    for (path, mut ids) in lists.into_iter().zip(expected) {
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(sorted, ids, "ids sort in the order of creation");
        ids.reverse();
        for limit in [1, 3, 7, 100] {
            assert_eq!(
                page_through(&api, path, limit, || ()),
                ids,
                "{path} by {limit}"
            );
        }
    }
}

#[test]
fn what_is_added_between_two_pages_shifts_nothing() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let mut ids: Vec<String> = (0..6)
        .map(|_| text(&api.create_feedback("shop", "Hello"), "id").to_owned())
        .collect();
    ids.reverse();
    let add = || {
        api.create_feedback("shop", "added meanwhile");
    };
    assert_eq!(page_through(&api, "/api/v1/feedback", 2, add), ids);
}

#[test]
fn a_list_has_25_by_default_and_up_to_100() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for _ in 0..101 {
        api.create_feedback("shop", "Hello");
    }
    let count = |query: &str| {
        let page = api
            .get(&format!("/api/v1/feedback{query}"))
            .expect(200)
            .json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 25);
    assert_eq!(count("?limit=100"), 100);
}

#[test]
fn the_log_of_a_webhook_is_found_by_state_and_event() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let created = text(&api.deliveries(&webhook)[0], "id").to_owned();
    api.wait_for_state(&created, "delivered");
    receiver.set_script(|_| crate::support::receiver::Reply::status(500));
    api.set_status(&feedback, "RESOLVED");
    let updated = text(&api.deliveries(&webhook)[0], "id").to_owned();
    api.wait_for_state(&updated, "failed");

    let path = format!("/api/v1/webhooks/{}/deliveries", text(&webhook, "id"));
    let ids = |query: &str| -> Vec<String> {
        let page = api.get(&format!("{path}{query}")).expect(200).json();
        let data = page["data"].as_array().unwrap().clone();
        data.iter().map(|d| text(d, "id").to_owned()).collect()
    };
    assert_eq!(ids(""), [updated.clone(), created.clone()], "newest first");
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
    is_id(&listed["id"], "dlv_");
}
