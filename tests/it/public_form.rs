//! The public form at `/f/SLUG`, which works without scripts and has no session.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::in_process::InProcess;
use crate::support::pages::{Page, Visitor};

fn app_with_shop(options: &[&str]) -> (InProcess, Api) {
    let app = InProcess::start(options);
    let api = app.api();
    api.post(
        "/api/v1/projects",
        json!({"name": "The <Shop>", "slug": "shop"}),
    )
    .expect(201);
    (app, api)
}

/// Opens the form and advances the clock until a submission is no longer rejected as too fast.
#[track_caller]
fn open_form(app: &InProcess, visitor: &mut Visitor) -> Page {
    let page = visitor.get("/f/shop").expect(200);
    app.advance(Duration::from_secs(2));
    page
}

fn stored_feedback(api: &Api) -> Vec<Value> {
    let listed = api.get("/api/v1/feedback").expect(200).json();
    listed["data"].as_array().unwrap().clone()
}

#[test]
fn submits_feedback_once_without_scripts() {
    let (app, api) = app_with_shop(&[]);
    let mut sam = app.visitor();
    let page = open_form(&app, &mut sam);
    assert!(page.text().contains("The <Shop>"), "{}", page.text());
    let form = page
        .form_with("Send")
        .fill("Message", "Two\r\nlines")
        .fill("Email", " sam@example.com ")
        .press("Send");
    let thanks = sam.submit_and_follow(&form).expect(200);
    let another = thanks.link("Send more feedback");
    assert_eq!(another.as_deref(), Some("/f/shop"));
    assert!(thanks.text().contains("Thank you"), "{}", thanks.text());
    assert!(sam.cookies.is_empty());
    // Submitting the same form again doesn't create more feedback.
    sam.submit(&form).expect(303);
    let all = stored_feedback(&api);
    assert_eq!(all.len(), 1);
    assert_eq!(text(&all[0], "message"), "Two\nlines");
    assert_eq!(text(&all[0], "email"), "sam@example.com");
    assert_eq!(all[0]["url"], json!(null));
    // Going back and changing the message creates more feedback.
    let other = page.form_with("Send").fill("Message", "More").press("Send");
    sam.submit(&other).expect(303);
    assert_eq!(stored_feedback(&api).len(), 2);
}

#[test]
fn a_form_submitted_too_fast_keeps_its_text_and_works_later() {
    let (app, api) = app_with_shop(&[]);
    let mut sam = app.visitor();
    let page = sam.get("/f/shop").expect(200);
    let form = page.form_with("Send").fill("Message", "Fast").press("Send");
    let rejected = sam.submit(&form).expect(422);
    let returned = rejected.form_with("Send");
    assert_eq!(returned.value("Message").trim(), "Fast");
    // The person did nothing wrong, so the notice isn't an error.
    let notice = rejected.text_of(".notice:not(.bad, .warn)[role=alert]");
    assert_eq!(notice, "Wait a moment, then try again.");
    app.advance(Duration::from_secs(2));
    sam.submit(&returned.press("Send")).expect(303);
    assert_eq!(stored_feedback(&api).len(), 1);
}

#[test]
fn invalid_input_shows_an_error_and_keeps_the_text() {
    let (app, api) = app_with_shop(&[]);
    let mut sam = app.visitor();
    let form = open_form(&app, &mut sam)
        .form_with("Send")
        .fill("Message", "a </textarea><b>")
        .fill("Email", "sam@")
        .press("Send");
    let rejected = sam.submit(&form).expect(422);
    assert!(rejected.response.text.contains("id=\"email-error\""));
    let returned = rejected.form_with("Send");
    assert_eq!(returned.value("Message").trim(), "a </textarea><b>");
    assert_eq!(returned.value("Email"), "sam@");
    let empty = returned
        .fill("Message", " ")
        .fill("Email", "")
        .press("Send");
    let rejected = sam.submit(&empty).expect(422);
    assert!(rejected.response.text.contains("id=\"message-error\""));
    assert!(stored_feedback(&api).is_empty());
}

#[test]
fn the_form_has_rate_limits_and_a_honeypot() {
    let (app, api) = app_with_shop(&["--limit-address", "2/1m"]);
    let mut bot = app.visitor();
    let form = open_form(&app, &mut bot).form_with("Send");
    let spam = form
        .clone()
        .fill("Message", "Buy")
        .fill("Leave this empty", "x");
    bot.submit(&spam.press("Send")).expect(303);
    assert!(stored_feedback(&api).is_empty());
    bot.submit(&form.clone().fill("Message", "One").press("Send"))
        .expect(303);
    let limited = bot.submit(&form.fill("Message", "Two").press("Send"));
    assert_eq!(limited.response.status, 429);
    assert_eq!(limited.response.header("retry-after"), Some("30"));
    assert_eq!(limited.form_with("Send").value("Message").trim(), "Two");
    assert_eq!(stored_feedback(&api).len(), 1);
}

#[test]
fn a_paused_project_has_no_form_and_an_unknown_project_is_404() {
    let (app, api) = app_with_shop(&[]);
    let mut sam = app.visitor();
    let form = open_form(&app, &mut sam).form_with("Send");
    api.patch("/api/v1/projects/shop", json!({"status": "PAUSED"}))
        .expect(200);
    let paused = sam.get("/f/shop").expect(200);
    assert!(paused.text().contains("isn’t accepting feedback"));
    assert!(paused.forms().is_empty());
    let rejected = sam
        .submit(&form.fill("Message", "Too late").press("Send"))
        .expect(403);
    assert!(
        rejected.response.text.contains("Too late"),
        "the message is lost and can't be copied"
    );
    for path in ["/f/nowhere", "/f/SHOP", "/f/"] {
        sam.get(path).expect(404);
    }
}

#[test]
fn uses_the_language_of_the_browser() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut sam = app.visitor();
    for (accepted, lang, send) in [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Senden"),
        ("ja", "ja", "送信"),
        ("nl", "en", "Send"),
    ] {
        let page = sam.fetch("GET", "/f/shop", &[("Accept-Language", accepted)], None);
        assert_eq!(page.response.header("content-language"), Some(lang));
        assert!(
            page.response
                .text
                .contains(&format!("<html lang=\"{lang}\">"))
        );
        page.form_with(send);
    }
    let headers = [("Accept-Language", "fr")];
    let missing = sam.fetch("GET", "/f/nothing", &headers, None).expect(404);
    assert_eq!(missing.response.header("content-language"), Some("fr"));
    assert_eq!(missing.text_of("h1"), "Page introuvable");
    assert!(missing.response.text.contains("<html lang=\"fr\">"));
}

#[test]
fn rejects_forms_posted_by_another_site() {
    let app = App::start();
    app.api().create_project("Shop");
    let fields = [("message".to_owned(), "Hello".to_owned())];
    let cross_site = [("Sec-Fetch-Site", "cross-site")];
    app.visitor()
        .post_from("/f/shop", &fields, &cross_site)
        .expect(403);
}
