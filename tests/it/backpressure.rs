//! Acceptance slows down if deliveries wait for Miniback, but never waits for an endpoint.

use serde_json::Value;

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply, closed_socket_address};
use crate::support::wait::wait_until;

/// Creates feedback with more deliveries in total than may wait for Miniback. None of it is
/// rejected.
fn create_many(api: &Api, webhooks: usize) -> usize {
    let count = 1500 / webhooks;
    for number in 0..count {
        api.create_feedback("shop", &format!("number {number}"));
    }
    count
}

fn wait_until_delivered(api: &Api, webhook: &Value, count: usize) {
    let path = format!("/api/v1/webhooks/{}/accounting", text(webhook, "id"));
    wait_until(&format!("{count} deliveries are delivered"), || {
        let totals = api.get(&path).expect(200).json();
        (totals["delivered"] == count).then_some(())
    });
}

#[test]
fn acceptance_continues_if_a_quick_endpoint_stops_responding() {
    let app = App::builder().option("--timeout", "60s").start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for number in 0..30 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    wait_until_delivered(&api, &webhook, 30);
    let gate = Gate::new();
    receiver.set_script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let count = create_many(&api, 1);
    gate.open();
    wait_until_delivered(&api, &webhook, 30 + count);
}

#[test]
fn acceptance_never_waits_for_slow_failing_or_dead_endpoints() {
    let app = App::builder().option("--timeout", "60s").start();
    let (gate, slow_gate) = (Gate::new(), Gate::new());
    let hanging = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    // The first responses are quick.
    let mut received = 0;
    let slow = Receiver::script({
        let gate = slow_gate.clone();
        move |_| {
            received += 1;
            let reply = Reply::status(200);
            if received % 20 == 0 {
                reply.when(&gate)
            } else {
                reply
            }
        }
    });
    let failing = Receiver::status(500);
    let quick = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&format!("http://{}/", closed_socket_address()));
    api.create_webhook(&failing.url("/"));
    api.create_webhook(&hanging.url("/"));
    let slow_webhook = api.create_webhook(&slow.url("/"));
    let quick_webhook = api.create_webhook(&quick.url("/"));
    let count = create_many(&api, 5);
    wait_until_delivered(&api, &quick_webhook, count);
    slow_gate.open();
    wait_until_delivered(&api, &slow_webhook, count);
    gate.open();
}
