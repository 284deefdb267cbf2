//! The fields of JSON log lines: their types, and how they identify a request.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

/// Waits for the line about a request to this route, and returns the line.
#[track_caller]
fn request_line(app: &App, route: &str, status: u16) -> Value {
    wait_until(&format!("the log has a request to {route}"), || {
        app.log
            .find(|line| line["route"] == route && line["status"] == status)
    })
}

/// Returns the paths of all strings in `value` that consist of digits.
fn numbers_as_text(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.parse::<f64>().is_ok() => vec![path.to_owned()],
        Value::Object(members) => members
            .iter()
            // A request id is hexadecimal, so it can consist of digits.
            .filter(|(name, _)| *name != "request_id")
            .flat_map(|(name, value)| numbers_as_text(&format!("{path}.{name}"), value))
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn numbers_in_json_lines_are_numbers() {
    let app = App::builder()
        .env("MINIBACK_LOG", "debug")
        .option("--retry-delays", "none")
        .start();
    let (ok, failing) = (Receiver::ok(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhooks = [&ok, &failing].map(|receiver| api.create_webhook(&receiver.url("/")));
    api.create_feedback("shop", "Hello");
    for webhook in &webhooks {
        api.wait_until_none_pending(webhook);
    }
    app.signed_in().get("/feedback").expect(200);
    failing.set_script(|_| Reply::status(200));
    api.create_feedback("shop", "Hello again");
    let attempt = app.log.wait_for_message("attempt");
    assert!(attempt["ms"].is_u64(), "{attempt}");
    let recovered = app.log.wait_for_message("webhook recovered");
    assert!(recovered["failing_seconds"].is_u64(), "{recovered}");
    let request = request_line(&app, "/api/v1/feedback", 201);
    assert!(request["ms"].is_u64(), "{request}");
    for line in app.log.lines() {
        let line: Value = serde_json::from_str(&line).expect("parse the line as JSON");
        assert_eq!(numbers_as_text("", &line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_request_line_has_the_request_id_the_sizes_and_the_network() {
    let app = App::builder().env("MINIBACK_LOG", "debug").start();
    let public = app.api_without_token();
    app.api().create_project("Shop");
    let body = json!({"projectSlug": "shop", "message": "ConfidentialMessage"});
    let response = public.post("/api/feedback", body.clone()).expect(201);
    let line = request_line(&app, "/api/feedback", 201);
    let id = response.header("x-request-id").unwrap();
    assert_eq!(line["span"]["request_id"], id, "{line}");
    assert_eq!(line["method"], "POST");
    assert_eq!(line["request_bytes"], body.to_string().len());
    assert_eq!(line["response_bytes"], response.text.len());
    for (ip_address, network) in [("8.8.8.8", "public"), ("10.0.0.1", "private")] {
        let headers = [("X-Forwarded-For", ip_address)];
        public.send("GET", "/login", &headers, None).expect(200);
        wait_until(&format!("a request came from a {network} network"), || {
            app.log
                .find(|line| line["route"] == "/login" && line["client"] == network)
        });
    }
    assert_eq!(line["client"], "loopback");
    let log = app.log.to_string();
    assert!(!log.contains("ConfidentialMessage"), "{log}");
    assert!(
        !log.contains("8.8.8.8") && !log.contains("10.0.0.1"),
        "{log}"
    );
}

#[test]
fn the_level_warn_shows_only_problems_and_security_events() {
    let app = App::builder()
        .env("MINIBACK_LOG", "warn")
        .option("--retry-delays", "none")
        .start();
    let receiver = Receiver::status(500);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    assert_eq!(
        text(&webhook, "id"),
        app.log.wait_for_message("webhook failing")["webhook"]
    );
    for line in app.log.lines() {
        let line: Value = serde_json::from_str(&line).expect("parse the line as JSON");
        let is_expected = ["WARN", "ERROR"].contains(&text(&line, "level"))
            || line["security_event"].is_string()
            || line["message"] == "listening";
        assert!(is_expected, "{line}");
    }
}
