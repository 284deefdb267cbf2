//! Database writes that fail, and erasing content that an endpoint sent back.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::load_generator::{AcknowledgedChange, LoadGenerator};
use crate::support::receiver::{Gate, Receiver, Reply};

#[test]
fn records_an_outcome_once_the_disk_works_again() {
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
    app.log.wait_for_message("attempts can't be recorded");
    // A restart wouldn't help, so `/healthz` reports no problem. A metric shows the full disk.
    let disk_full = |value: &str| {
        let metrics = api.get("/metrics").expect(200).text;
        assert!(
            metrics.contains(&format!("miniback_disk_full {value}\n")),
            "{metrics}"
        );
        assert!(metrics.contains("miniback_database_ok 1\n"), "{metrics}");
    };
    assert_eq!(api.get("/healthz").status, 200);
    disk_full("1");
    app.limit_file_size(None);
    let delivered = api.wait_for_state(&id, "delivered");
    assert_eq!(attempts(&delivered).len(), 1);
    assert_eq!(receiver.received().len(), 1, "expected one request");
    assert_eq!(api.get("/healthz").status, 200);
    api.create_feedback("shop", "The disk works again");
    disk_full("0");
    receiver.wait_for(2);
}

#[test]
fn a_full_disk_rejects_writes_and_recovers_by_itself() {
    let app = App::builder().writes_can_fail().start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let mut ada = app.signed_in();
    let load = LoadGenerator::start(&app, 3, |_| "shop");
    load.wait_for_more_changes(30);
    app.limit_file_size(Some(4_096));
    // API calls and forms are rejected with an explanation. Reading still works.
    let rejected = load.wait_for_rejections(507, 1).problem(507);
    assert!(
        text(&rejected, "detail").contains("disk is full"),
        "{rejected}"
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
    // Only attempts that were already in flight can still arrive.
    assert!(receiver.received().len() <= sent + 16);
    app.limit_file_size(None);
    load.wait_for_more_changes(30);
    let (acknowledged, rejected) = load.stop();
    assert_eq!(rejected.keys().copied().collect::<Vec<_>>(), [507]);

    api.wait_until_none_pending(&webhook);
    assert_delivered_once(acknowledged, &receiver);
    // The rejected form can be submitted again.
    ada.submit_and_follow(&form).expect(200);
    let projects = api.get("/api/v1/projects").json();
    assert_eq!(projects["data"].as_array().map(Vec::len), Some(2));
}

/// Checks that each acknowledged event arrived exactly once, and that no rejected event arrived.
#[track_caller]
fn assert_delivered_once(acknowledged: Vec<AcknowledgedChange>, receiver: &Receiver) {
    let mut delivered: Vec<(String, String)> = receiver
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
    delivered.sort();
    let mut expected: Vec<(String, String)> = acknowledged
        .into_iter()
        .map(|change| (change.feedback, change.event.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(
        delivered, expected,
        "expected each acknowledged event exactly once"
    );
}

#[test]
fn a_locked_database_is_503_until_it_is_unlocked() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"project": "shop", "message": "The database is locked"});
    let response = api.post("/api/v1/feedback", body);
    let problem = response.problem(503);
    assert!(
        text(&problem, "detail").contains("Nothing was saved"),
        "{problem}"
    );
    assert!(response.header("retry-after").is_some(), "{response:?}");
    let stored = api.get("/api/v1/feedback").expect(200).json();
    assert_eq!(stored["data"], json!([]));
    assert_eq!(api.get("/healthz").status, 503);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(api.get("/healthz").status, 200);
    api.create_feedback("shop", "The database is unlocked");
}

#[test]
fn deleting_feedback_erases_its_message_from_a_logged_redirect() {
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
    let feedback = api.create_feedback("shop", "ConfidentialMessage");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "failed");
    assert!(
        api.delivery(&id)
            .to_string()
            .contains("ConfidentialMessage")
    );
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let after = api.delivery(&id);
    assert!(
        !after.to_string().contains("ConfidentialMessage"),
        "{after:#}"
    );
    assert_eq!(attempts(&after)[0]["errorCode"], "redirect");
}
