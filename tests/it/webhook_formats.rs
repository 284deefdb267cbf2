//! The format of a webhook on Settings → Notifications: detected from the URL or chosen, with a
//! preview of the message.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::forms::Form;
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::Receiver;

const LIST: &str = "/settings/notifications";
const SLACK_URL: &str = "https://hooks.slack.com/services/T000/B000/secret";
/// A URL of each detected service, with the service's name.
const SERVICES: [(&str, &str); 5] = [
    (SLACK_URL, "Slack"),
    ("https://discord.com/api/webhooks/1/secret", "Discord"),
    (
        "https://contoso.webhook.office.com/webhookb2/1",
        "Microsoft Teams",
    ),
    (
        "https://chat.googleapis.com/v1/spaces/1/messages",
        "Google Chat",
    ),
    ("https://ntfy.sh/feedback", "ntfy"),
];

fn add_form(admin: &mut Visitor) -> Form {
    let page = admin.get(LIST).expect(200);
    let path = page.link("Add Webhook").expect("find the link");
    admin.get(&path).expect(200).form_with("Add")
}

fn settings_form(admin: &mut Visitor, webhook: &Value) -> Form {
    let id = text(webhook, "id");
    let page = admin.get(&format!("{LIST}?open={id}")).expect(200);
    let mut forms = page.forms_with("Save changes");
    let url = text(webhook, "url");
    forms.retain(|form| form.enclosing_labels.iter().any(|label| label == url));
    assert_eq!(forms.len(), 1, "expected one form in the webhook's row");
    forms.remove(0)
}

fn save(admin: &mut Visitor, form: &Form) -> Page {
    admin.submit(&form.press("Save changes"))
}

fn stored(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
    api.get(&path).expect(200).json()
}

#[test]
fn the_preview_button_shows_the_detected_format_without_scripts() {
    let app = App::start();
    let mut admin = app.signed_in();
    for (url, service) in SERVICES {
        let form = add_form(&mut admin).fill("Endpoint URL", url);
        assert!(form.has_field("Signing secret"));
        let page = admin.submit(&form.press("Preview")).expect(200);
        let shown = page.text();
        assert!(
            shown.contains(&format!("{service}, detected from the URL.")),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("Preview of a message in {service}")),
            "{shown}"
        );
        assert!(shown.contains("New feedback in My Website"), "{shown}");
        let form = page.form_with("Add");
        assert_eq!(form.value("Endpoint URL"), url);
        assert!(!form.has_field("Signing secret"), "{service} has no secret");
        assert_eq!(
            page.link("Get endpoint code"),
            None,
            "{service} needs no code"
        );
        assert!(!page.response.text.contains("whsec_"));
        assert!(!page.response.text.contains("add-listen"));
    }
}

#[test]
fn an_unknown_url_has_the_standard_format() {
    let app = App::start();
    let mut admin = app.signed_in();
    // An incomplete URL can be previewed too.
    for url in [
        "https://api.example.com/hook",
        "https://hooks.sl",
        "",
        "mailto:",
    ] {
        let form = add_form(&mut admin).fill("Endpoint URL", url);
        let secret = form.value("Signing secret");
        let page = admin.submit(&form.press("Preview")).expect(200);
        assert!(
            page.text().contains("Standard. Signed JSON"),
            "{}",
            page.text()
        );
        let form = page.form_with("Add");
        assert_eq!(form.value("Signing secret"), secret);
        assert_eq!(form.value("Endpoint URL"), url);
    }
}

#[test]
fn the_secret_is_the_same_after_a_preview_of_another_format() {
    let app = App::start();
    let mut admin = app.signed_in();
    let form = add_form(&mut admin);
    let secret = form.value("Signing secret");
    let slack = form.fill("Endpoint URL", SLACK_URL).press("Preview");
    let form = admin.submit(&slack).expect(200).form_with("Add");
    let own = form
        .fill("Endpoint URL", "http://127.0.0.1:9/")
        .press("Preview");
    let form = admin.submit(&own).expect(200).form_with("Add");
    assert_eq!(form.value("Signing secret"), secret);
}

#[test]
fn adding_uses_the_detected_or_the_chosen_format() {
    let app = App::start();
    let (api, mut admin) = (app.api(), app.signed_in());
    for (url, choice, format) in [
        (SLACK_URL, "", "slack"),
        ("http://127.0.0.1:9/hooks/1", "mattermost", "mattermost"),
        (SLACK_URL, "standard", "standard"),
        ("http://127.0.0.1:9/hooks/2", "", "standard"),
    ] {
        let form = add_form(&mut admin);
        let form = form.fill("Endpoint URL", url).fill("Format", choice);
        let page = admin.submit_and_follow(&form.press("Add")).expect(200);
        let webhooks = api.get("/api/v1/webhooks").json();
        let added = &webhooks["data"][0];
        assert_eq!(
            (&added["url"], &added["format"]),
            (&json!(url), &json!(format))
        );
        let row = settings_form(&mut admin, added);
        assert_eq!(row.value("Format"), choice);
        // Only the standard format has a secret.
        let reveal = page.forms_with("Reveal");
        let is_signed = reveal
            .iter()
            .any(|form| form.enclosing_labels.contains(&url.to_owned()));
        assert_eq!(is_signed, format == "standard", "{format}");
        api.delete_webhook(added);
    }
}

#[test]
fn a_format_that_contradicts_the_url_is_rejected() {
    let app = App::start();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let form = settings_form(&mut admin, &webhook);
    let page = save(&mut admin, &form.clone().fill("Format", "email")).expect(422);
    assert!(
        page.text().contains("requires a mailto: URL"),
        "{}",
        page.text()
    );
    save(&mut admin, &form.fill("Format", "irc")).expect(400);
    assert_eq!(stored(&api, &webhook)["format"], "standard");
}

#[test]
fn a_new_url_is_detected_again_unless_the_format_was_chosen() {
    let app = App::start();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let form = settings_form(&mut admin, &webhook).fill("Endpoint URL", SLACK_URL);
    save(&mut admin, &form).expect(303);
    let webhook = stored(&api, &webhook);
    assert_eq!(webhook["format"], "slack");

    let form = settings_form(&mut admin, &webhook).fill("Format", "mattermost");
    save(&mut admin, &form).expect(303);
    assert_eq!(stored(&api, &webhook)["format"], "mattermost");
    let form = settings_form(&mut admin, &webhook);
    let form = form.fill("Endpoint URL", "https://discord.com/api/webhooks/1/x");
    save(&mut admin, &form).expect(303);
    let webhook = stored(&api, &webhook);
    assert_eq!(webhook["format"], "mattermost");

    let form = settings_form(&mut admin, &webhook).fill("Format", "");
    save(&mut admin, &form).expect(303);
    assert_eq!(stored(&api, &webhook)["format"], "discord");
}

#[test]
fn a_conflict_about_the_format_shows_both_formats() {
    let app = App::start();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let form = settings_form(&mut admin, &webhook);
    let details = form.clone().set_checked("Include details", true);
    let format = form.fill("Format", "slack");
    api.patch_webhook(&webhook, json!({"format": "teams"}));
    // Another field isn't a conflict.
    save(&mut admin, &details).expect(303);
    let page = save(&mut admin, &format).expect(409);
    let shown = page.text();
    assert!(
        shown.contains("Format: changed by somebody else to “ Microsoft Teams ”"),
        "{shown}"
    );
    assert!(shown.contains("yours: “ Slack ”"), "{shown}");
    let webhook = stored(&api, &webhook);
    assert_eq!(
        (&webhook["format"], &webhook["details"]),
        (&json!("teams"), &json!(true))
    );
}

#[test]
fn the_settings_preview_the_values_of_the_form() {
    let app = App::builder()
        .option("--base-url", "https://feedback.example.com")
        .start();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook(SLACK_URL);
    let form = settings_form(&mut admin, &webhook);
    assert!(!form.has_field("Signing secret"));
    let form = form.fill("Format", "teams").fill("Description", "Unsaved");
    let form = form.set_checked("Include details", true);
    let page = admin.submit(&form.press("Preview")).expect(200);
    let shown = page.text();
    assert!(
        shown.contains("Preview of a message in Microsoft Teams"),
        "{shown}"
    );
    assert!(
        shown.contains("sam@example.com") && shown.contains("Open in Miniback"),
        "{shown}"
    );
    let form = page.form_with("Save changes");
    assert_eq!(form.value("Format"), "teams");
    assert_eq!(form.value("Description"), "Unsaved");
    let unchanged = stored(&api, &webhook);
    assert_eq!(
        (&unchanged["format"], &unchanged["description"]),
        (&json!("slack"), &json!(""))
    );
    save(&mut admin, &form).expect(303);
    let saved = stored(&api, &webhook);
    assert_eq!(
        (&saved["format"], &saved["details"]),
        (&json!("teams"), &json!(true))
    );
}

#[test]
fn pages_of_an_unsigned_webhook_offer_no_signature() {
    let app = App::start();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook(SLACK_URL);
    let path = format!("{LIST}/{}", text(&webhook, "id"));
    let page = admin.get(&path).expect(200);
    assert!(page.text().contains("Slack"));
    for link in ["Check a signature", "Get endpoint code"] {
        assert_eq!(page.link(link), None);
    }
    for subpage in ["signature-check", "endpoint-code", "secret"] {
        let page = admin.get(&format!("{path}/{subpage}"));
        assert!([404, 409].contains(&page.response.status), "{subpage}");
    }
}

#[test]
fn a_test_can_send_an_example_event_without_scripts() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let (api, mut admin) = (app.api(), app.signed_in());
    let form = add_form(&mut admin).fill("Endpoint URL", &receiver.url("/"));
    for (button, event) in [
        ("Test", "test"),
        ("New Feedback", "feedback.created"),
        ("Status Changed", "feedback.updated"),
    ] {
        let page = admin.submit_and_follow(&form.press(button)).expect(200);
        assert!(page.text().contains("Delivered."), "{}", page.text());
        let sent = receiver.received().pop().expect("receive the test");
        assert_eq!(sent.json()["event"], event, "{button}");
    }
    let webhook = api.create_webhook(&receiver.url("/"));
    let path = format!("{LIST}/{}", text(&webhook, "id"));
    let page = admin.get(&path).expect(200);
    admin
        .submit_and_follow(&page.form_with("Test").press("New Feedback"))
        .expect(200);
    let sent = receiver.received().pop().expect("receive the test");
    assert_eq!(sent.json()["event"], "feedback.created");
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["event"], "feedback.created");
}

fn browser(javascript: bool, width: u32) -> Browser {
    Browser::with_options(BrowserOptions {
        javascript,
        width,
        height: 900,
    })
}

#[test]
fn typing_a_url_shows_its_format_and_preview() {
    let app = App::start();
    let browser = browser(true, 360);
    app.sign_in(&browser);
    browser.open(&format!("{}{LIST}?add", app.url));
    for (url, service) in SERVICES {
        browser.find("textbox", "Endpoint URL").fill(url);
        browser.wait_for_text(&format!("{service}, detected from the URL."));
        browser.find("figure", &format!("Preview of a message in {service}"));
        assert!(browser.all("textbox", "Signing secret").is_empty());
    }
    let excess = browser.script("return document.documentElement.scrollWidth - innerWidth");
    assert!(excess.as_i64().unwrap_or(1) <= 0, "{excess} px too wide");
    // The field keeps the focus and the text.
    let focused = browser.script("return document.activeElement.id");
    assert_eq!(focused, "add-url");
    browser
        .find("textbox", "Endpoint URL")
        .fill("http://127.0.0.1:9/");
    browser.wait_for_text("Standard. Signed JSON");
    browser.find("textbox", "Signing secret");
}

#[test]
fn the_menu_of_test_events_works_with_and_without_scripts() {
    for javascript in [true, false] {
        let (app, receiver) = (App::start(), Receiver::ok());
        let url = receiver.url("/");
        app.api().create_webhook(&url);
        let browser = browser(javascript, 1280);
        app.sign_in(&browser);
        browser.open(&format!("{}{LIST}", app.url));
        let row = browser.find("article", &url);
        row.find("button", "Choose an example event").press();
        row.find("button", "Status Changed").press();
        let sent = receiver.wait_for(1).remove(0);
        assert_eq!(sent.json()["event"], "feedback.updated");
        browser.wait_for_text("Delivered.");
        assert!(
            browser.all("button", "Status Changed").is_empty(),
            "the menu is still open"
        );
    }
}
