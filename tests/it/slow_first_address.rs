//! Hosts with several IP addresses, and the phase that a timeout is attributed to.
//!
//! `localhost` resolves to 127.0.0.1 and ::1, in this order, without a DNS lookup.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::unresponsive::UnresponsivePort;
use crate::support::wait::wait_until;

fn app_with_timeout(timeout: &str) -> App {
    App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", timeout)
        .start()
}

/// Delivers feedback to a URL, waits until the delivery is in this state, and returns the only
/// attempt.
#[track_caller]
fn only_attempt(app: &App, url: &str, state: &str) -> Value {
    let api = app.api();
    let webhook = api.create_webhook(url);
    let delivery = api.deliver_one(&webhook, state);
    assert_eq!(attempts(&delivery).len(), 1, "{delivery:#}");
    attempts(&delivery)[0].clone()
}

#[track_caller]
fn millis(attempt: &Value, timing: &str) -> f64 {
    let value = attempt["timings"][timing].as_f64();
    value.unwrap_or_else(|| panic!("no {timing}: {attempt:#}"))
}

/// Starts an unresponsive port on 127.0.0.1, and a receiver with the same port number on ::1.
#[track_caller]
fn dead_ipv4_and_receiver(
    reply: impl Fn() -> Reply + Send + 'static,
) -> (UnresponsivePort, Receiver) {
    // The port can be in use on ::1, so try several ports.
    for _ in 0..20 {
        let dead = UnresponsivePort::start("127.0.0.1:0");
        if let Ok(listener) = TcpListener::bind(("::1", dead.address().port())) {
            return (dead, Receiver::on_listener(listener, move |_| reply()));
        }
    }
    panic!("no port is free on both 127.0.0.1 and ::1");
}

#[test]
fn tries_the_next_ip_address_while_the_first_does_not_respond() {
    let slow = || Reply::status(200).delayed(Duration::from_millis(1_200));
    let (dead, receiver) = dead_ipv4_and_receiver(slow);
    let app = app_with_timeout("2s");
    let url = format!("http://localhost:{}/hook", dead.address().port());

    // The response takes 1.2 s. If each IP address had half of the time limit, only 1 s would
    // remain for the second IP address.
    let attempt = only_attempt(&app, &url, "delivered");
    assert_eq!(receiver.received().len(), 1);
    let connect = millis(&attempt, "connectMs");
    assert!((200.0..800.0).contains(&connect), "{attempt:#}");
    assert!(millis(&attempt, "waitMs") >= 1_150.0, "{attempt:#}");

    let tested = app.api().post("/api/v1/webhooks/test", json!({"url": url}));
    assert_eq!(tested.expect(200).json()["success"], true);
    let checked = app.run(&["check"], "").success();
    assert!(checked.stdout.contains(": reachable"), "{}", checked.stdout);
}

#[test]
fn an_unreachable_endpoint_is_not_reported_as_slow() {
    let dead = UnresponsivePort::start("127.0.0.1:0");
    let app = app_with_timeout("500ms");
    let attempt = only_attempt(&app, &format!("http://{}/", dead.address()), "failed");
    assert_eq!(attempt["errorCode"], "connect_timeout");
    assert_eq!(
        text(&attempt, "error"),
        "Couldn’t connect to the endpoint within 500 ms."
    );
    assert!(millis(&attempt, "connectMs") >= 450.0, "{attempt:#}");
    assert_eq!(attempt["timings"]["waitMs"], Value::Null);
}

#[test]
fn a_slow_connection_is_not_blamed_on_the_endpoint() {
    let dead = UnresponsivePort::start("127.0.0.1:0");
    let url = format!("http://{}/", dead.address());
    // The kernel repeats the connection attempt after 1 s and then connects. The endpoint never
    // reads the request or sends a response.
    let app = app_with_timeout("1700ms");
    let api = app.api();
    let webhook = api.create_webhook(&url);
    let before = dead.count_unanswered_attempts();
    let project = api.create_project("Slow");
    api.create_feedback(text(&project, "slug"), "One message");
    wait_until("Miniback tries to connect", || {
        (dead.count_unanswered_attempts() > before).then_some(())
    });
    let _listener = dead.respond();
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let delivery = api.wait_for_state(&id, "failed");
    let attempt = &attempts(&delivery)[0];
    assert_eq!(attempt["errorCode"], "connect_timeout", "{attempt:#}");
    let error = text(attempt, "error");
    assert!(
        error.starts_with("Connecting took 1.0 s of the time limit of 1.7 s."),
        "{error}"
    );
}

#[test]
fn a_timeout_identifies_the_phase_that_used_the_time() {
    let app = app_with_timeout("400ms");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for (url, code, error, timing) in [
        (
            format!("https://{address}/"),
            "tls_timeout",
            "The endpoint didn’t finish the TLS handshake within 400 ms.",
            "tlsMs",
        ),
        (
            format!("http://{address}/"),
            "timeout",
            "The endpoint didn’t respond within 400 ms.",
            "waitMs",
        ),
    ] {
        let attempt = only_attempt(&app, &url, "failed");
        assert_eq!(attempt["errorCode"], code, "{attempt:#}");
        assert_eq!(text(&attempt, "error"), error);
        assert!(millis(&attempt, timing) >= 300.0, "{attempt:#}");
    }
}
