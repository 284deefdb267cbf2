//! `POST /api/feedback`, the widget's endpoint: what it accepts and rejects. Any page can read its
//! responses.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::http::Response;
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

const ENDPOINT: &str = "/api/feedback";

fn valid_body() -> Value {
    json!({"projectSlug": "shop", "message": "Hello"})
}

/// Sends a body with the widget's header, and checks that any page can read the response.
#[track_caller]
fn send(public: &Api, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut all = vec![("X-Feedback-Source", "widget")];
    all.extend_from_slice(headers);
    assert_readable_by_any_page(public.send_json("POST", ENDPOINT, &all, body))
}

/// Checks that any page can read the response, and that the response sets no cookie.
#[track_caller]
fn assert_readable_by_any_page(response: Response) -> Response {
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("*"),
        "{response:?}"
    );
    assert_eq!(response.header("set-cookie"), None, "{response:?}");
    response
}

/// Starts Miniback with the project "Shop" and without rate limits. Also returns an API client with
/// a token, and an API client without a token.
fn app_with_shop() -> (App, Api, Api) {
    let app = App::builder()
        .option("--limit-address", "none")
        .option("--limit-project", "none")
        .start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    (app, api, public)
}

fn count(api: &Api) -> usize {
    let listed = api.get("/api/v1/feedback?limit=100").expect(200).json();
    listed["data"].as_array().unwrap().len()
}

#[test]
fn accepts_stores_and_delivers_feedback_without_authentication() {
    let ((_app, api, public), receiver) = (app_with_shop(), Receiver::ok());
    api.create_webhook(&receiver.url("/"));
    let body = json!({
        "projectSlug": "shop", "message": "Grüße\n👋", "email": "sam@example.com",
        "url": "https://shop.example/cart?x=1", "context": {"b": 1, "a": [true]},
    });
    let accepted = send(&public, &[("Origin", "https://shop.example")], &body).expect(201);
    let members: Vec<String> = accepted
        .json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(members, ["id", "status"]);
    assert_eq!(accepted.json()["status"], "NEW");
    let path = format!("/api/v1/feedback/{}", text(&accepted.json(), "id"));
    let stored = api.get(&path).expect(200).json();
    assert_eq!(stored["message"], "Grüße\n👋");
    assert_eq!(stored["email"], "sam@example.com");
    assert_eq!(stored["url"], "https://shop.example/cart?x=1");
    assert_eq!(stored["metadata"], json!({"b": 1, "a": [true]}));
    assert_eq!(receiver.first().message(), "Grüße\n👋");
    // Optional members can be null.
    let with_nulls =
        json!({"projectSlug": "shop", "message": "a", "email": null, "url": null, "context": null});
    send(&public, &[], &with_nulls).expect(201);
}

#[test]
fn errors_identify_the_field_and_are_readable_by_any_page() {
    let (_app, api, public) = app_with_shop();
    let send_with = |member: &str, value: Value| {
        let mut body = valid_body();
        body[member] = value;
        send(&public, &[("Origin", "https://a.example")], &body)
    };
    for (member, value) in [
        ("projectSlug", json!("nowhere")),
        ("projectSlug", json!(7)),
        ("message", json!(" \n")),
        ("message", json!("x".repeat(10_001))),
        ("message", json!("a\u{0}b")),
        ("email", json!("sam@")),
        ("email", json!("")),
        ("url", json!("javascript:alert(1)")),
        (
            "url",
            json!(format!("https://a.example/{}", "x".repeat(2048))),
        ),
        ("context", json!([1])),
        ("stamp", json!("1.x")),
        ("metadata", json!({})),
        ("project", json!("shop")),
    ] {
        send_with(member, value).problem_at(member);
    }
    let missing = send(&public, &[], &json!({"projectSlug": "shop"}));
    missing.problem_at("message");
    // `projectSlug` accepts a project's slug, but not its id.
    let id = api.get("/api/v1/projects/shop").json()["id"].clone();
    send_with("projectSlug", id).problem_at("projectSlug");

    let send_bytes = |content_type: &str, body: &[u8]| {
        let headers = [
            ("Content-Type", content_type),
            ("Origin", "https://a.example"),
        ];
        assert_readable_by_any_page(public.send("POST", ENDPOINT, &headers, Some(body)))
    };
    send_bytes("application/json", b"{").problem(400);
    send_bytes("application/json", b"\xff").problem(400);
    send_bytes("text/plain", b"{}").problem(415);
    send_bytes("application/json", &vec![b' '; 70_000]).problem(413);
    let get = assert_readable_by_any_page(public.get(ENDPOINT));
    get.problem(405);
    assert_eq!(get.header("allow"), Some("POST, OPTIONS"));
    assert_eq!(count(&api), 0);
}

#[test]
fn responds_to_cors_preflight_requests() {
    let (_app, _, public) = app_with_shop();
    let preflight = [
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,idempotency-key,x-feedback-source",
        ),
    ];
    let response =
        assert_readable_by_any_page(public.send("OPTIONS", ENDPOINT, &preflight, None)).expect(204);
    let response_header = |name: &str| response.header(name).unwrap_or_default().to_lowercase();
    assert!(response_header("access-control-allow-methods").contains("post"));
    for header in ["content-type", "idempotency-key", "x-feedback-source"] {
        assert!(response_header("access-control-allow-headers").contains(header));
    }
    assert_eq!(response.header("access-control-allow-credentials"), None);
}

#[test]
fn accepts_feedback_only_from_allowed_origins() {
    let (app, api, public) = app_with_shop();
    let from = |origin: &str| send(&public, &[("Origin", origin)], &valid_body());
    for origin in ["https://anywhere.example", "null", &app.url] {
        from(origin).expect(201);
    }
    let change = json!({"allowedOrigins": ["https://shop.example", "http://localhost:3000"]});
    api.patch("/api/v1/projects/shop", change).expect(200);
    for allowed in ["https://shop.example", "http://localhost:3000", &app.url] {
        from(allowed).expect(201);
    }
    send(&public, &[], &valid_body()).expect(201);
    for rejected in [
        "null",
        "https://other.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://www.shop.example",
        "http://localhost",
        "",
    ] {
        let problem = from(rejected).problem(403);
        assert_eq!(problem["type"], "urn:miniback:origin-refused", "{rejected}");
    }
    assert_eq!(count(&api), 7);
}

#[test]
fn rejects_feedback_for_a_paused_project() {
    let (_app, api, public) = app_with_shop();
    api.patch("/api/v1/projects/shop", json!({"status": "PAUSED"}))
        .expect(200);
    let problem = send(&public, &[("Origin", "https://a.example")], &valid_body()).problem(403);
    assert_eq!(problem["type"], "urn:miniback:paused");
    assert!(text(&problem, "detail").contains("paused"));
    assert_eq!(count(&api), 0);
}

#[test]
fn an_idempotency_key_identifies_feedback_within_a_project() {
    let (_app, api, public) = app_with_shop();
    api.create_project("Blog");
    let key = [("Idempotency-Key", "k-1")];
    let first = send(&public, &key, &valid_body()).expect(201);
    assert_eq!(
        send(&public, &key, &valid_body()).expect(201).text,
        first.text
    );
    let other = json!({"projectSlug": "shop", "message": "Another message"});
    send(&public, &key, &other).problem_at("Idempotency-Key");
    let other_project = json!({"projectSlug": "blog", "message": "Hello"});
    let second = send(&public, &key, &other_project).expect(201);
    assert_ne!(second.json()["id"], first.json()["id"]);
    // If two requests have the same idempotency key, Miniback ignores differences in the honeypot
    // field.
    let mut again = valid_body();
    again["website"] = json!("");
    assert_eq!(send(&public, &key, &again).expect(201).text, first.text);
    send(&public, &[("Idempotency-Key", "")], &valid_body()).problem_at("Idempotency-Key");
    assert_eq!(count(&api), 2);

    api.delete(&format!("/api/v1/feedback/{}", text(&first.json(), "id")))
        .expect(204);
    send(&public, &key, &valid_body()).problem(409);
}

#[test]
fn discards_honeypot_hits_with_a_normal_response() {
    let (_app, api, public) = app_with_shop();
    let mut spam = valid_body();
    spam["website"] = json!("https://buy.example");
    let accepted = send(&public, &[], &spam).expect(201).json();
    assert_eq!(accepted["status"], "NEW");
    let id = text(&accepted, "id");
    assert!(id.starts_with("fb_") && id.len() == 29, "{id}");
    assert_eq!(count(&api), 0);
    api.get(&format!("/api/v1/feedback/{id}")).problem(404);
    let mut human = valid_body();
    human["website"] = json!(" ");
    send(&public, &[], &human).expect(201);
    assert_eq!(count(&api), 1);
}

#[test]
fn a_form_token_survives_a_restart() {
    let app = App::start();
    app.api().create_project("Shop");
    let script = app.api_without_token().get("/widget.js").expect(200).text;
    let app = App::builder().with_data_dir(app.sigkill()).start();
    let mut with_token = valid_body();
    with_token["stamp"] = json!(crate::widget_script::form_token_in(&script));
    let public = app.api_without_token();
    // The token is rejected until it is 2 s old.
    wait_until("the form token is old enough", || {
        let response = send(&public, &[], &with_token);
        if response.status == 422 {
            assert!(
                response.problem_at("stamp").contains("Wait"),
                "{response:?}"
            );
        }
        (response.status == 201).then_some(())
    });
}
