//! How a call is authenticated (`every_route.rs` has who may make which), and what every answer of the API has in common: methods, problems, keys that make a call safe
//! to send twice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::http::Response;
use crate::support::receiver::Receiver;

/// Each address with its methods; `{}` stands for the id of a thing that is there.
const CALLS: [(&str, &[&str]); 14] = [
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

struct FilledForm {
    app: App,
    _receiver: Receiver,
    feedback: String,
    webhook: String,
    delivery: String,
}

/// A program with one thing of each kind.
fn filled() -> FilledForm {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    FilledForm {
        feedback: text(&feedback, "id").to_owned(),
        webhook: text(&webhook, "id").to_owned(),
        delivery,
        app,
        _receiver: receiver,
    }
}

impl FilledForm {
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
fn a_call_without_a_good_token_says_how_to_authenticate() {
    let app = App::start();
    for token in [None, Some("mb_nonsense"), Some("nonsense"), Some("mb_")] {
        let api = match token {
            Some(token) => app.api_with(token),
            None => app.api_without_token(),
        };
        let response = api.get("/api/v1/projects");
        response.problem(401);
        let asks = response.header("www-authenticate").unwrap_or_default();
        assert!(asks.starts_with("Bearer"), "{response:?}");
    }
}

#[test]
fn other_ways_to_authenticate_are_refused() {
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
fn a_member_handles_feedback_and_a_token_to_submit_submits() {
    let filled = filled();
    filled.app.add_user("bob@example.com", "member");
    let token = filled.app.token("bob@example.com", "full");
    let api = filled.app.api_with(&token);
    api.get("/api/v1/projects").expect(200);
    let feedback = api.create_feedback("shop", "from a member");
    api.set_status(&feedback, "RESOLVED");
    api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(200);
    let token = filled.app.token(ADMIN, "submit");
    filled
        .app
        .api_with(&token)
        .create_feedback("shop", "submitted");
}

#[test]
fn head_works_where_get_does_and_has_no_body() {
    let filled = filled();
    let api = filled.app.api();
    for (path, methods) in CALLS {
        let path = filled.path(path);
        if methods.contains(&"GET") {
            let (head, get) = (api.head(&path).expect(200), api.get(&path));
            assert_eq!(head.text, "");
            assert_eq!(head.header("content-type"), get.header("content-type"));
        }
    }
    api.head("/api/v1/projects/nothere").expect(404);
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_allowed() {
    let filled = filled();
    let token = filled.app.token(ADMIN, "full");
    for (path, methods) in CALLS {
        let expected: BTreeSet<&str> = methods.iter().copied().collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"] {
            if methods.contains(&method) {
                continue;
            }
            let response = filled.call(Some(&token), method, path);
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
fn options_has_a_clear_answer_and_opens_nothing_to_other_origins() {
    let filled = filled();
    for (path, _) in CALLS {
        let headers = [
            ("Origin", "https://evil.example"),
            ("Access-Control-Request-Method", "POST"),
        ];
        let api = filled.app.api_without_token();
        let response = api.send("OPTIONS", &filled.path(path), &headers, None);
        assert!(
            response.status < 500 && response.status != 404,
            "{response:?}"
        );
        assert!(response.header("allow").is_some(), "{response:?}");
        let open = response.header("access-control-allow-origin");
        assert_eq!(open, None, "{response:?}");
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let filled = filled();
    let api = filled.app.api();
    let mut seen = BTreeSet::new();
    let responses = [
        api.get("/api/v1/projects"),
        api.get("/api/v1/nothing-here"),
        api.post("/api/v1/projects", json!({})),
        api.delete("/api/v1/webhooks"),
        filled.app.api_without_token().get("/api/v1/projects"),
        api.get("/healthz"),
        api.get("/nothing-here"),
        api.send("OPTIONS", "/api/v1/projects", &[], None),
    ];
    for response in responses {
        let id = response.header("x-request-id").unwrap_or_default();
        assert!(!id.is_empty(), "{response:?}");
        assert!(seen.insert(id.to_owned()), "{id} was there before");
    }
}

#[test]
fn what_is_not_there_is_a_problem_404() {
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

fn keyed(app: &App, key: &str, body: &Value) -> Response {
    app.api()
        .send_json("POST", "/api/v1/feedback", &[(KEY, key)], body)
}

#[test]
fn the_same_key_and_body_get_the_same_answer_and_make_one_event() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let first = keyed(&app, "key-1", &body).expect(201);
    for _ in 0..3 {
        let again = keyed(&app, "key-1", &body).expect(201);
        assert_eq!(again.text, first.text);
    }
    assert_eq!(api.deliveries(&webhook).len(), 1);
    let other = keyed(&app, "key-2", &body).expect(201);
    assert_ne!(other.json()["id"], first.json()["id"]);
    assert_eq!(api.deliveries(&webhook).len(), 2);
}

#[test]
fn the_same_key_with_another_body_is_422() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    keyed(&app, "key", &json!({"project": "shop", "message": "one"})).expect(201);
    keyed(&app, "key", &json!({"project": "shop", "message": "two"})).problem(422);
    let listed = api.get("/api/v1/feedback").json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_key_belongs_to_one_token() {
    let app = App::start();
    app.api().create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let first = keyed(&app, "key", &body).expect(201).json();
    let other = app.api_with(&app.token(ADMIN, "submit"));
    let second = other.send_json("POST", "/api/v1/feedback", &[(KEY, "key")], &body);
    assert_ne!(second.expect(201).json()["id"], first["id"]);
}

#[test]
fn a_key_outlives_a_restart() {
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
    let app = App::builder().with_data(app.kill9()).start();
    assert_eq!(send(&app), first);
}

#[test]
fn parallel_calls_with_one_key_make_one_feedback() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let body = json!({"project": "shop", "message": "Hello"});
    let responses: Vec<Response> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| keyed(&app, "key", &body)))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let made: Vec<&Response> = responses.iter().filter(|a| a.status == 201).collect();
    assert!(!made.is_empty());
    for response in &responses {
        assert!(matches!(response.status, 201 | 409), "{response:?}");
    }
    assert!(made.iter().all(|response| response.text == made[0].text));
    assert_eq!(api.deliveries(&webhook).len(), 1);
}

#[test]
fn a_call_that_was_refused_does_not_use_its_key_up() {
    let app = App::start();
    app.api().create_project("Shop");
    keyed(&app, "key", &json!({"project": "shop", "message": ""})).problem(422);
    keyed(&app, "key", &json!({"project": "shop", "message": "Hello"})).expect(201);
}
