//! Connections that are used again, and endpoints that must not delay each other.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

/// Sends one feedback, and waits until its delivery to the webhook has ended in this state.
#[track_caller]
fn send(api: &Api, webhook: &Value, state: &str) -> Value {
    api.create_feedback("shop", "Hello");
    let id = text(&api.deliveries(webhook)[0], "id").to_owned();
    api.wait_for_state(&id, state)
}

#[test]
fn a_reused_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    receiver.close_connections();
    let second = send(&api, &webhook, "delivered");
    assert_eq!(attempts(&second).len(), 1);
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn an_error_on_a_reused_connection_before_any_answer_is_sent_again_on_a_fresh_one() {
    let app = App::without_retries();
    // Keeps each connection open after its first answer, and breaks it at the second request.
    let receiver = Receiver::script(|request| match request.index {
        0 => Reply::status(200),
        _ => Reply::Close,
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    let second = send(&api, &webhook, "delivered");
    assert_eq!(attempts(&second).len(), 1, "within the same attempt");

    let received = receiver.received();
    let id = text(&second, "id");
    let of_second: Vec<_> = received.iter().filter(|r| r.delivery() == id).collect();
    // A program that reuses no connection at all is allowed, and sends it once.
    assert!(matches!(of_second.len(), 1 | 2), "{of_second:#?}");
    let last = of_second[of_second.len() - 1];
    assert_eq!(last.index, 0, "on a fresh connection");
    assert!(of_second.iter().all(|r| r.body == last.body));
}

#[test]
fn an_error_on_a_reused_connection_within_the_answer_is_a_failure() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(200),
        Reply::Bytes(b"HTTP/1.1 2".to_vec()),
    ]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    send(&api, &webhook, "failed");
    assert_eq!(receiver.received().len(), 2, "it is not sent again");
}

#[test]
fn an_error_on_a_fresh_connection_is_a_failure() {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::Close);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = send(&api, &webhook, "failed");
    assert_eq!(attempts(&failed).len(), 1);
    assert_eq!(receiver.received().len(), 1, "it is sent once");
}

#[test]
fn an_interim_answer_on_a_kept_connection_is_not_taken_for_the_next_delivery() {
    let app = App::without_retries();
    // The answer to the first is 200 after a 103; were the 103 taken for it, the 200 would be read as that of the next.
    let receiver = Receiver::queue(vec![
        Reply::status(200).preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"),
        Reply::status(500),
        Reply::status(200),
    ]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    let second = send(&api, &webhook, "failed");
    assert_eq!(attempts(&second)[0]["status"], 500);
    send(&api, &webhook, "delivered");
}

#[test]
fn bytes_after_a_whole_answer_are_not_taken_for_the_next_answer() {
    let app = App::without_retries();
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(2);
    let receiver = Receiver::script(move |request| match request.connection {
        // Two answers to one request: the second is nobody's.
        0 if request.index == 0 => {
            Reply::Preceded(extra.clone().into_bytes(), Box::new(Reply::Hang))
        }
        _ => Reply::status(500),
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    send(&api, &webhook, "failed");
}

#[test]
fn a_timeout_on_a_reused_connection_is_a_failure_and_is_not_sent_again() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "500ms")
        .start();
    let receiver = Receiver::queue(vec![Reply::status(200), Reply::Hang]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &webhook, "delivered");
    send(&api, &webhook, "failed");
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn a_slow_endpoint_delays_no_other() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let slow = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let quick = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let of_slow = api.create_webhook(&slow.url("/"));
    let of_quick = api.create_webhook(&quick.url("/"));
    for number in 0..30 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    // The slow one answers nothing before all of these have come.
    quick.wait_for(30);
    for delivery in api.deliveries(&of_quick) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
    for delivery in api.deliveries(&of_slow) {
        assert_eq!(delivery["state"], "pending");
    }
    gate.open();
    for delivery in api.deliveries(&of_slow) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
}

#[test]
fn an_endpoint_gets_two_requests_at_first_and_one_more_with_each_success() {
    let app = App::builder().option("--timeout", "60s").start();
    let (quick, slow) = (Receiver::ok(), Receiver::ok());
    let hold = || {
        let gate = Gate::new();
        slow.set_script({
            let gate = gate.clone();
            move |_| Reply::status(200).when(&gate)
        });
        gate
    };
    let gate = hold();
    let api = app.api();
    api.create_project("Shop");
    let webhooks = [
        api.create_webhook(&quick.url("/")),
        api.create_webhook(&slow.url("/")),
    ];
    let send = |count: usize| {
        let before = quick.received().len();
        for number in 0..count {
            api.create_feedback("shop", &format!("number {number}"));
        }
        // The other one is sent to alike, so by now what was to go out has gone out.
        quick.wait_for(before + count);
    };
    let all_delivered = || {
        for delivery in webhooks.iter().flat_map(|webhook| api.deliveries(webhook)) {
            api.wait_for_state(text(&delivery, "id"), "delivered");
        }
    };
    send(6);
    assert_eq!(slow.wait_for(2).len(), 2);
    gate.open();
    all_delivered();
    let gate = hold();
    send(12);
    assert_eq!(slow.wait_for(6 + 8).len(), 6 + 8);
    gate.open();
    all_delivered();
}

#[test]
fn ninety_nine_dead_endpoints_delay_no_other() {
    let app = App::builder().option("--timeout", "60s").start();
    let dead = Receiver::script(|_| Reply::Hang);
    let quick = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..99 {
        api.create_webhook(&dead.url(&format!("/{number}")));
    }
    api.create_webhook(&quick.url("/"));
    for number in 0..5 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    quick.wait_for(5);
}

#[test]
fn a_slow_test_delays_no_delivery() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let slow = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let quick = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&quick.url("/"));
    std::thread::scope(|scope| {
        let test = scope.spawn(|| {
            api.post("/api/v1/webhooks/test", json!({"url": slow.url("/")}))
                .expect(200)
                .json()
        });
        slow.first();
        api.create_feedback("shop", "Hello");
        quick.first();
        gate.open();
        assert_eq!(test.join().unwrap()["success"], true);
    });
}
