//! `/feedback` in a real browser, on desktop and phone, with scripts and without: the same flows;
//! with them also keys, a selection that counts itself, and new feedback as it comes.

use serde_json::Value;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};

const PHONE: (u32, u32) = (360, 740);
const DESKTOP: (u32, u32) = (1280, 900);

fn look_at(app: &App, (width, height): (u32, u32), javascript: bool, path: &str) -> Browser {
    let browser = Browser::with(BrowserOptions {
        javascript,
        width,
        height,
    });
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
    browser.open(&format!("{}{path}", app.url));
    browser.find("heading", "Feedback");
    browser
}

fn statuses(api: &Api) -> Vec<String> {
    let listed = api.get("/api/v1/feedback").expect(200).json();
    let of = |one: &Value| text(one, "status").to_owned();
    listed["data"].as_array().unwrap().iter().map(of).collect()
}

#[track_caller]
fn wait_for_statuses(browser: &Browser, api: &Api, expected: &[&str]) {
    browser.wait_until(&format!("the statuses are {expected:?}"), || {
        (statuses(api) == expected).then_some(())
    });
}

fn with_feedback(messages: &[&str]) -> (App, Api) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for message in messages {
        api.create_feedback("shop", message);
    }
    (app, api)
}

/// One page long, whatever the device: change, undo, open, several at once, delete, search, export.
fn the_whole_flow(size: (u32, u32), javascript: bool) {
    let (app, api) = with_feedback(&["first words", "second words"]);
    let browser = look_at(&app, size, javascript, "/feedback");
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    if javascript {
        assert_eq!(browser.script(fits), true, "nothing is wider than the page");
    }

    browser.all("button", "Resolved")[0].press();
    browser.wait_for_text("Marked as resolved.");
    assert_eq!(statuses(&api), ["RESOLVED", "NEW"]);
    assert_eq!(
        browser.all("button", "Resolved")[0]
            .attribute("aria-pressed")
            .as_deref(),
        Some("true")
    );
    browser.find("button", "Undo").press();
    browser.wait_for_text("Undone.");
    assert_eq!(statuses(&api), ["NEW", "NEW"]);

    browser.find("link", "second words").press();
    browser.wait_for_text("History");
    browser.wait_for_text("Resolved → New");
    assert_eq!(
        browser
            .find("link", "second words")
            .attribute("aria-expanded")
            .as_deref(),
        Some("true")
    );
    if javascript {
        assert_eq!(browser.script(fits), true);
    }
    browser.find("link", "second words").press();
    browser.wait_until("it is closed", || {
        (!browser.text().contains("History")).then_some(())
    });

    if javascript {
        assert!(
            browser.all("button", "Mark as reviewed").is_empty(),
            "nothing is selected yet"
        );
        browser.find("checkbox", "Select all on this page").press();
        browser.wait_for_text("2 selected");
    } else {
        browser.find("link", "Select all on this page").press();
    }
    browser.find("button", "Mark as reviewed").press();
    browser.wait_for_text("2 marked as reviewed.");
    assert_eq!(statuses(&api), ["REVIEWED", "REVIEWED"]);

    browser.find("searchbox", "Search").fill("second\u{e007}");
    browser.wait_until("it is searched", || {
        browser.url().contains("q=second").then_some(())
    });
    browser.wait_until("the other one is gone", || {
        (!browser.text().contains("first words")).then_some(())
    });
    browser.find("link", "Delete feedback").press();
    browser.wait_for_text("Delete this feedback?");
    assert_eq!(statuses(&api).len(), 2, "it is asked first");
    browser.find("button", "Delete").press();
    browser.wait_for_text("No matches");
    assert_eq!(statuses(&api).len(), 1);
    browser.find("link", "Clear filters").press();
    browser.wait_for_text("first words");

    assert!(browser.all("link", "CSV").is_empty());
    browser.find("button", "Export").press();
    browser.find("link", "JSON");
    let csv = browser.find("link", "CSV").attribute("href").unwrap();
    assert!(csv.contains("/feedback/export.csv"), "{csv}");
}

#[test]
fn feedback_is_handled_on_a_desktop_with_scripts() {
    the_whole_flow(DESKTOP, true);
}

#[test]
fn feedback_is_handled_on_a_phone_with_scripts() {
    the_whole_flow(PHONE, true);
}

#[test]
fn feedback_is_handled_on_a_desktop_without_scripts() {
    the_whole_flow(DESKTOP, false);
}

#[test]
fn feedback_is_handled_on_a_phone_without_scripts() {
    the_whole_flow(PHONE, false);
}

/// Presses a key, as somebody at the page does: it goes to whatever has the focus.
fn key(browser: &Browser, key: &str) {
    for kind in ["keyDown", "keyUp"] {
        let text = if kind == "keyDown" { key } else { "" };
        browser.devtools(
            "Input.dispatchKeyEvent",
            serde_json::json!({"type": kind, "key": key, "text": text}),
        );
    }
}

fn focused(browser: &Browser) -> String {
    let words = browser.script("return document.activeElement.textContent.trim()");
    words.as_str().unwrap_or_default().to_owned()
}

#[test]
fn keys_move_change_select_and_search_and_can_be_switched_off() {
    let (app, api) = with_feedback(&["first", "second", "third"]);
    let browser = look_at(&app, DESKTOP, true, "/feedback?status=NEW");
    key(&browser, "j");
    assert_eq!(focused(&browser), "third");
    key(&browser, "j");
    assert_eq!(focused(&browser), "second");
    key(&browser, "k");
    key(&browser, "k");
    assert_eq!(focused(&browser), "third", "the first one stays");
    key(&browser, "j");

    // What was dealt with leaves the list, and the next one is at hand.
    key(&browser, "3");
    wait_for_statuses(&browser, &api, &["NEW", "RESOLVED", "NEW"]);
    browser.wait_until("the next one has the focus", || {
        (focused(&browser) == "first").then_some(())
    });
    key(&browser, "u");
    wait_for_statuses(&browser, &api, &["NEW", "NEW", "NEW"]);
    browser.wait_for_text("second");

    key(&browser, "x");
    browser.wait_for_text("1 selected");
    key(&browser, "k");
    key(&browser, "x");
    browser.wait_for_text("2 selected");
    key(&browser, "2");
    wait_for_statuses(&browser, &api, &["NEW", "REVIEWED", "REVIEWED"]);
    browser.wait_for_text("2 marked as reviewed.");

    // While somebody types, a key is a letter.
    key(&browser, "/");
    for letter in ["j", "1", "?"] {
        key(&browser, letter);
    }
    assert_eq!(browser.find("searchbox", "Search").value(), "j1?");
    assert!(browser.all("dialog", "Keyboard shortcuts").is_empty());
    browser.script("document.activeElement.blur()");

    key(&browser, "?");
    let dialog = browser.find("dialog", "Keyboard shortcuts");
    let on = dialog.find("checkbox", "Enable shortcuts Saved in this browser");
    assert!(on.is_checked());
    on.press();
    dialog.find("button", "Close").press();
    browser.reload();
    browser.find("heading", "Feedback");
    key(&browser, "j");
    key(&browser, "?");
    assert!(
        browser.all("dialog", "Keyboard shortcuts").is_empty(),
        "they are off"
    );
    assert_eq!(
        browser.script("return document.activeElement === document.body"),
        true
    );
    browser.find("button", "Keyboard shortcuts").press();
    browser
        .find("dialog", "Keyboard shortcuts")
        .find("checkbox", "Enable shortcuts Saved in this browser")
        .press();
    browser
        .find("dialog", "Keyboard shortcuts")
        .find("button", "Close")
        .press();
    browser.script("document.activeElement.blur()");
    key(&browser, "j");
    assert_eq!(focused(&browser), "third");
}

#[test]
fn new_feedback_appears_by_itself_or_waits_for_who_is_at_work() {
    let (app, api) = with_feedback(&[]);
    let browser = look_at(&app, DESKTOP, true, "/feedback");
    browser.wait_for_text("Waiting for the first feedback…");
    api.create_feedback("shop", "the first");
    browser.find("link", "the first");
    assert!(!browser.text().contains("Waiting for the first feedback…"));
    api.create_feedback("shop", "the second");
    browser.find("link", "the second");

    // With a selection, what is new waits; what is changed is shown all the same.
    browser.all("checkbox", "Select")[1].press();
    browser.wait_for_text("1 selected");
    let third = api.create_feedback("shop", "the third");
    browser.find("link", "1 new — show");
    api.create_feedback("shop", "the fourth");
    browser.find("link", "2 new — show");
    let listed = api.get("/api/v1/feedback").expect(200).json();
    api.set_status(&listed["data"][3], "RESOLVED");
    browser.wait_until("the change is shown", || {
        let pressed = |one: &crate::support::browser::PageElement<'_>| {
            one.attribute("aria-pressed").as_deref() == Some("true")
        };
        browser
            .all("button", "Resolved")
            .iter()
            .any(pressed)
            .then_some(())
    });
    assert!(browser.text().contains("1 selected"), "the selection stays");
    assert!(browser.all("link", "the third").is_empty());
    browser.find("link", "2 new — show").press();
    browser.find("link", "the third");
    browser.find("link", "the fourth");
    assert!(browser.all("link", "2 new — show").is_empty());

    // One that goes, goes.
    let path = format!("/api/v1/feedback/{}", text(&third, "id"));
    browser.script("document.querySelectorAll('.item-select input').forEach((pick) => { if (pick.checked) pick.click(); })");
    api.delete(&path).expect(204);
    browser.wait_until("it is gone", || {
        browser.all("link", "the third").is_empty().then_some(())
    });
}
