//! Forms in a real browser: typed text survives lost connections and expired sessions, conflicts
//! are shown, and the focus stays where a keyboard user expects it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::in_process::InProcess;
use crate::support::receiver::{Gate, Receiver, Reply};

fn browser(javascript: bool) -> Browser {
    Browser::with_options(BrowserOptions {
        javascript,
        width: 1280,
        height: 900,
    })
}

fn set_offline(browser: &Browser, offline: bool) {
    browser.devtools("Network.enable", json!({}));
    let conditions = json!({
        "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
    });
    browser.devtools("Network.emulateNetworkConditions", conditions);
}

/// Waits until the id or the text of the focused element contains `wanted`.
#[track_caller]
fn wait_for_focus(browser: &Browser, wanted: &str) {
    browser.wait_until(&format!("{wanted:?} has focus"), || {
        let focused =
            browser.script("const e = document.activeElement; return `${e.id} ${e.textContent}`");
        focused.as_str()?.contains(wanted).then_some(())
    });
}

#[test]
fn a_lost_connection_keeps_the_page_and_send_again_works() {
    let app = App::start();
    let browser = browser(true);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/projects?add", app.url));
    browser.find("textbox", "Name").fill("Shop");
    set_offline(&browser, true);
    browser.find("button", "Create").press();
    browser.wait_for_text("No connection to the server. Your text is still here.");
    assert_eq!(browser.find("textbox", "Name").value(), "Shop");
    set_offline(&browser, false);
    browser.find("button", "Send again").press();
    browser.wait_for_text("created");
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(projects["data"].as_array().map(Vec::len), Some(1));
    wait_for_focus(&browser, "Shop");
}

#[test]
fn the_public_form_keeps_its_text_without_a_connection() {
    let app = InProcess::start(&[]);
    app.api().create_project("Shop");
    let browser = browser(true);
    browser.open(&format!("{}/f/shop", app.url));
    app.advance(Duration::from_secs(2));
    browser.find("textbox", "Message").fill("From a tunnel");
    set_offline(&browser, true);
    browser.find("button", "Send").press();
    browser.wait_for_text("Couldn’t send your feedback.");
    assert_eq!(browser.find("textbox", "Message").value(), "From a tunnel");
    set_offline(&browser, false);
    browser.find("button", "Send").press();
    browser.wait_for_text("Thank you.");
    let stored = app.api().get("/api/v1/feedback").json();
    assert_eq!(stored["data"][0]["message"], "From a tunnel");
}

#[test]
fn the_public_form_delays_and_accepts_a_fast_submission() {
    let app = App::start();
    app.api().create_project("Shop");
    let browser = browser(true);
    browser.open(&format!("{}/f/shop", app.url));
    browser.find("heading", "What could be better?");
    browser.script(
        "document.getElementById('message').value = 'Fast';
         document.querySelector('main form').requestSubmit();",
    );
    let is_busy = "return document.querySelector('main form button').ariaBusy";
    assert_eq!(browser.script(is_busy), "true");
    browser.wait_for_text("Thank you.");
    let stored = app.api().get("/api/v1/feedback").json();
    assert_eq!(stored["data"][0]["message"], "Fast");
    browser.find("link", "Send more feedback").press();
    assert_eq!(browser.find("textbox", "Message").value(), "");
}

#[test]
fn the_sign_in_form_keeps_its_input_without_a_connection() {
    let app = App::start();
    let browser = browser(true);
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    set_offline(&browser, true);
    browser.find("button", "Sign in").press();
    browser.wait_for_text("No connection to the server. Your text is still here.");
    set_offline(&browser, false);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
}

fn expired_session(javascript: bool) {
    let app = App::start();
    let browser = browser(javascript);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications?add", app.url));
    let typed = "http://localhost:9/typed";
    browser.find("textbox", "Endpoint URL").fill(typed);
    browser.devtools("Network.clearBrowserCookies", json!({}));
    browser.find("button", "Add").press();
    browser.find("link", "Sign in").press();
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.wait_for_text("Nothing has been sent yet.");
    assert_eq!(browser.find("textbox", "Endpoint URL").value(), typed);
    let webhooks = || app.api().get("/api/v1/webhooks").json()["data"].clone();
    assert_eq!(webhooks(), json!([]));
    browser.find("button", "Add").press();
    browser.wait_for_text("Webhook added.");
    assert_eq!(webhooks()[0]["url"], typed);
}

#[test]
fn an_expired_session_keeps_the_text_with_javascript() {
    expired_session(true);
}

#[test]
fn an_expired_session_keeps_the_text_without_javascript() {
    expired_session(false);
}

#[test]
fn another_form_on_the_page_keeps_unsaved_text_and_its_conflict() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://localhost:9/");
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    let browser = browser(true);
    app.sign_in(&browser);
    let open = text(&webhook, "id");
    browser.open(&format!("{}/settings/notifications?open={open}", app.url));
    browser.find("textbox", "Description").fill("mine");
    api.patch(&path, json!({"description": "theirs"}))
        .expect(200);
    // Pressing the switch loads the page again. The page keeps the typed description, although
    // another user has changed the stored description.
    browser.find("switch", "Enabled").press();
    browser.wait_for_text("Webhook disabled.");
    assert_eq!(browser.find("textbox", "Description").value(), "mine");
    browser.find("button", "Save changes").press();
    browser.wait_for_text("theirs");
    assert_eq!(api.get(&path).json()["description"], "theirs");
    assert_eq!(browser.find("textbox", "Description").value(), "mine");
    browser.find("button", "Save changes").press();
    browser.wait_for_text("Saved.");
    assert_eq!(api.get(&path).json()["description"], "mine");
}

#[test]
fn the_focus_follows_cancel_create_and_delete() {
    let app = App::start();
    let api = app.api();
    let webhooks = ["a", "b"].map(|path| {
        let webhook = api.create_webhook(&format!("http://localhost:9/{path}"));
        text(&webhook, "id").to_owned()
    });
    let browser = browser(true);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications", app.url));
    let row = || browser.find("article", "http://localhost:9/a");
    row().find("button", "Delete webhook").press();
    browser.find("link", "Cancel").press();
    wait_for_focus(&browser, &format!("{}-trash", webhooks[0]));
    row().find("button", "Delete webhook").press();
    browser.wait_for_text("Delete this webhook?");
    row().find("button", "Delete").press();
    wait_for_focus(&browser, "http://localhost:9/b");
    browser.find("link", "Add Webhook").press();
    browser
        .find("textbox", "Endpoint URL")
        .fill("http://localhost:9/c");
    browser.find("button", "Add").press();
    wait_for_focus(&browser, "http://localhost:9/c");
}

#[test]
fn cancel_returns_the_focus_to_the_control_that_opened_the_panel() {
    let app = App::start();
    let api = app.api();
    app.add_user("bob@example.com", "member");
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "message");
    let webhook = api.create_webhook("http://localhost:9/");
    let browser = browser(true);
    app.sign_in(&browser);
    let rotate = format!("/settings/notifications?open={}", text(&webhook, "id"));
    let item = format!("/feedback/{}", text(&feedback, "id"));
    for (path, role, opener) in [
        ("/settings/projects", "link", "New project"),
        ("/settings/projects", "button", "Delete project"),
        ("/settings/tokens", "button", "Revoke"),
        ("/settings/people", "link", "Invite"),
        ("/settings/people", "button", "Change role"),
        ("/settings/people", "button", "Remove"),
        ("/settings/notifications", "link", "Add Webhook"),
        (&rotate, "button", "Rotate"),
        ("/feedback", "link", "Delete feedback"),
        (&item, "link", "Delete feedback"),
    ] {
        browser.open(&format!("{}{path}", app.url));
        browser.find(role, opener).press();
        browser.find("link", "Cancel").press();
        browser.wait_until(&format!("{opener:?} on {path} has focus"), || {
            let name = browser.script(
                "const e = document.activeElement; return e.ariaLabel ?? e.textContent.trim()",
            );
            (name == opener).then_some(())
        });
    }
}

#[test]
fn the_focus_moves_to_the_next_row_after_a_deletion() {
    let app = App::start();
    let api = app.api();
    for name in ["a", "b"] {
        app.add_user(&format!("{name}@example.org"), "member");
        api.create_project(name);
        api.create_feedback(name, &format!("feedback {name}"));
    }
    let browser = browser(true);
    app.sign_in(&browser);
    for (path, row, ask, confirm, next) in [
        (
            "/feedback",
            "feedback b",
            "Delete feedback",
            "Delete",
            "feedback a",
        ),
        (
            "/settings/people",
            "a@example.org",
            "Remove",
            "Remove",
            "b@example.org",
        ),
    ] {
        browser.open(&format!("{}{path}", app.url));
        browser.script(&format!(
            "const rows = [...document.querySelectorAll('main article')];
             const row = rows.find((row) => row.textContent.includes('{row}'));
             const name = (control) => control.ariaLabel ?? control.textContent.trim();
             [...row.querySelectorAll('a, button')].find((c) => name(c) === '{ask}').click()"
        ));
        browser.wait_for_text("This can’t be undone.");
        let forms = browser.all("button", confirm);
        let in_panel = "return document.querySelector('.panel.danger .primary').click()";
        assert!(!forms.is_empty());
        browser.script(in_panel);
        browser.wait_until(&format!("{next:?} has focus"), || {
            let row = browser
                .script("return document.activeElement.closest('main article')?.textContent ?? ''");
            row.as_str()?.contains(next).then_some(())
        });
    }
}

#[test]
fn a_test_replaces_the_previous_result_at_once() {
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(204).when(&gate)
    });
    let app = App::start();
    let browser = browser(true);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications?add", app.url));
    browser
        .find("textbox", "Endpoint URL")
        .fill("http://localhost:9/");
    browser.find("button", "Test").press();
    browser.wait_for_text("Failed after");
    let field = browser.find("textbox", "Endpoint URL");
    browser.script("document.getElementById('add-url').value = ''");
    field.fill(&receiver.url("/"));
    browser.find("button", "Test").press();
    browser.wait_for_text("Testing…");
    assert!(
        !browser.text().contains("Failed after"),
        "{}",
        browser.text()
    );
    gate.open();
    browser.wait_for_text("Delivered.");
}

#[test]
fn leaving_with_unsaved_text_asks_first() {
    let app = App::start();
    let browser = browser(true);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/projects?add", app.url));
    let asks =
        || browser.script("return !dispatchEvent(new Event('beforeunload', { cancelable: true }))");
    assert_eq!(asks(), Value::Bool(false));
    browser.find("textbox", "Name").fill("Shop");
    assert_eq!(asks(), Value::Bool(true));
    browser.find("button", "Create").press();
    browser.wait_for_text("created");
    assert_eq!(asks(), Value::Bool(false));
    // The browser doesn't ask for confirmation before it leaves a page with an unsubmitted search.
    app.api().create_feedback("shop", "Hello");
    browser.open(&format!("{}/feedback", app.url));
    browser.find("searchbox", "Search").fill("text");
    assert_eq!(asks(), Value::Bool(false));
}
