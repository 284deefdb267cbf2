//! The switch "Enabled" of a webhook, in its row and on its page.

use serde_json::Value;

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::Receiver;

const LIST: &str = "/settings/notifications";

/// Starts the program with a webhook that has a pending delivery.
fn start_with_pending_delivery() -> (App, Receiver, Value) {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    api.wait_for_attempts(text(&api.only_delivery(&webhook), "id"), 1);
    (app, receiver, webhook)
}

fn is_enabled(api: &Api, webhook: &Value) -> bool {
    let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
    api.get(&path).json()["enabled"] == true
}

fn disable_with_pending_delivery(options: BrowserOptions, is_own_page: bool) {
    let (app, _receiver, webhook) = start_with_pending_delivery();
    let api = app.api();
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    let path = match is_own_page {
        true => format!("{LIST}/{}", text(&webhook, "id")),
        false => LIST.to_owned(),
    };
    browser.open(&format!("{}{path}", app.url));
    let ask = || {
        browser.find("switch", "Enabled").press();
        browser.wait_for_text("Disable this webhook? Miniback cancels 1 pending delivery.");
    };
    ask();
    browser.find("link", "Cancel").press();
    browser.wait_until("the question is closed", || {
        (!browser.text().contains("Disable this webhook?")).then_some(())
    });
    assert!(is_enabled(&api, &webhook));
    ask();
    assert!(is_enabled(&api, &webhook), "disabled without confirmation");
    browser.find("button", "Disable").press();
    browser.wait_for_text("Webhook disabled. Pending deliveries were canceled.");
    assert!(!is_enabled(&api, &webhook));
    assert_eq!(api.only_delivery(&webhook)["state"], "canceled");
    // Nothing can be lost by enabling the webhook.
    browser.find("switch", "Enabled").press();
    browser.wait_for_text("Webhook enabled.");
    assert!(is_enabled(&api, &webhook));
    assert!(browser.url().contains(&path), "{}", browser.url());
}

#[test]
fn the_switch_asks_before_it_cancels_deliveries_with_scripts() {
    disable_with_pending_delivery(BrowserOptions::default(), false);
}

#[test]
fn the_switch_on_the_webhooks_page_asks_too_without_scripts() {
    disable_with_pending_delivery(
        BrowserOptions {
            javascript: false,
            width: 360,
            height: 740,
        },
        true,
    );
}

#[test]
fn the_switch_works_at_once_without_pending_deliveries() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let mut admin = app.signed_in();
    let page = admin.get(&format!("{LIST}/{}", text(&webhook, "id")));
    let forms = page.forms();
    let switch = forms
        .iter()
        .find(|form| form.action().ends_with("/enabled"));
    let filled = switch
        .and_then(|form| form.press_first())
        .expect("find the switch");
    let page = admin.submit_and_follow(&filled).expect(200);
    let expected =
        "Webhook disabled. New events won’t be sent to this webhook until you enable it.";
    assert!(page.text().contains(expected), "{}", page.text());
    assert!(!is_enabled(&api, &webhook));
}
