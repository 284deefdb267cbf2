//! Navigation in a browser: where a page starts, what Back leads to, and the top bar's mark of
//! failing webhooks.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::{App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

const PHONE: BrowserOptions = BrowserOptions {
    javascript: true,
    width: 360,
    height: 740,
};

/// Scrolls the page down, and returns the position.
#[track_caller]
fn scroll_down(browser: &Browser) -> i64 {
    browser.script("scrollTo(0, 300)");
    let position = browser.script("return scrollY").as_i64().unwrap();
    assert!(position > 100, "the page is too short: {position}");
    position
}

#[track_caller]
fn assert_is_at_top(browser: &Browser) {
    assert_eq!(browser.script("return scrollY"), 0, "{}", browser.url());
    let focused = browser.script("return document.activeElement.id");
    assert_eq!(focused, "main", "{}", browser.url());
}

/// Goes back, and waits until the page with this URL is shown where it was left.
#[track_caller]
fn go_back(browser: &Browser, url: &str, heading: &str, position: i64) {
    browser.script("history.back()");
    browser.find("heading", heading);
    browser.wait_until("the page is where it was left", || {
        (browser.script("return scrollY") == position).then_some(())
    });
    assert_eq!(browser.url(), url);
}

#[test]
fn another_page_starts_at_its_top_and_back_returns() {
    let app = App::start();
    let webhook = app.api().create_webhook("http://localhost:9/");
    let browser = Browser::with_options(PHONE);
    app.sign_in(&browser);
    let list = format!(
        "{}/settings/notifications?open={}",
        app.url,
        text(&webhook, "id")
    );
    browser.open(&list);
    let row = browser.find("article", "http://localhost:9/");
    let left_at = scroll_down(&browser);
    row.find("link", "Get endpoint code");
    let link =
        "[...document.querySelectorAll('a')].find((a) => a.textContent.includes('endpoint code'))";
    browser.script(&format!("{link}.click()"));
    browser.find("heading", "Endpoint code");
    assert_is_at_top(&browser);
    go_back(&browser, &list, "Notifications", left_at);

    // A fragment of the URL is where the page starts.
    browser.script(&format!("{link}.click()"));
    browser.find("heading", "Endpoint code");
    scroll_down(&browser);
    browser.script(
        "[...document.querySelectorAll('a')].find((a) => a.textContent === 'Reveal secret').click()",
    );
    browser.find("heading", "Notifications");
    let top = browser.script(&format!(
        "return document.getElementById('{}').getBoundingClientRect().top",
        text(&webhook, "id")
    ));
    assert!((-1.0..500.0).contains(&top.as_f64().unwrap()), "{top}");
}

#[test]
fn a_form_that_leads_to_another_page_adds_to_the_history() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..12 {
        api.create_feedback("shop", &format!("message {number}"));
    }
    let feedback = api.create_feedback("shop", &"A long message. ".repeat(200));
    let browser = Browser::with_options(PHONE);
    app.sign_in(&browser);
    let page = format!("{}/feedback/{}", app.url, text(&feedback, "id"));
    browser.open(&format!("{page}?delete=1"));
    browser.find("button", "Delete");
    scroll_down(&browser);
    let entries = browser.script("return history.length").as_i64().unwrap();
    browser.script("document.querySelector('.panel .primary').click()");
    browser.wait_for_text("Feedback deleted.");
    assert_eq!(browser.script("return scrollY"), 0);
    assert_eq!(browser.script("return history.length"), entries + 1);

    // A form that leads to its own page changes neither the position nor the history.
    browser.find("link", "message 11");
    let left_at = scroll_down(&browser);
    browser.script("document.querySelectorAll('[value=RESOLVED]')[5].click()");
    browser.wait_for_text("Marked as resolved.");
    assert_eq!(browser.script("return scrollY"), left_at);
    assert_eq!(browser.script("return history.length"), entries + 1);
}

#[test]
fn the_top_bar_marks_failing_webhooks_for_admins() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let browser = Browser::with_options(PHONE);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/account", app.url));
    let wait_for_mark = |expected: &str| {
        browser.wait_until(&format!("the mark is {expected:?}"), || {
            let mark = "return document.getElementById('failing-webhooks').textContent";
            (browser.script(mark) == expected).then_some(())
        });
    };
    wait_for_mark("");
    api.deliver_one(&webhook, "failed");
    wait_for_mark("1 webhook failing");
    // The name of the link stays the same.
    let described_by = browser
        .find("link", "Settings")
        .attribute("aria-describedby");
    assert_eq!(described_by.as_deref(), Some("failing-webhooks"));

    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let page = bob.get("/feedback").expect(200);
    assert!(!page.text().contains("failing"), "{}", page.text());

    api.patch_webhook(&webhook, json!({"enabled": false}));
    wait_for_mark("");
    let webhook = api.patch_webhook(&webhook, json!({"enabled": true}));
    wait_for_mark("1 webhook failing");
    receiver.set_script(|_| Reply::status(204));
    api.create_feedback("delivered", "again");
    api.wait_until_none_pending(&webhook);
    wait_for_mark("");
}
