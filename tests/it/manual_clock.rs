//! What takes seconds to months, with the clock moved by the test: the exact schedule of retries,
//! and all that ends.

use std::time::Duration;

use serde_json::json;

use crate::support::api::{attempts, millis, text};
use crate::support::app::{ADMIN, PASSWORD};
use crate::support::in_process::{InProcess, START};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// When each attempt of a delivery began, in milliseconds after the start.
fn starts(delivery: &serde_json::Value) -> Vec<i64> {
    attempts(delivery)
        .iter()
        .map(|attempt| millis(&attempt["startedAt"]) - START)
        .collect()
}

#[test]
fn retries_are_made_exactly_1_5_and_15_seconds_after_the_failure_before() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    for (made, delay) in [(1, 1), (2, 5), (3, 15)] {
        let pending = api.wait_for_attempts(&id, made);
        assert_eq!(pending["state"], "pending");
        let last = *starts(&pending).last().unwrap();
        assert_eq!(
            millis(&pending["nextAttemptAt"]) - START,
            last + delay * 1000
        );
        app.advance(Duration::from_secs(u64::try_from(delay).unwrap()));
    }
    let failed = api.wait_for_state(&id, "failed");
    assert_eq!(starts(&failed), [0, 1_000, 6_000, 21_000]);
    assert_eq!(failed["nextAttemptAt"], json!(null));
    app.advance(DAY);
    assert_eq!(receiver.received().len(), 4);
}

#[test]
fn a_retry_that_is_not_due_is_not_made() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "first");
    let first = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&first, 1);
    app.advance(Duration::from_millis(999));
    // The second is sent at once, which shows that the loop has looked since: the first was not
    // due.
    api.create_feedback("shop", "second");
    receiver.wait_for(2);
    assert_eq!(attempts(&api.delivery(&first)).len(), 1);
    app.advance(Duration::from_millis(1));
    assert_eq!(starts(&api.wait_for_attempts(&first, 2)), [0, 1_000]);
}

#[test]
fn patient_retries_go_on_for_more_than_a_day() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "retries": "patient"}));
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    let delays = [1, 5, 15, 60, 300, 1_800, 7_200, 21_600, 86_400];
    for (index, delay) in delays.into_iter().enumerate() {
        let pending = api.wait_for_attempts(&id, index + 1);
        let wait =
            millis(&pending["nextAttemptAt"]) - millis(&attempts(&pending)[index]["startedAt"]);
        let jitter = if index < 3 { 0 } else { delay * 100 };
        assert!(
            (delay * 1000..=delay * 1000 + jitter).contains(&wait),
            "{wait} ms after attempt {}",
            index + 1
        );
        app.advance(Duration::from_millis(u64::try_from(wait).unwrap()));
    }
    assert_eq!(attempts(&api.wait_for_state(&id, "failed")).len(), 10);
}

#[test]
fn a_hold_ends_when_the_endpoint_said_and_nothing_is_sent_before() {
    let (app, receiver) = (
        InProcess::start(&[]),
        Receiver::queue(vec![
            Reply::status(503).header("Retry-After", "120"),
            Reply::status(200),
            Reply::status(200),
        ]),
    );
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "first");
    let first = text(&api.only_delivery(&webhook), "id").to_owned();
    let held = api.wait_for_attempts(&first, 1);
    assert_eq!(millis(&held["nextAttemptAt"]) - START, 120_000);
    api.create_feedback("shop", "second");
    app.advance(119 * SECOND);
    assert_eq!(receiver.received().len(), 1);
    app.advance(SECOND);
    assert_eq!(
        starts(&api.wait_for_state(&first, "delivered")),
        [0, 120_000]
    );
    for delivery in api.deliveries(&webhook) {
        assert_eq!(
            starts(&api.wait_for_state(text(&delivery, "id"), "delivered")).last(),
            Some(&120_000)
        );
    }
}

#[test]
fn an_overlap_of_secrets_ends_by_itself() {
    let app = InProcess::start(&[]);
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let secret = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
    let rotated = api
        .post(&format!("{secret}/rotate"), json!({"overlapHours": 2}))
        .expect(200)
        .json();
    assert_eq!(rotated["secret"], webhook["secret"]);
    assert_eq!(millis(&rotated["overlapEndsAt"]) - START, 2 * 3_600_000);
    app.advance(2 * HOUR - SECOND);
    assert_eq!(api.get(&secret).json(), rotated);
    app.advance(SECOND);
    let over = json!({"secret": rotated["nextSecret"], "nextSecret": null, "overlapEndsAt": null});
    assert_eq!(api.get(&secret).json(), over);
}

#[test]
fn an_idempotency_key_is_honoured_for_a_day() {
    let app = InProcess::start(&[]);
    let api = app.api();
    api.create_project("Shop");
    let send = || {
        let body = json!({"project": "shop", "message": "Hello"});
        api.send_json(
            "POST",
            "/api/v1/feedback",
            &[("Idempotency-Key", "k")],
            &body,
        )
        .expect(201)
        .json()["id"]
            .clone()
    };
    let first = send();
    app.advance(DAY - SECOND);
    assert_eq!(send(), first);
    app.advance(SECOND);
    assert_ne!(send(), first);
}

#[test]
fn a_session_ends_after_14_days_without_use_and_90_in_all() {
    let app = InProcess::start(&[]);
    let mut visitor = app.visitor();
    visitor.sign_in(ADMIN, PASSWORD);
    for _ in 0..6 {
        app.advance(14 * DAY - SECOND);
        visitor.get("/feedback").expect(200);
    }
    app.advance(6 * DAY + HOUR);
    assert_eq!(
        visitor.get("/feedback").response.status,
        303,
        "90 days are over"
    );

    visitor.sign_in(ADMIN, PASSWORD);
    app.advance(14 * DAY);
    assert_eq!(
        visitor.get("/feedback").response.status,
        303,
        "14 days without use"
    );
}

#[test]
fn a_sign_in_that_was_slowed_down_is_open_again_after_a_minute() {
    let app = InProcess::start(&[]);
    let mut visitor = app.visitor();
    for _ in 0..4 {
        assert_eq!(
            visitor
                .try_sign_in(ADMIN, "wrong, wrong, wrong")
                .response
                .status,
            401
        );
    }
    assert_eq!(
        visitor
            .try_sign_in(ADMIN, "wrong, wrong, wrong")
            .response
            .status,
        429
    );
    assert_eq!(visitor.try_sign_in(ADMIN, PASSWORD).response.status, 429);
    app.advance(60 * SECOND);
    assert_eq!(visitor.try_sign_in(ADMIN, PASSWORD).response.status, 303);
}

#[test]
fn finished_deliveries_are_removed_after_the_retention_and_pending_ones_never() {
    let (app, up, down) = (
        InProcess::start(&["--retention", "2d", "--retry-delays", "1000d"]),
        Receiver::ok(),
        Receiver::status(500),
    );
    let api = app.api();
    api.create_project("Shop");
    let (delivered, pending) = (
        api.create_webhook(&up.url("/")),
        api.create_webhook(&down.url("/")),
    );
    api.create_feedback("shop", "Hello");
    let old = text(&api.only_delivery(&delivered), "id").to_owned();
    api.wait_for_state(&old, "delivered");
    let waiting = text(&api.only_delivery(&pending), "id").to_owned();
    api.wait_for_attempts(&waiting, 1);
    app.advance(2 * DAY + SECOND);
    wait_until("the old delivery is gone", || {
        (api.get(&format!("/api/v1/deliveries/{old}")).status == 404).then_some(())
    });
    let kept = api.delivery(&waiting);
    assert_eq!(
        (&kept["state"], attempts(&kept).len()),
        (&json!("pending"), 1)
    );
    assert!(
        text(&kept["request"], "body").contains("Hello"),
        "its event is kept with it"
    );
}

#[test]
fn feedback_is_removed_after_its_retention_with_its_words_in_the_log() {
    let app = InProcess::start(&["--feedback-retention", "10d"]);
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let old = api.create_feedback("shop", "Old words");
    api.set_status(&old, "RESOLVED");
    let deliveries = api.deliveries(&webhook);
    for delivery in &deliveries {
        api.wait_for_state(text(delivery, "id"), "delivered");
    }
    app.advance(6 * DAY);
    let young = api.create_feedback("shop", "Young words");
    let path = |feedback: &serde_json::Value| format!("/api/v1/feedback/{}", text(feedback, "id"));
    app.advance(4 * DAY + SECOND);
    wait_until("the old one is gone", || {
        (api.get(&path(&old)).status == 404).then_some(())
    });
    api.get(&path(&young)).expect(200);
    for delivery in &deliveries {
        assert_eq!(api.delivery(text(delivery, "id"))["request"], json!(null));
    }
    let found = |words: &str| {
        api.get(&format!("/api/v1/feedback?q={words}")).json()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((found("old"), found("young")), (0, 1));
}

#[test]
fn feedback_is_kept_for_ever_unless_asked_otherwise() {
    let app = InProcess::start(&["--retention", "1d"]);
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Kept");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&delivery, "delivered");
    app.advance(1000 * DAY);
    // The deliveries are gone, so it was looked for what is too old.
    wait_until("the delivery is gone", || {
        (api.get(&format!("/api/v1/deliveries/{delivery}")).status == 404).then_some(())
    });
    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    api.get(&path).expect(200);
}
