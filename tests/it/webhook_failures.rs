//! Failed deliveries in a webhook's row and on its page: how many there are, and the button that
//! redelivers them.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

const LIST: &str = "/settings/notifications";

/// Creates a webhook with failed deliveries.
fn create_with_failures(api: &Api, receiver: &Receiver, count: usize) -> Value {
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    for number in 0..count {
        api.create_feedback("shop", &format!("Message {number}"));
    }
    api.wait_until_none_pending(&webhook);
    webhook
}

fn wait_for_delivered(api: &Api, webhook: &Value, count: usize) {
    api.wait_until_none_pending(webhook);
    let deliveries = api.deliveries(webhook);
    let delivered = deliveries.iter().filter(|d| d["state"] == "delivered");
    assert_eq!(delivered.count(), count, "{deliveries:?}");
}

fn redelivers_after_recovery(options: BrowserOptions) {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = create_with_failures(&api, &receiver, 3);
    receiver.set_script(|_| Reply::status(204));
    api.create_feedback("shop", "The endpoint works again");
    wait_for_delivered(&api, &webhook, 1);

    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    browser.open(&format!("{}{LIST}", app.url));
    browser.wait_for_text("Delivered just now");
    browser.wait_for_text("3 deliveries failed in the last 7 days and have no retries left.");
    let row = browser.find("article", &receiver.url("/"));
    row.find("link", "Redeliver 3 failed…").press();
    browser.wait_for_text("Redeliver 3 deliveries that failed in the last 7 days?");
    browser.find("button", "Redeliver").press();
    browser.wait_for_text("3 deliveries queued.");
    wait_for_delivered(&api, &webhook, 4);
    browser.open(&format!("{}{LIST}", app.url));
    browser.wait_for_text("Delivered just now");
    assert!(
        !browser.text().contains("no retries left"),
        "{}",
        browser.text()
    );
}

#[test]
fn a_recovered_webhook_offers_to_redeliver_with_scripts() {
    redelivers_after_recovery(BrowserOptions::default());
}

#[test]
fn a_recovered_webhook_offers_to_redeliver_on_a_phone_without_scripts() {
    redelivers_after_recovery(BrowserOptions {
        javascript: false,
        width: 360,
        height: 740,
    });
}

#[test]
fn a_failing_webhook_redelivers_one_delivery_or_asks_about_several() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = create_with_failures(&api, &receiver, 1);
    let mut admin = app.signed_in();
    let page = admin.get(LIST).expect(200);
    assert!(
        page.text()
            .contains("1 delivery failed in the last 7 days and has no retries left.")
    );
    assert!(page.form_with("Redeliver").action().ends_with("/redeliver"));

    api.create_feedback("shop", "Another message");
    api.wait_until_none_pending(&webhook);
    for path in [LIST.to_owned(), format!("{LIST}/{}", text(&webhook, "id"))] {
        let page = admin.get(&path).expect(200);
        let shown = page.text();
        assert!(shown.contains("Last error: 500"), "{shown}");
        assert!(
            shown.contains("2 deliveries failed in the last 7 days"),
            "{shown}"
        );
        assert!(page.forms_with("Redeliver").is_empty());
        let confirmation = page.link("Redeliver 2 failed…").expect("find the link");
        admin.get(&confirmation).expect(200).form_with("Redeliver");
    }
}

#[test]
fn failures_stay_listed_while_disabled_and_after_enabling() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = create_with_failures(&api, &receiver, 2);
    let mut admin = app.signed_in();
    let id = text(&webhook, "id");
    let pages = [
        (LIST.to_owned(), "To redeliver them, enable the webhook."),
        (
            format!("{LIST}/{id}"),
            "To redeliver them, enable the webhook.",
        ),
        (
            format!("{LIST}/{id}/deliveries"),
            "Enable it to redeliver these deliveries.",
        ),
    ];
    for (path, sentence) in pages {
        api.patch_webhook(&webhook, json!({"enabled": false}));
        let page = admin.get(&path).expect(200);
        assert!(page.text().contains(sentence), "{}", page.text());
        assert!(page.link("Redeliver 2 failed…").is_none());
        let enable = page.form_with("Enable").press("Enable");
        let page = admin.submit_and_follow(&enable).expect(200);
        assert_eq!(page.path.split('#').next(), Some(path.as_str()));
        assert!(page.text().contains("Webhook enabled."), "{}", page.text());
        assert!(page.text().contains("2 deliveries"), "{}", page.text());
    }
    assert!(admin.get(LIST).link("Redeliver 2 failed…").is_some());
}

#[test]
fn failing_webhooks_come_first_and_before_the_checklist() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let healthy = "http://127.0.0.1:9/healthy";
    let webhook = api.create_webhook_with(json!({"url": healthy, "topics": []}));
    let page = app.signed_in().get(LIST).expect(200).response.text;
    let position = |page: &str, text: &str| page.find(text).expect(text);
    assert!(position(&page, "getting-started") < position(&page, text(&webhook, "id")));
    let failing = create_with_failures(&api, &receiver, 1);
    let page = app.signed_in().get(LIST).expect(200).response.text;
    assert!(page.contains(">1 delivery</a> failed in the last 7 days."));
    let article = |webhook: &Value| position(&page, &format!("id=\"{}\"", text(webhook, "id")));
    assert!(article(&failing) < article(&webhook));
    assert!(article(&webhook) < position(&page, "id=\"getting-started\""));
}

#[test]
fn a_webhook_on_hold_says_since_when_it_has_been_failing() {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::status(503).header("Retry-After", "3000"));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    api.wait_for_attempts(text(&api.only_delivery(&webhook), "id"), 1);
    let shown = app.signed_in().get(LIST).expect(200).text();
    assert!(shown.contains("On hold, failing since today, "), "{shown}");
}

#[test]
fn a_webhook_that_received_only_tests_says_so() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let mut admin = app.signed_in();
    let shown = admin.get(LIST).expect(200).text();
    assert!(shown.contains("No deliveries yet"), "{shown}");
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let shown = admin.get(LIST).expect(200).text();
    assert!(shown.contains("Only tests so far"), "{shown}");
    assert!(!shown.contains("No deliveries yet"), "{shown}");
}
