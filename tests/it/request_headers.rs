//! The request that an endpoint gets: its line, its headers to the letter, and its signatures as
//! others work them out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::receiver::{ReceivedRequest, Receiver};
use crate::support::signature::{hex_signature, verify_standard_webhook};

/// One feedback to a webhook of this shape, as its endpoint got it, and the webhook.
fn one_delivery(app: &App, more: serde_json::Value) -> (ReceivedRequest, serde_json::Value) {
    let receiver = Receiver::ok();
    let mut webhook = json!({"url": receiver.url("/hook")});
    for (name, value) in more.as_object().unwrap() {
        webhook[name] = value.clone();
    }
    let api = app.api();
    let webhook = api.create_webhook_with(webhook);
    api.create_project("Shop");
    api.create_feedback("shop", "Hällo");
    (receiver.first(), webhook)
}

#[test]
fn the_headers_are_these_in_this_case_and_no_others() {
    let app = App::start();
    let (got, _) = one_delivery(&app, json!({}));

    let must = [
        "Content-Type",
        "User-Agent",
        "X-Miniback-Signature",
        "X-Miniback-Timestamp",
        "X-Miniback-Event",
        "X-Miniback-Delivery",
        "Content-Length",
    ];
    for name in must {
        let found = got.headers.iter().filter(|(n, _)| n == name).count();
        assert_eq!(found, 1, "{name}, in this case: {:#?}", got.headers);
    }
    let any_case = [
        "host",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];
    for name in any_case {
        got.header(name);
    }
    for (name, _) in &got.headers {
        let known = must.contains(&name.as_str())
            || any_case.contains(&name.to_ascii_lowercase().as_str())
            || name.eq_ignore_ascii_case("date");
        assert!(known, "nothing else is sent: {:#?}", got.headers);
    }
}

#[test]
fn the_values_of_the_headers_are_as_the_guide_says() {
    let app = App::start();
    let (got, _) = one_delivery(&app, json!({}));
    let body = got.json();

    assert_eq!(got.request_line, "POST /hook HTTP/1.1");
    assert_eq!(got.header("Content-Type"), "application/json");
    assert_eq!(got.header("User-Agent"), "Miniback-Webhook/1.0");
    assert_eq!(got.header("X-Miniback-Event"), "feedback.created");
    assert_eq!(got.header("X-Miniback-Timestamp"), text(&body, "timestamp"));
    assert!(got.delivery().starts_with("dlv_"), "{}", got.delivery());
    assert_eq!(got.header("Content-Length"), got.body.len().to_string());
    assert!(
        got.all_headers("X-Miniback-Signature-Next").is_empty(),
        "there is no next secret"
    );
}

#[test]
fn each_event_is_named_in_its_header() {
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
        let named = request.header("X-Miniback-Event").to_owned();
        assert_eq!(request.json()["event"], named.as_str());
        events.push(named);
    }
    events.sort();
    assert_eq!(events, ["feedback.created", "feedback.updated", "test"]);
}

#[test]
fn the_delivery_header_is_the_id_in_the_log() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = api.deliver_one(&webhook, "delivered");
    assert_eq!(receiver.first().delivery(), text(&delivery, "id"));
}

#[test]
fn the_signature_is_the_hmac_of_the_raw_body_with_the_whole_secret() {
    let app = App::start();
    let (got, webhook) = one_delivery(&app, json!({}));
    let secret = text(&webhook, "secret");
    assert!(secret.starts_with("whsec_"));
    let signature = got.header("X-Miniback-Signature");
    assert_eq!(signature, hex_signature(secret, &got.body));
    assert_eq!(signature.len(), 64);
}

#[test]
fn a_generated_secret_is_whsec_and_padded_base64_of_24_to_64_bytes() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhooks = [
        api.create_webhook(&receiver.url("/a")),
        api.create_webhook(&receiver.url("/b")),
    ];
    for webhook in &webhooks {
        let secret = text(webhook, "secret");
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
        let length = key.expect("padded base64").len();
        assert!((24..=64).contains(&length), "{length} bytes");
    }
    assert_ne!(webhooks[0]["secret"], webhooks[1]["secret"]);
}

#[test]
fn a_standard_webhooks_library_verifies_a_delivery() {
    let app = App::start();
    let (got, webhook) = one_delivery(&app, json!({}));
    let secret = text(&webhook, "secret");
    verify_standard_webhook(secret, &got).unwrap();
    assert_eq!(got.header("webhook-id"), got.delivery());

    // The key is the base64 after `whsec_`, and the signed text is id, time and body: said once
    // without the library.
    let seconds: i64 = got.header("webhook-timestamp").parse().unwrap();
    let age = jiff::Timestamp::now().as_second() - seconds;
    assert!((-2..=60).contains(&age), "the time is this attempt's");
    assert!(got.header("webhook-signature").starts_with("v1,"));

    let mut forged = got.clone();
    forged.body[20] ^= 1;
    assert!(verify_standard_webhook(secret, &forged).is_err());
    let other = format!("whsec_{}", STANDARD.encode([7; 32]));
    assert!(verify_standard_webhook(&other, &got).is_err());
}

#[test]
fn a_test_is_signed_in_both_ways_too() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let (got, secret) = (receiver.first(), text(&webhook, "secret"));
    assert_eq!(
        got.header("X-Miniback-Signature"),
        hex_signature(secret, &got.body)
    );
    verify_standard_webhook(secret, &got).unwrap();
}

#[test]
fn an_own_secret_that_is_not_base64_leaves_the_standard_headers_out() {
    let app = App::start();
    let secret = "my-own-secret-that-is-no-base64!";
    let (got, webhook) = one_delivery(&app, json!({"secret": secret}));
    assert_eq!(webhook["secret"], secret);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(
            got.all_headers(name).is_empty(),
            "{name} cannot be verified"
        );
    }
    assert_eq!(
        got.header("X-Miniback-Signature"),
        hex_signature(secret, &got.body)
    );
}

#[test]
fn an_own_secret_of_fewer_than_16_bytes_after_whsec_leaves_the_standard_headers_out() {
    let app = App::start();
    let secret = format!("whsec_{}", STANDARD.encode([1; 15]));
    let (got, _) = one_delivery(&app, json!({"secret": secret}));
    assert!(got.all_headers("webhook-signature").is_empty());
}

#[test]
fn an_own_secret_of_16_bytes_after_whsec_is_signed_in_both_ways() {
    let app = App::start();
    let secret = format!("whsec_{}", STANDARD.encode([1; 16]));
    let (got, _) = one_delivery(&app, json!({"secret": secret}));
    verify_standard_webhook(&secret, &got).unwrap();
    assert_eq!(
        got.header("X-Miniback-Signature"),
        hex_signature(&secret, &got.body)
    );
}

#[test]
fn a_webhooks_own_headers_are_sent_with_it() {
    let app = App::start();
    let (got, _) = one_delivery(
        &app,
        json!({"headers": {"Authorization": "Bearer abc", "X-Team": "blue"}}),
    );
    assert_eq!(got.header("Authorization"), "Bearer abc");
    assert_eq!(got.header("X-Team"), "blue");
}

#[test]
fn the_address_is_sent_with_its_query_and_without_its_fragment() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let url = receiver.url("/a%20b/?team=1&x=%2F#fragment");
    let webhook = api.create_webhook(&url);
    assert_eq!(webhook["url"], url.as_str(), "returned as given");
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let got = receiver.first();
    assert_eq!(got.request_line, "POST /a%20b/?team=1&x=%2F HTTP/1.1");
    assert_eq!(got.header("Host"), receiver.address().to_string());
}
