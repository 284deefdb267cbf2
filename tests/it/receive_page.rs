//! "Receive it": a webhook's page with the code of its endpoint. That the code runs is shown in
//! `example_receivers`.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::example_receiver::{SECRET, file};

const URL: &str = "http://localhost:4000/webhooks/miniback";

fn page_of(webhook: &Value) -> String {
    format!(
        "/settings/notifications/{}/endpoint-code",
        text(webhook, "id")
    )
}

#[test]
fn it_shows_the_example_itself_without_the_secret_and_how_to_start_it() {
    let app = App::start();
    let webhook = app
        .api()
        .create_webhook_with(json!({"url": URL, "secret": SECRET}));
    let mut admin = app.signed_in();
    let page = admin.get(&page_of(&webhook)).expect(200);
    assert_eq!(page.text_of("#snippet"), file("express/server.mjs"));
    let start = page.text_of("#start-code");
    assert_eq!(start, "MINIBACK_SECRET='whsec_…' PORT=4000 node server.mjs");
    let secret = page.link("Reveal secret").expect("where the secret is");
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
        (
            "Standard Webhooks, Node",
            "standard-webhooks-node/server.mjs",
        ),
        (
            "Standard Webhooks, Python",
            "standard-webhooks-python/app.py",
        ),
    ] {
        let tab = page.link(name).expect(name);
        let page = admin.get(&tab).expect(200);
        assert_eq!(page.text_of("#snippet"), file(path), "{name}");
        assert!(!page.response.text.contains(SECRET));
    }
    let listen = page.link("miniback listen").expect("a link");
    let listen = admin.get(&listen).expect(200).text_of("#start-code");
    assert_eq!(
        listen,
        "MINIBACK_SECRET='whsec_…' miniback listen --port 4000"
    );
}

#[test]
fn it_says_what_stands_in_the_way_of_a_receiver() {
    let app = App::start();
    let webhook = app.api().create_webhook_with(json!({
        "url": "https://api.example.com/in/?key=1", "secret": "a-secret-of-our-own"
    }));
    let mut admin = app.signed_in();
    let mut words = |framework: &str| {
        let path = format!("{}?with={framework}", page_of(&webhook));
        admin.get(&path).expect(200).text()
    };
    assert!(words("standard-webhooks-node").contains("Standard Webhooks libraries can’t verify"));
    assert!(words("nextjs").contains("skipTrailingSlashRedirect"));
    let express = words("express");
    assert!(express.contains("PORT=3000") && express.contains("api.example.com"));
    assert!(!express.contains("skipTrailingSlash") && !express.contains("libraries can’t verify"));
    assert!(
        !express.contains("key=1\""),
        "the path alone is in the code"
    );
    assert!(words("listen").contains("http://localhost:3000/in/"));
}

#[test]
fn it_is_there_for_admins_and_for_webhooks_and_frameworks_that_there_are() {
    let app = App::start();
    let webhook = app.api().create_webhook(URL);
    let path = page_of(&webhook);
    let mut admin = app.signed_in();
    admin.get(&format!("{path}?with=cobol")).expect(404);
    let unknown = "/settings/notifications/wh_01M88A9HPYG8XD4BRHHT5RND5G/endpoint-code";
    admin.get(unknown).expect(404);
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    member.get(&path).expect(403);
}

fn leads_from_the_webhook_to_the_code(javascript: bool) {
    let app = App::start();
    app.api().create_webhook(URL);
    let browser = Browser::with(BrowserOptions {
        javascript,
        ..BrowserOptions::default()
    });
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
    browser.open(&format!("{}/settings/notifications", app.url));
    browser.find("article", URL).arrow().press();
    if javascript {
        browser.script("window.isLoadedOnce = true");
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
        assert_eq!(browser.script("return window.isLoadedOnce"), true);
        browser.find("button", "Copy secret");
        browser.all("button", "Copy")[1].press();
        browser.find("button", "Copied");
    } else {
        assert!(browser.all("button", "Copy").is_empty());
    }
}

#[test]
fn it_is_loaded_in_place_and_its_code_is_copied() {
    leads_from_the_webhook_to_the_code(true);
}

#[test]
fn without_scripts_it_is_a_page_like_any_other() {
    leads_from_the_webhook_to_the_code(false);
}
