//! Request bodies that are rejected as a whole: invalid JSON, a body that is too long or
//! compressed, or an unsupported content type. Metadata is returned exactly as it was sent.

use serde_json::json;

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::http::Response;

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
fn every_call_rejects_a_body_with_unknown_members() {
    let app = App::start();
    let api = app.api();
    let document = api.get("/api/v1/openapi.json").expect(200).json();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "patch", "put"] {
            if !path.starts_with("/api/") || item[method].is_null() {
                continue;
            }
            let path = path.replace("{id}", "x_1").replace("{project}", "p");
            for (body, status) in [
                (&b"{bad"[..], 400),
                (b"\xff", 400),
                (b"[]", 422),
                (b"{\"zz\":1}", 422),
            ] {
                let method = method.to_uppercase();
                let response = api.send(&method, &path, &[JSON], Some(body));
                assert_eq!(response.status, status, "{method} {path}: {response:?}");
            }
            count += 1;
        }
    }
    assert!(
        count > 12,
        "the document has only {count} operations with a body"
    );
}

fn send_metadata(api: &Api, metadata: &str) -> Response {
    let body = format!(r#"{{"project":"shop","message":"m","metadata":{metadata}}}"#);
    api.send("POST", "/api/v1/feedback", &[JSON], Some(body.as_bytes()))
}

#[test]
fn deep_nesting_and_half_surrogates_have_their_own_messages() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let send = |metadata: &str| send_metadata(&api, metadata);
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    send(&nested(100)).expect(201);
    for levels in [127, 200, 600] {
        let problem = send(&nested(levels)).problem(422);
        assert!(
            problem["detail"].as_str().unwrap().contains("nested"),
            "{problem}"
        );
    }
    for text in ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\ud83dx"] {
        let problem = send(&format!(r#"{{"a":"{text}"}}"#)).problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("surrogate"), "{text}: {detail}");
    }
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

#[test]
fn a_compressed_body_is_415_with_the_accepted_encodings() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00";
    let public = r#"{"projectSlug":"shop","message":"Hello"}"#;
    for (path, body) in [("/api/v1/feedback", VALID), ("/api/feedback", public)] {
        let send = |coding, body: &[u8]| {
            api.send(
                "POST",
                path,
                &[JSON, ("Content-Encoding", coding)],
                Some(body),
            )
        };
        for (coding, body) in [
            ("gzip", gzip.as_slice()),
            ("GZIP", b"{}"),
            ("br", gzip),
            ("identity, deflate", gzip),
            ("nonsense", body.as_bytes()),
        ] {
            let response = send(coding, body);
            let problem = response.problem(415);
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("Content-Encoding")
            );
            assert_eq!(
                response.header("accept-encoding"),
                Some("identity"),
                "{coding}"
            );
        }
        send("identity", body.as_bytes()).expect(201);
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for path in ["/f/shop", "/login"] {
        let headers = [form, ("Content-Encoding", "gzip")];
        let response = api.send("POST", path, &headers, Some(gzip)).expect(415);
        assert_eq!(
            response.header("accept-encoding"),
            Some("identity"),
            "{path}"
        );
        assert!(response.text.contains("Content-Encoding"), "{path}");
    }
}

#[test]
fn a_body_can_begin_with_a_byte_order_mark() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body = format!("\u{feff}{VALID}");
    api.send("POST", "/api/v1/feedback", &[JSON], Some(body.as_bytes()))
        .expect(201);
}

#[test]
fn metadata_is_returned_exactly_or_rejected() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let send = |metadata: &str| send_metadata(&api, metadata);
    for metadata in [
        "{}",
        r#"{"n":1.0}"#,
        r#"{"n":1e+400}"#,
        r#"{"n":-0}"#,
        r#"{"n":1e-5}"#,
        r#"{"n":12345678901234567890123}"#,
        r#"{"n":0.1000000000000000055511151231257827}"#,
        r#"{"z":1,"a":[null,true,"\u0000é"],"ℝ":{"":{}}}"#,
        "{\"line\":\"\u{2028}\"}",
    ] {
        let created = send(metadata).expect(201);
        let member = format!("\"metadata\":{metadata},");
        assert!(
            created.text.contains(&member),
            "{metadata}: {}",
            created.text
        );
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let read = api.get(&format!("/api/v1/feedback/{id}")).expect(200);
        assert_eq!(read.text, created.text);
        let list = api.get("/api/v1/feedback?limit=1").expect(200);
        assert!(list.text.contains(&member), "{metadata}: {}", list.text);
    }
    let mut ada = app.signed_in();
    let file = ada.get("/feedback/export.json").expect(200).response.text;
    assert!(file.contains(r#"{"n":1e+400}"#) && file.contains(r#"{"n":12345678901234567890123}"#));
    ada.get("/feedback").expect(200);
    for metadata in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"b":1}}"#,
        r#"{"a":{"$serde_json::private::Number":"1"}}"#,
    ] {
        send(metadata).problem(422);
    }
    for metadata in [r#"{"a":"\ud800"}"#, r#"{"a":01}"#, r#"{"a":NaN}"#] {
        send(metadata).problem(400);
    }
}
