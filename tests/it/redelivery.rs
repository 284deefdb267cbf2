//! Redelivering one delivery, and recovering all deliveries that failed since a given time.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::http::Response;
use crate::support::receiver::{Receiver, Reply};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

fn redeliver(api: &Api, delivery: &Value) -> Response {
    api.post_empty(&format!(
        "/api/v1/deliveries/{}/redeliver",
        text(delivery, "id")
    ))
}

fn recover(api: &Api, webhook: &Value, body: Value) -> Response {
    api.post(
        &format!("/api/v1/webhooks/{}/recover", text(webhook, "id")),
        body,
    )
}

#[test]
fn redelivery_keeps_the_id_and_continues_the_attempt_numbers() {
    let app = App::builder().option("--retry-delays", "50ms").start();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(500),
        Reply::status(500),
        Reply::status(204),
    ]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    redeliver(&api, &failed).expect(202);
    let delivered = api.wait_for_state(text(&failed, "id"), "delivered");
    let numbers: Vec<_> = attempts(&delivered)
        .iter()
        .map(|attempt| attempt["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let received = receiver.received();
    for repeat in &received[1..] {
        assert_eq!(repeat.body, received[0].body);
        assert_eq!(repeat.header("X-Miniback-Delivery"), text(&failed, "id"));
    }
    redeliver(&api, &delivered).expect(202);
}

#[test]
fn redelivery_is_409_if_impossible_and_404_if_unknown() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let pending = api.deliver_one(&webhook, "pending");
    redeliver(&api, &pending).problem(409);
    api.patch_webhook(&webhook, json!({"enabled": false}));
    redeliver(&api, &pending).problem(409);
    recover(&api, &webhook, json!({"since": LONG_AGO})).problem(409);
    api.delete_webhook(&webhook);
    redeliver(&api, &pending).problem(409);
    recover(&api, &webhook, json!({"since": LONG_AGO})).problem(409);
    redeliver(&api, &json!({"id": "dlv_unknown"})).problem(404);
    recover(
        &api,
        &json!({"id": "wh_unknown"}),
        json!({"since": LONG_AGO}),
    )
    .problem(404);
}

#[test]
fn recover_redelivers_each_failed_delivery_once_but_no_tests() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(500),
        Reply::status(500),
        Reply::status(204),
        Reply::status(204),
    ]);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for message in ["first", "second"] {
        api.create_feedback("shop", message);
        let last = api.deliveries(&webhook)[0].clone();
        api.wait_for_state(text(&last, "id"), "failed");
    }
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    recover(&api, &webhook, json!({"since": "2999-01-01T00:00:00Z"})).expect(202);
    let recovered = recover(&api, &webhook, json!({"since": LONG_AGO}))
        .expect(202)
        .json();
    assert_eq!(recovered, json!({"count": 2}));
    assert_eq!(
        recover(&api, &webhook, json!({"since": LONG_AGO}))
            .expect(202)
            .json(),
        json!({"count": 0})
    );
    receiver.wait_for(5);
}

#[test]
fn recover_includes_canceled_deliveries_on_request() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::status(204)]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let pending = api.deliver_one(&webhook, "pending");
    api.wait_for_attempts(text(&pending, "id"), 1);
    api.patch_webhook(&webhook, json!({"enabled": false}));
    api.patch_webhook(&webhook, json!({"enabled": true}));
    let failed_only = recover(&api, &webhook, json!({"since": LONG_AGO}))
        .expect(202)
        .json();
    assert_eq!(failed_only, json!({"count": 0}));
    let both = json!({"since": LONG_AGO, "states": ["failed", "canceled"]});
    assert_eq!(
        recover(&api, &webhook, both).expect(202).json(),
        json!({"count": 1})
    );
    api.wait_for_state(text(&pending, "id"), "delivered");
}

#[test]
fn deliveries_of_deleted_feedback_are_not_redelivered() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let failed = api.only_delivery(&webhook);
    api.wait_for_state(text(&failed, "id"), "failed");
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    redeliver(&api, &failed).problem(409);
    assert_eq!(
        recover(&api, &webhook, json!({"since": LONG_AGO}))
            .expect(202)
            .json(),
        json!({"count": 0})
    );
}

#[test]
fn rejects_invalid_recover_requests() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    recover(&api, &webhook, json!({})).problem_at("since");
    recover(&api, &webhook, json!({"since": "yesterday"})).problem_at("since");
    recover(
        &api,
        &webhook,
        json!({"since": LONG_AGO, "states": ["delivered"]}),
    )
    .problem(422);
}
