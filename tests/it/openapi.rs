//! The API's description of itself: the document that is served and printed, the page that shows it, and what every
//! call has beside its answer (tags for conditional reads, tokens in either header, replays).

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::command::{miniback, run};
use crate::support::http::Response;
use crate::support::receiver::Receiver;

fn served(app: &App) -> Value {
    let api = app.api_without_token();
    api.get("/api/v1/openapi.json").expect(200).json()
}

#[test]
fn the_document_is_served_without_a_token_and_printed() {
    let app = App::start();
    let served = served(&app);
    assert!(text(&served, "openapi").starts_with("3.1."), "{served:#}");
    assert_eq!(served["servers"][0]["url"], app.url.as_str());
    let printed = run(miniback(["openapi"]), "").success().stdout;
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["servers"][0]["url"], "/");
    printed["servers"] = served["servers"].clone();
    assert_eq!(printed, served);
}

#[test]
fn the_document_names_the_public_address_with_its_path() {
    let base = "https://example.com/miniback";
    let app = App::builder().option("--base-url", base).start();
    assert_eq!(served(&app)["servers"][0]["url"], base);
    let path = "/miniback/api/v1/openapi.json";
    let beneath = app.api_without_token().get(path).expect(200).json();
    assert_eq!(beneath["servers"][0]["url"], base);
    let printed = run(miniback(["openapi", "--base-url", base]), "").success();
    assert!(printed.stdout.contains(base), "{}", printed.stdout);
    let page = app.visitor().get("/docs/api").expect(200);
    let curl = format!("curl {base}/api/v1/feedback");
    assert!(page.response.text.contains(&curl), "{:?}", page.response);
}

#[test]
fn the_page_has_every_call_and_schema_of_the_document_and_asks_for_no_session() {
    let app = App::start();
    let html = app.visitor().get("/docs/api").expect(200).response.text;
    let document = served(&app);
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(html.contains(&format!("<code>{path}</code>")), "no {path}");
        for operation in methods.as_object().unwrap().values() {
            let anchor = format!("id=\"{}\"", text(operation, "operationId"));
            assert_eq!(html.matches(&anchor).count(), 1, "{anchor}");
        }
    }
    // Each link within the page leads somewhere.
    for link in html.split("href=\"#").skip(1) {
        let name = link.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{name}\"")), "no #{name}");
    }
    for outside in ["src=\"http", "href=\"http", "url(http"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

fn conditional(app: &App, method: &str, path: &str, tag: &str) -> Response {
    let headers = [("If-None-Match", tag)];
    app.api().send(method, path, &headers, None)
}

#[test]
fn what_is_read_again_unchanged_is_304_without_a_body() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&delivery, "delivered");
    let hook = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    for path in [
        "/api/v1/projects",
        "/api/v1/projects/shop",
        "/api/v1/feedback?status=NEW",
        &format!("/api/v1/feedback/{}", text(&feedback, "id")),
        "/api/v1/webhooks",
        &hook,
        &format!("{hook}/deliveries"),
        &format!("/api/v1/deliveries/{delivery}"),
        "/api/v1/openapi.json",
    ] {
        let whole = api.get(path).expect(200);
        let tag = whole.header("etag").expect("a tag").to_owned();
        assert_eq!(api.head(path).header("etag"), Some(tag.as_str()), "{path}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [&tag, &strong, "*", &format!("\"other\", {tag}")] {
            for method in ["GET", "HEAD"] {
                let same = conditional(&app, method, path, known).expect(304);
                assert_eq!(same.text, "");
                assert_eq!(same.header("etag"), Some(tag.as_str()));
                assert!(same.header("x-request-id").is_some(), "{same:?}");
            }
        }
        for unknown in ["W/\"other\"", "nonsense", ""] {
            let again = conditional(&app, "GET", path, unknown).expect(200);
            assert_eq!(again.text, whole.text);
        }
    }
    let list = "/api/v1/feedback?status=NEW";
    let before = api.get(list).header("etag").unwrap_or_default().to_owned();
    api.create_feedback("shop", "One more");
    conditional(&app, "GET", list, &before).expect(200);
}

#[test]
fn a_secret_has_no_tag_and_is_not_kept() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let webhook = app.api().create_webhook(&receiver.url("/"));
    let path = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
    let response = app.api().get(&path).expect(200);
    assert_eq!(response.header("etag"), None);
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn a_token_is_understood_in_either_header_and_two_different_ones_in_none() {
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
fn a_token_for_metrics_may_read_them_and_nothing_else() {
    let app = App::start();
    let api = app.api_with(&app.token(ADMIN, "metrics"));
    api.get("/metrics").expect(200);
    api.get("/api/v1/projects").problem(403);
    api.get("/api/v1/webhooks").problem(403);
    let body = json!({"project": "shop", "message": "Hello"});
    api.post("/api/v1/feedback", body).problem(403);
    let submit = app.api_with(&app.token(ADMIN, "submit"));
    submit.get("/metrics").problem(403);
}

#[test]
fn an_answer_that_is_replayed_says_so() {
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
    let made = format!("/api/v1/feedback/{}", text(&first.json(), "id"));
    for response in [&first, &again] {
        assert_eq!(response.header("location"), Some(made.as_str()));
    }
    api.delete(&made).expect(204);
    send().problem(409);
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
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
