//! Stopping: what is in flight ends and is recorded, and the program leaves with 0.

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::command::signal;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::until;

fn in_flight(app: &App, receiver: &Receiver) -> String {
    let api = app.api();
    api.webhook(&receiver.url("/"));
    api.project("Shop");
    api.feedback("shop", "Hello");
    receiver.first().delivery().to_owned()
}

#[test]
fn sigterm_lets_the_delivery_in_flight_end_and_records_it() {
    let mut app = App::setup().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let id = in_flight(&app, &receiver);
    app.sigterm();
    // It takes no new connections from then on: the sign that the signal has arrived.
    let port = app.port();
    until("nothing new is accepted", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).err()
    });
    gate.open();
    assert_eq!(app.wait().code(), Some(0));

    let app = App::setup().on(app.kill9()).start();
    let delivery = app.api().delivery(&id);
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(attempts(&delivery).len(), 1);
    assert_eq!(receiver.received().len(), 1, "it is not sent again");
}

#[test]
fn sigterm_waits_no_longer_than_the_timeout_for_an_endpoint_that_hangs() {
    let app = App::setup().option("--timeout", "1s").start();
    let receiver = Receiver::script(|_| Reply::Hang);
    let id = in_flight(&app, &receiver);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    receiver.set_script(|_| Reply::status(200));
    let app = App::setup().on(data).start();
    app.api().delivery_in_state(&id, "delivered");
}

#[test]
fn sigint_is_as_good_as_sigterm() {
    let mut app = App::start();
    signal(app.pid(), "INT");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn sigterm_starts_nothing_new_and_loses_nothing_that_is_pending() {
    let app = App::setup().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let id = in_flight(&app, &receiver);
    app.api().delivery_with_attempts(&id, 1);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    let app = App::setup().on(data).start();
    let pending = app.api().delivery(&id);
    assert_eq!(text(&pending, "state"), "pending");
    assert_eq!(receiver.received().len(), 1);
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
