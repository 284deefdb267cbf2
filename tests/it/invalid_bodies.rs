//! Request bodies that are rejected as a whole: invalid JSON, a body that is too long, or an
//! unsupported content type.

use serde_json::json;

use crate::support::app::App;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const VALID: &str = r#"{"project":"shop","message":"Hello"}"#;

#[test]
fn invalid_json_is_400() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for body in [
        b"".as_slice(),
        b"{",
        b"not json",
        b"{\"project\":\"shop\",\"message\":\"x\"} trailing",
        b"{\"project\":\"shop\",\"message\":\"\xff\xfe\"}",
        b"{\"project\":\"shop\",\"message\":\"\\ud800\"}",
        b"\xef\xbb\xbf\xff",
    ] {
        api.send("POST", "/api/v1/feedback", &[JSON], Some(body))
            .problem(400);
    }
    let nested = "[".repeat(30_000);
    let deep = api.send("POST", "/api/v1/feedback", &[JSON], Some(nested.as_bytes()));
    assert!(matches!(deep.status, 400 | 422), "{deep:?}");
    for body in ["[]", "\"text\"", "7", "null"] {
        let response = api.send("POST", "/api/v1/feedback", &[JSON], Some(body.as_bytes()));
        response.problem(422);
    }
    let listed = api.get("/api/v1/feedback").json();
    assert_eq!(listed["data"], json!([]));
}

#[test]
fn a_body_over_64_kib_is_413() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let send = |kib: usize, filler: &str| {
        let body = format!("{VALID}{}", filler.repeat(kib * 1024 - VALID.len()));
        api.send("POST", "/api/v1/feedback", &[JSON], Some(body.as_bytes()))
    };
    for filler in ["x", " "] {
        send(65, filler).problem(413);
    }
    send(64, " ").expect(201);
}

#[test]
fn an_unsupported_content_type_is_415() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let send = |content_type: &str| {
        let headers = [("Content-Type", content_type)];
        api.send("POST", "/api/v1/feedback", &headers, Some(VALID.as_bytes()))
    };
    for unsupported in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        send(unsupported).problem(415);
    }
    for supported in ["application/json; charset=utf-8", "Application/JSON"] {
        send(supported).expect(201);
    }
}
