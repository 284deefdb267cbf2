//! Stopping: what is in flight ends and is recorded, and the program leaves with 0.

use std::collections::BTreeSet;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::command::signal;
use crate::support::load_generator::LoadGenerator;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::wait_until;

fn in_flight(app: &App, receiver: &Receiver) -> String {
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    receiver.first().delivery().to_owned()
}

#[test]
fn sigterm_lets_the_delivery_in_flight_end_and_records_it() {
    let mut app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let id = in_flight(&app, &receiver);
    app.sigterm();
    // It takes no new connections from then on: the sign that the signal has arrived.
    let port = app.port();
    wait_until("nothing new is accepted", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).err()
    });
    gate.open();
    assert_eq!(app.wait().code(), Some(0));

    let app = App::builder().with_data(app.kill9()).start();
    let delivery = app.api().delivery(&id);
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(attempts(&delivery).len(), 1);
    assert_eq!(receiver.received().len(), 1, "it is not sent again");
}

#[test]
fn sigterm_waits_no_longer_than_the_timeout_for_an_endpoint_that_hangs() {
    let app = App::builder().option("--timeout", "1s").start();
    let receiver = Receiver::script(|_| Reply::Hang);
    let id = in_flight(&app, &receiver);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    receiver.set_script(|_| Reply::status(200));
    let app = App::builder().with_data(data).start();
    app.api().wait_for_state(&id, "delivered");
}

#[test]
fn sigint_is_as_good_as_sigterm() {
    let mut app = App::start();
    signal(app.pid(), "INT");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn sigterm_starts_nothing_new_and_loses_nothing_that_is_pending() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let id = in_flight(&app, &receiver);
    app.api().wait_for_attempts(&id, 1);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    let app = App::builder().with_data(data).start();
    let pending = app.api().delivery(&id);
    assert_eq!(text(&pending, "state"), "pending");
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn sigterm_under_load_records_what_is_in_flight_and_loses_nothing_that_was_acknowledged() {
    // Whoever waited for its clients or for the slow endpoint's time to be over would wait for a
    // minute.
    let mut app = App::builder().option("--timeout", "60s").start();
    let (quick, response) = (Receiver::ok(), Gate::new());
    let slow = Receiver::script({
        let response = response.clone();
        move |_| Reply::status(200).when(&response)
    });
    let api = app.api();
    api.create_project("Shop");
    let webhooks = [
        api.create_webhook(&quick.url("/")),
        api.create_webhook(&slow.url("/")),
    ];
    let load = LoadGenerator::start(&app, 4, |_| "shop");
    // As many as an endpoint gets of which nothing is known.
    slow.wait_for(2);
    load.wait_for_more(100);
    app.sigterm();
    let port = app.port();
    wait_until("nothing new is accepted", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).err()
    });
    response.open();
    assert_eq!(app.wait().code(), Some(0));
    let (acknowledged, _) = load.stop();
    let recorded_by_then = slow.received().len();
    let log = app.dir.join("miniback.db-wal");
    let left = std::fs::metadata(log).map_or(0, |log| log.len());
    assert_eq!(left, 0, "a copy of the database alone is whole");

    let app = App::builder().with_data(app.kill9()).start();
    let api = app.api();
    for webhook in &webhooks {
        wait_until("all is delivered", || {
            let waiting = format!(
                "/api/v1/webhooks/{}/deliveries?state=pending",
                text(webhook, "id")
            );
            let waiting = api.get(&waiting).json();
            waiting["data"].as_array().unwrap().is_empty().then_some(())
        });
    }
    for receiver in [&quick, &slow] {
        let received = receiver.received();
        let ids: BTreeSet<&str> = received.iter().map(|request| request.delivery()).collect();
        assert_eq!(
            received.len(),
            ids.len(),
            "what was in flight was recorded, so nothing came twice"
        );
        let heard: BTreeSet<(String, String)> = received
            .iter()
            .map(|request| {
                let json = request.json();
                (
                    text(&json["data"]["feedback"], "id").to_owned(),
                    text(&json, "event").to_owned(),
                )
            })
            .collect();
        let lost = acknowledged
            .iter()
            .filter(|one| !heard.contains(&(one.feedback.clone(), one.event.to_owned())));
        assert_eq!(lost.count(), 0);
    }
    assert!(recorded_by_then >= 2);
}

#[test]
fn an_open_page_does_not_hold_the_program_up() {
    let app = App::start();
    let mut ada = app.signed_in();
    ada.get("/feedback").expect(200);
    // A connection that says nothing, and one that stays in the middle of a request.
    let idle = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let mut half = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    std::io::Write::write_all(&mut half, b"GET /feedback HTTP/1.1\r\nHost: ").unwrap();
    let (status, _) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    drop((idle, half));
}
