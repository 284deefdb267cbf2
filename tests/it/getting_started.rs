//! The "Getting started" checklist: its steps, its visibility, and its dismissal.

use serde_json::json;

use crate::support::app::{App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

const FEEDBACK: &str = "/feedback";
const NOTIFICATIONS: &str = "/settings/notifications";

/// Loads the widget's script with the `Referer` header of a page of `origin`.
fn load_script(app: &App, origin: &str, path: &str) {
    let referrer = format!("{origin}/");
    let headers = [("Referer", referrer.as_str())];
    let public = app.api_without_token();
    public.send("GET", path, &headers, None).expect(200);
}

/// Loads the widget's script with the slug of the project "Shop" in the URL.
fn load_widget(app: &App, origin: &str) {
    load_script(app, origin, "/widget.js?project=shop");
}

/// Waits until the feedback list contains `text`, and returns the page.
#[track_caller]
fn wait_for(visitor: &mut Visitor, text: &str) -> Page {
    wait_until(&format!("the page contains “{text}”"), || {
        let page = visitor.get(FEEDBACK).expect(200);
        page.text().contains(text).then_some(page)
    })
}

fn is_expanded(page: &Page) -> bool {
    page.response
        .text
        .contains("id=\"getting-started-steps\" open")
}

#[test]
fn each_step_is_marked_as_done_immediately() {
    let app = App::start();
    let receiver = Receiver::ok();
    let mut ada = app.signed_in();
    let page = wait_for(&mut ada, "0 of 5 done");
    assert!(is_expanded(&page));
    assert!(page.text().contains("Next: Create a project"));
    assert_eq!(
        page.link("Create a project").as_deref(),
        Some("/settings/projects?add")
    );
    for later in ["Get the snippet", "Go to webhooks"] {
        assert_eq!(
            page.link(later),
            None,
            "the link “{later}” is shown too early"
        );
    }

    app.api().create_project("Shop");
    let page = wait_for(&mut ada, "1 of 5 done");
    let path = page.link("Get the snippet").expect("find the link");
    assert!(ada.get(&path).text().contains("data-project=\"shop\""));

    load_widget(&app, &app.url);
    load_script(&app, "https://shop.example", "/widget.js");
    let page = wait_for(
        &mut ada,
        "The widget was loaded on shop.example. To finish,",
    );
    assert!(page.text().contains("1 of 5 done"));
    load_widget(&app, "https://shop.example");
    let page = wait_for(&mut ada, "2 of 5 done");
    assert!(page.text().contains("The widget is on shop.example."));

    let path = page.link("Set up a webhook").expect("find the link");
    ada.get(&path).expect(200).field_value("Endpoint URL");
    app.api().create_webhook(&receiver.url("/"));
    let page = wait_for(&mut ada, "3 of 5 done");
    assert_eq!(page.link("Go to webhooks").as_deref(), Some(NOTIFICATIONS));

    app.api().create_feedback("shop", "Hello");
    let page = wait_for(&mut ada, "4 of 5 done");
    let popover = "id=\"getting-started\" popover";
    assert!(
        page.response.text.contains(popover),
        "the checklist takes space"
    );
    let path = page.link("Invite a teammate").expect("find the link");
    let form = ada.get(&path).expect(200).form_with("Invite");
    let invite = form.fill("Email", "grace@example.com").press("Invite");
    ada.submit_and_follow(&invite).expect(200);
    let page = ada.get(FEEDBACK).expect(200);
    assert!(!page.text().contains("Getting started"), "{}", page.text());
}

/// Submits feedback as the widget on `origin` does, and returns the status of the response.
fn send(app: &App, origin: &str, slug: &str) -> u16 {
    let body = json!({"projectSlug": slug, "message": "Hello"});
    let public = app.api_without_token();
    let response = public.send_json("POST", "/api/feedback", &[("Origin", origin)], &body);
    response.status
}

#[test]
fn a_widget_with_an_unknown_project_is_not_done() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut ada = app.signed_in();
    load_script(&app, "https://shop.example", "/widget.js");
    assert_eq!(send(&app, "https://shop.example", "shopp"), 422);
    let problem = "on shop.example with the unknown project “shopp”. Use “shop”.";
    let page = wait_for(&mut ada, problem);
    assert!(page.text().contains("1 of 5 done"), "{}", page.text());
    let text = ada.get("/settings/projects").text();
    assert!(
        text.contains("with the unknown project shopp . Use shop"),
        "{text}"
    );

    // Nobody knows which of two projects was meant. The other project isn't installed anywhere.
    let blog = app.api().create_project("Blog");
    wait_for(&mut ada, "“shopp”. Copy the snippet again.");
    let text = ada.get("/settings/projects").text();
    assert!(!text.contains("last loaded on"), "{text}");
    assert!(text.contains("with the project shopp"), "{text}");
    let path = format!("/api/v1/projects/{}", blog["id"].as_str().unwrap());
    app.api().delete(&path).expect(204);

    assert_eq!(send(&app, "https://shop.example", "shop"), 201);
    let page = wait_for(&mut ada, "The widget is on shop.example.");
    assert!(!page.text().contains("shopp"), "{}", page.text());
}

#[test]
fn a_restart_does_not_undo_a_step() {
    let app = App::start();
    app.api().create_project("Shop");
    load_widget(&app, "https://shop.example");
    wait_for(&mut app.signed_in(), "2 of 5 done");
    let app = App::builder().with_data_dir(app.sigkill()).start();
    wait_for(&mut app.signed_in(), "2 of 5 done");
}

#[test]
fn a_failed_first_delivery_leads_to_the_deliveries() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    app.api().create_project("Shop");
    app.api().create_webhook(&receiver.url("/"));
    app.api().create_feedback("shop", "Hello");
    let mut ada = app.signed_in();
    let page = wait_for(&mut ada, "A delivery failed.");
    let path = page.link("See why it failed").expect("find the link");
    assert!(ada.get(&path).expect(200).text().contains("500"));
}

#[test]
fn members_see_only_the_step_that_they_can_do() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let page = bob.get(FEEDBACK).expect(200);
    assert!(!page.text().contains("Getting started"), "{}", page.text());

    app.api().create_project("Shop");
    let page = bob.get(FEEDBACK).expect(200);
    assert!(page.text().contains("0 of 1 done"), "{}", page.text());
    let path = page.link("Get the snippet").expect("find the link");
    bob.get(&path).expect(200);
    for forbidden in ["Set up a webhook", "Invite a teammate"] {
        assert!(!page.text().contains(forbidden), "{forbidden}");
    }
}

#[test]
fn each_user_can_dismiss_the_checklist_and_show_it_again() {
    let app = App::start();
    app.add_user("grace@example.com", "admin");
    let mut grace = app.visitor();
    grace.sign_in("grace@example.com", PASSWORD);
    let mut ada = app.signed_in();
    let account = ada.get("/settings/account");
    assert!(account.forms_with("Show checklist").is_empty());
    let dismiss = ada.get(FEEDBACK).form_with("Dismiss").press("Dismiss");
    let page = ada.submit_and_follow(&dismiss).expect(200);
    assert_eq!(page.path, FEEDBACK);
    assert!(page.text().contains("Settings → Account"));
    for path in [FEEDBACK, NOTIFICATIONS, "/settings/projects"] {
        let contains_it = |page: Page| page.text().contains("Getting started");
        assert!(!contains_it(ada.get(path).expect(200)), "{path}");
        assert!(contains_it(grace.get(path).expect(200)), "{path}");
    }
    // Without the checklist, the empty list links to the next step.
    assert!(
        ada.get(FEEDBACK)
            .link("Create your first project")
            .is_some()
    );

    let show = ada.get("/settings/account").form_with("Show checklist");
    let page = ada.submit_and_follow(&show.press("Show checklist"));
    assert_eq!(page.path, FEEDBACK);
    assert!(page.text().contains("Getting started"));
}

/// Creates the first project in a browser, starting at the checklist. Then opens `/feedback`.
fn create_a_project(options: BrowserOptions) -> (App, Browser) {
    let app = App::start();
    let browser = Browser::with_options(options);
    app.sign_in(&browser);
    browser.find("heading", "Getting started");
    browser.find("link", "Create a project").press();
    browser.find("textbox", "Name").fill("Shop");
    browser.find("button", "Create").press();
    browser.find("article", "Shop");
    browser.open(&format!("{}{FEEDBACK}", app.url));
    browser.find("link", "Get the snippet");
    let excess = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(excess.as_i64() <= Some(0), "{excess} px too wide");
    (app, browser)
}

#[test]
fn an_open_page_updates_the_checklist_and_can_dismiss_it() {
    let (app, browser) = create_a_project(BrowserOptions {
        javascript: true,
        width: 1280,
        height: 900,
    });
    load_widget(&app, "https://shop.example");
    browser.wait_for_text("2 of 5 done");
    browser.find("button", "Dismiss").press();
    browser.wait_until("the checklist disappears", || {
        browser
            .all("heading", "Getting started")
            .is_empty()
            .then_some(())
    });
}

#[test]
fn the_checklist_works_without_javascript_on_a_phone() {
    let (_app, browser) = create_a_project(BrowserOptions {
        javascript: false,
        width: 360,
        height: 780,
    });
    browser.find("button", "Dismiss").press();
    browser.wait_for_text("Checklist dismissed.");
    assert!(browser.all("heading", "Getting started").is_empty());
}

#[test]
fn a_button_opens_the_checklist_if_there_is_feedback() {
    for javascript in [true, false] {
        let app = App::start();
        app.api().create_project("Shop");
        app.api().create_feedback("shop", "Hello");
        let browser = Browser::with_options(BrowserOptions {
            javascript,
            width: 1280,
            height: 800,
        });
        app.sign_in(&browser);
        assert!(browser.all("heading", "Getting started").is_empty());
        browser
            .find("button", "Getting started 1 of 5 done")
            .press();
        browser.find("heading", "Getting started");
        browser.find("link", "Get the snippet");
    }
}
