//! The page of a webhook: its state, statistics, and recent deliveries.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

fn page_path(webhook: &Value) -> String {
    format!("/settings/notifications/{}", text(webhook, "id"))
}

/// Creates a webhook, delivers four feedback items to it, and sends a test. The first attempt
/// fails.
fn create_webhook_with_deliveries(api: &Api) -> (Value, Receiver) {
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::status(200)]);
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url("/"), "description": "Team chat"}));
    api.create_project("Shop");
    for number in 0..4 {
        api.create_feedback("shop", &format!("Message {number}"));
    }
    api.wait_until_none_pending(&webhook);
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    (webhook, receiver)
}

#[test]
fn shows_success_rate_response_times_and_retention_without_tests() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--retention", "45d")
        .start();
    let api = app.api();
    let (webhook, _receiver) = create_webhook_with_deliveries(&api);
    let mut admin = app.signed_in();
    let page = admin.get(&page_path(&webhook)).expect(200);
    let shown = page.text();
    for expected in [
        "Team chat",
        "Last 24 hours 4 1 75% ",
        "Last 7 days 4 1 75% ",
        "Deliveries are kept for 45 days.",
        "5 deliveries: 4 delivered , 1 failed .",
        "Tests aren’t counted",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let description = "Last 24 hours: 4 attempts, 1 failed, at most 4 in one hour.";
    // An hour can end between the attempts, so fewer attempts can be in the busiest hour.
    let is_described = (2..=4).any(|maximum| {
        let described = description.replace("at most 4", &format!("at most {maximum}"));
        page.response
            .text
            .contains(&format!("Attempts per hour. {described}"))
    });
    let html = &page.response.text;
    assert!(is_described, "{html}");
    assert!(html.contains("Response time per hour. Last 24 hours: median "));
    assert_eq!(
        page.link("Edit"),
        Some(format!(
            "/settings/notifications?open={}",
            text(&webhook, "id")
        ))
    );
    assert_eq!(
        page.link("All deliveries"),
        Some(format!("{}/deliveries", page_path(&webhook)))
    );
}

#[test]
fn retries_are_counted_and_refused_connections_have_no_response_time() {
    let app = App::builder().option("--retry-delays", "1ms,1ms").start();
    let api = app.api();
    let closed = crate::support::receiver::closed_socket_address();
    let webhook = api.create_webhook(&format!("http://{closed}/"));
    api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let shown = admin.get(&page_path(&webhook)).expect(200).text();
    assert!(shown.contains("Last 7 days 3 3 0% – –"), "{shown}");
    let idle = api.create_webhook("http://127.0.0.1:9/idle");
    let shown = admin.get(&page_path(&idle)).expect(200).text();
    assert!(shown.contains("Last 7 days 0 0 – – –"), "{shown}");
    assert!(
        shown.contains("There were no attempts in this period."),
        "{shown}"
    );
}

#[test]
fn a_deleted_webhook_has_no_page_and_members_cannot_open_it() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    member.get(&page_path(&webhook)).expect(403);
    let mut admin = app.signed_in();
    admin.get(&page_path(&webhook)).expect(200);
    api.delete_webhook(&webhook);
    admin.get(&page_path(&webhook)).expect(404);
}

/// Checks that the caption of a chart shows the values of the hour at the pointer.
fn shows_values_at_the_pointer(browser: &Browser) {
    let point_at = |element: &str| {
        browser.script(&format!(
            "document.querySelector('{element}')
                 .dispatchEvent(new PointerEvent('pointerover', {{ bubbles: true }}))"
        ));
        browser.script("return document.querySelector('.chart figcaption').textContent")
    };
    let caption = point_at(".chart .area");
    assert!(
        caption.as_str().unwrap().contains(" attempts, "),
        "{caption}"
    );
    let caption = point_at("h1");
    assert_eq!(
        caption,
        "Attempts per hour failed attempts are below the line"
    );
}

fn open_from_row_and_test(options: BrowserOptions) {
    let app = App::without_retries();
    let api = app.api();
    let (webhook, receiver) = create_webhook_with_deliveries(&api);
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications", app.url));
    let url = receiver.url("/");
    browser.find("article", &url).expand_button().press();
    browser
        .find("article", &url)
        .find("link", "Details and statistics")
        .press();
    browser.find("heading", "Team chat");
    browser.find("link", "Last 7 days").press();
    browser.wait_until("the chart shows 7 days", || {
        let charts = browser.script(
            "return [...document.querySelectorAll('.chart svg')].map((c) => c.ariaLabel).join()",
        );
        charts
            .as_str()?
            .contains("Attempts per hour. Last 7 days: 4 attempts")
            .then_some(())
    });
    if options.javascript {
        shows_values_at_the_pointer(&browser);
    }
    browser.find("group", "Statistics for both periods");
    browser.script("document.getElementById('hours').open = true");
    browser.wait_for_text("Hour from");
    browser.find("button", "Test").press();
    browser.wait_for_text("The endpoint responded with 200 OK");
    browser.find("heading", "Team chat");
    let excess = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(excess.as_i64().unwrap() <= 0, "{excess} px too wide");
    browser.find("link", "Edit").press();
    let row = browser.find("article", &url);
    row.find("checkbox", "New Feedback");
    assert!(browser.url().contains(text(&webhook, "id")));
}

#[test]
fn the_page_opens_from_a_row_with_scripts() {
    open_from_row_and_test(BrowserOptions::default());
}

#[test]
fn the_page_opens_from_a_row_on_a_phone_without_scripts() {
    open_from_row_and_test(BrowserOptions {
        javascript: false,
        width: 320,
        height: 640,
    });
}
