//! The settings pages in a real browser: with scripts on a desktop, and without scripts on a phone.

use serde_json::Value;

use crate::people::{fill_account_form, invite};
use crate::support::api::Api;
use crate::support::app::{App, PASSWORD};
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

/// Opens a settings page through the navigation and checks that it isn't wider than the window.
fn open_settings(browser: &Browser, page: &str) {
    browser.find("link", "Settings").press();
    browser.find("link", page).press();
    browser.find("heading", page);
    assert_fits(browser);
}

#[track_caller]
fn assert_fits(browser: &Browser) {
    let excess = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(
        excess.as_i64().unwrap_or(1) <= 0,
        "{excess} px too wide at {}",
        browser.url()
    );
}

fn invite_and_remove(options: BrowserOptions) {
    let app = App::start();
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    open_settings(&browser, "People");
    browser.find("link", "Invite").press();
    browser.find("textbox", "Email").fill("grace@example.com");
    browser.find("button", "Invite").press();
    let link = browser
        .find("textbox", "Invitation for grace@example.com")
        .value();
    assert_fits(&browser);
    if options.javascript {
        let focused = browser.script("return document.activeElement.value");
        assert_eq!(
            focused,
            Value::from(link.clone()),
            "the link to copy doesn't have focus"
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
    assert_fits(&browser);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Create account").press();
    browser.find("heading", "Feedback");
    browser.find("link", "Settings").press();
    browser.find("heading", "Account");
    assert!(
        browser.all("link", "People").is_empty(),
        "a member sees a page for admins"
    );
    browser.find("button", "Sign out").press();

    app.sign_in(&browser);
    reset_and_remove(&browser);
}

/// Creates a password reset link for Grace, then removes her account.
fn reset_and_remove(browser: &Browser) {
    open_settings(browser, "People");
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
    browser.wait_until("the user's row disappears", || {
        browser
            .all("article", "grace@example.com")
            .is_empty()
            .then_some(())
    });
}

/// Creates a project, restricts its origins, pauses it, and deletes it.
fn manage_project(browser: &Browser, api: &Api) {
    open_settings(browser, "Projects");
    browser.find("link", "New project").press();
    browser.find("textbox", "Name").fill("Shop");
    browser.find("button", "Create").press();
    browser.wait_for_text("data-project=\"shop\"");
    assert_fits(browser);
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
    browser.find("textbox", "Project slug").fill("shop");
    browser.find("button", "Delete").press();
    browser.wait_for_text("No projects yet");
}

/// Creates a token, manages a project on the pages, reads the project with the token, and revokes
/// the token.
fn manage_tokens_and_projects(options: BrowserOptions) {
    let app = App::start();
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    open_settings(&browser, "API tokens");
    browser.find("link", "New token").press();
    browser.find("textbox", "Name").fill("Deploy");
    browser.find("radio", "Full All your permissions").press();
    browser.find("button", "Create").press();
    let token = browser.find("textbox", "Token “Deploy”").value();
    assert_fits(&browser);
    let api = app.api_with(&token);
    browser.reload();
    browser.find("article", "Deploy");
    assert!(
        browser.all("textbox", "Token “Deploy”").is_empty(),
        "the token is shown again"
    );

    manage_project(&browser, &api);

    open_settings(&browser, "API tokens");
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

fn find_and_erase(options: BrowserOptions) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body =
        serde_json::json!({"project": "shop", "message": "From Sam", "email": "sam@example.com"});
    api.post("/api/v1/feedback", body).expect(201);
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    open_settings(&browser, "Privacy");
    browser.find("textbox", "Email").fill("Sam@example.com");
    browser.find("button", "Find").press();
    browser.wait_for_text("From Sam");
    browser.find("button", "Export");
    browser.find("button", "Erase").press();
    browser.wait_for_text("Erase all data for");
    assert_fits(&browser);
    browser.find("button", "Erase").press();
    browser.wait_for_text("Erased data for Sam@example.com: 1 feedback");
    let remaining = api.get("/api/v1/feedback").json();
    assert_eq!(remaining["data"], serde_json::json!([]));

    open_settings(&browser, "Account");
    browser.find("article", "Chrome on Linux");
    browser.find("button", "Sign out everywhere").press();
    browser.find("button", "Sign in");
}

#[test]
fn invites_and_removes_people_with_scripts() {
    invite_and_remove(DESKTOP);
}

#[test]
fn invites_and_removes_people_on_a_phone_without_scripts() {
    invite_and_remove(PHONE);
}

#[test]
fn manages_tokens_and_projects_with_scripts() {
    manage_tokens_and_projects(DESKTOP);
}

#[test]
fn manages_tokens_and_projects_on_a_phone_without_scripts() {
    manage_tokens_and_projects(PHONE);
}

#[test]
fn finds_and_erases_personal_data_with_scripts() {
    find_and_erase(DESKTOP);
}

#[test]
fn finds_and_erases_personal_data_on_a_phone_without_scripts() {
    find_and_erase(PHONE);
}

#[test]
fn people_and_projects_show_changes_immediately() {
    let app = App::start();
    let browser = Browser::with_options(DESKTOP);
    app.sign_in(&browser);
    open_settings(&browser, "People");
    let path = invite(&mut app.signed_in(), "member");
    browser.find("article", "Invitation for grace@example.com");
    let mut grace = app.visitor();
    let form = fill_account_form(&grace.get(&path).expect(200));
    grace.submit(&form).expect(303);
    browser.find("article", "grace@example.com");
    assert!(browser.all("heading", "Invitations").is_empty());
    browser.wait_for_text("Last seen now");

    app.api().create_project("Shop");
    open_settings(&browser, "Projects");
    browser.wait_for_text("Feedback: 0");
    app.api().create_feedback("shop", "Hello");
    browser.wait_for_text("Feedback: 1");
}

#[test]
fn shows_the_slug_that_is_generated_from_a_name() {
    let app = App::start();
    let browser = Browser::with_options(DESKTOP);
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/projects?add", app.url));
    let slug_of = |name: &str| {
        browser.find("textbox", "Name").fill(name);
        let slug = browser.find("textbox", "Slug (optional)");
        slug.attribute("placeholder").unwrap_or_default()
    };
    assert_eq!(
        slug_of("写真"),
        "",
        "only the server can transliterate this"
    );
    assert_eq!(slug_of(&"a b".repeat(60)).len(), 55);
    let name = " Zoë’s Crème & Co. ";
    assert_eq!(slug_of(&name.replace('’', "'")), "zoes-creme-co");
    browser.find("button", "Create").press();
    browser.find("article", "Zoë's Crème & Co.");
    assert_eq!(app.api().get("/api/v1/projects/zoes-creme-co").status, 200);
}

#[test]
fn the_id_and_the_link_of_feedback_can_be_copied() {
    let app = App::start();
    app.api().create_project("Shop");
    let feedback = app.api().create_feedback("shop", "Hello");
    let id = feedback["id"].as_str().unwrap();
    let browser = Browser::with_options(DESKTOP);
    app.sign_in(&browser);
    browser.open(&format!("{}/feedback?open={id}&status=NEW", app.url));
    browser.find("link", "Set up a webhook");
    browser.script(
        "navigator.clipboard.write = async ([item]) => {
            window.copied = await (await item.getType('text/plain')).text();
        };",
    );
    let link = format!("{}/feedback/{id}", app.url);
    for (button, expected) in [("Copy ID", id), ("Copy link", &link)] {
        browser.find("button", button).press();
        browser.wait_until("the text is copied", || {
            (browser.script("return window.copied") == expected).then_some(())
        });
    }
}
