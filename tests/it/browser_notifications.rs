//! Browser notifications about new feedback, and the switch for them.

use serde_json::json;

use crate::support::app::App;
use crate::support::browser::Browser;

/// Replaces the browser's notifications with a list, and lets a test hide the page. Shortens
/// intervals of 60 s to 100 ms.
const STUB: &str = r#"
    window.Notification = class {
        static permission = localStorage.getItem("test-permission") ?? "default";
        static async requestPermission() {
            const answer = localStorage.getItem("test-answer");
            localStorage.setItem("test-permission", answer);
            Notification.permission = answer;
        }
        constructor(title, options) { (window.shown ??= []).push(`${title}: ${options.body}`); }
    };
    const isHidden = () => localStorage.getItem("test-hidden") === "true";
    Object.defineProperty(Document.prototype, "hidden", { get: isHidden });
    const original = window.setInterval;
    window.setInterval = (run, delay) => original(run, delay === 60000 ? 100 : delay);
"#;

/// Signs in, presses the switch, and answers the browser's permission prompt.
fn browser_with_answer(app: &App, answer: &str) -> Browser {
    let browser = Browser::start();
    browser.devtools(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({ "source": STUB }),
    );
    app.sign_in(&browser);
    browser.script(&format!("localStorage.setItem('test-answer', '{answer}')"));
    browser.open(&format!("{}/settings/account", app.url));
    browser.find("switch", "Browser notifications").press();
    browser
}

fn is_on(browser: &Browser) -> bool {
    let checked = "return document.getElementById('notifications-on').ariaChecked";
    browser.script(checked) == "true"
}

#[test]
fn a_hidden_page_shows_a_notification_for_new_feedback() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_feedback("shop", "The old message");
    let browser = browser_with_answer(&app, "granted");
    browser.wait_until("the switch is on", || is_on(&browser).then_some(()));

    browser.script("localStorage.setItem('test-hidden', 'true')");
    browser.open(&format!("{}/feedback", app.url));
    api.create_feedback("shop", "The new message");
    let shown = || browser.script("return window.shown?.join()");
    browser.wait_until("a notification is shown", || {
        (shown() == "New feedback: The new message").then_some(())
    });
    browser.wait_until("the title counts the new feedback", || {
        browser.title().contains("(2)").then_some(())
    });

    browser.open(&format!("{}/settings/account", app.url));
    browser.wait_until("the switch is on", || is_on(&browser).then_some(()));
    browser.find("switch", "Browser notifications").press();
    browser.wait_until("the switch is off", || (!is_on(&browser)).then_some(()));
    browser.open(&format!("{}/feedback", app.url));
    api.create_feedback("shop", "The last message");
    browser.wait_until("the title counts the new feedback", || {
        browser.title().contains("(3)").then_some(())
    });
    assert_eq!(shown(), json!(null));
}

#[test]
fn a_blocked_notification_is_explained() {
    let app = App::start();
    let browser = browser_with_answer(&app, "denied");
    browser.wait_for_text("Your browser blocks notifications from this site.");
    assert!(!is_on(&browser));
}
