//! The OpenAPI document, the reference page built from it, and features that many operations share:
//! ETags, both token headers, and replayed responses.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::command::{miniback, run};
use crate::support::http::Response;
use crate::support::receiver::Receiver;

fn fetch_document(app: &App) -> Value {
    let api = app.api_without_token();
    api.get("/api/v1/openapi.json").expect(200).json()
}

#[test]
fn the_document_is_public_and_matches_the_openapi_command() {
    let app = App::start();
    let document = fetch_document(&app);
    assert!(
        text(&document, "openapi").starts_with("3.1."),
        "{document:#}"
    );
    assert_eq!(document["servers"][0]["url"], app.url.as_str());
    let printed = run(miniback(["openapi"]), "").success().stdout;
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["servers"][0]["url"], "/");
    printed["servers"] = document["servers"].clone();
    assert_eq!(printed, document);
}

#[test]
fn the_document_contains_the_base_url() {
    let base = "https://example.com/miniback";
    let app = App::builder().option("--base-url", base).start();
    assert_eq!(fetch_document(&app)["servers"][0]["url"], base);
    let path = "/miniback/api/v1/openapi.json";
    let under_base_path = app.api_without_token().get(path).expect(200).json();
    assert_eq!(under_base_path["servers"][0]["url"], base);
    let printed = run(miniback(["openapi", "--base-url", base]), "").success();
    assert!(printed.stdout.contains(base), "{}", printed.stdout);
    let page = app.visitor().get("/docs/api").expect(200);
    let curl = format!("curl {base}/api/v1/feedback");
    assert!(page.response.text.contains(&curl), "{:?}", page.response);
}

#[test]
fn the_public_reference_page_lists_every_operation() {
    let app = App::start();
    let html = app.visitor().get("/docs/api").expect(200).response.text;
    let document = fetch_document(&app);
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(
            html.contains(&format!("<code>{path}</code>")),
            "{path} is missing"
        );
        for operation in methods.as_object().unwrap().values() {
            let anchor = format!("id=\"{}\"", text(operation, "operationId"));
            assert_eq!(html.matches(&anchor).count(), 1, "{anchor}");
        }
    }
    // The target of every link within the page exists.
    for link in html.split("href=\"#").skip(1) {
        let name = link.split('"').next().unwrap();
        assert!(
            html.contains(&format!("id=\"{name}\"")),
            "no element has the id {name}"
        );
    }
    for outside in ["src=\"http", "href=\"http", "url(http"] {
        assert!(!html.contains(outside), "the page contains {outside}");
    }
}

#[test]
fn no_example_on_the_reference_page_is_an_empty_request() {
    let app = App::start();
    let page = app.visitor().get("/docs/api").expect(200).text();
    assert!(page.contains("-d '"), "{page}");
    assert!(!page.contains("-d '{}'"), "{page}");
}

fn send_if_none_match(app: &App, method: &str, path: &str, tag: &str) -> Response {
    let headers = [("If-None-Match", tag)];
    app.api().send(method, path, &headers, None)
}

#[test]
fn an_unchanged_resource_is_304_without_a_body() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&delivery, "delivered");
    let webhook_path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    for path in [
        "/api/v1/projects",
        "/api/v1/projects/shop",
        "/api/v1/feedback?status=NEW",
        &format!("/api/v1/feedback/{}", text(&feedback, "id")),
        "/api/v1/webhooks",
        &webhook_path,
        &format!("{webhook_path}/deliveries"),
        &format!("/api/v1/deliveries/{delivery}"),
        "/api/v1/openapi.json",
    ] {
        let full = api.get(path).expect(200);
        let tag = full.header("etag").expect("find an ETag").to_owned();
        assert_eq!(api.head(path).header("etag"), Some(tag.as_str()), "{path}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for matching in [&tag, &strong, "*", &format!("\"other\", {tag}")] {
            for method in ["GET", "HEAD"] {
                let unchanged = send_if_none_match(&app, method, path, matching).expect(304);
                assert_eq!(unchanged.text, "");
                assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
                assert!(unchanged.header("x-request-id").is_some(), "{unchanged:?}");
            }
        }
        for other in ["W/\"other\"", "nonsense", ""] {
            let again = send_if_none_match(&app, "GET", path, other).expect(200);
            assert_eq!(again.text, full.text);
        }
    }
    let list = "/api/v1/feedback?status=NEW";
    let before = api.get(list).header("etag").unwrap_or_default().to_owned();
    api.create_feedback("shop", "One more");
    send_if_none_match(&app, "GET", list, &before).expect(200);
}

#[test]
fn secrets_have_no_etag_and_are_not_cached() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let webhook = app.api().create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
    let response = app.api().get(&path).expect(200);
    assert_eq!(response.header("etag"), None);
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn accepts_a_token_in_either_header_but_not_two_different_tokens() {
    let app = App::start();
    let (token, other) = (app.token(ADMIN, "full"), app.token(ADMIN, "full"));
    let bearer = format!("Bearer {token}");
    let get = |headers: &[(&str, &str)]| {
        let api = app.api_without_token();
        api.send("GET", "/api/v1/projects", headers, None)
    };
    get(&[("x-api-key", &token)]).expect(200);
    get(&[("X-API-Key", &token), ("Authorization", &bearer)]).expect(200);
    get(&[("x-api-key", &token), ("Authorization", "Basic YTpi")]).expect(200);
    for wrong in [&other, "mb_nonsense", "nonsense", ""] {
        get(&[("x-api-key", wrong), ("Authorization", &bearer)]).problem(401);
    }
    get(&[("x-api-key", &bearer)]).problem(401);
    let submit = app.token(ADMIN, "submit");
    get(&[("x-api-key", &submit)]).problem(403);
}

#[test]
fn a_replayed_response_has_the_idempotency_replayed_header() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let send = || {
        let body = json!({"project": "shop", "message": "Hello"});
        api.send_json(
            "POST",
            "/api/v1/feedback",
            &[("Idempotency-Key", "k")],
            &body,
        )
    };
    let (first, again) = (send().expect(201), send().expect(201));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let path = format!("/api/v1/feedback/{}", text(&first.json(), "id"));
    for response in [&first, &again] {
        assert_eq!(response.header("location"), Some(path.as_str()));
    }
    api.delete(&path).expect(204);
    send().problem(409);
}

#[test]
fn accepts_integers_with_a_zero_fraction() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let webhook = app.api().create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}/secret/rotate", text(&webhook, "id"));
    app.api()
        .post(&path, json!({"overlapHours": 24.0}))
        .expect(200);
    for wrong in [json!(1.5), json!(-1), json!(169), json!(1e300), json!("1")] {
        let response = app.api().post(&path, json!({"overlapHours": wrong}));
        response.problem_at("overlapHours");
    }
}
