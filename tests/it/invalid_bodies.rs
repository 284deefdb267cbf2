//! Request bodies that are rejected as a whole: invalid JSON, too long, or another content type.

use serde_json::json;

use crate::support::app::App;

const JSON: (&str, &str) = ("Content-Type", "application/json");

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
    for filler in ["x", " "] {
        let start = r#"{"project":"shop","message":"Hello"}"#;
        let body = format!("{start}{}", filler.repeat(65 * 1024 - start.len()));
        api.send("POST", "/api/v1/feedback", &[JSON], Some(body.as_bytes()))
            .problem(413);
    }
    let start = r#"{"project":"shop","message":"Hello"}"#;
    let whole = format!("{start}{}", " ".repeat(64 * 1024 - start.len()));
    api.send("POST", "/api/v1/feedback", &[JSON], Some(whole.as_bytes()))
        .expect(201);
}

#[test]
fn another_content_type_is_415() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body = br#"{"project":"shop","message":"Hello"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        api.send(
            "POST",
            "/api/v1/feedback",
            &[("Content-Type", kind)],
            Some(body),
        )
        .problem(415);
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        api.send(
            "POST",
            "/api/v1/feedback",
            &[("Content-Type", kind)],
            Some(body),
        )
        .expect(201);
    }
}
