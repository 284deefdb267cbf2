//! `ETag`, `If-Match`, and `If-None-Match` of single objects in the API.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::http::Response;

/// Starts Miniback and creates feedback, two webhooks, and a project. Calls `test` for each object,
/// with its path and two different changes.
fn for_each_object(test: impl Fn(&Api, &str, [Value; 2])) {
    let app = App::start();
    let api = app.api();
    let object = |collection: &str, created: &Value, changes| {
        let path = format!("/api/v1/{collection}/{}", text(created, "id"));
        (path, changes)
    };
    let project = api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    let new = json!({"url": "http://localhost:9/", "headers": {"X-Key": "1"}});
    let webhook = api.create_webhook_with(new.clone());
    let other = api.create_webhook_with(new);
    let hidden = |value: &str| json!({"headers": {"X-Key": value}});
    let objects = [
        object(
            "feedback",
            &feedback,
            [json!({"status": "REVIEWED"}), json!({"status": "NEW"})],
        ),
        object("webhooks", &webhook, [hidden("2"), hidden("3")]),
        object(
            "webhooks",
            &other,
            [json!({"topics": []}), json!({"enabled": false})],
        ),
        // The project comes last, because deleting it deletes its feedback.
        object(
            "projects",
            &project,
            [json!({"name": "Store"}), json!({"status": "PAUSED"})],
        ),
    ];
    for (path, changes) in objects {
        test(&api, &path, changes);
    }
}

#[track_caller]
fn etag(response: &Response) -> String {
    let tag = response.header("etag").expect("find the ETag");
    assert!(tag.starts_with('"'), "{tag} isn't strong");
    tag.to_owned()
}

fn patch(api: &Api, path: &str, if_match: &str, change: &Value) -> Response {
    api.send_json("PATCH", path, &[("If-Match", if_match)], change)
}

fn delete(api: &Api, path: &str, if_match: &str) -> Response {
    api.send("DELETE", path, &[("If-Match", if_match)], None)
}

#[test]
fn a_change_with_an_outdated_version_is_rejected() {
    for_each_object(|api, path, [theirs, mine]| {
        let loaded = etag(&api.get(path).expect(200));
        assert_eq!(etag(&api.head(path)), loaded, "{path}");
        let changed = patch(api, path, &loaded, &theirs).expect(200);
        let current = etag(&api.get(path));
        assert_ne!(current, loaded, "{path}");
        assert_eq!(etag(&changed), current, "{path}");
        for outdated in [&mine, &json!({})] {
            let problem = patch(api, path, &loaded, outdated).problem(412);
            assert!(text(&problem, "detail").contains("If-Match"), "{problem}");
        }
        delete(api, path, &loaded).problem(412);
        assert_eq!(etag(&api.get(path).expect(200)), current, "{path}");
        patch(api, path, &current, &mine).expect(200);
        // Without `If-Match`, the last change wins.
        api.patch(path, theirs).expect(200);
        delete(api, path, "*").expect(204);
        delete(api, path, "*").problem(404);
    });
}

#[test]
fn only_strong_tags_of_the_current_version_match() {
    for_each_object(|api, path, [change, _]| {
        let current = etag(&api.get(path));
        let unquoted = current.trim_matches('"').to_owned();
        for if_match in [
            &format!("W/{current}"),
            &unquoted,
            "\"other\"",
            "\"\"",
            "",
            ",",
            &format!("{current}x"),
            "\"unfinished",
            "\"a\", W/\"b\"",
        ] {
            patch(api, path, if_match, &change).problem(412);
            delete(api, path, if_match).problem(412);
        }
        let list = format!("\"other\" , W/\"weak\", {current}");
        let changed = patch(api, path, &list, &change).expect(200);
        patch(api, path, "*", &json!({})).expect(200);
        delete(api, path, &etag(&changed)).expect(204);
    });
}

#[test]
fn other_errors_take_precedence_over_the_version() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://localhost:9/");
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    patch(&api, "/api/v1/webhooks/wh_none", "*", &json!({})).problem(404);
    patch(&api, &path, "\"other\"", &json!({"unknown": 1})).problem(422);
    let stranger = app.api_without_token();
    patch(&stranger, &path, "*", &json!({})).problem(401);
}

#[test]
fn an_unchanged_object_is_not_sent_again() {
    for_each_object(|api, path, [change, _]| {
        let current = etag(&api.get(path));
        let get = |tag: &str| api.send("GET", path, &[("If-None-Match", tag)], None);
        for matching in [current.clone(), format!("W/{current}"), "*".into()] {
            let response = get(&matching).expect(304);
            assert!(response.text.is_empty());
            assert_eq!(etag(&response), current);
        }
        api.patch(path, change).expect(200);
        get(&current).expect(200);
    });
}

#[test]
fn a_version_survives_a_restart_and_failed_deliveries() {
    let app = App::without_retries();
    let api = app.api();
    let webhook = api.create_webhook("http://localhost:9/");
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let loaded = etag(&api.get(&path));
    api.deliver_one(&webhook, "failed");
    assert!(api.get(&path).json()["failingSince"].is_string());
    let (_, data) = app.sigterm_and_wait();
    let app = App::builder().with_data_dir(data).start();
    let api = app.api();
    assert_eq!(etag(&api.get(&path)), loaded);
    patch(&api, &path, &loaded, &json!({"enabled": false})).expect(200);
}
