//! "Endpoint code": the page with example code for a webhook's endpoint. The tests in
//! `example_receivers.rs` run this code.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::example_receiver::{SECRET, read_example_file};

const URL: &str = "http://localhost:4000/webhooks/miniback";

fn code_path(webhook: &Value) -> String {
    format!(
        "/settings/notifications/{}/endpoint-code",
        text(webhook, "id")
    )
}

#[test]
fn shows_the_example_code_without_the_secret() {
    let app = App::start();
    let webhook = app
        .api()
        .create_webhook_with(json!({"url": URL, "secret": SECRET}));
    let mut admin = app.signed_in();
    let page = admin.get(&code_path(&webhook)).expect(200);
    assert_eq!(
        page.text_of("#snippet"),
        read_example_file("express/server.mjs")
    );
    let start = page.text_of("#start-code");
    assert_eq!(start, "MINIBACK_SECRET='whsec_…' PORT=4000 node server.mjs");
    let secret = page
        .link("Reveal secret")
        .expect("find the link to the secret");
    assert!(
        admin
            .get(&secret)
            .expect(200)
            .response
            .text
            .contains(SECRET)
    );
    for (name, path) in [
        ("Flask", "flask/app.py"),
        ("Next.js", "nextjs/app/webhooks/miniback/route.js"),
        ("Node library", "standard-webhooks-node/server.mjs"),
        ("Python library", "standard-webhooks-python/app.py"),
    ] {
        let tab = page.link(name).expect(name);
        let page = admin.get(&tab).expect(200);
        assert_eq!(page.text_of("#snippet"), read_example_file(path), "{name}");
        assert!(!page.response.text.contains(SECRET));
    }
    let listen = page.link("miniback listen").expect("find the link");
    let listen = admin.get(&listen).expect(200).text_of("#start-code");
    assert_eq!(
        listen,
        "MINIBACK_SECRET='whsec_…' miniback listen --port 4000"
    );
}

#[test]
fn warns_if_the_example_cannot_handle_the_url_or_secret() {
    let app = App::start();
    let webhook = app.api().create_webhook_with(json!({
        "url": "https://api.example.com/in/?key=1", "secret": "a-custom-secret-without-prefix"
    }));
    let mut admin = app.signed_in();
    let mut text_with = |framework: &str| {
        let path = format!("{}?with={framework}", code_path(&webhook));
        admin.get(&path).expect(200).text()
    };
    assert!(
        text_with("standard-webhooks-node").contains("Standard Webhooks libraries can’t verify")
    );
    assert!(text_with("nextjs").contains("skipTrailingSlashRedirect"));
    let express = text_with("express");
    assert!(express.contains("PORT=3000") && express.contains("api.example.com"));
    assert!(!express.contains("skipTrailingSlash") && !express.contains("libraries can’t verify"));
    assert!(!express.contains("key=1\""), "the code contains the query");
    assert!(text_with("listen").contains("http://localhost:3000/in/"));
}

#[test]
fn only_admins_can_open_the_page_and_unknown_ids_are_404() {
    let app = App::start();
    let webhook = app.api().create_webhook(URL);
    let path = code_path(&webhook);
    let mut admin = app.signed_in();
    admin.get(&format!("{path}?with=cobol")).expect(404);
    let unknown = "/settings/notifications/wh_01M88A9HPYG8XD4BRHHT5RND5G/endpoint-code";
    admin.get(unknown).expect(404);
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    member.get(&path).expect(403);
}

fn open_code_from_settings(javascript: bool) {
    let app = App::start();
    app.api().create_webhook(URL);
    let browser = Browser::with_options(BrowserOptions {
        javascript,
        ..BrowserOptions::default()
    });
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/notifications", app.url));
    browser.find("article", URL).expand_button().press();
    if javascript {
        browser.script("window.isSamePage = true");
    }
    browser
        .find("article", URL)
        .find("link", "Get endpoint code")
        .press();
    browser.find("heading", "Endpoint code");
    browser.find("link", "Flask").press();
    browser.find("heading", "Flask");
    browser.wait_for_text("from flask import");
    if javascript {
        assert_eq!(browser.script("return window.isSamePage"), true);
        browser.find("button", "Copy secret");
        browser.all("button", "Copy")[1].press();
        browser.find("button", "Copied");
    } else {
        assert!(browser.all("button", "Copy").is_empty());
    }
}

#[test]
fn a_select_field_replaces_the_tabs_on_a_phone() {
    let app = App::start();
    let webhook = app.api().create_webhook(URL);
    let browser = Browser::with_options(BrowserOptions {
        javascript: false,
        width: 360,
        height: 740,
    });
    app.sign_in(&browser);
    browser.open(&format!("{}{}", app.url, code_path(&webhook)));
    browser.find("heading", "Express");
    assert!(browser.all("link", "Flask").is_empty());
    browser.script("document.getElementById('with').value = 'flask'");
    browser.find("button", "Show").press();
    browser.find("heading", "Flask");
}

#[test]
fn with_scripts_examples_load_in_place_and_can_be_copied() {
    open_code_from_settings(true);
}

#[test]
fn without_scripts_the_page_has_links_and_no_copy_buttons() {
    open_code_from_settings(false);
}
