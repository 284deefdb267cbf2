//! Pages in a browser: changes before the response arrives, open rows after going back, local
//! times, signing in and out, the navigation, and printing.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::Browser;

/// Delays each request of the browser by `latency` milliseconds. If `offline`, each request fails.
fn set_network(browser: &Browser, latency: u32, offline: bool) {
    browser.devtools("Network.enable", json!({}));
    let conditions = json!({
        "offline": offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1,
    });
    browser.devtools("Network.emulateNetworkConditions", conditions);
}

fn sign_in(app: &App, path: &str) -> Browser {
    let browser = Browser::start();
    app.sign_in(&browser);
    browser.open(&format!("{}{path}", app.url));
    browser
}

/// Presses the first button with this text by script, and returns the values of JavaScript
/// expressions 100 ms later. `PageElement::press` would wait for navigations.
fn press_and_read(browser: &Browser, button: &str, expressions: &str) -> Value {
    browser.script(&format!(
        "const button = [...document.querySelectorAll('main button')]
             .find((button) => button.textContent === '{button}');
         button.click();
         return new Promise((resolve) => setTimeout(() => resolve([{expressions}]), 100))"
    ))
}

#[test]
fn a_status_changes_at_once_and_reverts_if_the_request_fails() {
    let app = App::start();
    app.api().create_project("Shop");
    app.api().create_feedback("shop", "slow");
    let browser = sign_in(&app, "/feedback");
    browser.find("link", "slow");
    let state = "button.ariaPressed, document.documentElement.matches('.loading')";
    set_network(&browser, 1500, false);
    let shown = press_and_read(&browser, "Resolved", state);
    assert_eq!(shown, json!(["true", true]));
    browser.find("button", "Undo");
    let loading = "return document.documentElement.matches('.loading')";
    assert_eq!(browser.script(loading), false);

    set_network(&browser, 0, true);
    press_and_read(&browser, "New", state);
    browser.wait_for_text("No connection to the server.");
    let pressed = |name| browser.find("button", name).attribute("aria-pressed");
    assert_eq!(pressed("Resolved").as_deref(), Some("true"));
    assert_eq!(pressed("New").as_deref(), Some("false"));
}

#[test]
fn a_switch_changes_at_once() {
    let app = App::start();
    let webhook = app.api().create_webhook("http://localhost:9/");
    let browser = sign_in(&app, "/settings/notifications");
    browser.find("switch", "Enabled");
    set_network(&browser, 1500, false);
    let shown = press_and_read(&browser, "", "button.ariaChecked");
    assert_eq!(shown, json!(["false"]));
    browser.wait_for_text("Webhook disabled.");
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    assert_eq!(app.api().get(&path).json()["enabled"], false);
}

#[test]
fn the_link_to_new_feedback_is_visible_on_a_scrolled_page() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..25 {
        api.create_feedback("shop", &format!("message {number}"));
    }
    let browser = sign_in(&app, "/feedback");
    browser.find("link", "message 24");
    browser.script("scrollTo(0, document.body.scrollHeight)");
    assert_ne!(browser.script("return scrollY"), 0);
    api.create_feedback("shop", "a new message");
    browser.find("link", "1 new — show");
    let top =
        browser.script("return document.querySelector('.new-items').getBoundingClientRect().top");
    assert!((0.0..100.0).contains(&top.as_f64().unwrap()), "{top}");
}

#[test]
fn open_rows_are_open_again_after_going_back() {
    let app = App::start();
    let api = app.api();
    let project = api.create_project("Shop");
    api.create_project("Docs");
    let browser = sign_in(&app, "/settings/projects");
    for name in ["Shop", "Docs"] {
        browser.find("article", name).expand_button().press();
    }
    let id = text(&project, "id").to_owned();
    browser.find("link", "View feedback: Shop").press();
    browser.find("heading", "Feedback");
    browser.script("history.back()");
    browser.wait_until("both rows are open again", || {
        let open = browser.script("return document.querySelectorAll('details[open]').length");
        (browser.url().contains("/settings/projects") && open == 2).then_some(())
    });
    browser.open(&format!("{}/feedback", app.url));
    // The URL of an open row opens the row again. Closing the row removes its id from the URL.
    browser.open(&format!("{}/settings/projects?open={id}#{id}", app.url));
    browser.find("article", "Shop").expand_button().press();
    browser.wait_until("the URL contains no row", || {
        let url = browser.url();
        (!url.contains("open=") && !url.contains(&id)).then_some(())
    });
}

#[test]
fn closing_an_item_removes_it_from_the_url() {
    let app = App::start();
    app.api().create_project("Shop");
    let feedback = app.api().create_feedback("shop", "message");
    let browser = sign_in(&app, "/feedback");
    let id = text(&feedback, "id").to_owned();
    browser.find("link", "message").press();
    browser.find("link", "Close");
    assert!(browser.url().contains(&id));
    browser.script("document.querySelector('[aria-expanded=true]').click()");
    browser.wait_until("the URL doesn't contain the item", || {
        (!browser.url().contains(&id)).then_some(())
    });
    // Going back opens the item again.
    browser.script("history.back()");
    browser.find("link", "Close");
}

#[test]
fn times_are_local_and_their_titles_are_in_utc() {
    let app = App::start();
    let browser = Browser::start();
    let zone = json!({"timezoneId": "Asia/Tokyo"});
    browser.devtools("Emulation.setTimezoneOverride", zone);
    browser.devtools("Emulation.setLocaleOverride", json!({"locale": "de-DE"}));
    browser.open(&format!("{}/docs/design", app.url));
    let time = "const time = document.querySelector('.facts time');";
    let title = browser.script(&format!("{time} return time.title"));
    assert!(title.as_str().unwrap().ends_with(" UTC"), "{title}");
    let expected = browser.script(&format!(
        "{time} return new Date(time.dateTime).toLocaleString('de-DE', {{ timeZone: 'Asia/Tokyo',
             day: 'numeric', month: 'short', year: 'numeric',
             hour: 'numeric', minute: '2-digit', second: '2-digit' }})"
    ));
    let shown = browser.script(&format!("{time} return time.textContent"));
    assert_eq!(shown, expected);
    let others = browser.script(
        "return [...document.querySelectorAll('time')].filter((time) =>
             !time.title.endsWith('UTC') || time.textContent.includes('UTC')).length",
    );
    assert_eq!(others, 0);
}

#[test]
fn the_password_can_be_shown_and_signing_out_is_confirmed() {
    let app = App::start();
    let browser = Browser::start();
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    let type_of = || browser.find("textbox", "Password").attribute("type");
    assert_eq!(type_of().as_deref(), Some("password"));
    browser.find("checkbox", "Show characters").press();
    assert_eq!(type_of().as_deref(), Some("text"));
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
    browser.open(&format!("{}/settings/account", app.url));
    browser.wait_for_text("also signs out this browser");
    browser.find("button", "Sign out everywhere").press();
    browser.wait_for_text("You’re signed out of all browsers.");
    browser.find("textbox", "Password");
}

#[test]
fn the_navigation_marks_the_current_page_and_section() {
    let app = App::start();
    let browser = Browser::start();
    browser.open(&format!("{}/docs/api", app.url));
    let current = |name| browser.find("link", name).attribute("aria-current");
    assert_eq!(current("Help").as_deref(), Some("true"));
    assert_eq!(current("Projects").as_deref(), Some("true"));
    browser.script("document.getElementById('schemas').scrollIntoView()");
    browser.wait_until("the last section is the current section", || {
        (current("Schemas").as_deref() == Some("true")).then_some(())
    });
    assert_eq!(current("Projects"), None);
}

#[test]
fn printing_shows_the_status_of_feedback_but_no_controls() {
    let app = App::start();
    app.api().create_project("Shop");
    app.api().create_feedback("shop", "message");
    let browser = sign_in(&app, "/feedback");
    browser.find("link", "message");
    browser.devtools("Emulation.setEmulatedMedia", json!({"media": "print"}));
    browser.find("button", "New");
    for (role, name) in [
        ("button", "Resolved"),
        ("button", "Export"),
        ("link", "Settings"),
        ("checkbox", "Select"),
        ("checkbox", "Select all on this page"),
    ] {
        assert!(browser.all(role, name).is_empty(), "{role} {name}");
    }
}
