//! The token of a call to a hosted API path: in a header or in the query, with its role and scope.

use serde_json::{Value, json};

use super::client::{HostedClient, SendToken};
use super::{client, feedback_path};
use crate::support::app::{ADMIN, App};
use crate::support::http::Response;
use crate::support::wait::wait_until;

const MEMBER: &str = "bob@example.com";

#[test]
fn the_token_needs_the_role_and_the_scope() {
    let app = App::start();
    client(&app).create_project(&json!({"name": "Shop"}));
    app.add_user(MEMBER, "member");
    let feedback = &feedback_path("shop");
    let (project, message) = (json!({"name": "Blog"}), json!({"message": "Hi"}));
    for (email, scope, [list, create, read, submit]) in [
        (ADMIN, "full", [200, 201, 200, 201]),
        (ADMIN, "submit", [403, 403, 403, 201]),
        (ADMIN, "metrics", [403, 403, 403, 403]),
        (MEMBER, "full", [200, 403, 200, 201]),
        (MEMBER, "submit", [403, 403, 403, 201]),
    ] {
        for send_token in [SendToken::XApiKey, SendToken::Query] {
            let client = HostedClient::new(&app.url, &app.token(email, scope), send_token);
            let name = format!("{email} {scope} {send_token:?}");
            let sent = |method, path: &str, body| client.send(method, path, body).status;
            assert_eq!(sent("GET", "/api/projects", None), list, "{name}");
            assert_eq!(
                sent("POST", "/api/projects", Some(&project)),
                create,
                "{name}"
            );
            assert_eq!(sent("GET", "/api/projects/shop", None), read, "{name}");
            assert_eq!(sent("GET", feedback, None), list, "{name}");
            assert_eq!(sent("POST", feedback, Some(&message)), submit, "{name}");
        }
    }
    let (token, other) = (app.token(ADMIN, "full"), app.token(ADMIN, "full"));
    for send_token in [SendToken::XApiKey, SendToken::Bearer, SendToken::Query] {
        for wrong in ["mb_unknown", "nonsense", ""] {
            let client = HostedClient::new(&app.url, wrong, send_token);
            let refused = client.send("GET", "/api/projects", None);
            refused.problem(401);
            assert!(refused.header("www-authenticate").is_some(), "{refused:?}");
        }
    }
    let client = HostedClient::new(&app.url, &token, SendToken::Query);
    let with_key = |key: &str| {
        let headers = [("x-api-key", key)];
        client.send_with("GET", "/api/projects", &headers, None)
    };
    with_key(&token).expect(200);
    with_key(&other).problem(401);
    let twice = format!("/api/projects?api_key={other}");
    client.send("GET", &twice, None).problem(401);
    app.api_without_token().get("/api/projects").problem(401);
}

#[test]
fn a_token_in_the_query_is_read_on_no_other_path() {
    let app = App::start();
    app.api().create_project("Shop");
    let client = HostedClient::new(&app.url, &app.token(ADMIN, "full"), SendToken::Query);
    let document = app.api().get("/api/v1/openapi.json").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let is_public = |operation: &Value| operation["security"].as_array().unwrap().is_empty();
        if path.starts_with("/api/projects") || path == "/healthz" {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            if !is_public(operation) {
                let path = path.replace("{id}", "x").replace("{project}", "shop");
                let body = json!({});
                let body = (method != "get").then_some(&body);
                client
                    .send(&method.to_uppercase(), &path, body)
                    .problem(401);
            }
        }
    }
    let page = client.send("GET", "/settings/projects", None);
    assert_eq!(page.status, 303, "{page:?}");
}

#[test]
fn a_token_in_the_query_is_in_no_log_line_and_no_response() {
    let app = App::builder().env("MINIBACK_LOG", "trace").start();
    let token = app.token(ADMIN, "full");
    let client = HostedClient::new(&app.url, &token, SendToken::Query);
    let body = json!({"message": "Hi"});
    let mut responses = vec![
        client
            .send("POST", "/api/projects", Some(&json!({"name": "Shop"})))
            .expect(201),
        client.send("GET", "/api/projects/shop", None).expect(200),
        client.send("HEAD", "/api/projects", None).expect(200),
        client.try_submit("shop", &body).expect(201),
        client
            .send("GET", "/api/projects/shop/feedback?limit=0", None)
            .expect(422),
        client
            .send("DELETE", "/api/projects/shop", None)
            .expect(405),
        client.try_submit("nothing", &body).expect(404),
    ];
    for response in &responses[..5] {
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    }
    for path in [
        "/api/v1/projects",
        "/metrics",
        "/api/nothing",
        "/api/feedback",
        "/healthz",
    ] {
        responses.push(client.send("GET", path, None));
    }
    responses.push(
        client
            .send("GET", &format!("/api/projects?api_key={token}x"), None)
            .expect(401),
    );
    let metrics = app.api().get("/metrics").expect(200);
    assert!(
        metrics.text.contains("miniback_feedback_accepted_total 1"),
        "{metrics:?}"
    );
    responses.push(metrics);
    app.sigterm();
    let log = wait_until("the log is complete", || {
        let log = app.log.to_string();
        log.contains("stopped").then_some(log)
    });
    assert!(log.contains("/api/projects/{projectId}/feedback"), "{log}");
    let secret = token.trim_start_matches("mb_");
    assert!(!log.contains(secret), "{log}");
    assert!(!log.contains("api_key"), "{log}");
    for Response { headers, text, .. } in &responses {
        assert!(
            !format!("{headers:?}{text}").contains(secret),
            "{headers:?} {text}"
        );
    }
}
