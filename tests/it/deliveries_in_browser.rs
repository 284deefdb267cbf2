//! The delivery pages in a real browser: with scripts on a desktop, and without scripts on a phone.

use serde_json::json;

use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

const DESKTOP: BrowserOptions = BrowserOptions {
    javascript: true,
    width: 1280,
    height: 900,
};
const PHONE: BrowserOptions = BrowserOptions {
    javascript: false,
    width: 320,
    height: 780,
};

#[track_caller]
fn assert_fits(browser: &Browser) {
    let excess = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(excess.as_i64().unwrap_or(1) <= 0, "{excess} px too wide");
}

/// Finds the failed deliveries after an outage, reads the reason for the failures, and redelivers
/// the deliveries.
fn recover_from_an_outage(options: BrowserOptions) {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::body(500, "out of disk space"));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook_with(
        json!({"url": receiver.url("/a/long/path/of/an/endpoint/with/many/parts"),
               "description": "Team inbox"}),
    );
    api.create_feedback("shop", "The button is broken");
    api.create_feedback("shop", "Nothing works");
    api.wait_until_none_pending(&webhook);
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    browser.find("link", "Settings").press();
    browser.find("link", "Deliveries").press();
    browser.find("heading", "All deliveries");
    browser.wait_for_text("2 deliveries to 1 webhook failed in the last hour.");
    assert_fits(&browser);

    browser.find("link", "The button is broken").press();
    browser.find("heading", "Request");
    browser.wait_for_text("The endpoint responded with 500");
    browser.wait_for_text("out of disk space");
    assert_fits(&browser);
    browser.find("link", "Team inbox");
    browser.find("link", "Newer delivery").press();
    browser.find("heading", "Nothing works");
    browser.find("link", "Deliveries").press();
    browser.find("heading", "Deliveries");
    assert_fits(&browser);
    browser.find("link", "All webhooks").press();

    receiver.set_script(|_| Reply::status(204));
    browser.find("region", "Failed deliveries");
    browser.find("button", "Redeliver").press();
    browser.wait_for_text("Redeliver 2 deliveries that failed in the last hour?");
    assert_fits(&browser);
    browser.find("button", "Redeliver").press();
    browser.wait_for_text("2 deliveries queued.");
    api.wait_until_none_pending(&webhook);
    browser.reload();
    assert_eq!(browser.all("region", "Failed deliveries").len(), 0);
}

#[test]
fn an_operator_recovers_from_an_outage_with_scripts() {
    recover_from_an_outage(DESKTOP);
}

#[test]
fn an_operator_recovers_from_an_outage_on_a_phone_without_scripts() {
    recover_from_an_outage(PHONE);
}

#[test]
fn a_selected_filter_applies_immediately_and_changes_the_url() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    let browser = Browser::with_options(DESKTOP);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications/deliveries", app.url));
    browser.find("link", "One message");
    browser.find("combobox", "State");
    browser.script(
        "const state = document.getElementById('state');
         state.value = 'delivered';
         state.dispatchEvent(new Event('change', { bubbles: true }))",
    );
    browser.wait_for_text("No matches");
    assert!(
        browser.url().contains("state=delivered"),
        "{}",
        browser.url()
    );
    browser.find("link", "Clear filters").press();
    browser.find("link", "One message");
    assert!(!browser.url().contains("state="), "{}", browser.url());
}

#[test]
fn a_range_of_days_is_in_the_browsers_time_zone() {
    let app = App::start();
    let browser = Browser::with_options(DESKTOP);
    let zone = json!({"timezoneId": "America/New_York"});
    browser.devtools("Emulation.setTimezoneOverride", zone);
    app.sign_in(&browser);
    let list = format!("{}/settings/notifications/deliveries", app.url);
    browser.open(&format!("{list}?period=range&from=2026-07-01"));
    browser.wait_for_text("Dates are in UTC");
    browser.script("document.getElementById('to').value = '2036-12-01'");
    browser.find("button", "Apply").press();
    browser.wait_for_text("Dates are in your time zone");
    let url = browser.url();
    assert!(url.contains("tz=-240%2C-300"), "{url}");
    browser.script(
        "const period = document.getElementById('period'); period.value = '';
         period.dispatchEvent(new Event('change', { bubbles: true }));",
    );
    browser.wait_until("the filters are removed", || {
        (!browser.url().contains('?')).then_some(())
    });
}
