//! Behavior shared by all API calls: authentication, methods, errors, request ids, and idempotency
//! keys. `every_route.rs` checks the permissions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::http::Response;
use crate::support::receiver::Receiver;

/// Paths of the API and the health check, each with all methods that it supports. Names in braces
/// are replaced by the ids of existing items.
const PATHS: [(&str, &[&str]); 14] = [
    ("/api/v1/projects", &["GET", "POST"]),
    ("/api/v1/projects/shop", &["GET", "PATCH", "DELETE"]),
    ("/api/v1/feedback", &["GET", "POST"]),
    ("/api/v1/feedback/{feedback}", &["GET", "PATCH", "DELETE"]),
    ("/api/v1/webhooks", &["GET", "POST"]),
    ("/api/v1/webhooks/{webhook}", &["GET", "PATCH", "DELETE"]),
    ("/api/v1/webhooks/{webhook}/secret", &["GET"]),
    ("/api/v1/webhooks/{webhook}/secret/rotate", &["POST"]),
    ("/api/v1/webhooks/{webhook}/secret/rotate/finish", &["POST"]),
    ("/api/v1/webhooks/{webhook}/test", &["POST"]),
    ("/api/v1/webhooks/test", &["POST"]),
    ("/api/v1/webhooks/{webhook}/deliveries", &["GET"]),
    ("/api/v1/deliveries/{delivery}", &["GET"]),
    ("/healthz", &["GET"]),
];

/// Miniback with one item of each kind that appears in `PATHS`.
struct Fixture {
    app: App,
    _receiver: Receiver,
    feedback: String,
    webhook: String,
    delivery: String,
}

fn fixture() -> Fixture {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    Fixture {
        feedback: text(&feedback, "id").to_owned(),
        webhook: text(&webhook, "id").to_owned(),
        delivery,
        app,
        _receiver: receiver,
    }
}

impl Fixture {
    fn path(&self, template: &str) -> String {
        template
            .replace("{feedback}", &self.feedback)
            .replace("{webhook}", &self.webhook)
            .replace("{delivery}", &self.delivery)
    }

    #[track_caller]
    fn call(&self, token: Option<&str>, method: &str, template: &str) -> Response {
        let api = match token {
            Some(token) => self.app.api_with(token),
            None => self.app.api_without_token(),
        };
        let body = matches!(method, "POST" | "PATCH").then_some(b"{}".as_slice());
        let json = [("Content-Type", "application/json")];
        let headers = if body.is_some() { &json[..] } else { &[] };
        api.send(method, &self.path(template), headers, body)
    }
}

#[test]
fn a_request_without_a_valid_token_is_401_with_a_bearer_challenge() {
    let app = App::start();
    for token in [None, Some("mb_nonsense"), Some("nonsense"), Some("mb_")] {
        let api = match token {
            Some(token) => app.api_with(token),
            None => app.api_without_token(),
        };
        let response = api.get("/api/v1/projects");
        response.problem(401);
        let challenge = response.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{response:?}");
    }
}

#[test]
fn accepts_only_the_bearer_scheme() {
    let app = App::start();
    let token = app.token(ADMIN, "full");
    let api = app.api_without_token();
    for value in [
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        "Bearer".to_owned(),
        format!("Bearer {token} {token}"),
    ] {
        let headers = [("Authorization", value.as_str())];
        api.send("GET", "/api/v1/projects", &headers, None)
            .problem(401);
    }
    let lower = format!("bearer {token}");
    let headers = [("Authorization", lower.as_str())];
    api.send("GET", "/api/v1/projects", &headers, None)
        .expect(200);
}

#[test]
fn members_handle_feedback_and_submit_tokens_create_it() {
    let fixture = fixture();
    fixture.app.add_user("bob@example.com", "member");
    let token = fixture.app.token("bob@example.com", "full");
    let api = fixture.app.api_with(&token);
    api.get("/api/v1/projects").expect(200);
    let feedback = api.create_feedback("shop", "Sent by a member");
    api.set_status(&feedback, "RESOLVED");
    api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(200);
    let token = fixture.app.token(ADMIN, "submit");
    fixture
        .app
        .api_with(&token)
        .create_feedback("shop", "Sent with a submit token");
}

#[test]
fn head_works_like_get_without_a_body() {
    let fixture = fixture();
    let api = fixture.app.api();
    for (path, methods) in PATHS {
        let path = fixture.path(path);
        if methods.contains(&"GET") {
            let (head, get) = (api.head(&path).expect(200), api.get(&path));
            assert_eq!(head.text, "");
            assert_eq!(head.header("content-type"), get.header("content-type"));
        }
    }
    api.head("/api/v1/projects/nothere").expect(404);
}

#[test]
fn an_unsupported_method_is_405_with_an_allow_header() {
    let fixture = fixture();
    let token = fixture.app.token(ADMIN, "full");
    for (path, methods) in PATHS {
        let expected: BTreeSet<&str> = methods.iter().copied().collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"] {
            if methods.contains(&method) {
                continue;
            }
            let response = fixture.call(Some(&token), method, path);
            if path != "/healthz" {
                response.problem(405);
            }
            assert_eq!(response.status, 405, "{response:?}");
            let allow = response.header("allow").unwrap_or_default();
            let allowed: BTreeSet<&str> = allow
                .split(',')
                .map(str::trim)
                .filter(|method| !matches!(*method, "HEAD" | "OPTIONS"))
                .collect();
            assert_eq!(allowed, expected, "{response:?}");
        }
    }
}

#[test]
fn options_lists_methods_and_allows_no_other_origin() {
    let fixture = fixture();
    for (path, _) in PATHS {
        let headers = [
            ("Origin", "https://evil.example"),
            ("Access-Control-Request-Method", "POST"),
        ];
        let api = fixture.app.api_without_token();
        let response = api.send("OPTIONS", &fixture.path(path), &headers, None);
        assert!(
            response.status < 500 && response.status != 404,
            "{response:?}"
        );
        assert!(response.header("allow").is_some(), "{response:?}");
        let allowed_origin = response.header("access-control-allow-origin");
        assert_eq!(allowed_origin, None, "{response:?}");
    }
}

#[test]
fn every_response_has_a_unique_request_id() {
    let fixture = fixture();
    let api = fixture.app.api();
    let mut seen = BTreeSet::new();
    let responses = [
        api.get("/api/v1/projects"),
        api.get("/api/v1/nothing-here"),
        api.post("/api/v1/projects", json!({})),
        api.delete("/api/v1/webhooks"),
        fixture.app.api_without_token().get("/api/v1/projects"),
        api.get("/healthz"),
        api.get("/nothing-here"),
        api.send("OPTIONS", "/api/v1/projects", &[], None),
    ];
    for response in responses {
        let id = response.header("x-request-id").unwrap_or_default();
        assert!(!id.is_empty(), "{response:?}");
        assert!(
            seen.insert(id.to_owned()),
            "the request id {id} occurs twice"
        );
    }
}

#[test]
fn unknown_paths_and_ids_are_404() {
    let app = App::start();
    let api = app.api();
    for path in [
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/projects",
        "/api/v1/projects/nothere",
        "/api/v1/projects/prj_nothere",
        "/api/v1/feedback/fb_nothere",
        "/api/v1/webhooks/wh_nothere",
        "/api/v1/webhooks/wh_nothere/secret",
        "/api/v1/webhooks/wh_nothere/deliveries",
        "/api/v1/deliveries/dlv_nothere",
        "/api/v1/deliveries/%00",
        "/api/v1/feedback/..%2f..%2fetc",
    ] {
        api.get(path).problem(404);
    }
}

const KEY: &str = "Idempotency-Key";

fn create_with_key(app: &App, key: &str, body: &Value) -> Response {
    app.api()
        .send_json("POST", "/api/v1/feedback", &[(KEY, key)], body)
}

#[test]
fn repeating_an_idempotency_key_returns_the_first_response() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let first = create_with_key(&app, "key-1", &body).expect(201);
    for _ in 0..3 {
        let again = create_with_key(&app, "key-1", &body).expect(201);
        assert_eq!(again.text, first.text);
    }
    assert_eq!(api.deliveries(&webhook).len(), 1);
    let other = create_with_key(&app, "key-2", &body).expect(201);
    assert_ne!(other.json()["id"], first.json()["id"]);
    assert_eq!(api.deliveries(&webhook).len(), 2);
}

#[test]
fn an_idempotency_key_with_a_different_body_is_422() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    create_with_key(&app, "key", &json!({"project": "shop", "message": "one"})).expect(201);
    create_with_key(&app, "key", &json!({"project": "shop", "message": "two"})).problem(422);
    let listed = api.get("/api/v1/feedback").json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[test]
fn idempotency_keys_are_separate_for_each_token() {
    let app = App::start();
    app.api().create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let first = create_with_key(&app, "key", &body).expect(201).json();
    let other = app.api_with(&app.token(ADMIN, "submit"));
    let second = other.send_json("POST", "/api/v1/feedback", &[(KEY, "key")], &body);
    assert_ne!(second.expect(201).json()["id"], first["id"]);
}

#[test]
fn idempotency_keys_survive_a_crash() {
    let app = App::start();
    let token = app.token(ADMIN, "full");
    app.api().create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let send = |app: &App| {
        let api = app.api_with(&token);
        let response = api.send_json("POST", "/api/v1/feedback", &[(KEY, "key")], &body);
        response.expect(201).json()
    };
    let first = send(&app);
    let app = App::builder().with_data_dir(app.sigkill()).start();
    assert_eq!(send(&app), first);
}

#[test]
fn parallel_requests_with_one_key_create_one_feedback_item() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let responses: Vec<Response> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| create_with_key(&app, "key", &body)))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let created: Vec<&Response> = responses.iter().filter(|r| r.status == 201).collect();
    assert!(!created.is_empty(), "no request created feedback");
    for response in &responses {
        assert!(matches!(response.status, 201 | 409), "{response:?}");
    }
    assert!(
        created
            .iter()
            .all(|response| response.text == created[0].text)
    );
    assert_eq!(api.deliveries(&webhook).len(), 1);
}

#[test]
fn a_rejected_request_does_not_use_up_its_key() {
    let app = App::start();
    app.api().create_project("Shop");
    create_with_key(&app, "key", &json!({"project": "shop", "message": ""})).problem(422);
    create_with_key(&app, "key", &json!({"project": "shop", "message": "Hello"})).expect(201);
}
