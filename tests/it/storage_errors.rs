//! A database that cannot be written for a while, and words that must not stay.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::load_generator::Storm;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::until;

#[test]
fn an_outcome_that_cannot_be_stored_is_sent_once_and_recorded_when_the_disk_works_again() {
    let app = App::setup().writes_can_fail().start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(204).when(&gate)
    });
    let api = app.api();
    api.project("Shop");
    let webhook = api.webhook(&receiver.url("/"));
    api.feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    receiver.first();
    app.limit_files(Some(4_096));
    gate.open();
    app.log.wait_for_message("an attempt cannot be stored");
    assert_eq!(api.get("/healthz").status, 503);
    app.limit_files(None);
    let delivered = api.delivery_in_state(&id, "delivered");
    assert_eq!(attempts(&delivered).len(), 1);
    assert_eq!(receiver.received().len(), 1, "sent once");
    assert_eq!(api.get("/healthz").status, 200);
    api.feedback("shop", "now");
    receiver.wait_for(2);
}

#[test]
fn while_the_disk_is_full_nothing_is_half_stored_or_sent_twice_and_it_recovers_by_itself() {
    let app = App::setup().writes_can_fail().start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.project("Shop");
    let webhook = api.webhook(&receiver.url("/"));
    let mut ada = app.signed_in();
    let storm = Storm::start(&app, 3, |_| "shop");
    storm.wait_for_more(30);
    app.limit_files(Some(4_096));
    // Refused in words: a call, and a form. What is only looked at is there as ever.
    let refused = storm.wait_for_refusals(507, 1).problem(507);
    assert!(
        text(&refused, "detail").contains("disk is full"),
        "{refused}"
    );
    let page = ada.get("/settings/projects?add").expect(200);
    let form = page.form_with("Create").fill("Name", "Later");
    let form = form.press("Create");
    let page = ada.submit(&form);
    assert_eq!(page.answer.status, 507, "{:?}", page.answer);
    assert!(
        page.text().contains("nothing was stored"),
        "{}",
        page.text()
    );
    ada.get("/feedback").expect(200);
    api.get("/api/v1/webhooks").expect(200);
    let sent = receiver.received().len();
    storm.wait_for_refusals(507, 50);
    // At most what was in flight: nothing new is sent, and nothing again.
    assert!(receiver.received().len() <= sent + 16);
    app.limit_files(None);
    storm.wait_for_more(30);
    let (acknowledged, refused) = storm.end();
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [507]);

    until("all is delivered", || {
        let waiting = format!(
            "/api/v1/webhooks/{}/deliveries?state=pending",
            text(&webhook, "id")
        );
        let waiting = api.get(&waiting).json();
        waiting["data"].as_array().unwrap().is_empty().then_some(())
    });
    let mut heard: Vec<(String, String)> = receiver
        .received()
        .iter()
        .map(|request| {
            let json = request.json();
            (
                text(&json["data"]["feedback"], "id").to_owned(),
                text(&json, "event").to_owned(),
            )
        })
        .collect();
    heard.sort();
    let mut promised: Vec<(String, String)> = acknowledged
        .into_iter()
        .map(|one| (one.feedback, one.event.to_owned()))
        .collect();
    promised.sort();
    assert_eq!(heard, promised, "each once, and nothing that was refused");
    // The same form, sent again.
    ada.submit_and_follow(&form).expect(200);
    let projects = api.get("/api/v1/projects").json();
    assert_eq!(projects["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_database_that_another_program_holds_is_answered_with_503_until_it_is_free() {
    let app = App::start();
    let api = app.api();
    api.project("Shop");
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"project": "shop", "message": "not now"});
    let answer = api.post("/api/v1/feedback", body);
    let problem = answer.problem(503);
    assert!(
        text(&problem, "detail").contains("nothing was stored"),
        "{problem}"
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let stored = api.get("/api/v1/feedback").expect(200).json();
    assert_eq!(stored["data"], json!([]));
    other.execute_batch("ROLLBACK").unwrap();
    api.feedback("shop", "now");
}

#[test]
fn words_that_an_endpoint_repeats_are_taken_out_of_the_log_with_the_feedback() {
    let app = App::without_retries();
    let receiver = Receiver::script(|request| {
        Reply::status(302).header(
            "Location",
            &format!("https://a.example/?{}", request.message()),
        )
    });
    let api = app.api();
    api.project("Shop");
    let webhook = api.webhook(&receiver.url("/"));
    let feedback = api.feedback("shop", "TopSecretWords");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.delivery_in_state(&id, "failed");
    assert!(api.delivery(&id).to_string().contains("TopSecretWords"));
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let after = api.delivery(&id);
    assert!(!after.to_string().contains("TopSecretWords"), "{after:#}");
    assert_eq!(attempts(&after)[0]["errorCode"], "redirect");
}
