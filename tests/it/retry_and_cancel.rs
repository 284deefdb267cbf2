//! Retrying and canceling a pending delivery, with the API and on the delivery's page.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::http::Response;
use crate::support::receiver::{Gate, Receiver, Reply};

/// Starts Miniback with a delay of an hour before each retry, so that failed deliveries stay
/// pending.
fn app_with_one_hour_retries() -> App {
    App::builder().option("--retry-delays", "1h,1h").start()
}

fn post_delivery_action(api: &Api, id: &str, action: &str) -> Response {
    api.post_empty(&format!("/api/v1/deliveries/{id}/{action}"))
}

fn attempt_numbers(delivery: &Value) -> Vec<Value> {
    let numbers = attempts(delivery).iter();
    numbers.map(|attempt| attempt["number"].clone()).collect()
}

/// Creates feedback and returns the id of its delivery to `webhook`.
fn create_delivery(api: &Api, webhook: &Value, message: &str) -> String {
    api.create_feedback("shop", message);
    text(&api.deliveries(webhook)[0], "id").to_owned()
}

/// Creates a webhook for `receiver` and waits until its first delivery has failed once. Returns the
/// webhook and the delivery's id.
fn fail_once(api: &Api, receiver: &Receiver) -> (Value, String) {
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let id = create_delivery(api, &webhook, "Hello");
    api.wait_for_attempts(&id, 1);
    (webhook, id)
}

#[test]
fn a_retry_starts_the_next_attempt_immediately() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::status(500)]);
    let api = app.api();
    let (_, id) = fail_once(&api, &receiver);

    let retried = post_delivery_action(&api, &id, "retry").expect(202).json();
    assert_eq!(retried["state"], "pending");
    // The second attempt fails too, so the delivery waits for its second retry.
    let failed_twice = api.wait_for_attempts(&id, 2);
    assert_eq!(failed_twice["state"], "pending");

    post_delivery_action(&api, &id, "retry").expect(202);
    let delivered = api.wait_for_state(&id, "delivered");
    assert_eq!(attempt_numbers(&delivered), [1, 2, 3]);
    let received = receiver.received();
    assert!(
        received
            .iter()
            .all(|request| request.body == received[0].body)
    );
}

#[test]
fn a_retry_counts_as_an_attempt_so_the_last_attempt_is_final() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let (_, id) = fail_once(&api, &receiver);
    post_delivery_action(&api, &id, "retry").expect(202);
    let failed = api.wait_for_state(&id, "failed");
    assert_eq!(attempt_numbers(&failed), [1, 2]);
    post_delivery_action(&api, &id, "retry").problem(409);
}

#[test]
fn a_retry_is_sent_during_a_hold_and_does_not_end_it() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::queue(vec![Reply::status(503).header("Retry-After", "3000")]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let first = create_delivery(&api, &webhook, "first");
    api.wait_for_attempts(&first, 1);
    let hold = api.held_until(&webhook);
    assert_ne!(hold, Value::Null);
    let held = create_delivery(&api, &webhook, "held");
    let retried = create_delivery(&api, &webhook, "retried");

    post_delivery_action(&api, &retried, "retry").expect(202);

    api.wait_for_state(&retried, "delivered");
    assert_eq!(api.held_until(&webhook), hold, "the retry ended the hold");
    assert_eq!(api.delivery(&first)["state"], "pending");
    let waiting = api.delivery(&held);
    assert_eq!(waiting["state"], "pending");
    assert_eq!(waiting["nextAttemptAt"], hold);
    assert_eq!(receiver.received().len(), 2, "a held delivery was sent");
}

#[test]
fn the_response_to_a_retry_starts_no_hold() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(503).header("Retry-After", "3000"),
    ]);
    let api = app.api();
    let (webhook, id) = fail_once(&api, &receiver);
    post_delivery_action(&api, &id, "retry").expect(202);
    api.wait_for_attempts(&id, 2);
    assert_eq!(api.held_until(&webhook), Value::Null);
    let next = create_delivery(&api, &webhook, "next");
    api.wait_for_state(&next, "delivered");
}

#[test]
fn a_retry_survives_a_crash_during_its_attempt() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::queue(vec![
        Reply::status(503).header("Retry-After", "3000"),
        Reply::status(200).when(&gate),
    ]);
    let api = app.api();
    let (_, id) = fail_once(&api, &receiver);
    post_delivery_action(&api, &id, "retry").expect(202);
    receiver.wait_for(2);
    let data = app.sigkill();
    gate.open();

    let app = App::builder().with_data_dir(Arc::clone(&data)).start();
    let delivered = app.api().wait_for_state(&id, "delivered");
    assert_eq!(attempt_numbers(&delivered), [1, 2]);
}

#[test]
fn a_delivery_in_flight_can_be_canceled_but_not_retried() {
    for (status, state) in [(200, "delivered"), (500, "canceled")] {
        let app = App::builder().option("--timeout", "60s").start();
        let gate = Gate::new();
        let receiver = Receiver::queue(vec![Reply::status(status).when(&gate)]);
        let api = app.api();
        api.create_project("Shop");
        let webhook = api.create_webhook(&receiver.url("/"));
        let id = create_delivery(&api, &webhook, "Hello");
        receiver.wait_for(1);
        post_delivery_action(&api, &id, "retry").problem(409);
        let canceled = post_delivery_action(&api, &id, "cancel").expect(202).json();
        assert_eq!(canceled["state"], "canceled");
        gate.open();
        api.wait_for_attempts(&id, 1);
        api.wait_for_state(&id, state);
        assert_eq!(receiver.received().len(), 1);
    }
}

#[test]
fn a_canceled_delivery_is_not_sent_and_can_be_redelivered() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::queue(vec![Reply::status(500)]);
    let api = app.api();
    let (_, id) = fail_once(&api, &receiver);

    let canceled = post_delivery_action(&api, &id, "cancel").expect(202).json();
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["nextAttemptAt"], Value::Null);
    for action in ["cancel", "retry"] {
        post_delivery_action(&api, &id, action).problem(409);
    }
    post_delivery_action(&api, &id, "redeliver").expect(202);
    let delivered = api.wait_for_state(&id, "delivered");
    assert_eq!(attempt_numbers(&delivered), [1, 2]);
    for action in ["cancel", "retry"] {
        post_delivery_action(&api, &id, action).problem(409);
        post_delivery_action(&api, "dlv_unknown", action).problem(404);
    }
}

#[test]
fn redelivery_after_a_retry_obeys_the_hold_again() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![Reply::status(503).header("Retry-After", "3000")]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.wait_for_state(&create_delivery(&api, &webhook, "first"), "failed");
    let id = create_delivery(&api, &webhook, "second");
    post_delivery_action(&api, &id, "retry").expect(202);
    api.wait_for_state(&id, "delivered");
    post_delivery_action(&api, &id, "redeliver").expect(202);
    let waiting = api.delivery(&id);
    assert_eq!(waiting["state"], "pending");
    assert_eq!(waiting["nextAttemptAt"], api.held_until(&webhook));
}

#[test]
fn the_page_of_a_pending_delivery_retries_and_cancels() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::status(500)]);
    let api = app.api();
    let (webhook, id) = fail_once(&api, &receiver);
    let mut admin = app.signed_in();
    let path = format!(
        "/settings/notifications/{}/deliveries/{id}",
        text(&webhook, "id")
    );

    let page = admin.get(&path).expect(200);
    assert!(!page.text().contains("Redeliver"), "{}", page.text());
    admin.submit_and_follow(&page.form_with("Retry now").press("Retry now"));
    api.wait_for_attempts(&id, 2);

    let page = admin.get(&path).expect(200);
    let form = page.form_with("Cancel delivery");
    let page = admin.submit_and_follow(&form.press("Cancel delivery"));
    assert!(
        page.text().contains("Delivery canceled."),
        "{}",
        page.text()
    );
    assert_eq!(api.delivery(&id)["state"], "canceled");
    assert!(!page.text().contains("Retry now") && page.text().contains("Redeliver"));
}

#[test]
fn only_admins_can_retry_or_cancel() {
    let app = app_with_one_hour_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/")}));
    let id = create_delivery(&api, &webhook, "Hello");
    api.wait_for_attempts(&id, 1);
    app.add_user("member@example.com", "member");
    let member = app.api_with(&app.token("member@example.com", "full"));
    for action in ["cancel", "retry"] {
        post_delivery_action(&member, &id, action).problem(403);
        post_delivery_action(&app.api_without_token(), &id, action).problem(401);
    }
    assert_eq!(api.delivery(&id)["state"], "pending");
}
