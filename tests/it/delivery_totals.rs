//! Delivery totals of a webhook. At all times, events = delivered + pending + failed + canceled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{App, database};
use crate::support::command::run_on_data_dir;
use crate::support::in_process::InProcess;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::wait_until;

fn totals_path(webhook: &Value) -> String {
    format!("/api/v1/webhooks/{}/accounting", text(webhook, "id"))
}

fn totals(api: &Api, webhook: &Value) -> Value {
    api.get(&totals_path(webhook)).expect(200).json()
}

fn expected_totals(delivered: u64, pending: u64, failed: u64, canceled: u64) -> Value {
    json!({
        "events": delivered + pending + failed + canceled,
        "delivered": delivered,
        "pending": pending,
        "failed": failed,
        "canceled": canceled,
        "unexplained": 0,
    })
}

#[track_caller]
fn wait_for_totals(api: &Api, webhook: &Value, expected: &Value) {
    wait_until(&format!("the totals are {expected}"), || {
        (totals(api, webhook) == *expected).then_some(())
    });
}

#[test]
fn counts_each_event_in_its_current_state() {
    let app = App::without_retries();
    let gate = Gate::new();
    let (working, failing, waiting) = (
        Receiver::ok(),
        Receiver::status(500),
        Receiver::script({
            let gate = gate.clone();
            move |_| Reply::status(200).when(&gate)
        }),
    );
    let api = app.api();
    api.create_project("Shop");
    let [working, failing, waiting] =
        [&working, &failing, &waiting].map(|receiver| api.create_webhook(&receiver.url("/")));
    assert_eq!(totals(&api, &working), expected_totals(0, 0, 0, 0));
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    wait_for_totals(&api, &working, &expected_totals(2, 0, 0, 0));
    wait_for_totals(&api, &failing, &expected_totals(0, 0, 2, 0));
    wait_for_totals(&api, &waiting, &expected_totals(0, 2, 0, 0));
    // Redelivering a failed delivery creates no new event.
    let failed = text(&api.deliveries(&failing)[0], "id").to_owned();
    api.post_empty(&format!("/api/v1/deliveries/{failed}/redeliver"))
        .expect(202);
    wait_for_totals(&api, &failing, &expected_totals(0, 0, 2, 0));
    // Tests count like other events.
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&working, "id")))
        .expect(200);
    assert_eq!(totals(&api, &working), expected_totals(3, 0, 0, 0));
    // A delivery that is canceled in flight counts as canceled until its attempt succeeds.
    api.patch_webhook(&waiting, json!({"enabled": false}));
    assert_eq!(totals(&api, &waiting), expected_totals(0, 0, 0, 2));
    gate.open();
    wait_for_totals(&api, &waiting, &expected_totals(2, 0, 0, 0));
    api.delete_webhook(&waiting);
    api.get(&totals_path(&waiting)).problem(404);
}

#[test]
fn still_counts_deliveries_deleted_by_retention() {
    let (app, receiver) = (InProcess::start(&["--retention", "1d"]), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for n in 0..3 {
        api.create_feedback("shop", &format!("number {n}"));
    }
    wait_for_totals(&api, &webhook, &expected_totals(3, 0, 0, 0));
    app.advance(Duration::from_secs(24 * 3600 + 60));
    wait_until("the delivery log is empty", || {
        api.deliveries(&webhook).is_empty().then_some(())
    });
    assert_eq!(totals(&api, &webhook), expected_totals(3, 0, 0, 0));
}

#[test]
fn the_deliveries_page_shows_the_totals() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    let mut visitor = app.signed_in();
    let path = format!(
        "/settings/notifications/{}/deliveries",
        text(&webhook, "id")
    );
    let page = visitor.get(&path).expect(200);
    assert!(
        page.text().contains("1 delivery: 1 failed"),
        "{}",
        page.text()
    );
    let failed = visitor.get(&format!("{path}?state=failed")).expect(200);
    assert!(failed.text().contains("500 in"));
}

/// `miniback check` counts rows, so it detects a missing delivery even if the totals are
/// consistent.
#[test]
fn check_detects_a_missing_delivery() {
    let app = App::start();
    let receiver = Receiver::ok();
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "delivered");
    let data = app.sigkill();
    let dir = data.path().join("data");
    let check = || run_on_data_dir(&dir, &["check"], "");
    let intact = check().success().stdout;
    let message = "every event is delivered, pending, failed, or canceled";
    assert!(intact.contains(message), "{intact}");
    let connection = rusqlite::Connection::open(database(&dir)).unwrap();
    connection.execute_batch("DELETE FROM deliveries").unwrap();
    drop(connection);
    let output = check();
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(
        output.stdout.contains("FAIL   delivery totals: 1 event "),
        "{}",
        output.stdout
    );
}
