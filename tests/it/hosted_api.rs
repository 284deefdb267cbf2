//! The paths of the hosted API, used by a client that was written for it.

mod client;
mod tokens;

use std::thread;
use std::time::Duration;

use client::{HostedClient, Pagination, SendToken};
use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

fn client(app: &App) -> HostedClient {
    HostedClient::new(&app.url, &app.token(ADMIN, "full"), SendToken::XApiKey)
}

fn feedback_path(project: &str) -> String {
    format!("/api/projects/{project}/feedback")
}

#[test]
fn a_client_works_after_its_host_and_its_token_are_changed() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.api().create_webhook(&receiver.url("/"));
    let token = app.token(ADMIN, "full");
    for (number, send_token) in [SendToken::XApiKey, SendToken::Bearer, SendToken::Query]
        .into_iter()
        .enumerate()
    {
        let client = HostedClient::new(&app.url, &token, send_token);
        let shop = client.create_project(&json!({"name": "Shop"}));
        let slug = ["shop", "shop-2", "shop-3"][number];
        assert_eq!((shop.slug.as_str(), shop.status.as_str()), (slug, "ACTIVE"));
        assert_eq!(client.projects()[0], shop, "projects are newest first");
        assert_eq!(client.projects().len(), number + 1);
        assert_eq!(client.project(&shop.id), shop);
        assert_eq!(client.project(slug), shop);

        let context = json!({"url": "https://example.com/cart", "userAgent": "App/2.1", "n": 1});
        let sent = client.submit(slug, "The cart is empty", context.clone());
        assert_eq!(sent.status, "NEW");
        assert_eq!(Value::Object(sent.context.clone()), context);
        let page = client.feedback(&shop.id, "?status=NEW&limit=5&offset=0");
        assert_eq!(page.data, std::slice::from_ref(&sent));
        let pagination = Pagination {
            total: 1,
            limit: 5,
            offset: 0,
            has_more: false,
        };
        assert_eq!(page.pagination, pagination);
        let delivered = &receiver.wait_for(number + 1)[number];
        assert_eq!(delivered.json()["data"]["feedback"]["id"], sent.id.as_str());
    }
}

#[test]
fn pages_by_offset_contain_every_item_once() {
    let app = App::start();
    let client = client(&app);
    client.create_project(&json!({"name": "Shop"}));
    client.create_project(&json!({"name": "Blog"}));
    let mut expected = Vec::new();
    for number in 0..23 {
        let message = format!("Message {number}");
        let sent = client.submit("shop", &message, Value::Null);
        client.submit("blog", "Another project", Value::Null);
        if number % 3 == 0 {
            app.api().set_status(&json!({"id": sent.id}), "RESOLVED");
        }
        expected.insert(0, message);
    }
    let first = client.feedback("shop", "");
    assert_eq!(first.messages(), expected[..10]);
    let (total, limit) = (first.pagination.total, first.pagination.limit);
    assert_eq!((total, limit, first.pagination.offset), (23, 10, 0));
    for limit in [1, 4, 22, 23, 24, 100] {
        let mut messages = Vec::new();
        loop {
            let query = format!("?limit={limit}&offset={}", messages.len());
            let page = client.feedback("shop", &query);
            assert!(page.data.len() <= limit);
            messages.extend(page.messages().iter().map(|message| (*message).to_owned()));
            assert_eq!(page.pagination.has_more, messages.len() < 23, "{query}");
            if !page.pagination.has_more {
                break;
            }
        }
        assert_eq!(messages, expected, "{limit} per page");
    }
    let resolved = client.feedback("shop", "?status=RESOLVED&limit=3&offset=4");
    assert_eq!(resolved.messages(), ["Message 9", "Message 6", "Message 3"]);
    assert_eq!(resolved.pagination.total, 8);
    assert!(resolved.pagination.has_more);
    let last = client.feedback("shop", "?status=RESOLVED&limit=3&offset=7");
    assert_eq!(last.messages(), ["Message 0"]);
    assert!(!last.pagination.has_more);
    for offset in ["23", "24", "9007199254740991"] {
        let after_end = client.feedback("shop", &format!("?offset={offset}"));
        assert!(after_end.data.is_empty());
        assert!(!after_end.pagination.has_more);
        assert_eq!(after_end.pagination.total, 23);
    }
    assert!(client.feedback("shop", "?status=REVIEWED").data.is_empty());
}

#[test]
fn context_is_the_metadata_with_the_url() {
    let app = App::start();
    let client = client(&app);
    let shop = client.create_project(&json!({"name": "Shop", "slug": "my-shop"}));
    let stored = |id: &str| app.api().get(&format!("/api/v1/feedback/{id}")).json();

    let web = json!({"url": "https://example.com/cart", "screen": {"width": 1179}, "n": 1.50});
    let sent = client.submit("my-shop", "Web", web.clone());
    let feedback = stored(&sent.id);
    assert_eq!(feedback["url"], "https://example.com/cart");
    assert_eq!(feedback["metadata"], web);
    assert_eq!(feedback["project"]["id"], shop.id.as_str());
    assert_eq!(feedback["email"], Value::Null);

    // A URL that isn't http or https remains metadata, and so does anything else named `url`.
    let too_long = format!("https://example.com/{}", "a".repeat(2_048));
    for url in [json!("myapp://checkout"), json!(7), json!(too_long)] {
        let context = json!({"url": url, "platform": "iOS"});
        let sent = client.submit("my-shop", "App", context.clone());
        assert_eq!(Value::Object(sent.context), context);
        let feedback = stored(&sent.id);
        assert_eq!(feedback["url"], Value::Null);
        assert_eq!(feedback["metadata"], context);
    }

    // Without metadata and URL, the context is an empty object.
    for body in [
        json!({"message": "No context"}),
        json!({"message": "No context", "context": null}),
        json!({"message": "No context", "context": {}}),
    ] {
        let sent = client.try_submit("my-shop", &body).expect(201).json();
        assert_eq!(sent["context"], json!({}));
        assert_eq!(stored(text(&sent, "id"))["url"], Value::Null);
    }

    // Feedback from elsewhere has the same form.
    let body = json!({
        "project": "my-shop", "message": "From elsewhere", "email": "sam@example.com",
        "url": "https://example.com/a", "metadata": {"plan": "pro", "url": "from metadata"},
    });
    app.api().post("/api/v1/feedback", body).expect(201);
    let newest = &client.feedback("my-shop", "?limit=1").data[0];
    let context = json!({"plan": "pro", "url": "https://example.com/a"});
    assert_eq!(Value::Object(newest.context.clone()), context);
}

#[test]
fn updated_at_is_the_time_of_the_last_change_of_the_project() {
    let app = App::start();
    let client = client(&app);
    let shop = client.create_project(&json!({"name": "Shop"}));
    assert_eq!(shop.updated_at, shop.created_at);
    let path = format!("/api/v1/projects/{}", shop.id);
    let mut last = shop;
    for (change, is_changed) in [
        (json!({"name": "New Shop"}), true),
        (json!({}), false),
        (json!({"name": "New Shop"}), false),
        (json!({"status": "PAUSED"}), true),
        (json!({"status": "ACTIVE"}), true),
        (json!({"allowedOrigins": ["https://example.com"]}), true),
        (json!({"allowedOrigins": []}), true),
        (json!({"allowedOrigins": [], "status": "ACTIVE"}), false),
    ] {
        // Timestamps are in milliseconds, so wait for the next one.
        thread::sleep(Duration::from_millis(2));
        let patched = app.api().patch(&path, change.clone()).expect(200).json();
        assert_eq!(patched.get("updatedAt"), None, "{patched}");
        let project = client.project(&last.id);
        let (before, after) = (last.updated_at.clone(), project.updated_at.clone());
        assert_eq!(
            millis(&after.clone().into()) > millis(&before.into()),
            is_changed,
            "{change}"
        );
        assert_eq!(project.created_at, last.created_at);
        last = project;
    }
    client.submit("shop", "Feedback isn’t a field of the project", Value::Null);
    assert_eq!(client.project("shop"), last);
}

#[test]
fn invalid_requests_are_422_with_the_field() {
    let app = App::start();
    let client = client(&app);
    client.create_project(&json!({"name": "Shop"}));
    for (body, field) in [
        (json!({}), "message"),
        (json!({"message": " "}), "message"),
        (json!({"message": 1}), "message"),
        (json!({"message": "a".repeat(10_001)}), "message"),
        (json!({"message": "Hi", "context": "text"}), "context"),
        (json!({"message": "Hi", "context": []}), "context"),
        (
            json!({"message": "Hi", "context": {"a": "b".repeat(4_100)}}),
            "context",
        ),
        (
            json!({"message": "Hi", "email": "sam@example.com"}),
            "email",
        ),
    ] {
        client.try_submit("shop", &body).problem_at(field);
    }
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "Shop", "slug": "Not a slug"}), "slug"),
        (json!({"name": "Shop", "status": "PAUSED"}), "status"),
    ] {
        client
            .send("POST", "/api/projects", Some(&body))
            .problem_at(field);
    }
    let taken = json!({"name": "Shop", "slug": "shop"});
    client
        .send("POST", "/api/projects", Some(&taken))
        .problem(409);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("offset=1.5", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("status=new", "status"),
        ("status=", "status"),
    ] {
        let path = format!("{}?{query}", feedback_path("shop"));
        client.send("GET", &path, None).problem_at(field);
    }
    let invalid_utf8 = format!("{}?status=%ff", feedback_path("shop"));
    client.send("GET", &invalid_utf8, None).problem(400);
    assert_eq!(client.feedback("shop", "").pagination.total, 0);
}

#[test]
fn an_unknown_project_is_404_and_a_paused_project_is_403() {
    let app = App::start();
    let client = client(&app);
    let shop = client.create_project(&json!({"name": "Shop"}));
    for unknown in ["nothing", "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV", "a%20b", "%00"] {
        let path = format!("/api/projects/{unknown}");
        client.send("GET", &path, None).problem(404);
        client
            .send("GET", &feedback_path(unknown), None)
            .problem(404);
        client
            .try_submit(unknown, &json!({"message": "Hi"}))
            .problem(404);
    }
    let path = format!("/api/v1/projects/{}", shop.id);
    app.api()
        .patch(&path, json!({"status": "PAUSED"}))
        .expect(200);
    client
        .try_submit("shop", &json!({"message": "Hi"}))
        .problem(403);
    assert_eq!(client.project("shop").status, "PAUSED");
    assert_eq!(client.feedback("shop", "").pagination.total, 0);
}

#[test]
fn unknown_parameters_are_ignored_and_other_methods_are_405() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let client = client(&app);
    let created = client.send("POST", "/api/projects", Some(&json!({"name": "Shop"})));
    let project = created.expect(201);
    let id = text(&project.json(), "id").to_owned();
    let location = format!("/miniback/api/projects/{id}");
    assert_eq!(project.header("location"), Some(location.as_str()));
    let by_location = client.send("GET", &location, None).expect(200);
    assert_eq!(by_location.json(), project.json());
    assert_eq!(by_location.header("etag"), project.header("etag"));
    for path in [
        "/api/projects?page=2&limit=0",
        "/api/projects/shop?expand=all&expand=all",
        "/api/projects/shop/feedback?sort=asc&cursor=x",
        "/miniback/api/projects/shop/feedback?q=x",
    ] {
        client.send("GET", path, None).expect(200);
        let head = client.send("HEAD", path, None).expect(200);
        assert_eq!(head.text, "");
    }
    for (path, method, allow) in [
        ("/api/projects", "DELETE", "GET, POST, HEAD"),
        ("/api/projects/shop", "PATCH", "GET, HEAD"),
        ("/api/projects/shop", "POST", "GET, HEAD"),
        ("/api/projects/shop/feedback", "OPTIONS", "GET, POST, HEAD"),
        ("/api/projects/shop/feedback", "PUT", "GET, POST, HEAD"),
    ] {
        let refused = client.send(method, path, None);
        refused.problem(405);
        assert_eq!(refused.header("allow"), Some(allow), "{method} {path}");
    }
    client
        .send("GET", "/api/projects/shop/feedback/x", None)
        .problem(404);
}

#[test]
fn lists_and_projects_have_etags() {
    let app = App::start();
    let client = client(&app);
    client.create_project(&json!({"name": "Shop"}));
    let tag_of = |path: &str| {
        let response = client.send("GET", path, None).expect(200);
        response.header("etag").expect("find an ETag").to_owned()
    };
    let paths = [
        "/api/projects",
        "/api/projects/shop",
        "/api/projects/shop/feedback?limit=5",
    ];
    for path in paths {
        let headers = [("If-None-Match", &*tag_of(path))];
        let unchanged = client.send_with("GET", path, &headers, None).expect(304);
        assert_eq!(unchanged.text, "");
    }
    let before = paths.map(tag_of);
    assert!(!before[1].starts_with("W/"), "{before:?}");
    client.submit("shop", "Hello", Value::Null);
    for name in ["Changed", "Shop"] {
        thread::sleep(Duration::from_millis(2));
        app.api()
            .patch("/api/v1/projects/shop", json!({"name": name}))
            .expect(200);
    }
    for (path, before) in paths.into_iter().zip(before) {
        assert_ne!(tag_of(path), before, "{path}");
    }
}

#[test]
fn a_repeated_submission_with_an_idempotency_key_stores_nothing() {
    let app = App::start();
    let client = client(&app);
    client.create_project(&json!({"name": "Shop"}));
    client.create_project(&json!({"name": "Blog"}));
    let send = |project: &str, message: &str| {
        let body = json!({"message": message, "context": {"plan": "pro"}});
        let headers = [("Idempotency-Key", "order-4711")];
        client.send_with("POST", &feedback_path(project), &headers, Some(&body))
    };
    let (first, again) = (
        send("shop", "Hi").expect(201),
        send("shop", "Hi").expect(201),
    );
    assert_eq!(first.text, again.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    send("shop", "Another message").problem_at("Idempotency-Key");
    send("blog", "Hi").problem_at("Idempotency-Key");
    assert_eq!(client.feedback("shop", "").pagination.total, 1);
    // The key of another call is a different key.
    let body = json!({"project": "shop", "message": "Hi"});
    let headers = [("Idempotency-Key", "order-4711")];
    app.api()
        .send_json("POST", "/api/v1/feedback", &headers, &body)
        .expect(201);
}
