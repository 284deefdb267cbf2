//! The list of webhooks: the filter for failing webhooks, redelivery and retries from a row, secret
//! rotation, new webhooks, and the bars of recent deliveries.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

const DESKTOP: BrowserOptions = BrowserOptions {
    javascript: true,
    width: 1280,
    height: 800,
};
const PHONE: BrowserOptions = BrowserOptions {
    javascript: false,
    width: 360,
    height: 740,
};

fn open_list(app: &App, options: BrowserOptions) -> Browser {
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications", app.url));
    browser.find("heading", "Webhook Notifications");
    browser
}

/// Creates a webhook with a failed delivery.
fn create_failing_webhook(api: &Api, receiver: &Receiver) -> Value {
    let url = receiver.url("/failing");
    let webhook = api.create_webhook_with(json!({"url": url, "description": "Tickets"}));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    api.wait_for_state(text(&api.only_delivery(&webhook), "id"), "failed");
    webhook
}

fn find_and_fix_a_failing_webhook(options: BrowserOptions) {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::body(500, "KeyError: 'plan'"));
    let api = app.api();
    create_failing_webhook(&api, &receiver);
    let (failing, healthy) = (receiver.url("/failing"), receiver.url("/healthy"));
    api.create_webhook(&healthy);
    let browser = open_list(&app, options);
    browser.wait_for_text("2 webhooks, 1 failing");
    browser.find("article", &healthy);
    browser.find("link", "1 failing").press();
    browser.wait_for_text("Showing only failing webhooks: 1 of 2.");
    assert!(browser.all("article", &healthy).is_empty());
    let row = || browser.find("article", &failing);
    browser.wait_for_text("Failing since today, ");

    // The result of a test appears below the row. The row stays closed, and the filter stays
    // active.
    row().find("button", "Test").press();
    browser.wait_for_text("KeyError: 'plan'");
    assert!(row().all("checkbox", "New Feedback").is_empty());
    assert!(browser.all("article", &healthy).is_empty());

    receiver.set_script(|_| Reply::status(204));
    row().find("button", "Redeliver").press();
    browser.wait_until("no webhook is failing", || {
        let delivered = api.get("/api/v1/webhooks").json();
        delivered["data"]
            .as_array()?
            .iter()
            .all(|webhook| webhook["failingSince"] == Value::Null)
            .then_some(())
    });
    browser.open(&format!("{}/settings/notifications?failing", app.url));
    browser.find("heading", "No failing webhooks");
    browser.all("link", "Show all")[0].press();
    browser.find("article", &healthy);
    browser.find("article", &failing);
    assert!(browser.all("link", "1 failing").is_empty());
}

#[test]
fn finds_and_fixes_a_failing_webhook_with_scripts() {
    find_and_fix_a_failing_webhook(DESKTOP);
}

#[test]
fn finds_and_fixes_a_failing_webhook_on_a_phone_without_scripts() {
    find_and_fix_a_failing_webhook(PHONE);
}

#[test]
fn an_open_row_of_a_failing_webhook_starts_with_its_deliveries() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let webhook = create_failing_webhook(&app.api(), &receiver);
    let mut admin = app.signed_in();
    let path = format!("/settings/notifications?open={}", text(&webhook, "id"));
    let page = admin.get(&path).expect(200);
    let shown = page.text();
    let position = |text: &str| {
        shown
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {shown}"))
    };
    // The description comes before the URL.
    assert!(position("Tickets") < position(&receiver.url("/failing")));
    let sections = [
        "Recent deliveries",
        "Topics",
        "Signing secret",
        "Settings Endpoint URL",
    ];
    let positions = sections.map(position);
    assert!(positions.is_sorted(), "{positions:?}");
    for link in [
        "Troubleshoot",
        "Check a signature",
        "All deliveries",
        "Details and statistics",
    ] {
        assert!(page.link(link).is_some(), "there is no link {link}");
    }
    let redeliver = page.form_with("Redeliver").press("Redeliver");
    receiver.set_script(|_| Reply::status(204));
    let delivery = admin.submit_and_follow(&redeliver).expect(200);
    assert!(
        delivery.path.contains("/deliveries/dlv_"),
        "{}",
        delivery.path
    );
}

#[test]
fn a_pending_delivery_of_a_failing_webhook_can_be_retried_from_its_row() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&id, 1);
    let mut admin = app.signed_in();
    let page = admin.get("/settings/notifications").expect(200);
    receiver.set_script(|_| Reply::status(204));
    admin.submit_and_follow(&page.form_with("Retry now").press("Retry now"));
    api.wait_for_state(&id, "delivered");
}

#[test]
fn a_hold_is_explained_once() {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::status(503).header("Retry-After", "3000"));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    api.wait_for_attempts(text(&api.only_delivery(&webhook), "id"), 1);
    let page = app.signed_in().get("/settings/notifications").expect(200);
    assert_eq!(
        page.text().matches("On hold until").count(),
        1,
        "{}",
        page.text()
    );
}

#[test]
fn a_rotation_shows_both_secrets_with_their_own_copy_buttons() {
    let app = App::start();
    let api = app.api();
    let url = "http://127.0.0.1:9/rotated";
    let webhook = api.create_webhook(url);
    let secret_path = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
    api.post(
        &format!("{secret_path}/rotate"),
        json!({"overlapHours": 24}),
    )
    .expect(200);
    let secrets = api.get(&secret_path).expect(200).json();
    let browser = open_list(&app, DESKTOP);
    let row = || browser.find("article", url);
    row().expand_button().press();
    browser.script(
        "navigator.clipboard.write = async ([item]) => {
            window.copied = await (await item.getType('text/plain')).text();
        };",
    );
    let copy = |button: &str, member: &str| {
        browser.script("window.copied = null");
        row().find("button", button).press();
        browser.wait_until("the secret is copied", || {
            (browser.script("return window.copied") == secrets[member]).then_some(())
        });
    };
    copy("Copy", "secret");
    copy("Copy new secret", "nextSecret");
    let html = browser.script("return document.documentElement.outerHTML");
    assert!(!html.to_string().contains(text(&secrets, "nextSecret")));
    row().find("button", "Reveal").press();
    browser.wait_for_text("Hide"); // until then, the row is about to be replaced
    let shown = |name: &str| row().find("textbox", name).value();
    assert_eq!(shown("Signing secret"), text(&secrets, "secret"));
    assert_eq!(shown("New signing secret"), text(&secrets, "nextSecret"));
    row().find("button", "Switch now").press();
    browser.wait_for_text("Only the new secret is valid now.");
    row().find("button", "Copy");
    assert!(row().all("button", "Copy new secret").is_empty());
}

fn add_webhook_to_a_long_list(options: BrowserOptions) {
    let app = App::start();
    let api = app.api();
    for number in 0..12 {
        api.create_webhook(&format!("http://127.0.0.1:9/{number}"));
    }
    let browser = open_list(&app, options);
    browser.find("link", "Add Webhook").press();
    let url = "http://127.0.0.1:9/new";
    browser.find("textbox", "Endpoint URL").fill(url);
    browser.find("button", "Add").press();
    browser.wait_for_text("Webhook added.");
    browser
        .find("article", url)
        .find("checkbox", "New Feedback");
    browser.wait_until("the new row is in view", || {
        let is_in_view = browser.script(&format!(
            "const {{ top }} = document.querySelector('[aria-label=\"{url}\"] summary')
                 .getBoundingClientRect();
             return top >= 0 && top < innerHeight - 40"
        ));
        (is_in_view == true).then_some(())
    });
}

#[test]
fn a_new_webhook_is_in_view_with_scripts() {
    add_webhook_to_a_long_list(DESKTOP);
}

#[test]
fn a_new_webhook_is_in_view_on_a_phone_without_scripts() {
    add_webhook_to_a_long_list(PHONE);
}

#[test]
fn the_bars_of_a_row_have_tooltips_and_a_text_alternative() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![Reply::status(401), Reply::status(200)]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    for number in 0..5 {
        api.create_feedback("shop", &format!("Message {number}"));
    }
    api.wait_until_none_pending(&webhook);
    let browser = open_list(&app, DESKTOP);
    browser.find("image", "Last 5 deliveries: 4 delivered, 1 failed");
    let tooltips = browser.script(
        "return [...document.querySelectorAll('.sparkline g title')].map((t) => t.textContent)",
    );
    let tooltips: Vec<&str> = tooltips
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert_eq!(tooltips.len(), 5);
    assert!(
        tooltips.iter().any(|text| text.starts_with("401 in ")),
        "{tooltips:?}"
    );
    // The script shows local times, without “UTC”.
    assert!(
        tooltips
            .iter()
            .all(|text| text.contains(" ms, ") && !text.contains("UTC"))
    );
}
