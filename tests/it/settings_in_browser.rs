//! The settings pages in a real browser: with scripts on a desktop, and without them at the width
//! of a phone.

use serde_json::Value;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};

const DESKTOP: BrowserOptions = BrowserOptions {
    javascript: true,
    width: 1280,
    height: 900,
};
const PHONE: BrowserOptions = BrowserOptions {
    javascript: false,
    width: 360,
    height: 780,
};

fn sign_in(browser: &Browser, app: &App) {
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
}

/// Opens a page by the navigation, and checks that it is no wider than the window.
fn go(browser: &Browser, page: &str) {
    browser.find("link", "Settings").press();
    browser.find("link", page).press();
    browser.find("heading", page);
    fits(browser);
}

#[track_caller]
fn fits(browser: &Browser) {
    let over = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(
        over.as_i64().unwrap_or(1) <= 0,
        "{over} px too wide at {}",
        browser.url()
    );
}

fn people_are_invited_and_removed(settings: BrowserOptions) {
    let app = App::start();
    let browser = Browser::with(settings);
    sign_in(&browser, &app);
    go(&browser, "People");
    browser.find("link", "Invite").press();
    browser.find("textbox", "Email").fill("grace@example.com");
    browser.find("button", "Invite").press();
    let link = browser
        .find("textbox", "Invitation for grace@example.com")
        .value();
    fits(&browser);
    if settings.javascript {
        let focused = browser.script("return document.activeElement.value");
        assert_eq!(
            focused,
            Value::from(link.clone()),
            "focus is on what is to be copied"
        );
        browser.find("button", "Copy");
    }
    browser.reload();
    browser.find("article", "Invitation for grace@example.com");
    assert!(
        browser
            .all("textbox", "Invitation for grace@example.com")
            .is_empty()
    );

    browser.find("button", "Sign out").press();
    browser.find("button", "Sign in");
    browser.open(&link);
    fits(&browser);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Create account").press();
    browser.find("heading", "Feedback");
    browser.find("link", "Settings").press();
    browser.find("heading", "Account");
    assert!(
        browser.all("link", "People").is_empty(),
        "a member sees only theirs"
    );
    browser.find("button", "Sign out").press();

    sign_in(&browser, &app);
    go(&browser, "People");
    browser
        .find("article", "grace@example.com")
        .find("button", "Reset password")
        .press();
    browser.find("textbox", "Password reset link");
    browser
        .find("article", "grace@example.com")
        .find("button", "Remove")
        .press();
    browser.wait_for_text("Remove this account?");
    browser
        .find("article", "grace@example.com")
        .find("button", "Remove")
        .press();
    browser.wait_until("the row is gone", || {
        browser
            .all("article", "grace@example.com")
            .is_empty()
            .then_some(())
    });
}

fn tokens_and_projects_are_made_and_taken_away(settings: BrowserOptions) {
    let app = App::start();
    let browser = Browser::with(settings);
    sign_in(&browser, &app);
    go(&browser, "API tokens");
    browser.find("link", "New token").press();
    browser.find("textbox", "Name").fill("Deploy");
    browser.find("button", "Create").press();
    let token = browser.find("textbox", "Token “Deploy”").value();
    fits(&browser);
    let api = app.api_with(&token);
    browser.reload();
    browser.find("article", "Deploy");
    assert!(
        browser.all("textbox", "Token “Deploy”").is_empty(),
        "shown once"
    );

    go(&browser, "Projects");
    browser.find("link", "New project").press();
    browser.find("textbox", "Name").fill("Shop");
    browser.find("button", "Create").press();
    browser.wait_for_text("data-project=\"shop\"");
    fits(&browser);
    let row = browser.find("article", "Shop");
    row.find("textbox", "Allowed origins").fill("example.com");
    row.find("button", "Save changes").press();
    browser.wait_for_text("isn’t an origin");
    let row = browser.find("article", "Shop");
    row.find("textbox", "Allowed origins")
        .fill("https://example.com");
    row.find("button", "Save changes").press();
    browser.wait_for_text("Saved.");
    browser
        .find("article", "Shop")
        .find("button", "Pause")
        .press();
    browser.wait_for_text("Paused: not accepting feedback");
    let project = api.get("/api/v1/projects/shop").expect(200).json();
    assert_eq!(project["allowedOrigins"][0], "https://example.com");
    assert_eq!(project["status"], "PAUSED");
    browser
        .find("article", "Shop")
        .find("button", "Delete project")
        .press();
    browser.find("textbox", "Project name").fill("Shop");
    browser.find("button", "Delete").press();
    browser.wait_for_text("No projects yet");

    go(&browser, "API tokens");
    browser
        .find("article", "Deploy")
        .find("button", "Revoke")
        .press();
    browser.wait_for_text("Revoke this token?");
    browser
        .find("article", "Deploy")
        .find("button", "Revoke")
        .press();
    browser.wait_for_text("No tokens yet");
    api.get("/api/v1/projects").expect(401);
}

fn an_address_is_found_and_erased(settings: BrowserOptions) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body =
        serde_json::json!({"project": "shop", "message": "From Sam", "email": "sam@example.com"});
    api.post("/api/v1/feedback", body).expect(201);
    let browser = Browser::with(settings);
    sign_in(&browser, &app);
    go(&browser, "Privacy");
    browser.find("textbox", "Email").fill("Sam@example.com");
    browser.find("button", "Find").press();
    browser.wait_for_text("From Sam");
    browser.find("button", "Export");
    browser.find("button", "Erase").press();
    browser.wait_for_text("Erase all data for");
    fits(&browser);
    browser.find("button", "Erase").press();
    browser.wait_for_text("Erased data for Sam@example.com: 1 feedback");
    let left = api.get("/api/v1/feedback").json();
    assert_eq!(left["data"], serde_json::json!([]));

    go(&browser, "Account");
    browser.find("article", "Chrome on Linux");
    browser.find("button", "Sign out everywhere").press();
    browser.find("button", "Sign in");
}

#[test]
fn people_are_invited_and_removed_with_scripts() {
    people_are_invited_and_removed(DESKTOP);
}

#[test]
fn people_are_invited_and_removed_on_a_phone_without_scripts() {
    people_are_invited_and_removed(PHONE);
}

#[test]
fn tokens_and_projects_are_made_and_taken_away_with_scripts() {
    tokens_and_projects_are_made_and_taken_away(DESKTOP);
}

#[test]
fn tokens_and_projects_are_made_and_taken_away_on_a_phone_without_scripts() {
    tokens_and_projects_are_made_and_taken_away(PHONE);
}

#[test]
fn an_address_is_found_and_erased_with_scripts() {
    an_address_is_found_and_erased(DESKTOP);
}

#[test]
fn an_address_is_found_and_erased_on_a_phone_without_scripts() {
    an_address_is_found_and_erased(PHONE);
}
