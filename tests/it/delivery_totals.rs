//! The accounting of a webhook: events made = delivered + pending + failed + canceled, whatever happens to them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::command::run_on;
use crate::support::in_process::InProcess;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::wait_until;

fn accounting(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}/accounting", text(webhook, "id"));
    api.get(&path).expect(200).json()
}

fn counted(delivered: u64, pending: u64, failed: u64, canceled: u64) -> Value {
    json!({"events": delivered + pending + failed + canceled, "delivered": delivered, "pending": pending,
        "failed": failed, "canceled": canceled, "unexplained": 0})
}

#[track_caller]
fn wait_for(api: &Api, webhook: &Value, expected: &Value) {
    wait_until(&format!("{expected}"), || {
        (accounting(api, webhook) == *expected).then_some(())
    });
}

#[test]
fn each_event_is_counted_in_the_state_it_is_in() {
    let app = App::without_retries();
    let gate = Gate::new();
    let (up, down, held) = (
        Receiver::ok(),
        Receiver::status(500),
        Receiver::script({
            let gate = gate.clone();
            move |_| Reply::status(200).when(&gate)
        }),
    );
    let api = app.api();
    api.create_project("Shop");
    let [up, down, held] =
        [&up, &down, &held].map(|receiver| api.create_webhook(&receiver.url("/")));
    assert_eq!(accounting(&api, &up), counted(0, 0, 0, 0));
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    wait_for(&api, &up, &counted(2, 0, 0, 0));
    wait_for(&api, &down, &counted(0, 0, 2, 0));
    wait_for(&api, &held, &counted(0, 2, 0, 0));
    // Sent again: one is on its way that had failed, and nothing new was made.
    let failed = text(&api.deliveries(&down)[0], "id").to_owned();
    api.post_empty(&format!("/api/v1/deliveries/{failed}/redeliver"))
        .expect(202);
    wait_for(&api, &down, &counted(0, 0, 2, 0));
    // A test is an event like any other.
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&up, "id")))
        .expect(200);
    assert_eq!(accounting(&api, &up), counted(3, 0, 0, 0));
    // What is in flight when it is canceled counts as what it became.
    api.patch_webhook(&held, json!({"enabled": false}));
    assert_eq!(accounting(&api, &held), counted(0, 0, 0, 2));
    gate.open();
    wait_for(&api, &held, &counted(2, 0, 0, 0));
    api.delete_webhook(&held);
    let gone = format!("/api/v1/webhooks/{}/accounting", text(&held, "id"));
    api.get(&gone).problem(404);
}

#[test]
fn what_retention_has_removed_still_counts() {
    let (app, receiver) = (InProcess::start(&["--retention", "1d"]), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for n in 0..3 {
        api.create_feedback("shop", &format!("number {n}"));
    }
    wait_for(&api, &webhook, &counted(3, 0, 0, 0));
    app.advance(Duration::from_secs(24 * 3600 + 60));
    wait_until("the log is empty", || {
        api.deliveries(&webhook).is_empty().then_some(())
    });
    assert_eq!(accounting(&api, &webhook), counted(3, 0, 0, 0));
}

#[test]
fn the_page_says_what_became_of_them_and_leads_there() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    let mut visitor = app.signed_in();
    let address = format!(
        "/settings/notifications/{}/deliveries",
        text(&webhook, "id")
    );
    let page = visitor.get(&address).expect(200);
    assert!(page.text().contains("1 event: 1 failed"), "{}", page.text());
    let failed = visitor.get(&format!("{address}?state=failed")).expect(200);
    assert!(failed.text().contains("500 in"));
}

/// The audit counts rows, so that a lost delivery is found although the counts agree with each other.
#[test]
fn check_finds_a_delivery_that_is_missing() {
    let app = App::start();
    let receiver = Receiver::ok();
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "delivered");
    let check = |dir: &std::path::Path| run_on(dir, &["check"], "");
    let data = app.kill9();
    let sound = check(&data.path().join("data")).success().stdout;
    let said = "every event is delivered, pending, failed, or canceled";
    assert!(sound.contains(said), "{sound}");
    let database =
        rusqlite::Connection::open(crate::support::app::database(&data.path().join("data")))
            .unwrap();
    database.execute_batch("DELETE FROM deliveries").unwrap();
    drop(database);
    let found = check(&data.path().join("data"));
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    assert!(
        found.stdout.contains("FAIL   delivery totals: 1 event "),
        "{}",
        found.stdout
    );
}
