//! Settings → Notifications: all of it in a real browser, with and without scripts, and its forms.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions, PageElement};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{Receiver, Reply};
use crate::support::signature::hex_signature;

fn sign_in(browser: &Browser, app: &App) {
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
    browser.open(&format!("{}/settings/notifications", app.url));
    browser.find("heading", "Webhook Notifications");
}

fn webhooks(api: &Api) -> Vec<Value> {
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    listed["data"].as_array().unwrap().clone()
}

/// Opens the row of a webhook, unless it is open.
fn open_row<'a>(browser: &'a Browser, url: &str) -> PageElement<'a> {
    let row = browser.find("article", url);
    if row.all("checkbox", "New Feedback").is_empty() {
        row.arrow().press();
    }
    browser.find("article", url)
}

/// Presses "Save", which is necessary without scripts after changing a checkbox.
fn save_if_needed(browser: &Browser, url: &str, javascript: bool) {
    if !javascript {
        browser.find("article", url).find("button", "Save").press();
    }
}

fn add_test_change_and_delete(javascript: bool) {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::body(200, "thank you"));
    let api = app.api();
    let browser = Browser::with(BrowserOptions {
        javascript,
        ..BrowserOptions::default()
    });
    sign_in(&browser, &app);

    // Adding a webhook, with a test before.
    let url = receiver.url("/webhooks/miniback");
    browser
        .find_either(["link", "button"], "Add Webhook")
        .press();
    let field = browser.find("textbox", "Endpoint URL");
    assert_eq!(
        field.attribute("placeholder").unwrap_or_default(),
        "https://api.myapp.com/webhooks/miniback"
    );
    field.fill(&url);
    browser.find("button", "Test").press();
    browser.wait_for_text("thank you");
    assert!(
        browser.text().contains("200"),
        "the page doesn't show the status"
    );
    assert!(webhooks(&api).is_empty(), "the test saved the webhook");
    browser.find("button", "Add").press();
    browser.find("article", &url);
    let created = webhooks(&api);
    assert_eq!(created.len(), 1);
    let webhook = &created[0];
    let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
    let secret = api.get(&format!("{path}/secret")).expect(200).json()["secret"].clone();
    let secret = secret.as_str().unwrap();
    let tested = receiver.first();
    assert_eq!(
        tested.header("X-Miniback-Signature"),
        hex_signature(secret, &tested.body),
        "the webhook has another secret than the test"
    );

    // Topics.
    let row = open_row(&browser, &url);
    assert!(row.find("checkbox", "New Feedback").is_checked());
    row.find("checkbox", "Status Changed").press();
    save_if_needed(&browser, &url, javascript);
    browser.wait_until("the topic is saved", || {
        let topics = api.get(&path).json()["topics"].clone();
        (topics == serde_json::json!(["feedback.created"])).then_some(())
    });
    browser.reload();
    let row = open_row(&browser, &url);
    assert!(!row.find("checkbox", "Status Changed").is_checked());

    // Revealing the secret.
    assert!(
        !browser
            .script("return document.documentElement.outerHTML")
            .to_string()
            .contains(secret)
    );
    row.find("button", "Reveal").press();
    browser.wait_until("the secret is shown", || {
        let page = browser.script("return document.documentElement.outerHTML + [...document.querySelectorAll('input')].map(i => i.value)");
        page.to_string().contains(secret).then_some(())
    });

    // Disabling the webhook.
    let switch = browser.find("article", &url).find("switch", "Enabled");
    assert!(is_on(&switch));
    let is_checkbox = switch.attribute("type").as_deref() == Some("checkbox");
    switch.press();
    if is_checkbox {
        save_if_needed(&browser, &url, javascript);
    }
    browser.wait_until("the webhook is disabled", || {
        (api.get(&path).json()["enabled"] == false).then_some(())
    });
    browser.wait_until("the page shows the webhook as disabled", || {
        let switch = browser.find("article", &url).find("switch", "Enabled");
        (!is_on(&switch)).then_some(())
    });

    // A disabled webhook can be tested.
    browser.find("article", &url).find("button", "Test").press();
    receiver.wait_for(2);
    browser.wait_for_text("thank you");

    // Deletion, with confirmation.
    browser
        .find("article", &url)
        .find("button", "Delete webhook")
        .press();
    browser.wait_for_text("Delete this webhook?");
    assert_eq!(
        webhooks(&api).len(),
        1,
        "the webhook was deleted without confirmation"
    );
    browser.find("button", "Delete").press();
    browser.wait_until("the webhook's row disappears", || {
        browser.all("article", &url).is_empty().then_some(())
    });
    assert!(webhooks(&api).is_empty());
}

fn is_on(switch: &PageElement<'_>) -> bool {
    switch.is_checked() || switch.attribute("aria-checked").as_deref() == Some("true")
}

#[test]
fn adds_tests_changes_and_deletes_a_webhook_with_scripts() {
    add_test_change_and_delete(true);
}

#[test]
fn adds_tests_changes_and_deletes_a_webhook_without_scripts() {
    add_test_change_and_delete(false);
}

/// Opens the form behind "Add Webhook".
#[track_caller]
fn add_form(ada: &mut Visitor) -> Page {
    let page = ada.get("/settings/notifications").expect(200);
    if let Some(path) = page.link("Add Webhook") {
        return ada.fetch("GET", &path, &[], None).expect(200);
    }
    match page.forms_with("Add Webhook").first() {
        Some(form) => ada.submit(&form.press("Add Webhook")).expect(200),
        None => page,
    }
}

#[test]
fn submitting_add_twice_creates_one_webhook() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let mut ada = app.signed_in();
    let form = add_form(&mut ada).form_with("Add");
    let filled = form.fill("Endpoint URL", &receiver.url("/")).press("Add");
    ada.submit(&filled);
    ada.submit(&filled);
    assert_eq!(webhooks(&app.api()).len(), 1);

    // A newly opened form creates another webhook.
    let form = add_form(&mut ada).form_with("Add");
    ada.submit(&form.fill("Endpoint URL", &receiver.url("/")).press("Add"));
    assert_eq!(webhooks(&app.api()).len(), 2);
}

#[test]
fn a_rejected_url_stays_in_the_form_with_the_reason() {
    let app = App::start();
    let mut ada = app.signed_in();
    for url in [
        "http://example.com/",
        "javascript:alert(1)",
        "https://10.0.0.1/",
    ] {
        let form = add_form(&mut ada).form_with("Add");
        let secret = form.secret().unwrap().to_owned();
        let mut page = ada.submit(&form.fill("Endpoint URL", url).press("Add"));
        if matches!(page.response.status, 302 | 303) {
            page = ada.follow(&page);
        }
        let returned = page.form_with("Add");
        assert_eq!(returned.value("Endpoint URL"), url, "the form lost the URL");
        assert_eq!(
            returned.secret(),
            Some(secret.as_str()),
            "the form lost the secret"
        );
    }
    assert!(webhooks(&app.api()).is_empty());
}

#[test]
fn topics_are_saved_without_scripts() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let url = receiver.url("/");
    api.create_webhook("http://127.0.0.1:9/another");
    let webhook = api.create_webhook(&url);
    let mut ada = app.signed_in();
    let page = ada.get("/settings/notifications").expect(200);
    let mut forms = page.forms_with("Save");
    forms.retain(|form| form.enclosing_labels.contains(&url) && form.has_field("New Feedback"));
    assert_eq!(
        forms.len(),
        1,
        "expected one form in the webhook's row: {:?}",
        page.response
    );
    let form = forms.remove(0);
    let form = form
        .tick("New Feedback", false)
        .tick("Status Changed", true);
    ada.submit_and_follow(&form.press("Save")).expect(200);
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let topics = api.get(&path).json()["topics"].clone();
    assert_eq!(topics, serde_json::json!(["feedback.updated"]));
}

#[test]
fn editing_headers_keeps_stored_values_hidden() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(
        json!({"url": receiver.url("/"), "headers": {"X-Key": "stored-value"}}),
    );
    let mut admin = app.signed_in();
    let path = format!("/settings/notifications?open={}", text(&webhook, "id"));
    let page = admin.get(&path);
    assert!(!page.response.text.contains("stored-value"));
    let form = page.form_with("Save changes");
    let stored_headers = form.value("Headers");
    let saved = form
        .clone()
        .fill(
            "Headers",
            &format!("{stored_headers}Authorization: Bearer abc"),
        )
        .press("Save changes");
    admin.submit(&saved).expect(303);
    api.deliver_one(&webhook, "delivered");
    let received = receiver.first();
    assert_eq!(received.header("X-Key"), "stored-value");
    assert_eq!(received.header("Authorization"), "Bearer abc");
    let rejected = form
        .fill("Headers", "Host: evil.example")
        .press("Save changes");
    let page = admin.submit(&rejected);
    assert_eq!(page.response.status, 422);
    assert!(page.text().contains("can’t be changed"), "{}", page.text());
}
