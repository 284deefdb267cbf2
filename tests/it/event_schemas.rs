//! The JSON Schemas of events. The test receiver checks every delivery of every test against them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::guide::GUIDE;
use crate::support::api::text;
use crate::support::app::App;
use crate::support::http;
use crate::support::receiver::{ReceivedRequest, Receiver, find_violation, is_valid_body};

type Headers = Vec<(String, String)>;

const EVENTS: [&str; 5] = [
    "feedback.created",
    "feedback.updated",
    "test",
    "webhook.failing",
    "webhook.recovered",
];

/// Returns the delivery of new feedback to a webhook with `details`.
fn delivery_with_details() -> ReceivedRequest {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook_with(json!({"url": receiver.url("/"), "details": true}));
    api.create_feedback("shop", "Hello");
    let received = receiver.first();
    let feedback = &received.json()["data"]["feedback"];
    assert!(
        feedback.as_object().unwrap().contains_key("metadata"),
        "{feedback}"
    );
    received
}

#[test]
fn schemas_are_public_and_the_openapi_document_contains_them() {
    let app = App::start();
    let api = app.api_without_token();
    let document = api.get("/api/v1/openapi.json").expect(200).json();
    let webhooks = document["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.keys().collect::<Vec<_>>(), EVENTS);
    let guide = app.visitor().get(GUIDE).expect(200).response.text;
    for event in EVENTS {
        let path = format!("/docs/schemas/{event}.json");
        assert!(guide.contains(&format!("href=\"{path}\"")), "{event}");
        let response = api.get(&path).expect(200);
        assert_eq!(
            response.header("content-type"),
            Some("application/schema+json")
        );
        let mut schema = response.json();
        assert_eq!(schema["$id"], format!("{}{path}", app.url));
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(schema["properties"]["event"]["const"], event);
        let members = schema.as_object_mut().unwrap();
        members.retain(|name, _| !name.starts_with('$'));
        let post = &webhooks[event]["post"];
        let documented = &post["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(&schema, documented);
        assert!(!schema["examples"].as_array().unwrap().is_empty());
    }
    for unknown in ["feedback.deleted", "", "feedback", "..%2f..%2fwebhooks"] {
        assert_eq!(
            api.get(&format!("/docs/schemas/{unknown}.json")).status,
            404
        );
    }
    assert_eq!(api.get("/docs/schemas/test").status, 404);
}

#[test]
fn the_schema_url_is_under_the_base_url() {
    let base = "https://example.com/miniback";
    let app = App::builder().option("--base-url", base).start();
    let path = "/docs/schemas/test.json";
    let schema = app.api_without_token().get(&format!("/miniback{path}"));
    assert_eq!(schema.expect(200).json()["$id"], format!("{base}{path}"));
}

#[test]
fn the_check_of_a_delivery_detects_a_wrong_body() {
    let valid = delivery_with_details();
    assert_eq!(find_violation(&valid), None);
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut request = valid.clone();
        let mut body = request.json();
        change(&mut body);
        request.body = body.to_string().into_bytes();
        assert!(find_violation(&request).is_some(), "accepted: {body}");
    };
    broken(&|body| body["event"] = json!("feedback.updated"));
    broken(&|body| body["timestamp"] = json!("2025-10-31T12:34:56Z"));
    broken(&|body| body["data"]["project"]["status"] = json!("ACTIVE"));
    broken(&|body| body["data"]["feedback"]["status"] = json!("OPEN"));
    broken(&|body| body["data"]["feedback"]["id"] = json!("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"));
    broken(&|body| body["data"]["feedback"]["link"] = json!(1));
    broken(&|body| {
        body["data"]["feedback"]
            .as_object_mut()
            .unwrap()
            .remove("url");
    });
    let mut not_json = valid.clone();
    not_json.body.pop();
    assert!(find_violation(&not_json).is_some());
}

#[test]
fn the_check_of_a_delivery_detects_wrong_headers() {
    let valid = delivery_with_details();
    let broken = |name: &str, change: &dyn Fn(&mut Headers, usize)| {
        let mut request = valid.clone();
        let index = request.headers.iter().position(|(n, _)| n == name).unwrap();
        change(&mut request.headers, index);
        assert!(
            find_violation(&request).is_some(),
            "accepted: {:?}",
            request.headers
        );
    };
    let names = valid.headers.iter().map(|(name, _)| name.as_str());
    for name in names.filter(|name| !matches!(*name, "Host" | "Date" | "X-Miniback-Event")) {
        broken(name, &|headers, index| headers[index].1 = "wrong".into());
        broken(name, &|headers, index| {
            headers.remove(index);
        });
        broken(name, &|headers, index| headers.push(headers[index].clone()));
        if !name.to_lowercase().starts_with("webhook-") {
            broken(name, &|headers, index| {
                headers[index].0 = headers[index].0.to_uppercase()
            });
        }
    }
}

#[test]
fn a_wrong_delivery_fails_the_test_that_receives_it() {
    let receiver = Receiver::ok();
    let headers = [
        ("X-Miniback-Event", "test"),
        ("X-Miniback-Signature", "wrong"),
        ("Content-Type", "application/json"),
    ];
    http::send("POST", &receiver.url("/"), &headers, Some(b"{}"));
    let outcome = catch_unwind(AssertUnwindSafe(|| receiver.received()));
    let message = outcome.expect_err("the receiver accepts a wrong delivery");
    let message = message.downcast_ref::<String>().expect("find the message");
    assert!(
        message.contains("deliveries broke the contract"),
        "{message}"
    );
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(receiver)));
    assert!(
        dropped.is_err(),
        "the receiver is dropped without a failure"
    );
}

#[test]
fn each_event_is_described_with_its_headers() {
    let app = App::start();
    let document = app.api().get("/api/v1/openapi.json").expect(200).json();
    let valid = delivery_with_details();
    let created = &document["webhooks"]["feedback.created"]["post"];
    let parameters = created["parameters"].as_array().unwrap();
    let documented: Vec<&str> = parameters
        .iter()
        .map(|header| text(header, "name"))
        .collect();
    for (name, _) in &valid.headers {
        let is_described = documented.iter().any(|d| d.eq_ignore_ascii_case(name));
        let is_general = ["Host", "Date", "Content-Type"].contains(&name.as_str());
        assert!(is_described || is_general, "{name}");
    }
    for (event, item) in document["webhooks"].as_object().unwrap() {
        for member in ["operationId", "summary", "description"] {
            assert!(!text(&item["post"], member).is_empty(), "{event}");
        }
    }
}

#[test]
fn the_examples_are_valid_and_every_other_body_is_not() {
    let app = App::start();
    for event in EVENTS {
        let path = format!("/docs/schemas/{event}.json");
        let schema = app.api().get(&path).expect(200).json();
        assert!(!schema.to_string().contains("$ref"), "{schema:#}");
        for example in schema["examples"].as_array().unwrap() {
            assert!(is_valid_body(event, example), "{event}: {example:#}");
            for broken in broken_copies(example) {
                assert!(!is_valid_body(event, &broken), "{event}: {broken:#}");
            }
        }
    }
}

/// Returns copies of `value` in which one object has an additional member, or lacks a required
/// member. The members of metadata are free.
fn broken_copies(value: &Value) -> Vec<Value> {
    let Value::Object(object) = value else {
        return Vec::new();
    };
    let with_member = |name: &str, member: Value| {
        let mut copy = object.clone();
        copy.insert(name.to_owned(), member);
        Value::Object(copy)
    };
    let mut broken = vec![with_member("unknown", json!(1))];
    for (name, member) in object {
        if name != "lastFailure" {
            let mut copy = object.clone();
            copy.remove(name);
            broken.push(Value::Object(copy));
        }
        if name != "metadata" {
            let members = broken_copies(member).into_iter();
            broken.extend(members.map(|member| with_member(name, member)));
        }
    }
    broken
}
