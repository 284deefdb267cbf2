//! `/f/SLUG`: the same door as a page without a script and without a session.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::in_process::InProcess;
use crate::support::pages::{Page, Visitor};
use std::time::Duration;

fn shop(options: &[&str]) -> (InProcess, Api) {
    let app = InProcess::start(options);
    let api = app.api();
    api.post(
        "/api/v1/projects",
        json!({"name": "The <Shop>", "slug": "shop"}),
    )
    .expect(201);
    (app, api)
}

/// Loads the form, and lets the time pass that a person needs.
#[track_caller]
fn opened(app: &InProcess, visitor: &mut Visitor) -> Page {
    let page = visitor.get("/f/shop").expect(200);
    app.advance(Duration::from_secs(2));
    page
}

fn stored(api: &Api) -> Vec<Value> {
    let listed = api.get("/api/v1/feedback").expect(200).json();
    listed["data"].as_array().unwrap().clone()
}

#[test]
fn a_form_without_a_script_sends_feedback_once_and_says_thanks() {
    let (app, api) = shop(&[]);
    let mut sam = app.visitor();
    let page = opened(&app, &mut sam);
    assert!(page.text().contains("The <Shop>"), "{}", page.text());
    assert!(!page.response.text.contains("<script"));
    let form = page
        .form_with("Send")
        .fill("Message", "Two\r\nlines")
        .fill("Email", " sam@example.com ")
        .press("Send");
    let thanks = sam.submit_and_follow(&form).expect(200);
    assert!(thanks.text().contains("Thank you"), "{}", thanks.text());
    assert!(sam.cookies.is_empty());
    // A second press of the same form is the same feedback.
    sam.submit(&form).expect(303);
    let all = stored(&api);
    assert_eq!(all.len(), 1);
    assert_eq!(text(&all[0], "message"), "Two\nlines");
    assert_eq!(text(&all[0], "email"), "sam@example.com");
    assert_eq!(all[0]["url"], json!(null));
    // Back, and other words: that is another one.
    let other = page.form_with("Send").fill("Message", "More").press("Send");
    sam.submit(&other).expect(303);
    assert_eq!(stored(&api).len(), 2);
}

#[test]
fn a_form_that_is_sent_at_once_comes_back_with_its_words_and_works_a_moment_later() {
    let (app, api) = shop(&[]);
    let mut sam = app.visitor();
    let page = sam.get("/f/shop").expect(200);
    let form = page.form_with("Send").fill("Message", "Fast").press("Send");
    let refused = sam.submit(&form).expect(422);
    let again = refused.form_with("Send");
    assert_eq!(again.value("Message").trim(), "Fast");
    app.advance(Duration::from_secs(2));
    sam.submit(&again.press("Send")).expect(303);
    assert_eq!(stored(&api).len(), 1);
}

#[test]
fn what_is_wrong_is_said_at_its_field_and_the_words_stay() {
    let (app, api) = shop(&[]);
    let mut sam = app.visitor();
    let form = opened(&app, &mut sam)
        .form_with("Send")
        .fill("Message", "a </textarea><b>")
        .fill("Email", "sam@")
        .press("Send");
    let refused = sam.submit(&form).expect(422);
    assert!(refused.response.text.contains("id=\"email-error\""));
    let again = refused.form_with("Send");
    assert_eq!(again.value("Message").trim(), "a </textarea><b>");
    assert_eq!(again.value("Email"), "sam@");
    let empty = again.fill("Message", " ").fill("Email", "").press("Send");
    let refused = sam.submit(&empty).expect(422);
    assert!(refused.response.text.contains("id=\"message-error\""));
    assert!(stored(&api).is_empty());
}

#[test]
fn the_form_has_the_widgets_limits_and_its_bait() {
    let (app, api) = shop(&["--limit-address", "2/1m"]);
    let mut bot = app.visitor();
    let form = opened(&app, &mut bot).form_with("Send");
    let bait = form
        .clone()
        .fill("Message", "Buy")
        .fill("Leave this empty", "x");
    bot.submit(&bait.press("Send")).expect(303);
    assert!(stored(&api).is_empty());
    bot.submit(&form.clone().fill("Message", "One").press("Send"))
        .expect(303);
    let limited = bot.submit(&form.fill("Message", "Two").press("Send"));
    assert_eq!(limited.response.status, 429);
    assert_eq!(limited.response.header("retry-after"), Some("30"));
    assert_eq!(limited.form_with("Send").value("Message").trim(), "Two");
    assert_eq!(stored(&api).len(), 1);
}

#[test]
fn a_paused_project_says_so_and_an_unknown_one_is_not_there() {
    let (app, api) = shop(&[]);
    let mut sam = app.visitor();
    let form = opened(&app, &mut sam).form_with("Send");
    api.patch("/api/v1/projects/shop", json!({"status": "PAUSED"}))
        .expect(200);
    let paused = sam.get("/f/shop").expect(200);
    assert!(paused.text().contains("isn’t accepting feedback"));
    assert!(paused.forms().is_empty());
    let late = sam.submit(&form.fill("Message", "Too late").press("Send"));
    let late = late.expect(403);
    // What was written can still be copied.
    assert!(late.response.text.contains("Too late"));
    for path in ["/f/nowhere", "/f/SHOP", "/f/"] {
        sam.get(path).expect(404);
    }
}

#[test]
fn the_form_speaks_the_language_that_the_browser_asks_for() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut sam = app.visitor();
    for (wish, lang, send) in [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Senden"),
        ("ja", "ja", "送信"),
        ("nl", "en", "Send"),
    ] {
        let page = sam.fetch("GET", "/f/shop", &[("Accept-Language", wish)], None);
        assert_eq!(page.response.header("content-language"), Some(lang));
        assert!(
            page.response
                .text
                .contains(&format!("<html lang=\"{lang}\">"))
        );
        page.form_with(send);
    }
}

#[test]
fn a_form_that_another_site_posts_is_refused() {
    let app = App::start();
    app.api().create_project("Shop");
    let fields = [("message".to_owned(), "Hello".to_owned())];
    let elsewhere = [("Sec-Fetch-Site", "cross-site")];
    app.visitor()
        .post_from("/f/shop", &fields, &elsewhere)
        .expect(403);
}
