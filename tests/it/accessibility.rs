//! Checks that every page meets WCAG 2.2 AA, as far as axe-core can tell, and fits the window.
//! Covers the main states of each page, in light and dark mode, at desktop and phone width. Also
//! checks the text sizes. The pages come from the program's own route tables, so a new
//! page is checked as soon as it exists.

pub mod sample_data;

use serde_json::json;

use miniback::server::permissions::Permission;
use miniback::{intake, pages};

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::axe::AccessibilityChecker;
use crate::support::browser::widget::{THANKS, wait_for_status};
use crate::support::receiver::{Receiver, Reply};
use sample_data::{MEMBER, SampleData};

/// GET routes that return no page, or that redirect to a page in the route tables.
const NOT_PAGES: [&str; 10] = [
    "/",
    "/settings",
    "/static/{name}",
    "/widget.js",
    "/docs/schemas/{event}.json",
    "/docs/webhooks.md",
    "/feedback/export.csv",
    "/feedback/export.json",
    "/live",
    "/settings/notifications/{id}/secret",
];

/// Checks all public pages if `public` is true. Otherwise, checks all pages that require sign-in.
fn check_all_pages(checker: &mut AccessibilityChecker, data: &SampleData, public: bool) {
    let intake = intake::routes().list().into_iter();
    for route in intake.chain(pages::routes().list()) {
        if route.method != "GET"
            || (route.permission == Permission::Public) != public
            || NOT_PAGES.contains(&route.path.as_str())
        {
            continue;
        }
        for path in data.paths_of(&route.path) {
            open(checker, data, &path);
            checker.check(&data.stable_name(&path));
        }
    }
}

fn open(checker: &AccessibilityChecker, data: &SampleData, path: &str) {
    checker.browser.open(&format!("{}{path}", data.app.url));
}

fn fill(checker: &AccessibilityChecker, field: &str, value: &str) {
    checker.browser.find("textbox", field).fill(value);
}

fn press(checker: &AccessibilityChecker, button: &str) {
    checker.browser.find("button", button).press();
}

/// Checks the webhook pages in states that appear only after a button is pressed.
fn check_webhook_actions(checker: &mut AccessibilityChecker, data: &SampleData) {
    open(checker, data, "/settings/notifications?add");
    fill(checker, "Endpoint URL", &data.receivers[1].url("/"));
    checker
        .browser
        .script("document.getElementById('add-test').click()");
    checker.browser.wait_for_text("500");
    checker.check("a failed test of a webhook");
    fill(checker, "Endpoint URL", "http://not a url");
    checker.browser.script(
        "document.querySelector('form.panel').noValidate = true;
         document.getElementById('add-add').click()",
    );
    checker.browser.wait_until("the URL is rejected", || {
        let is_rejected = checker
            .browser
            .script("return !!document.querySelector('.field-error')");
        (is_rejected == true).then_some(())
    });
    checker.check("a rejected webhook");

    let path = format!(
        "/settings/notifications/{}/signature-check",
        data.webhooks[0]
    );
    open(checker, data, &path);
    fill(checker, "Headers", "X-Miniback-Signature: sha256=00");
    fill(checker, "Body", "{}");
    press(checker, "Check");
    checker.browser.wait_for_text("Check");
    checker.check("a checked signature");
}

/// Checks the tokens, people, privacy, account, and feedback pages in states that appear only after
/// a button is pressed.
fn check_other_actions(checker: &mut AccessibilityChecker, data: &SampleData) {
    open(checker, data, "/settings/tokens?add");
    fill(checker, "Name", "Deploy");
    press(checker, "Create");
    checker.browser.find("textbox", "Token “Deploy”");
    checker.check("a created token");

    open(checker, data, "/settings/people?add");
    fill(checker, "Email", "joan@example.com");
    press(checker, "Invite");
    let invitation = "Invitation for joan@example.com";
    checker.browser.find("textbox", invitation);
    checker.check("an invited user");

    open(checker, data, "/settings/privacy");
    fill(checker, "Email", MEMBER);
    press(checker, "Find");
    checker.browser.find("button", "Export");
    checker.check("found personal data");
    press(checker, "Erase");
    checker.browser.wait_for_text("Erase all data for");
    checker.check("personal data to be erased");

    open(checker, data, "/feedback");
    // Find the button by its id, because its name contains the number of completed steps.
    checker
        .browser
        .script("document.getElementById('getting-started-open').click()");
    checker.browser.find("button", "Dismiss");
    checker.check("the checklist beside feedback");
    press(checker, "Dismiss");
    checker.browser.wait_for_text("Checklist dismissed.");
    open(checker, data, "/settings/account");
    checker.browser.find("button", "Show checklist");
    checker.check("the account page with a dismissed checklist");

    open(checker, data, "/feedback");
    checker.browser.all("button", "Resolved")[0].press();
    checker.browser.find("button", "Undo");
    checker.check("a changed status");
    press(checker, "Export");
    checker.browser.find("link", "CSV");
    checker.check("the export menu");
    open(checker, data, "/feedback");
    press(checker, "Shortcuts");
    checker.browser.find("dialog", "Keyboard shortcuts");
    checker.check("the list of keyboard shortcuts");
}

/// Checks the troubleshooting section of the guide and the filtered API reference, as an admin.
fn check_documentation(checker: &mut AccessibilityChecker, data: &SampleData) {
    let fails = &data.webhooks[1];
    let path = format!("/docs/webhooks?webhook={fails}#troubleshooting");
    open(checker, data, &path);
    let open_all = format!(
        "document.querySelectorAll('#{fails} details').forEach((details) => details.open = true)"
    );
    checker.browser.script(&open_all);
    checker.check("troubleshooting of a failing webhook");
    open(checker, data, "/docs/api");
    checker
        .browser
        .find("searchbox", "Filter calls")
        .fill("rotate");
    checker.browser.wait_for_text("2 of");
    let open_first = "document.querySelector('.call:not([hidden]) details').open = true";
    checker.browser.script(open_first);
    checker.check("a filtered API reference");
}

/// Checks the widget on another website: the closed widget, the open dialog, and the confirmation.
fn check_widget(checker: &mut AccessibilityChecker, data: &SampleData) {
    let page = format!(
        "<!doctype html><html lang=en><title>A shop</title>\
         <meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><main><h1>A shop</h1></main>\
         <script src=\"{}/widget.js\" data-project=documentation-of-the-shop data-context-plan=pro defer></script>",
        data.app.url
    );
    let site = Receiver::script(move |_| {
        Reply::body(200, &page).header("Content-Type", "text/html; charset=utf-8")
    });
    checker.browser.open(&site.url("/"));
    let (host, role, name) = ("miniback-widget", "button", "Feedback");
    checker.browser.find_in_shadow(host, role, name);
    checker.check("the widget’s button");
    checker.browser.find_in_shadow(host, role, name).press();
    checker.browser.find_in_shadow(host, "textbox", "Message");
    checker.check("the open widget");
    // The check has set `prefers-reduced-motion`, so the dialog stays open.
    let message = checker.browser.find_in_shadow(host, "textbox", "Message");
    message.fill("Larger buttons");
    let send = checker.browser.find_in_shadow(host, "button", "Send");
    send.press();
    wait_for_status(&checker.browser, THANKS);
    checker.check("the widget after success");
}

fn sign_in(checker: &AccessibilityChecker, app: &App, email: &str, password: &str) {
    checker.browser.open(&format!("{}/login", app.url));
    fill(checker, "Email", email);
    fill(checker, "Password", password);
    press(checker, "Sign in");
}

/// Checks the setup page and the main pages of an installation without data.
fn check_empty_pages(checker: &mut AccessibilityChecker) {
    let app = App::builder().without_admin().start();
    checker
        .browser
        .open(&format!("{}{}", app.url, app.log.setup_path()));
    checker.check("the setup page");
    fill(checker, "Email", ADMIN);
    fill(checker, "Password", PASSWORD);
    press(checker, "Create account");
    checker.browser.find("button", "Sign out");
    for path in [
        "/feedback",
        "/settings/notifications",
        "/settings/projects",
        "/settings/tokens",
    ] {
        checker.browser.open(&format!("{}{path}", app.url));
        checker.check(&format!("{path}, empty"));
    }
    press(checker, "Sign out");
    checker.browser.find("button", "Sign in");
}

#[test]
fn the_checker_finds_problems_in_all_schemes_sizes_and_shadow_roots() {
    const PAGE: &str = "<!doctype html><html lang=en><title>Bad page</title><style>
        @media (prefers-color-scheme: dark) { p { color: #888; background: #777 } }
        @media (width < 400px) { p { width: 700px } }
        </style><p>Some words</p><div id=host></div><script>
        host.attachShadow({ mode: 'open' }).innerHTML = '<img src=\"data:,\">';</script>";
    let html = ("Content-Type", "text/html; charset=utf-8");
    let site = Receiver::script(move |_| Reply::body(200, PAGE).header(html.0, html.1));
    let mut checker = AccessibilityChecker::start();
    checker.browser.open(&site.url("/"));
    checker.check("bad page");
    let found: Vec<(&str, &str)> = checker
        .problems
        .iter()
        .map(|problem| problem.strip_prefix("bad page, ").unwrap())
        .map(|problem| problem.split_once(" px: ").unwrap())
        .map(|(variant, rule)| (variant, rule.split(" at ").next().unwrap()))
        .map(|(variant, rule)| (variant, rule.trim_start_matches(|c: char| c.is_numeric())))
        .collect();
    let expected = [
        ("light, 1280", "image-alt"),
        ("light, 360", " px too wide"),
        ("dark, 1280", "color-contrast"),
        ("dark, 360", " px too wide"),
        ("dark, 360", "color-contrast"),
        ("dark, 360", "image-alt"),
        ("320", " px too wide"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_page_is_accessible_and_fits_the_window() {
    let data = SampleData::create();
    let mut checker = AccessibilityChecker::start();
    check_empty_pages(&mut checker);
    check_all_pages(&mut checker, &data, true);
    sign_in(&checker, &data.app, ADMIN, "a wrong password");
    checker.browser.wait_for_text("password");
    checker.check("a failed sign-in");
    sign_in(&checker, &data.app, MEMBER, PASSWORD);
    checker.browser.find("button", "Sign out");
    for path in ["/settings/people", "/settings/projects", "/nothing/here"] {
        open(&checker, &data, path);
        checker.check(&format!("{path}, for a member"));
    }
    press(&checker, "Sign out");
    checker.browser.find("button", "Sign in");
    sign_in(&checker, &data.app, ADMIN, PASSWORD);
    checker.browser.find("button", "Sign out");
    check_all_pages(&mut checker, &data, false);
    check_webhook_actions(&mut checker, &data);
    check_other_actions(&mut checker, &data);
    check_documentation(&mut checker, &data);
    check_widget(&mut checker, &data);
    let paused = json!({"status": "PAUSED"});
    data.api.patch("/api/v1/projects/shop", paused).expect(200);
    open(&checker, &data, "/f/shop");
    checker.check("the form of a paused project");
    data.api
        .patch("/api/v1/projects/shop", json!({"status": "ACTIVE"}))
        .expect(200);
    open(&checker, &data, "/f/shop?sent");
    checker.check("the public form after success");

    println!("{} checks", checker.checks);
    let problems = &checker.problems;
    assert!(
        problems.is_empty(),
        "{} accessibility problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}
