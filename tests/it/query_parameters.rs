//! Under `/api/v1`, an unknown query parameter is an error. Elsewhere, unknown parameters are
//! ignored.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::http::Response;

/// Sends a request of each operation in the OpenAPI document, with `query` appended.
fn request_every_operation(api: &Api, query: &str, check: impl Fn(&str, &Response)) {
    let document = api.get("/api/v1/openapi.json").expect(200).json();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("find paths") {
        if !path.starts_with("/api/v1/") {
            continue;
        }
        for method in item.as_object().expect("find operations").keys() {
            let method = method.to_uppercase();
            let target = path.replace("{id}", "x_1").replace("{project}", "p");
            let body = (method != "GET").then_some(&b"{}"[..]);
            let headers = [("Content-Type", "application/json")];
            let response = api.send(&method, &format!("{target}?{query}"), &headers, body);
            check(&format!("{method} {path}"), &response);
            count += 1;
        }
    }
    assert!(count > 20, "the document has only {count} operations");
}

#[test]
fn every_call_rejects_an_unknown_query_parameter() {
    let app = App::start();
    let api = app.api();
    for query in [
        "statuss=NEW",
        "limit=1&page=2",
        "q%20=x",
        "=x",
        "api_key=mb_x",
    ] {
        request_every_operation(&api, query, |call, response| {
            assert_eq!(response.status, 422, "{call}?{query}: {response:?}");
        });
    }
}

#[test]
fn the_error_contains_the_unknown_and_the_known_parameters() {
    let app = App::start();
    let api = app.api();
    let list = api.get("/api/v1/feedback?state=NEW");
    let error = list.problem_at("state");
    assert!(
        error
            .to_string()
            .contains("cursor, limit, project, q, status"),
        "{error}"
    );
    let list = api.get("/api/v1/projects/shop?limit=1");
    let error = list.problem_at("limit");
    assert!(
        error
            .to_string()
            .contains("This call has no query parameters"),
        "{error}"
    );
    assert_eq!(api.head("/api/v1/feedback?state=NEW").status, 422);
}

#[test]
fn known_parameters_and_a_bare_question_mark_are_accepted() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let api = app.api();
    api.create_project("Shop");
    for path in [
        "/api/v1/feedback?project=shop&status=NEW&q=a&limit=5",
        "/api/v1/projects?",
        "/miniback/api/v1/feedback?limit=5",
    ] {
        api.get(path).expect(200);
    }
    api.get("/miniback/api/v1/feedback?size=5")
        .problem_at("size");
}

#[test]
fn authentication_is_checked_before_the_query() {
    let app = App::start();
    app.api_without_token()
        .get("/api/v1/feedback?nope=1")
        .problem(401);
}

#[test]
fn other_paths_ignore_unknown_parameters() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for path in [
        "/healthz?x=1",
        "/widget.js?v=2",
        "/f/shop?utm_source=mail",
        "/metrics?x=1",
    ] {
        api.get(path).expect(200);
    }
    let body: Value = json!({"projectSlug": "shop", "message": "Hello"});
    api.post("/api/feedback?utm_source=mail", body).expect(201);
    app.signed_in().get("/feedback?utm_source=mail").expect(200);
}
