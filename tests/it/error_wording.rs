//! Errors of the API describe valid values in terms of JSON, not in terms of a library.

use serde_json::{Value, json};

use crate::support::app::App;

/// Strings that are typical of errors from Rust libraries. No error message may contain them.
const INTERNALS: [&str; 17] = [
    "struct",
    "enum",
    "variant",
    "tuple",
    "newtype",
    "u32",
    "u64",
    "i64",
    "usize",
    "f64",
    "bool ",
    "Option",
    "untagged",
    "`",
    "::",
    "column",
    "custom name",
];

/// Returns the methods, paths, and bodies of API calls. Each body contains all members that the
/// call accepts.
fn valid_calls() -> Vec<(&'static str, String, Value)> {
    let webhook = json!({
        "url": "http://127.0.0.1:9/hook", "description": "text", "topics": ["feedback.created"],
        "projects": [], "enabled": true, "retries": "standard", "headers": {"X-A": "b"},
        "secret": "sixteen-characters",
    });
    let test =
        json!({"url": "http://127.0.0.1:9/", "secret": "sixteen-characters", "event": "test"});
    let rotation = json!({"secret": "sixteen-characters", "overlapHours": 2});
    let feedback = json!({
        "project": "shop", "message": "Hello", "email": "a@b.example", "url": "https://a.example/",
        "metadata": {"a": 1},
    });
    vec![
        (
            "POST",
            "/api/v1/projects".into(),
            json!({"name": "A", "slug": "a"}),
        ),
        ("POST", "/api/v1/feedback".into(), feedback),
        (
            "PATCH",
            "/api/v1/feedback/{fb}".into(),
            json!({"status": "NEW"}),
        ),
        ("POST", "/api/v1/webhooks".into(), webhook.clone()),
        ("PATCH", "/api/v1/webhooks/{wh}".into(), webhook),
        (
            "POST",
            "/api/v1/webhooks/{wh}/secret/rotate".into(),
            rotation,
        ),
        (
            "POST",
            "/api/v1/webhooks/{wh}/test".into(),
            json!({"event": "test"}),
        ),
        ("POST", "/api/v1/webhooks/test".into(), test),
        (
            "POST",
            "/api/v1/webhooks/{wh}/recover".into(),
            json!({
                "since": "2026-01-01T00:00:00.000Z",
            }),
        ),
        (
            "POST",
            "/api/feedback".into(),
            json!({
                "projectSlug": "shop", "message": "Hello", "email": "a@b.example", "url": "https://a.example/",
                "context": {"a": "b"},
            }),
        ),
        // This call is last, because it pauses the project.
        (
            "PATCH",
            "/api/v1/projects/shop".into(),
            json!({
                "name": "A", "status": "PAUSED", "allowedOrigins": ["https://a.example"],
            }),
        ),
    ]
}

#[test]
fn errors_about_wrong_types_use_json_terms() {
    let app = App::builder()
        .option("--limit-address", "none")
        .option("--limit-project", "none")
        .start();
    let api = app.api();
    api.create_project("Shop");
    let created = api.post(
        "/api/v1/feedback",
        json!({"project": "shop", "message": "Hello"}),
    );
    let feedback = created.expect(201).json();
    let created = api.post("/api/v1/webhooks", json!({"url": "http://127.0.0.1:9/"}));
    let webhook = created.expect(201).json();
    let path = |path: &str| {
        path.replace("{fb}", feedback["id"].as_str().unwrap())
            .replace("{wh}", webhook["id"].as_str().unwrap())
    };
    let wrong = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!("wrong"),
        json!(""),
        json!([]),
        json!([7]),
        json!([null]),
        json!(["wrong"]),
        json!([["a"]]),
        json!({}),
        json!({"a": 7}),
        json!({"a": [1]}),
        json!({"": {}}),
        json!("x, expected y"),
    ];
    let mut rejected = 0;
    for (method, call, valid) in valid_calls() {
        for member in valid.as_object().unwrap().keys() {
            for value in &wrong {
                let mut body = valid.clone();
                body[member] = value.clone();
                let response = api.send_json(method, &path(&call), &[], &body);
                let text = &response.text;
                assert!(
                    response.status < 500,
                    "{method} {call} {body}: {response:?}"
                );
                if response.status < 400 {
                    continue;
                }
                rejected += 1;
                let texts = error_messages(&response.json());
                assert!(!texts.is_empty(), "{text}");
                for message in texts {
                    let part = INTERNALS.iter().find(|part| message.contains(**part));
                    assert_eq!(part, None, "{method} {call} {body}: {message}");
                    assert!(message.ends_with('.'), "{method} {call} {body}: {message}");
                }
            }
        }
    }
    assert!(rejected > 300, "{rejected}");
}

/// Returns the human-readable strings of a problem document: the error messages and the detail.
fn error_messages(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let messages = errors.iter().map(|error| &error["message"]);
    let texts = messages.chain([&problem["detail"]]);
    texts
        .map(|text| text.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_error_of_an_invalid_choice_lists_the_valid_choices() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let message = api
        .patch("/api/v1/projects/shop", json!({"status": "OPEN"}))
        .problem_at("status");
    assert_eq!(message, "Use “ACTIVE” or “PAUSED”.");
    let webhook = json!({"url": "http://127.0.0.1:9/", "retries": "often"});
    let message = api.post("/api/v1/webhooks", webhook).problem_at("retries");
    assert_eq!(message, "Use “standard” or “patient”.");
}
