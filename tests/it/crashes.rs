//! After a crash nothing that was acknowledged is lost, and what was pending goes on where it stood.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

#[test]
fn a_restart_goes_on_with_the_retries_where_they_stood() {
    let app = App::setup().option("--retry-delays", "1s,1s").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.webhook(&receiver.url("/"));
    api.project("Shop");
    api.feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.delivery_with_attempts(&id, 1);
    let data = app.kill9();

    let app = App::setup()
        .option("--retry-delays", "1s,1s")
        .on(data)
        .start();
    let failed = app.api().delivery_in_state(&id, "failed");
    let numbers: Vec<&Value> = attempts(&failed).iter().map(|a| &a["number"]).collect();
    assert_eq!(numbers, [1, 2, 3], "what was tried before counts");
    let received = receiver.received();
    for again in &received[1..] {
        assert_eq!(again.body, received[0].body);
        assert_eq!(again.delivery(), id);
        let timestamp = "X-Miniback-Timestamp";
        assert_eq!(again.header(timestamp), received[0].header(timestamp));
    }
}

#[test]
fn what_was_in_flight_at_a_crash_is_sent_again_with_the_same_body() {
    let app = App::setup().option("--timeout", "60s").start();
    let receiver = Receiver::queue(vec![Reply::Hang]);
    let api = app.api();
    let webhook = api.webhook(&receiver.url("/"));
    api.project("Shop");
    api.feedback("shop", "Hello");
    let first = receiver.first();
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let data = app.kill9();

    let app = App::setup().on(data).start();
    app.api().delivery_in_state(&id, "delivered");
    let again = &receiver.wait_for(2)[1];
    assert_eq!(again.body, first.body);
    assert_eq!(again.delivery(), first.delivery());
}

#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    let app = App::setup().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let api = app.api();
    let webhook = api.webhook(&receiver.url("/"));
    api.project("Shop");
    let mut promised = BTreeSet::new();
    let mut changed = BTreeSet::new();
    for number in 0..20 {
        let feedback = api.feedback("shop", &format!("number {number}"));
        promised.insert(text(&feedback, "message").to_owned());
        if number % 4 == 0 {
            api.set_status(&feedback, "REVIEWED");
            changed.insert(text(&feedback, "message").to_owned());
        }
    }
    // Right after the last acknowledgement.
    let data = app.kill9();

    // Nothing was answered before the crash, so all of it has to come once more.
    gate.open();
    let app = App::setup().on(data).start();
    let api = app.api();
    let deliveries = api.deliveries(&webhook);
    assert_eq!(deliveries.len(), promised.len() + changed.len());
    for delivery in &deliveries {
        api.delivery_in_state(text(delivery, "id"), "delivered");
    }
    let (mut created, mut updated) = (BTreeSet::new(), BTreeSet::new());
    for request in receiver.received() {
        match request.header("X-Miniback-Event") {
            "feedback.created" => created.insert(request.message()),
            _ => updated.insert(request.message()),
        };
    }
    assert_eq!(created, promised);
    assert_eq!(updated, changed);
}

#[test]
fn under_one_delivery_id_there_is_never_another_body() {
    let app = App::setup().option("--timeout", "60s").start();
    let receiver = Receiver::script(|_| Reply::Hang);
    let api = app.api();
    api.webhook(&receiver.url("/a"));
    api.webhook(&receiver.url("/b"));
    api.project("Shop");
    let feedback = api.feedback("shop", "Hello");
    api.set_status(&feedback, "RESOLVED");
    receiver.wait_for(2);
    let data = app.kill9();

    receiver.set_script(|_| Reply::status(200));
    let before = receiver.received().len();
    let _app = App::setup().on(data).start();
    let received = receiver.wait_for(before + 4);
    for one in &received {
        for other in received.iter().filter(|r| r.delivery() == one.delivery()) {
            assert_eq!(one.body, other.body);
        }
    }
}

#[test]
fn users_webhooks_and_tokens_are_there_after_a_crash() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.webhook(&receiver.url("/"));
    let token = app.token(crate::support::app::ADMIN, "full");
    let data = app.kill9();

    let app = App::setup().without_admin().on(data).start();
    app.signed_in();
    let listed = app.api_with(&token).get("/api/v1/webhooks").expect(200);
    assert_eq!(listed.json()["data"][0]["id"], webhook["id"]);
}
