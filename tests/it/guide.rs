//! The public webhook guide at `/docs/webhooks`.

#[path = "../../examples/verify/verify.rs"]
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::example_receiver::{SECRET, read_example_file};
use crate::support::receiver::{ReceivedRequest, Receiver};

pub const GUIDE: &str = "/docs/webhooks";

pub fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("parse the CSS selector")
}

#[test]
fn the_guide_is_public_and_has_only_valid_local_links() {
    let app = App::start();
    let page = app.visitor().get(GUIDE).expect(200);
    let html = &page.response.text;
    let parsed = Html::parse_document(html);
    let anchors: Vec<&str> = parsed
        .select(&selector(".toc a"))
        .filter_map(|link| link.attr("href"))
        .collect();
    assert!(anchors.len() > 10, "{anchors:?}");
    for anchor in html.split("href=\"#").skip(1) {
        let name = anchor.split('"').next().unwrap();
        assert_eq!(
            html.matches(&format!(" id=\"{name}\"")).count(),
            1,
            "#{name} isn't the id of exactly one element"
        );
    }
    for outside in ["src=\"http", "href=\"http", "url(http", "src=\"//"] {
        assert!(!html.contains(outside), "the guide contains {outside}");
    }
    assert!(
        html.contains("within <b>5 s</b>"),
        "the guide doesn't show the default timeout"
    );
    assert!(page.text().contains("1 s, 5 s, and 15 s"));
    let head = app.api_without_token().head(GUIDE);
    assert_eq!(head.status, 200);
}

#[test]
fn the_guide_shows_the_configured_timeout_and_retries() {
    let app = App::builder()
        .option("--retry-delays", "2s,60s")
        .option("--timeout", "1500ms")
        .start();
    let text = app.visitor().get(GUIDE).expect(200).text();
    assert!(text.contains("after 2 s and 1 min,"), "{text}");
    assert!(text.contains("within 1.5 s"), "{text}");
    let once = App::without_retries();
    let text = once.visitor().get(GUIDE).expect(200).text();
    assert!(text.contains("doesn’t retry failed deliveries"), "{text}");
}

/// Replaces each object with a list of its member names and values, in order. Replaces strings with
/// a placeholder. Doesn't change arrays.
fn member_names(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| json!([name, member_names(value)]))
            .collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

#[test]
fn payload_examples_have_the_members_of_real_payloads() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let page = app.visitor().get(GUIDE).expect(200);
    for sent in receiver.wait_for(3) {
        let sent = sent.json();
        let event = text(&sent, "event");
        let shown = page.text_of(&format!("[aria-label='Example of {event}']"));
        let shown: Value = serde_json::from_str(&shown).expect(event);
        assert_eq!(member_names(&shown), member_names(&sent), "{event}");
    }
}

#[test]
fn code_examples_match_the_example_files() {
    let app = App::start();
    for (anchor, path) in [
        ("express", "express/server.mjs"),
        ("flask", "flask/app.py"),
        ("nextjs", "nextjs/app/webhooks/miniback/route.js"),
        ("go", "../verify/verify.go"),
        ("php", "../verify/verify.php"),
        ("ruby", "../verify/verify.rb"),
        ("rust", "../verify/verify.rs"),
        ("discord", "discord/server.mjs"),
        ("database", "database/app.py"),
        ("sms", "sms/app.py"),
        ("ticket", "ticket/server.mjs"),
    ] {
        let path_and_query = format!("{GUIDE}?language={anchor}");
        let page = app.visitor().get(&path_and_query).expect(200);
        let shown = page.text_of(&format!("#{anchor}-code"));
        assert_eq!(
            shown.trim_end(),
            read_example_file(path).trim_end(),
            "{anchor}"
        );
    }
}

fn verify_with_example(secret: &str, received: &ReceivedRequest, body: &[u8], age: i64) -> bool {
    let header = |name: &str| {
        let mut headers = received.headers.iter();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    verify::is_genuine(secret, header, body, now + age)
}

#[test]
fn the_rust_example_verifies_real_deliveries() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let custom = "a-custom-secret-without-prefix";
    for secret in [SECRET, custom] {
        let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "secret": secret}));
        let id = text(&webhook, "id").to_owned();
        let test = format!("/api/v1/webhooks/{id}/test");
        api.post_empty(&test).expect(200);
        let received = receiver.received().pop().expect("receive the test");
        let body = &received.body;
        assert!(verify_with_example(secret, &received, body, 0));
        assert!(!verify_with_example("whsec_AAAA", &received, body, 0));
        assert!(!verify_with_example(secret, &received, b"{}", 0));
        // Only the Standard Webhooks signature covers the timestamp. Requests with a custom secret
        // don't have this signature.
        assert_eq!(
            verify_with_example(secret, &received, body, 600),
            secret == custom
        );
        assert_eq!(
            verify_with_example(secret, &received, body, -600),
            secret == custom
        );
        let rotate = format!("/api/v1/webhooks/{id}/secret/rotate");
        let rotated = api.post(&rotate, json!({"overlapHours": 1})).expect(200);
        let next = text(&rotated.json(), "nextSecret").to_owned();
        api.post_empty(&test).expect(200);
        let received = receiver.received().pop().expect("receive the test");
        for secret in [secret, &next] {
            assert!(
                verify_with_example(secret, &received, &received.body, 0),
                "{secret}"
            );
        }
    }
}

#[test]
fn every_page_links_to_the_guide() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let help = Some(format!("/miniback{GUIDE}"));
    assert_eq!(app.visitor().get("/login").expect(200).link("Help"), help);
    assert_eq!(app.visitor().get("/nothing").expect(404).link("Help"), help);
    assert_eq!(
        app.visitor().get("/docs/api").expect(200).link("Help"),
        help
    );
    let app = App::start();
    let mut admin = app.signed_in();
    for page in ["/feedback", "/settings/account", "/settings/tokens"] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("Help"), Some(GUIDE.to_owned()), "{}", page.path);
    }
    for page in ["/settings/tokens", GUIDE] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("API reference"), Some("/docs/api".to_owned()));
    }
    for page in [GUIDE, "/docs/api"] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("Documentation"), Some("/docs".to_owned()));
    }
}

#[test]
fn expanded_code_fits_on_a_phone_without_scripts() {
    let app = App::start();
    let browser = Browser::with_options(BrowserOptions {
        javascript: false,
        width: 360,
        height: 780,
    });
    browser.open(&format!("{}{GUIDE}?language=go", app.url));
    browser.script("document.querySelectorAll('details').forEach(details => details.open = true)");
    browser.wait_for_text("hmac.Equal");
    let excess = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(excess.as_i64().unwrap_or(1) <= 0, "{excess} px too wide");
    assert!(browser.all("button", "Copy").is_empty());
}
