//! The widget in Settings → Projects: its snippet, and the origins of feedback.

use serde_json::json;

use crate::support::api::Api;
use crate::support::app::{App, PASSWORD};
use crate::support::browser::Browser;

fn send(public: &Api, origin: &str) -> u16 {
    let body = json!({"projectSlug": "shop", "message": "Hello"});
    let headers = [("Origin", origin)];
    let response = public.send_json("POST", "/api/feedback", &headers, &body);
    response.status
}

#[test]
fn shows_the_snippet_and_the_websites_that_use_the_widget() {
    let app = App::start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let mut ada = app.signed_in();
    let page = ada.get("/settings/projects").expect(200);
    let snippet = format!(
        "<script src=\"{}/widget.js\" data-project=\"shop\" defer></script>",
        app.url
    );
    assert!(page.text().contains(&snippet), "{}", page.text());
    assert_eq!(
        page.link(&format!("{}/f/shop", app.url)).as_deref(),
        Some("/f/shop")
    );
    assert!(!page.text().contains("Last feedback from"));

    let referrer = [("Referer", "https://blog.example/post?secret=1")];
    public
        .send("GET", "/widget.js", &referrer, None)
        .expect(200);
    assert_eq!(send(&public, "https://shop.example"), 201);
    let text = ada.get("/settings/projects").text();
    assert!(text.contains("Last feedback from shop.example"), "{text}");
    assert!(text.contains("loaded on blog.example"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_rejected_origin_is_listed_and_can_be_allowed() {
    let app = App::start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let list = json!({"allowedOrigins": ["https://shop.example"]});
    api.patch("/api/v1/projects/shop", list).expect(200);
    for _ in 0..4 {
        assert_eq!(send(&public, "https://staging.example.com"), 403);
    }
    assert_eq!(send(&public, "null"), 403);
    let mut ada = app.signed_in();
    let page = ada.get("/settings/projects").expect(200);
    let text = page.text();
    assert!(
        text.contains("Feedback from staging.example.com was rejected 4 times"),
        "{text}"
    );
    assert!(text.contains("Feedback from a page without an origin was rejected once"));
    let allow = page.form_with("Allow").press("Allow");

    app.add_user("eve@example.com", "member");
    let mut eve = app.visitor();
    eve.sign_in("eve@example.com", PASSWORD);
    let member_page = eve.get("/settings/projects").expect(200);
    assert!(member_page.forms_with("Allow").is_empty());
    eve.submit(&allow).expect(403);

    let after = ada.submit_and_follow(&allow).expect(200).text();
    assert!(
        after.contains("staging.example.com can now submit feedback"),
        "{after}"
    );
    assert!(!after.contains("was rejected 4 times"), "{after}");
    let project = api.get("/api/v1/projects/shop").json();
    assert_eq!(
        project["allowedOrigins"],
        json!(["https://shop.example", "https://staging.example.com"])
    );
    assert_eq!(send(&public, "https://staging.example.com"), 201);

    // If a project allows all origins, pressing "Allow" for one origin must not block other
    // origins.
    assert_eq!(send(&public, "https://late.example"), 403);
    let form = ada
        .get("/settings/projects")
        .form_with("Allow")
        .press("Allow");
    api.patch("/api/v1/projects/shop", json!({"allowedOrigins": []}))
        .expect(200);
    ada.submit(&form).expect(303);
    let project = api.get("/api/v1/projects/shop").json();
    assert_eq!(project["allowedOrigins"], json!([]));
    assert!(
        !ada.get("/settings/projects")
            .text()
            .contains("was rejected")
    );
}

#[test]
fn lists_only_the_10_latest_rejected_origins() {
    let app = App::builder().option("--limit-address", "none").start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let list = json!({"allowedOrigins": ["https://shop.example"]});
    api.patch("/api/v1/projects/shop", list).expect(200);
    assert_eq!(send(&public, "https://shop.example"), 201);
    for n in 0..30 {
        assert_eq!(send(&public, &format!("https://{n}.evil.example")), 403);
    }
    let text = app.signed_in().get("/settings/projects").text();
    assert_eq!(text.matches("was rejected once").count(), 10);
    assert!(text.contains("29.evil.example") && !text.contains("19.evil.example"));
    assert!(text.contains("Last feedback from shop.example"), "{text}");
}

#[test]
fn the_allow_button_works_in_a_browser() {
    let app = App::start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let list = json!({"allowedOrigins": ["https://shop.example"]});
    api.patch("/api/v1/projects/shop", list).expect(200);
    send(&public, "https://staging.example.com");
    let browser = Browser::start();
    app.sign_in(&browser);
    browser.open(&format!("{}/settings/projects", app.url));
    browser.find("button", "Copy");
    browser.find("button", "Allow").press();
    browser.wait_for_text("can now submit feedback");
    assert_eq!(send(&public, "https://staging.example.com"), 201);
}
