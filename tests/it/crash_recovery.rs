//! Pending deliveries continue after a crash. Each test crashes Miniback at a specific moment.
//! `kill_under_load.rs` tests crashes at random moments.

use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, ReceivedRequest, Receiver, Reply};

#[test]
fn a_restart_continues_the_retries() {
    let app = App::builder().option("--retry-delays", "1s,1s").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&id, 1);
    let data = app.sigkill();

    let app = App::builder()
        .option("--retry-delays", "1s,1s")
        .with_data_dir(data)
        .start();
    let failed = app.api().wait_for_state(&id, "failed");
    let numbers: Vec<&Value> = attempts(&failed).iter().map(|a| &a["number"]).collect();
    assert_eq!(
        numbers,
        [1, 2, 3],
        "attempts before the crash weren't counted"
    );
    let received = receiver.received();
    for retry in &received[1..] {
        assert_eq!(retry.body, received[0].body);
        assert_eq!(retry.delivery(), id);
        let timestamp = "X-Miniback-Timestamp";
        assert_eq!(retry.header(timestamp), received[0].header(timestamp));
    }
}

#[test]
fn resends_a_delivery_that_was_in_flight_at_the_crash() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::queue(vec![Reply::status(200).when(&gate)]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let first = receiver.first();
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let data = app.sigkill();
    gate.open();

    assert_resent_once(data, &receiver, &id, &first);
}

#[test]
fn resends_a_delivery_whose_success_was_not_recorded() {
    let app = App::builder().writes_can_fail().start();
    let gate = Gate::new();
    let receiver = Receiver::queue(vec![Reply::status(200).when(&gate)]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let first = receiver.first();
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    // The endpoint responds, but a full disk prevents Miniback from recording the response.
    app.limit_file_size(Some(4_096));
    gate.open();
    app.log.wait_for_message("attempts can't be recorded");
    let data = app.sigkill();

    assert_resent_once(data, &receiver, &id, &first);
}

#[track_caller]
fn assert_resent_once(data: Arc<TempDir>, receiver: &Receiver, id: &str, first: &ReceivedRequest) {
    let app = App::builder().with_data_dir(data).start();
    let delivered = app.api().wait_for_state(id, "delivered");
    let received = receiver.received();
    assert_eq!(
        received.len(),
        2,
        "expected one request before the crash and one after it"
    );
    assert_eq!(received[1].body, first.body);
    assert_eq!(received[1].delivery(), first.delivery());
    assert_eq!(
        attempts(&delivered).len(),
        1,
        "expected one recorded attempt"
    );
    assert_eq!(attempts(&delivered)[0]["number"], 1);
}

#[test]
fn users_webhooks_and_tokens_survive_a_crash() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let token = app.token(crate::support::app::ADMIN, "full");
    let data = app.sigkill();

    let app = App::builder().without_admin().with_data_dir(data).start();
    app.signed_in();
    let listed = app.api_with(&token).get("/api/v1/webhooks").expect(200);
    assert_eq!(listed.json()["data"][0]["id"], webhook["id"]);
}
