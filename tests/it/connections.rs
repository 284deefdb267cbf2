//! Connections are reused, and a slow endpoint doesn't delay deliveries to other endpoints.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

/// Creates feedback, waits until its delivery to the webhook is in the state `state`, and returns
/// the delivery.
#[track_caller]
fn deliver(api: &Api, webhook: &Value, state: &str) -> Value {
    api.create_feedback("shop", "Hello");
    let id = text(&api.deliveries(webhook)[0], "id").to_owned();
    api.wait_for_state(&id, state)
}

#[test]
fn resends_if_the_idle_connection_was_closed() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    receiver.close_connections();
    let second = deliver(&api, &webhook, "delivered");
    assert_eq!(attempts(&second).len(), 1);
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn resends_once_on_a_new_connection() {
    let app = App::without_retries();
    // The endpoint closes each connection when the second request on that connection arrives.
    let receiver = Receiver::script(|request| match request.index {
        0 => Reply::status(200),
        _ => Reply::Close,
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    let second = deliver(&api, &webhook, "delivered");
    assert_eq!(
        attempts(&second).len(),
        1,
        "the resend counted as an attempt"
    );

    let received = receiver.received();
    let id = text(&second, "id");
    let second_requests: Vec<_> = received.iter().filter(|r| r.delivery() == id).collect();
    // Reusing the connection is optional. Without reuse, the second delivery needs only one
    // request.
    assert!(
        matches!(second_requests.len(), 1 | 2),
        "{second_requests:#?}"
    );
    let last = second_requests[second_requests.len() - 1];
    assert_eq!(
        last.index, 0,
        "the last request used an existing connection"
    );
    assert!(second_requests.iter().all(|r| r.body == last.body));
}

#[test]
fn an_incomplete_response_on_a_reused_connection_is_a_failure() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(200),
        Reply::Bytes(b"HTTP/1.1 2".to_vec()),
    ]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    deliver(&api, &webhook, "failed");
    assert_eq!(receiver.received().len(), 2, "the request was sent again");
}

#[test]
fn a_connection_error_on_a_new_connection_is_a_failure() {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::Close);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = deliver(&api, &webhook, "failed");
    assert_eq!(attempts(&failed).len(), 1);
    assert_eq!(receiver.received().len(), 1, "the request was sent again");
}

#[test]
fn an_interim_response_does_not_affect_the_next_delivery() {
    let app = App::without_retries();
    // If Miniback treated the 103 as the first delivery's response, it would treat the 200 as the
    // second delivery's response.
    let receiver = Receiver::queue(vec![
        Reply::status(200).preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"),
        Reply::status(500),
        Reply::status(200),
    ]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    let second = deliver(&api, &webhook, "failed");
    assert_eq!(attempts(&second)[0]["status"], 500);
    deliver(&api, &webhook, "delivered");
}

#[test]
fn extra_bytes_after_a_response_do_not_affect_the_next_delivery() {
    let app = App::without_retries();
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(2);
    let receiver = Receiver::script(move |request| match request.connection {
        // The endpoint sends two responses to the first request. Miniback must ignore the second
        // response.
        0 if request.index == 0 => {
            Reply::Preceded(extra.clone().into_bytes(), Box::new(Reply::Hang))
        }
        _ => Reply::status(500),
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    deliver(&api, &webhook, "failed");
}

#[test]
fn does_not_resend_after_a_timeout_on_a_reused_connection() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "500ms")
        .start();
    let receiver = Receiver::queue(vec![Reply::status(200), Reply::Hang]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    deliver(&api, &webhook, "delivered");
    deliver(&api, &webhook, "failed");
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn a_slow_endpoint_does_not_delay_another() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let slow = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let fast = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let slow_webhook = api.create_webhook(&slow.url("/"));
    let fast_webhook = api.create_webhook(&fast.url("/"));
    for number in 0..30 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    // All 30 requests arrive at the fast endpoint before the slow endpoint responds.
    fast.wait_for(30);
    for delivery in api.deliveries(&fast_webhook) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
    for delivery in api.deliveries(&slow_webhook) {
        assert_eq!(delivery["state"], "pending");
    }
    gate.open();
    for delivery in api.deliveries(&slow_webhook) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
}

#[test]
fn concurrency_starts_at_two_and_grows_with_each_success() {
    let app = App::builder().option("--timeout", "60s").start();
    let (fast, slow) = (Receiver::ok(), Receiver::ok());
    let block_slow = || {
        let gate = Gate::new();
        slow.set_script({
            let gate = gate.clone();
            move |_| Reply::status(200).when(&gate)
        });
        gate
    };
    let gate = block_slow();
    let api = app.api();
    api.create_project("Shop");
    let webhooks = [
        api.create_webhook(&fast.url("/")),
        api.create_webhook(&slow.url("/")),
    ];
    let deliver_to_fast = |count: usize| {
        let before = fast.received().len();
        for number in 0..count {
            api.create_feedback("shop", &format!("number {number}"));
        }
        // During this wait, the slow endpoint has time to reach its limit of concurrent attempts.
        fast.wait_for(before + count);
    };
    let wait_until_all_delivered = || {
        for delivery in webhooks.iter().flat_map(|webhook| api.deliveries(webhook)) {
            api.wait_for_state(text(&delivery, "id"), "delivered");
        }
    };
    deliver_to_fast(6);
    assert_eq!(slow.wait_for(2).len(), 2);
    gate.open();
    wait_until_all_delivered();
    let gate = block_slow();
    deliver_to_fast(12);
    assert_eq!(slow.wait_for(6 + 8).len(), 6 + 8);
    gate.open();
    wait_until_all_delivered();
}

#[test]
fn ninety_nine_hanging_endpoints_do_not_delay_another() {
    let app = App::builder().option("--timeout", "60s").start();
    let hanging = Receiver::script(|_| Reply::Hang);
    let fast = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..99 {
        api.create_webhook(&hanging.url(&format!("/{number}")));
    }
    api.create_webhook(&fast.url("/"));
    for number in 0..5 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    fast.wait_for(5);
}

#[test]
fn a_slow_test_does_not_delay_deliveries() {
    let app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let slow = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let fast = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&fast.url("/"));
    std::thread::scope(|scope| {
        let test = scope.spawn(|| {
            api.post("/api/v1/webhooks/test", json!({"url": slow.url("/")}))
                .expect(200)
                .json()
        });
        slow.first();
        api.create_feedback("shop", "Hello");
        fast.first();
        gate.open();
        assert_eq!(test.join().unwrap()["success"], true);
    });
}
