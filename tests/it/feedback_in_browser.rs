//! `/feedback` in a real browser, on desktop and phone, with and without scripts. The tests with
//! scripts also cover keyboard shortcuts, the selection bar, and live updates.

use serde_json::Value;

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions, PageElement};

const PHONE: (u32, u32) = (360, 740);
const DESKTOP: (u32, u32) = (1280, 900);

fn open_signed_in(app: &App, (width, height): (u32, u32), javascript: bool, path: &str) -> Browser {
    let browser = Browser::with_options(BrowserOptions {
        javascript,
        width,
        height,
    });
    app.sign_in(&browser);
    browser.open(&format!("{}{path}", app.url));
    browser.find("heading", "Feedback");
    browser
}

fn statuses(api: &Api) -> Vec<String> {
    let listed = api.get("/api/v1/feedback").expect(200).json();
    let status_of = |item: &Value| text(item, "status").to_owned();
    listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(status_of)
        .collect()
}

#[track_caller]
fn wait_for_statuses(browser: &Browser, api: &Api, expected: &[&str]) {
    browser.wait_until(&format!("the statuses are {expected:?}"), || {
        (statuses(api) == expected).then_some(())
    });
}

fn app_with_feedback(messages: &[&str]) -> (App, Api) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for message in messages {
        api.create_feedback("shop", message);
    }
    (app, api)
}

/// Changes a status, undoes the change, and opens and closes the details. Then runs
/// [`change_several_and_delete`].
fn handle_feedback(size: (u32, u32), javascript: bool) {
    let (app, api) = app_with_feedback(&["first message", "second message"]);
    let browser = open_signed_in(&app, size, javascript, "/feedback");
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    if javascript {
        assert_eq!(browser.script(fits), true, "the page is too wide");
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

    browser.find("link", "second message").press();
    browser.wait_for_text("History");
    browser.wait_for_text("Resolved → New");
    assert!(
        browser.all("link", "second message").is_empty(),
        "the message of an open item is a link, so its text can't be selected"
    );
    let close = browser.find("link", "Close");
    assert_eq!(close.attribute("aria-expanded").as_deref(), Some("true"));
    if javascript {
        assert_eq!(browser.script(fits), true, "the details are too wide");
    }

    // A changed status leaves the item open.
    browser.all("button", "Reviewed")[0].press();
    browser.wait_for_text("Marked as reviewed.");
    assert_eq!(statuses(&api), ["REVIEWED", "NEW"]);
    browser.wait_for_text("New → Reviewed");
    browser.find("button", "Undo").press();
    browser.wait_for_text("Undone.");
    assert_eq!(statuses(&api), ["NEW", "NEW"]);
    browser.find("link", "Close").press();
    browser.wait_until("the details are closed", || {
        (!browser.text().contains("History")).then_some(())
    });

    change_several_and_delete(&browser, &api, javascript);
}

/// Marks all feedback as reviewed, searches for one item, deletes it, and opens the export menu.
fn change_several_and_delete(browser: &Browser, api: &Api, javascript: bool) {
    if javascript {
        assert!(
            browser.all("button", "Mark as reviewed").is_empty(),
            "the selection bar is visible without a selection"
        );
        browser.find("checkbox", "Select all on this page").press();
        browser.wait_for_text("2 selected");
    } else {
        browser.find("link", "Select all on this page").press();
    }
    browser.find("button", "Mark as reviewed").press();
    browser.wait_for_text("2 items marked as reviewed.");
    assert_eq!(statuses(api), ["REVIEWED", "REVIEWED"]);

    browser.find("searchbox", "Search").fill("second\u{e007}");
    browser.wait_until("the search is submitted", || {
        browser.url().contains("q=second").then_some(())
    });
    browser.wait_until("the other message isn't listed", || {
        (!browser.text().contains("first message")).then_some(())
    });
    browser.find("link", "second message").press();
    browser.wait_for_text("History");
    browser.find("link", "Delete feedback").press();
    browser.wait_for_text("Delete this feedback?");
    assert_eq!(
        statuses(api).len(),
        2,
        "feedback was deleted without confirmation"
    );
    browser.find("button", "Delete").press();
    browser.wait_for_text("No matches");
    assert_eq!(statuses(api).len(), 1);
    browser.find("link", "Clear filters").press();
    browser.wait_for_text("first message");

    assert!(
        browser.all("link", "CSV").is_empty(),
        "the export menu is open before its button is pressed"
    );
    browser.find("button", "Export").press();
    browser.find("link", "JSON");
    let csv = browser.find("link", "CSV").attribute("href").unwrap();
    assert!(csv.contains("/feedback/export.csv"), "{csv}");
}

#[test]
fn handles_feedback_on_a_desktop_with_scripts() {
    handle_feedback(DESKTOP, true);
}

#[test]
fn handles_feedback_on_a_phone_with_scripts() {
    handle_feedback(PHONE, true);
}

#[test]
fn handles_feedback_on_a_desktop_without_scripts() {
    handle_feedback(DESKTOP, false);
}

#[test]
fn handles_feedback_on_a_phone_without_scripts() {
    handle_feedback(PHONE, false);
}

/// Presses and releases a key in the focused element.
fn press_key(browser: &Browser, key: &str) {
    for kind in ["keyDown", "keyUp"] {
        let text = if kind == "keyDown" { key } else { "" };
        browser.devtools(
            "Input.dispatchKeyEvent",
            serde_json::json!({"type": kind, "key": key, "text": text}),
        );
    }
}

fn focused_text(browser: &Browser) -> String {
    let text = browser.script("return document.activeElement.textContent.trim()");
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn keyboard_shortcuts_move_focus_select_items_and_set_statuses() {
    let (app, api) = app_with_feedback(&["first", "second", "third"]);
    let browser = open_signed_in(&app, DESKTOP, true, "/feedback?status=NEW");
    press_key(&browser, "j");
    assert_eq!(focused_text(&browser), "third");
    press_key(&browser, "j");
    assert_eq!(focused_text(&browser), "second");
    press_key(&browser, "k");
    press_key(&browser, "k");
    assert_eq!(
        focused_text(&browser),
        "third",
        "the focus moved beyond the first item"
    );
    press_key(&browser, "j");

    // A resolved item leaves the list, and the next item gets focus.
    press_key(&browser, "3");
    wait_for_statuses(&browser, &api, &["NEW", "RESOLVED", "NEW"]);
    browser.wait_until("the next item has focus", || {
        (focused_text(&browser) == "first").then_some(())
    });
    browser.find("button", "Undo");
    press_key(&browser, "u");
    wait_for_statuses(&browser, &api, &["NEW", "NEW", "NEW"]);
    browser.wait_for_text("second");

    press_key(&browser, "x");
    browser.wait_for_text("1 selected");
    press_key(&browser, "k");
    press_key(&browser, "x");
    browser.wait_for_text("2 selected");
    press_key(&browser, "2");
    wait_for_statuses(&browser, &api, &["NEW", "REVIEWED", "REVIEWED"]);
    browser.wait_for_text("2 items marked as reviewed.");
}

#[test]
fn keyboard_shortcuts_pause_while_typing_and_can_be_disabled() {
    let (app, _) = app_with_feedback(&["first", "second", "third"]);
    let browser = open_signed_in(&app, DESKTOP, true, "/feedback?status=NEW");
    // Shortcuts don't apply in a text field.
    press_key(&browser, "/");
    for letter in ["j", "1", "?"] {
        press_key(&browser, letter);
    }
    assert_eq!(browser.find("searchbox", "Search").value(), "j1?");
    assert!(browser.all("dialog", "Keyboard shortcuts").is_empty());
    browser.script("document.activeElement.blur()");

    press_key(&browser, "?");
    let dialog = browser.find("dialog", "Keyboard shortcuts");
    let enabled = dialog.find("checkbox", "Enable shortcuts Saved in this browser");
    assert!(enabled.is_checked());
    enabled.press();
    dialog.find("button", "Close").press();
    browser.reload();
    browser.find("heading", "Feedback");
    press_key(&browser, "j");
    press_key(&browser, "?");
    assert!(
        browser.all("dialog", "Keyboard shortcuts").is_empty(),
        "the disabled shortcuts still work"
    );
    assert_eq!(
        browser.script("return document.activeElement === document.body"),
        true
    );
    browser.find("button", "Shortcuts").press();
    browser
        .find("dialog", "Keyboard shortcuts")
        .find("checkbox", "Enable shortcuts Saved in this browser")
        .press();
    browser
        .find("dialog", "Keyboard shortcuts")
        .find("button", "Close")
        .press();
    browser.script("document.activeElement.blur()");
    press_key(&browser, "j");
    assert_eq!(focused_text(&browser), "third");
}

#[test]
fn new_feedback_appears_but_waits_while_items_are_selected() {
    let (app, api) = app_with_feedback(&[]);
    let browser = open_signed_in(&app, DESKTOP, true, "/feedback");
    browser.wait_for_text("Waiting for the first feedback…");
    api.create_feedback("shop", "the first");
    browser.find("link", "the first");
    assert!(!browser.text().contains("Waiting for the first feedback…"));
    api.create_feedback("shop", "the second");
    browser.find("link", "the second");

    // While items are selected, new items stay hidden behind a link. Changes to visible items are
    // still shown.
    browser.all("checkbox", "Select")[1].press();
    browser.wait_for_text("1 selected");
    let third = api.create_feedback("shop", "the third");
    browser.find("link", "1 new — show");
    api.create_feedback("shop", "the fourth");
    browser.find("link", "2 new — show");
    let listed = api.get("/api/v1/feedback").expect(200).json();
    api.set_status(&listed["data"][3], "RESOLVED");
    browser.wait_until("the new status is shown", || {
        let pressed =
            |button: &PageElement<'_>| button.attribute("aria-pressed").as_deref() == Some("true");
        browser
            .all("button", "Resolved")
            .iter()
            .any(pressed)
            .then_some(())
    });
    assert!(
        browser.text().contains("1 selected"),
        "the selection was lost"
    );
    assert!(
        browser.all("link", "the third").is_empty(),
        "a new item appeared while items were selected"
    );
    browser.find("link", "2 new — show").press();
    browser.find("link", "the third");
    browser.find("link", "the fourth");
    assert!(browser.all("link", "2 new — show").is_empty());

    let path = format!("/api/v1/feedback/{}", text(&third, "id"));
    browser.script(
        "document.querySelectorAll('.item-select input:checked').forEach((box) => box.click())",
    );
    api.delete(&path).expect(204);
    browser.wait_until("the deleted item disappears", || {
        browser.all("link", "the third").is_empty().then_some(())
    });
}
