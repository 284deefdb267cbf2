//! Settings → Notifications. The main workflow runs in a real browser, with and without scripts.
//! Other tests submit the page's forms.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions, PageElement};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{Receiver, Reply};
use crate::support::signature::hex_signature;

fn open_webhook_settings(browser: &Browser, app: &App) {
    app.sign_in(browser);
    browser.open(&format!("{}/settings/notifications", app.url));
    browser.find("heading", "Webhook Notifications");
}

fn webhooks(api: &Api) -> Vec<Value> {
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    listed["data"].as_array().unwrap().clone()
}

/// Expands a webhook's row, unless it is already expanded.
fn open_row<'a>(browser: &'a Browser, url: &str) -> PageElement<'a> {
    let row = browser.find("article", url);
    if row.all("checkbox", "New Feedback").is_empty() {
        row.expand_button().press();
    }
    browser.find("article", url)
}

/// Presses "Save" if scripts are disabled. With scripts, a changed checkbox is saved automatically.
fn save_if_needed(browser: &Browser, url: &str, javascript: bool) {
    if !javascript {
        browser.find("article", url).find("button", "Save").press();
    }
}

/// The Notifications page in a browser, an API client, and the receiver and URL of the webhook that
/// the test adds.
struct WebhookPage {
    browser: Browser,
    javascript: bool,
    api: Api,
    receiver: Receiver,
    url: String,
}

impl WebhookPage {
    fn row(&self) -> PageElement<'_> {
        self.browser.find("article", &self.url)
    }

    /// Tests the unsaved webhook, then adds it. Returns the webhook's API path and secret.
    fn add(&self) -> (String, String) {
        self.browser
            .find_either(["link", "button"], "Add Webhook")
            .press();
        let field = self.browser.find("textbox", "Endpoint URL");
        assert_eq!(
            field.attribute("placeholder").unwrap_or_default(),
            "https://api.myapp.com/webhooks/miniback"
        );
        field.fill(&self.url);
        self.browser.find("button", "Test").press();
        self.browser.wait_for_text("thank you");
        assert!(
            self.browser.text().contains("200"),
            "the page doesn't show the status"
        );
        assert!(webhooks(&self.api).is_empty(), "the test saved the webhook");
        self.browser.find("button", "Add").press();
        self.row();
        let created = webhooks(&self.api);
        assert_eq!(created.len(), 1);
        let path = format!("/api/v1/webhooks/{}", text(&created[0], "id"));
        let secrets = self.api.get(&format!("{path}/secret")).expect(200).json();
        let secret = text(&secrets, "secret").to_owned();
        let tested = self.receiver.first();
        assert_eq!(
            tested.header("X-Miniback-Signature"),
            hex_signature(&secret, &tested.body),
            "the test was signed with a different secret"
        );
        (path, secret)
    }

    fn deselect_a_topic(&self, path: &str) {
        let row = open_row(&self.browser, &self.url);
        assert!(row.find("checkbox", "New Feedback").is_checked());
        row.find("checkbox", "Status Changed").press();
        save_if_needed(&self.browser, &self.url, self.javascript);
        self.browser.wait_until("the topic is saved", || {
            let topics = self.api.get(path).json()["topics"].clone();
            (topics == serde_json::json!(["feedback.created"])).then_some(())
        });
        self.browser.reload();
        let row = open_row(&self.browser, &self.url);
        assert!(!row.find("checkbox", "Status Changed").is_checked());
    }

    fn reveal_the_secret(&self, secret: &str) {
        let html = "document.documentElement.outerHTML";
        assert!(
            !self
                .browser
                .script(&format!("return {html}"))
                .to_string()
                .contains(secret)
        );
        self.row().find("button", "Reveal").press();
        let values = "[...document.querySelectorAll('input')].map(i => i.value)";
        self.browser.wait_until("the secret is shown", || {
            let page = self.browser.script(&format!("return {html} + {values}"));
            page.to_string().contains(secret).then_some(())
        });
    }

    fn disable(&self, path: &str) {
        let switch = self.row().find("switch", "Enabled");
        assert!(is_on(&switch));
        let is_checkbox = switch.attribute("type").as_deref() == Some("checkbox");
        switch.press();
        if is_checkbox {
            save_if_needed(&self.browser, &self.url, self.javascript);
        }
        self.browser.wait_until("the webhook is disabled", || {
            (self.api.get(path).json()["enabled"] == false).then_some(())
        });
        self.browser
            .wait_until("the page shows the webhook as disabled", || {
                // The script can replace the row while a search in the row is running.
                let switch = self.browser.find("switch", "Enabled");
                (!is_on(&switch)).then_some(())
            });
    }

    /// Deletes the webhook, with confirmation.
    fn delete(&self) {
        self.row().find("button", "Delete webhook").press();
        self.browser.wait_for_text("Delete this webhook?");
        assert_eq!(
            webhooks(&self.api).len(),
            1,
            "the webhook was deleted without confirmation"
        );
        self.browser.find("button", "Delete").press();
        self.browser.wait_until("the webhook's row disappears", || {
            let rows = self.browser.all("article", &self.url);
            rows.is_empty().then_some(())
        });
        assert!(webhooks(&self.api).is_empty());
    }
}

fn add_test_change_and_delete(javascript: bool) {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::body(200, "thank you"));
    let browser = Browser::with_options(BrowserOptions {
        javascript,
        ..BrowserOptions::default()
    });
    open_webhook_settings(&browser, &app);
    let page = WebhookPage {
        browser,
        javascript,
        api: app.api(),
        url: receiver.url("/webhooks/miniback"),
        receiver,
    };
    let (path, secret) = page.add();
    page.deselect_a_topic(&path);
    page.reveal_the_secret(&secret);
    page.disable(&path);
    // A disabled webhook can be tested.
    page.row().find("button", "Test").press();
    page.receiver.wait_for(2);
    page.browser.wait_for_text("thank you");
    page.delete();
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

/// Opens the "Add Webhook" form.
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
        .set_checked("New Feedback", false)
        .set_checked("Status Changed", true);
    ada.submit_and_follow(&form.press("Save")).expect(200);
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let topics = api.get(&path).json()["topics"].clone();
    assert_eq!(topics, serde_json::json!(["feedback.updated"]));
}

#[test]
fn editing_headers_keeps_stored_values_without_showing_them() {
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
    assert!(
        page.text().contains("“Host” is reserved"),
        "{}",
        page.text()
    );
}
