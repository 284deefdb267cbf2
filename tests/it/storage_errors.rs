//! A database that cannot be written for a while, and words that must not stay.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::load_generator::LoadGenerator;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::wait_until;

#[test]
fn an_outcome_that_cannot_be_stored_is_sent_once_and_recorded_when_the_disk_works_again() {
    let app = App::builder().writes_can_fail().start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(204).when(&gate)
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    receiver.first();
    app.limit_file_size(Some(4_096));
    gate.open();
    app.log.wait_for_message("recording attempts failed");
    assert_eq!(api.get("/healthz").status, 503);
    app.limit_file_size(None);
    let delivered = api.wait_for_state(&id, "delivered");
    assert_eq!(attempts(&delivered).len(), 1);
    assert_eq!(receiver.received().len(), 1, "sent once");
    assert_eq!(api.get("/healthz").status, 200);
    api.create_feedback("shop", "now");
    receiver.wait_for(2);
}

#[test]
fn while_the_disk_is_full_nothing_is_half_stored_or_sent_twice_and_it_recovers_by_itself() {
    let app = App::builder().writes_can_fail().start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let mut ada = app.signed_in();
    let load = LoadGenerator::start(&app, 3, |_| "shop");
    load.wait_for_more(30);
    app.limit_file_size(Some(4_096));
    // Refused in words: a call, and a form. What is only looked at is there as ever.
    let refused = load.wait_for_rejections(507, 1).problem(507);
    assert!(
        text(&refused, "detail").contains("disk is full"),
        "{refused}"
    );
    let page = ada.get("/settings/projects?add").expect(200);
    let form = page.form_with("Create").fill("Name", "Later");
    let form = form.press("Create");
    let page = ada.submit(&form);
    assert_eq!(page.response.status, 507, "{:?}", page.response);
    assert!(page.text().contains("Nothing was saved"), "{}", page.text());
    ada.get("/feedback").expect(200);
    api.get("/api/v1/webhooks").expect(200);
    let sent = receiver.received().len();
    load.wait_for_rejections(507, 50);
    // At most what was in flight: nothing new is sent, and nothing again.
    assert!(receiver.received().len() <= sent + 16);
    app.limit_file_size(None);
    load.wait_for_more(30);
    let (acknowledged, refused) = load.stop();
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [507]);

    wait_until("all is delivered", || {
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
    api.create_project("Shop");
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"project": "shop", "message": "not now"});
    let response = api.post("/api/v1/feedback", body);
    let problem = response.problem(503);
    assert!(
        text(&problem, "detail").contains("nothing was stored"),
        "{problem}"
    );
    assert!(response.header("retry-after").is_some(), "{response:?}");
    let stored = api.get("/api/v1/feedback").expect(200).json();
    assert_eq!(stored["data"], json!([]));
    other.execute_batch("ROLLBACK").unwrap();
    api.create_feedback("shop", "now");
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
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "TopSecretWords");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "failed");
    assert!(api.delivery(&id).to_string().contains("TopSecretWords"));
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let after = api.delivery(&id);
    assert!(!after.to_string().contains("TopSecretWords"), "{after:#}");
    assert_eq!(attempts(&after)[0]["errorCode"], "redirect");
}
