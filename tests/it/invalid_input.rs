//! Every kind of invalid input is rejected with a 4xx response that identifies the field. Rejected
//! input changes nothing, and no input causes a 5xx response.

use base64::Engine;
use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::http::Response;
use crate::support::receiver::Receiver;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[track_caller]
fn assert_rejected(api: &Api, path: &str, field: &str, body: &Value) {
    let before = api.get(path).expect(200).text;
    api.post(path, body.clone()).problem_at(field);
    let after = api.get(path).expect(200).text;
    assert_eq!(after, before, "a rejected request changed the list: {body}");
}

/// Returns a copy of `body` with one member changed or added.
fn with_member(body: &Value, member: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[member] = value;
    body
}

fn without_member(body: &Value, member: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(member);
    body
}

#[test]
fn rejects_invalid_feedback() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let path = "/api/v1/feedback";
    let valid = json!({"project": "shop", "message": "Hello"});
    for (field, body) in [
        ("message", with_member(&valid, "message", json!(""))),
        (
            "message",
            with_member(&valid, "message", json!(" \t\n\u{a0}\u{3000}")),
        ),
        (
            "message",
            with_member(&valid, "message", json!("x".repeat(10_001))),
        ),
        ("message", with_member(&valid, "message", json!("a\u{0}b"))),
        ("message", with_member(&valid, "message", json!(7))),
        ("message", with_member(&valid, "message", Value::Null)),
        ("message", without_member(&valid, "message")),
        ("project", without_member(&valid, "project")),
        (
            "project",
            with_member(&valid, "project", json!("no-such-project")),
        ),
        ("project", with_member(&valid, "project", json!(["shop"]))),
        ("email", with_member(&valid, "email", json!("not an email"))),
        (
            "email",
            with_member(&valid, "email", json!("a@b.example, c@d.example")),
        ),
        (
            "email",
            with_member(&valid, "email", json!("a@example.com/x")),
        ),
        ("email", with_member(&valid, "email", json!("a@xn--a.com"))),
        (
            "email",
            with_member(
                &valid,
                "email",
                json!(format!("{}@example.com", "a".repeat(250))),
            ),
        ),
        (
            "url",
            with_member(&valid, "url", json!("javascript:alert(1)")),
        ),
        ("url", with_member(&valid, "url", json!("/only/a/path"))),
        (
            "url",
            with_member(
                &valid,
                "url",
                json!(format!("https://x.example/{}", "a".repeat(2_048))),
            ),
        ),
        ("metadata", with_member(&valid, "metadata", json!([1, 2]))),
        ("metadata", with_member(&valid, "metadata", json!("text"))),
        (
            "metadata",
            with_member(&valid, "metadata", json!({"big": "x".repeat(4_096)})),
        ),
        ("messsage", with_member(&valid, "messsage", json!("a typo"))),
        ("status", with_member(&valid, "status", json!("RESOLVED"))),
    ] {
        assert_rejected(&api, path, field, &body);
    }
}

#[test]
fn accepts_values_at_the_limits() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    // Each emoji is a single Unicode scalar value with a length of four bytes.
    let long = "🙂".repeat(10_000);
    assert_eq!(api.create_feedback("shop", &long)["message"], long.as_str());
    let valid = json!({"project": "shop", "message": "x"});
    for body in [
        with_member(
            &valid,
            "url",
            json!(format!("https://x.example/{}", "a".repeat(2_030))),
        ),
        with_member(&valid, "email", Value::Null),
        with_member(&valid, "metadata", json!({})),
        with_member(&valid, "metadata", json!({"k": "x".repeat(4_000)})),
    ] {
        api.post("/api/v1/feedback", body).expect(201);
    }
    let name = "n".repeat(100);
    assert_eq!(api.create_project(&name)["name"], name.as_str());
    let slug = json!({"name": "x", "slug": "s".repeat(64)});
    api.post("/api/v1/projects", slug).expect(201);
}

#[test]
fn rejects_an_invalid_project() {
    let app = App::start();
    let api = app.api();
    let path = "/api/v1/projects";
    for (field, body) in [
        ("name", json!({})),
        ("name", json!({"name": ""})),
        ("name", json!({"name": "n".repeat(101)})),
        ("name", json!({"name": 1})),
        ("slug", json!({"name": "x", "slug": ""})),
        ("slug", json!({"name": "x", "slug": "Upper"})),
        ("slug", json!({"name": "x", "slug": "a b"})),
        ("slug", json!({"name": "x", "slug": "s".repeat(65)})),
        ("slug", json!({"name": "x", "slug": "prj_1"})),
        ("colour", json!({"name": "x", "colour": "red"})),
    ] {
        assert_rejected(&api, path, field, &body);
    }
    let project = api.create_project("Shop");
    for (field, change) in [
        ("name", json!({"name": ""})),
        ("status", json!({"status": "active"})),
        ("status", json!({"status": "DELETED"})),
        ("slug", json!({"slug": "other"})),
        (
            "allowedOrigins",
            json!({"allowedOrigins": "https://x.example"}),
        ),
        ("id", json!({"id": "prj_1"})),
    ] {
        api.patch("/api/v1/projects/shop", change).problem_at(field);
    }
    assert_eq!(api.get("/api/v1/projects/shop").json(), project);
}

#[test]
fn rejects_an_invalid_status() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "topics": ["feedback.updated"]}));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    for (field, change) in [
        ("status", json!({"status": "resolved"})),
        ("status", json!({"status": "DONE"})),
        ("status", json!({"status": 1})),
        ("status", json!({"status": null})),
        ("message", json!({"message": "changed"})),
    ] {
        api.patch(&path, change).problem_at(field);
    }
    assert_eq!(api.get(&path).json(), feedback);
    assert!(api.deliveries(&webhook).is_empty());
}

#[test]
fn rejects_an_invalid_webhook() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let path = "/api/v1/webhooks";
    let valid = json!({"url": receiver.url("/")});
    let short = base64::engine::general_purpose::STANDARD.encode([1; 4]);
    let many: serde_json::Map<String, Value> = (0..11)
        .map(|n| (format!("X-Custom-{n}"), json!("v")))
        .collect();
    for (field, body) in [
        ("url", json!({})),
        ("url", json!({"url": 5})),
        ("url", json!({"url": "javascript:alert(1)"})),
        ("url", json!({"url": "http://example.com/"})),
        ("url", json!({"url": "https://ada:secret@example.com/"})),
        ("enabled", with_member(&valid, "enabled", json!("yes"))),
        ("retries", with_member(&valid, "retries", json!("often"))),
        (
            "description",
            with_member(&valid, "description", json!(["x"])),
        ),
        ("secret", with_member(&valid, "secret", json!(short))),
        (
            "secret",
            with_member(&valid, "secret", json!("has spaces in it, it has")),
        ),
        (
            "secret",
            with_member(
                &valid,
                "secret",
                json!("ümläüts-are-not-allowed-in-secrets"),
            ),
        ),
        (
            "secret",
            with_member(&valid, "secret", json!("s".repeat(129))),
        ),
        (
            "headers",
            with_member(&valid, "headers", Value::Object(many)),
        ),
        ("headers", with_member(&valid, "headers", json!(["X-A"]))),
        ("events", with_member(&valid, "events", json!([]))),
        (
            "topics",
            with_member(&valid, "topics", json!("feedback.created")),
        ),
        ("topics", with_member(&valid, "topics", json!(1))),
    ] {
        assert_rejected(&api, path, field, &body);
    }
}

/// Checks that the response has an error at a list or at one of its items: `topics`, `topics[0]`,
/// `topics.0`, or `topics/0`.
#[track_caller]
fn assert_error_within(response: &Response, field: &str) {
    let problem = response.problem(422);
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let has_error = errors
        .iter()
        .any(|error| text(error, "field").starts_with(field));
    assert!(has_error, "no error at {field}: {response:?}");
}

#[test]
fn rejects_invalid_items_of_lists_and_headers() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let valid = json!({"url": receiver.url("/")});
    for (field, value) in [
        ("topics", json!(["feedback.deleted"])),
        ("topics", json!(["test"])),
        ("topics", json!([1])),
        ("projects", json!(["prj_unknown"])),
        ("projects", json!([7])),
        ("headers", json!({"X-Number": 1})),
        ("headers", json!({"Bad Name": "v"})),
        ("headers", json!({"X-Line": "a\r\nX-Injected: b"})),
        ("headers", json!({"": "v"})),
    ] {
        let response = api.post("/api/v1/webhooks", with_member(&valid, field, value));
        assert_error_within(&response, field);
    }
    for name in [
        "Host",
        "Connection",
        "Transfer-Encoding",
        "Content-Length",
        "content-type",
        "User-Agent",
        "X-Miniback-Signature",
        "x-miniback-delivery",
        "Webhook-Id",
        "webhook-signature",
    ] {
        let response = api.post(
            "/api/v1/webhooks",
            with_member(&valid, "headers", json!({name: "v"})),
        );
        assert_error_within(&response, "headers");
    }
    let listed = api.get("/api/v1/webhooks").json();
    assert_eq!(listed["data"], json!([]));
}

#[test]
fn an_invalid_limit_cursor_or_filter_is_422() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let deliveries = format!("/api/v1/webhooks/{}/deliveries", text(&webhook, "id"));
    let lists = [
        "/api/v1/projects",
        "/api/v1/feedback",
        "/api/v1/webhooks",
        &deliveries,
    ];
    for list in lists {
        for limit in ["0", "101", "-1", "x", "1.5", "99999999999999999999"] {
            api.get(&format!("{list}?limit={limit}"))
                .problem_at("limit");
        }
        for cursor in ["nonsense", "%00", "..%2F", "eyJhIjoxfQ"] {
            api.get(&format!("{list}?cursor={cursor}"))
                .problem_at("cursor");
        }
    }
    for (field, query) in [
        ("status", "status=DONE"),
        ("status", "status=new"),
        ("project", "project=no-such-project"),
    ] {
        api.get(&format!("/api/v1/feedback?{query}"))
            .problem_at(field);
    }
    for (field, query) in [("state", "state=lost"), ("event", "event=feedback.deleted")] {
        api.get(&format!("{deliveries}?{query}")).problem_at(field);
    }
}

#[test]
fn a_long_idempotency_key_causes_no_server_error() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let long = "k".repeat(5_000);
    let headers = [("Idempotency-Key", long.as_str())];
    let response = api.send_json("POST", "/api/v1/feedback", &headers, &body);
    assert!(response.status < 500, "{response:?}");
}

#[test]
fn invalid_paths_and_forms_cause_no_server_error() {
    let app = App::start();
    let mut ada = app.signed_in();
    for path in [
        "/%ff",
        "/%00",
        "/feedback?project=%ff",
        "/feedback?status=NONSENSE",
        "/settings/notifications/wh_unknown/deliveries",
        "/..%2f..%2fetc%2fpasswd",
        "/static/..%2f..%2fCargo.toml",
    ] {
        let page = ada.get(path);
        assert!(page.response.status < 500, "{:?}", page.response);
    }
    let page = ada.get("/settings/notifications?add").expect(200);
    for form in page.forms() {
        let Some(mut filled) = form.press_first() else {
            continue;
        };
        if form.has_button("Sign out") || filled.method != "post" {
            continue;
        }
        filled.fields = vec![("nonsense".to_owned(), "\u{0}\u{ffff}".to_owned())];
        let page = ada.submit(&filled);
        assert!(page.response.status < 500, "{:?}", page.response);
    }
}

#[test]
fn invalid_requests_never_cause_a_panic() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for path in ["/api/v1/projects", "/api/v1/feedback", "/api/v1/webhooks"] {
        for body in ["", "{}", "[]", "{\"a\":1}", "\u{0}"] {
            for method in ["POST", "PATCH", "DELETE", "PUT", "BREW"] {
                let response = api.send(method, path, &[JSON], Some(body.as_bytes()));
                assert!((400..500).contains(&response.status), "{response:?}");
            }
        }
    }
    let log = app.log.to_string();
    assert!(!log.contains("panicked"), "{log}");
    api.get("/healthz").expect(200);
}
