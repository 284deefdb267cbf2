//! Miniback rejects text in an encoding other than UTF-8. A rejected form is shown again with all
//! text that is valid UTF-8.

use serde_json::json;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::http::Response;
use crate::support::pages::{Page, Visitor, same_origin_headers};

const FORM: &str = "application/x-www-form-urlencoded";

fn post(app: &App, visitor: &mut Visitor, path: &str, content_type: &str, body: &[u8]) -> Page {
    let mut headers = same_origin_headers(&app.url).to_vec();
    headers.push(("Content-Type", content_type));
    visitor.fetch("POST", path, &headers, Some(body))
}

#[test]
fn a_form_that_is_not_utf8_is_rejected_and_shown_again() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let mut ada = app.signed_in();
    let latin1 = "application/x-www-form-urlencoded; charset=ISO-8859-1";
    for (content_type, text, status) in [
        (FORM, &b"Kept+text+caf%E9"[..], 400),
        (FORM, b"Kept+text+\xff", 400),
        (FORM, b"Kept+text+%C3", 400),
        (FORM, b"Kept+text+%ED%A0%80", 400),
        (FORM, b"Kept+text+%C0%AF", 400),
        (latin1, b"Kept+text", 415),
        (latin1, b"Kept+text+caf%E9", 415),
    ] {
        for (path, field) in [("/f/shop", "message"), ("/settings/projects", "name")] {
            let body = [field.as_bytes(), b"=", text].concat();
            let page = post(&app, &mut ada, path, content_type, &body).expect(status);
            assert!(page.text().contains("UTF-8"), "{path}: {}", page.text());
            assert!(page.response.text.contains("Kept text"), "{path}");
        }
        let body = [b"email=", text, b"&password=x"].concat();
        post(&app, &mut app.visitor(), "/login", content_type, &body).expect(status);
    }
    let listed = api.get("/api/v1/feedback").expect(200).json();
    assert_eq!(listed["data"], json!([]));
    let projects = api.get("/api/v1/projects").expect(200).json();
    assert_eq!(projects["data"].as_array().unwrap().len(), 1);
}

#[test]
fn media_types_are_case_insensitive() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let login = serde_urlencoded::to_string([("email", ADMIN), ("password", PASSWORD)]).unwrap();
    for content_type in [
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "Application/X-WWW-Form-Urlencoded; Charset=\"UTF-8\"",
        " application/x-www-form-urlencoded ;charset=utf-8",
    ] {
        let mut visitor = app.visitor();
        post(&app, &mut visitor, "/login", content_type, login.as_bytes()).expect(303);
        let body = format!("message={}", content_type.len());
        post(&app, &mut visitor, "/f/shop", content_type, body.as_bytes()).expect(303);
    }
    post(
        &app,
        &mut app.visitor(),
        "/login",
        "text/plain",
        login.as_bytes(),
    )
    .expect(415);
}

#[test]
fn json_in_another_charset_is_415() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for (path, member) in [
        ("/api/v1/feedback", "project"),
        ("/api/feedback", "projectSlug"),
    ] {
        let body = format!(r#"{{"{member}":"shop","message":"Hello"}}"#);
        let send = |content_type: &str| -> Response {
            let headers = [("Content-Type", content_type)];
            api.send("POST", path, &headers, Some(body.as_bytes()))
        };
        for charset in [
            "utf-16",
            "ISO-8859-1",
            "\"latin1\"",
            "us-ascii",
            "utf-8; charset=utf-7",
        ] {
            let problem = send(&format!("application/json; charset={charset}")).problem(415);
            assert!(
                problem["detail"].as_str().unwrap().contains("UTF-8"),
                "{charset}"
            );
        }
        for charset in ["utf-8", "UTF8", "\"Utf-8\""] {
            send(&format!("Application/JSON; Charset={charset}")).expect(201);
        }
    }
}
