//! Under `/api/v1`, an unknown query parameter is an error. Elsewhere, unknown parameters are
//! ignored.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::http::Response;

/// Sends a request for each operation under `/api/v1/` in the OpenAPI document, with `query`
/// appended to the URL. Passes each response to `check`.
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
fn a_repeated_parameter_is_422_and_invalid_utf8_is_400() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for (path, field) in [
        ("/api/v1/feedback?status=NEW&status=bad", "status"),
        ("/api/v1/feedback?limit=1&q=a&limit=1", "limit"),
        ("/api/v1/projects?cursor=&%63ursor=", "cursor"),
        ("/api/v1/feedback?q&q", "q"),
    ] {
        api.get(path).problem_at(field);
    }
    for query in ["q=%ff", "q=caf%E9", "%C3=x", "q=%C3&q=%A9", "q=%ED%A0%80"] {
        let response = api.get(&format!("/api/v1/feedback?{query}"));
        assert_eq!(response.problem(400)["status"], 400, "{query}");
    }
    api.get("/metrics?x=%ff").problem(400);
    api.get("/api/v1/feedback?q=caf%C3%A9&project=shop")
        .expect(200);
}

#[test]
fn every_list_rejects_an_invalid_cursor() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let webhook = api.create_webhook("http://localhost:9/");
    let webhook = webhook["id"].as_str().unwrap();
    let feedback = api.create_feedback("shop", "Hello");
    let feedback = feedback["id"].as_str().unwrap();
    let deliveries = format!("/api/v1/webhooks/{webhook}/deliveries");
    for (list, valid) in [
        ("/api/v1/projects", project.as_str()),
        ("/api/v1/feedback", feedback),
        ("/api/v1/webhooks", webhook),
        (&deliveries, "dlv_01K8X3Q6M5T9V2W7Y4Z1A3B5C7"),
    ] {
        api.get(&format!("{list}?cursor={valid}")).expect(200);
        let (prefix, ulid) = valid.split_once('_').unwrap();
        for invalid in [
            valid.to_lowercase(),
            format!("{prefix}_{}", "Z".repeat(26)),
            format!("{prefix}_{}", &ulid[1..]),
            format!("{prefix}_{ulid}0"),
            format!("x{valid}"),
            ulid.to_owned(),
            "usr_01K8X3Q6M5T9V2W7Y4Z1A3B5C7".to_owned(),
            String::new(),
        ] {
            api.get(&format!("{list}?cursor={invalid}"))
                .problem_at("cursor");
        }
    }
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

#[test]
fn a_page_names_the_filter_with_an_invalid_value() {
    let app = App::start();
    let mut ada = app.signed_in();
    let deliveries = "/settings/notifications/deliveries";
    for (path, filter) in [
        (format!("{deliveries}?state=FAILED"), "state"),
        (format!("{deliveries}?period=bogus"), "period"),
        (format!("{deliveries}?event=x"), "event"),
        ("/feedback?status=new".to_owned(), "status"),
    ] {
        let page = ada.get(&path).expect(400);
        let message = format!("The value of “{filter}” in the URL is invalid");
        assert!(page.text().contains(&message), "{}", page.text());
    }
}
