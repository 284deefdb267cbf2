//! Requests that endpoints receive: the request line, the exact headers, and the signatures, which
//! are verified with independent code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::receiver::{ReceivedRequest, Receiver};
use crate::support::signature::{hex_signature, verify_standard_webhook};

/// Creates a webhook with these options and delivers feedback to it. Returns the request and the
/// webhook.
fn deliver_one(app: &App, options: serde_json::Value) -> (ReceivedRequest, serde_json::Value) {
    let receiver = Receiver::ok();
    let mut webhook = json!({"url": receiver.url("/hook")});
    for (name, value) in options.as_object().unwrap() {
        webhook[name] = value.clone();
    }
    let api = app.api();
    let webhook = api.create_webhook_with(webhook);
    api.create_project("Shop");
    api.create_feedback("shop", "Hällo");
    (receiver.first(), webhook)
}

#[test]
fn sends_only_the_documented_headers_with_exact_capitalization() {
    let app = App::start();
    let (request, _) = deliver_one(&app, json!({}));

    let exact_case = [
        "Content-Type",
        "User-Agent",
        "X-Miniback-Signature",
        "X-Miniback-Timestamp",
        "X-Miniback-Event",
        "X-Miniback-Delivery",
        "Content-Length",
    ];
    for name in exact_case {
        let found = request.headers.iter().filter(|(n, _)| n == name).count();
        assert_eq!(
            found, 1,
            "expected one {name} header with this capitalization: {:#?}",
            request.headers
        );
    }
    let any_case = [
        "host",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];
    for name in any_case {
        request.header(name);
    }
    for (name, _) in &request.headers {
        let known = exact_case.contains(&name.as_str())
            || any_case.contains(&name.to_ascii_lowercase().as_str())
            || name.eq_ignore_ascii_case("date");
        assert!(known, "unexpected header {name}: {:#?}", request.headers);
    }
}

#[test]
fn header_values_match_the_guide() {
    let app = App::start();
    let (request, _) = deliver_one(&app, json!({}));
    let body = request.json();

    assert_eq!(request.request_line, "POST /hook HTTP/1.1");
    assert_eq!(request.header("Content-Type"), "application/json");
    assert_eq!(request.header("User-Agent"), "Miniback-Webhook/1.0");
    assert_eq!(request.header("X-Miniback-Event"), "feedback.created");
    assert_eq!(
        request.header("X-Miniback-Timestamp"),
        text(&body, "timestamp")
    );
    assert!(
        request.delivery().starts_with("dlv_"),
        "{}",
        request.delivery()
    );
    assert_eq!(
        request.header("Content-Length"),
        request.body.len().to_string()
    );
    assert!(
        request.all_headers("X-Miniback-Signature-Next").is_empty(),
        "the header was sent outside a rotation"
    );
}

#[test]
fn the_event_header_contains_the_event_type() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "RESOLVED");
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let mut events = Vec::new();
    for request in receiver.wait_for(3) {
        let event = request.header("X-Miniback-Event").to_owned();
        assert_eq!(request.json()["event"], event.as_str());
        events.push(event);
    }
    events.sort();
    assert_eq!(events, ["feedback.created", "feedback.updated", "test"]);
}

#[test]
fn the_delivery_header_is_the_id_in_the_delivery_log() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = api.deliver_one(&webhook, "delivered");
    assert_eq!(receiver.first().delivery(), text(&delivery, "id"));
}

#[test]
fn the_delivery_log_contains_the_headers_as_received() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({
        "url": receiver.url("/"), "headers": {"X-Key": "hidden-value"},
    }));
    let rotate = format!("/api/v1/webhooks/{}/secret/rotate", text(&webhook, "id"));
    api.post(&rotate, json!({"overlapHours": 1})).expect(200);
    let delivery = api.deliver_one(&webhook, "delivered");
    let received = receiver.first();
    let logged = delivery["request"]["headers"].as_object().unwrap();
    for (name, value) in logged {
        match name.as_str() {
            "X-Key" => assert_eq!(value, "••••••"),
            _ => assert_eq!(value, received.header(name), "{name}"),
        }
    }
    assert!(
        logged.contains_key("X-Miniback-Signature-Next"),
        "{logged:?}"
    );
    let is_logged = |name: &str| {
        logged
            .keys()
            .any(|logged| logged.eq_ignore_ascii_case(name))
    };
    for (name, _) in &received.headers {
        assert!(
            is_logged(name) || name.eq_ignore_ascii_case("date"),
            "{name}"
        );
    }
}

#[test]
fn the_signature_is_the_hmac_of_the_raw_body() {
    let app = App::start();
    let (request, webhook) = deliver_one(&app, json!({}));
    let secret = text(&webhook, "secret");
    assert!(secret.starts_with("whsec_"));
    let signature = request.header("X-Miniback-Signature");
    assert_eq!(signature, hex_signature(secret, &request.body));
    assert_eq!(signature.len(), 64);
}

#[test]
fn a_generated_secret_is_whsec_and_base64_of_24_to_64_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhooks = [
        api.create_webhook(&receiver.url("/a")),
        api.create_webhook(&receiver.url("/b")),
    ];
    for webhook in &webhooks {
        let secret = text(webhook, "secret");
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
        let length = key.expect("decode the base64").len();
        assert!((24..=64).contains(&length), "{length} bytes");
    }
    assert_ne!(webhooks[0]["secret"], webhooks[1]["secret"]);
}

#[test]
fn the_standard_webhooks_library_verifies_a_delivery() {
    let app = App::start();
    let (request, webhook) = deliver_one(&app, json!({}));
    let secret = text(&webhook, "secret");
    verify_standard_webhook(secret, &request).unwrap();
    assert_eq!(request.header("webhook-id"), request.delivery());

    // Check the time and the signature's version more strictly than the library does.
    let seconds: i64 = request.header("webhook-timestamp").parse().unwrap();
    let age = jiff::Timestamp::now().as_second() - seconds;
    assert!(
        (-2..=60).contains(&age),
        "the timestamp isn't the time of the attempt"
    );
    assert!(request.header("webhook-signature").starts_with("v1,"));

    let mut forged = request.clone();
    forged.body[20] ^= 1;
    assert!(verify_standard_webhook(secret, &forged).is_err());
    let other = format!("whsec_{}", STANDARD.encode([7; 32]));
    assert!(verify_standard_webhook(&other, &request).is_err());
}

#[test]
fn test_events_have_both_signatures() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let (request, secret) = (receiver.first(), text(&webhook, "secret"));
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
    verify_standard_webhook(secret, &request).unwrap();
}

#[test]
fn omits_the_standard_headers_for_a_custom_secret() {
    let app = App::start();
    let secret = "a-custom-secret-without-base64!";
    let (request, webhook) = deliver_one(&app, json!({"secret": secret}));
    assert_eq!(webhook["secret"], secret);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(
            request.all_headers(name).is_empty(),
            "{name} is sent, but can't be verified"
        );
    }
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(secret, &request.body)
    );
}

#[test]
fn omits_the_standard_headers_for_a_whsec_key_under_16_bytes() {
    let app = App::start();
    let secret = format!("whsec_{}", STANDARD.encode([1; 15]));
    let (request, _) = deliver_one(&app, json!({"secret": secret}));
    assert!(request.all_headers("webhook-signature").is_empty());
}

#[test]
fn sends_both_signatures_for_a_whsec_key_of_16_bytes() {
    let app = App::start();
    let secret = format!("whsec_{}", STANDARD.encode([1; 16]));
    let (request, _) = deliver_one(&app, json!({"secret": secret}));
    verify_standard_webhook(&secret, &request).unwrap();
    assert_eq!(
        request.header("X-Miniback-Signature"),
        hex_signature(&secret, &request.body)
    );
}

#[test]
fn sends_custom_headers() {
    let app = App::start();
    let (request, _) = deliver_one(
        &app,
        json!({"headers": {"Authorization": "Bearer abc", "X-Team": "blue"}}),
    );
    assert_eq!(request.header("Authorization"), "Bearer abc");
    assert_eq!(request.header("X-Team"), "blue");
}

#[test]
fn requests_the_url_with_query_but_without_fragment() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let url = receiver.url("/a%20b/?team=1&x=%2F#fragment");
    let webhook = api.create_webhook(&url);
    assert_eq!(webhook["url"], url.as_str(), "the URL was changed");
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let request = receiver.first();
    assert_eq!(request.request_line, "POST /a%20b/?team=1&x=%2F HTTP/1.1");
    assert_eq!(request.header("Host"), receiver.address().to_string());
}
