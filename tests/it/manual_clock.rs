//! Tests with a clock that the test advances: exact retry times, holds, and everything that
//! expires.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::support::api::{attempts, millis, text};
use crate::support::app::{ADMIN, PASSWORD};
use crate::support::in_process::{InProcess, START};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns the start time of each attempt, in milliseconds since [`START`].
fn attempt_times(delivery: &serde_json::Value) -> Vec<i64> {
    attempts(delivery)
        .iter()
        .map(|attempt| millis(&attempt["startedAt"]) - START)
        .collect()
}

#[test]
fn retries_exactly_after_1_5_and_15_seconds() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    for (recorded, delay) in [(1, 1), (2, 5), (3, 15)] {
        let pending = api.wait_for_attempts(&id, recorded);
        assert_eq!(pending["state"], "pending");
        let last = *attempt_times(&pending).last().unwrap();
        assert_eq!(
            millis(&pending["nextAttemptAt"]) - START,
            last + delay * 1000
        );
        app.advance(Duration::from_secs(u64::try_from(delay).unwrap()));
    }
    let failed = api.wait_for_state(&id, "failed");
    assert_eq!(attempt_times(&failed), [0, 1_000, 6_000, 21_000]);
    assert_eq!(failed["nextAttemptAt"], json!(null));
    app.advance(DAY);
    assert_eq!(receiver.received().len(), 4);
}

#[test]
fn does_not_retry_early() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "first");
    let first = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&first, 1);
    app.advance(Duration::from_millis(999));
    // When the second delivery arrives, the dispatcher has run, but it hasn't retried the first
    // delivery.
    api.create_feedback("shop", "second");
    receiver.wait_for(2);
    assert_eq!(attempts(&api.delivery(&first)).len(), 1);
    app.advance(Duration::from_millis(1));
    assert_eq!(attempt_times(&api.wait_for_attempts(&first, 2)), [0, 1_000]);
}

#[test]
fn patient_retries_continue_for_more_than_a_day() {
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
fn a_hold_ends_exactly_when_requested() {
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
        attempt_times(&api.wait_for_state(&first, "delivered")),
        [0, 120_000]
    );
    for delivery in api.deliveries(&webhook) {
        assert_eq!(
            attempt_times(&api.wait_for_state(text(&delivery, "id"), "delivered")).last(),
            Some(&120_000)
        );
    }
}

#[test]
fn the_overlap_of_a_secret_rotation_ends_automatically() {
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
    let after_overlap =
        json!({"secret": rotated["nextSecret"], "nextSecret": null, "overlapEndsAt": null});
    assert_eq!(api.get(&secret).json(), after_overlap);
}

#[test]
fn an_idempotency_key_is_valid_for_a_day() {
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
fn a_session_ends_after_14_idle_days_or_90_days_in_total() {
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
        "the session still works after 90 days"
    );

    visitor.sign_in(ADMIN, PASSWORD);
    app.advance(14 * DAY);
    assert_eq!(
        visitor.get("/feedback").response.status,
        303,
        "the session still works after 14 idle days"
    );
}

#[test]
fn a_throttled_sign_in_works_again_after_a_minute() {
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
fn retention_deletes_finished_but_never_pending_deliveries() {
    let (app, up, down) = (
        InProcess::start(&["--retention", "2d", "--retry-delays", "1000d"]),
        Receiver::ok(),
        Receiver::status(500),
    );
    let api = app.api();
    api.create_project("Shop");
    let (delivered, pending) = (
        api.create_webhook_with(json!({"url": up.url("/"), "format": "slack"})),
        api.create_webhook(&down.url("/")),
    );
    let test = format!("/api/v1/webhooks/{}/test", text(&delivered, "id"));
    api.post_empty(&test).expect(200);
    api.create_feedback("shop", "Hello");
    let old = text(&api.deliveries(&delivered)[0], "id").to_owned();
    api.wait_for_state(&old, "delivered");
    let pending_id = text(&api.only_delivery(&pending), "id").to_owned();
    api.wait_for_attempts(&pending_id, 1);
    app.advance(2 * DAY + SECOND);
    wait_until("the old delivery is deleted", || {
        (api.get(&format!("/api/v1/deliveries/{old}")).status == 404).then_some(())
    });
    // The event of the test is deleted with its body. The event of the pending delivery remains.
    let connection = Connection::open(app.database()).unwrap();
    let bodies = "SELECT count(*), count(events.number) FROM event_bodies
        LEFT JOIN events ON events.number = event_number";
    let bodies = connection.query_row(bodies, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(bodies.unwrap(), (1, 1));
    let pending_delivery = api.delivery(&pending_id);
    assert_eq!(
        (
            &pending_delivery["state"],
            attempts(&pending_delivery).len()
        ),
        (&json!("pending"), 1)
    );
    assert!(
        text(&pending_delivery["request"], "body").contains("Hello"),
        "the event of the pending delivery was deleted"
    );
}

#[test]
fn feedback_retention_deletes_feedback_and_its_log_content() {
    let app = InProcess::start(&["--feedback-retention", "10d"]);
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let slack = json!({"url": receiver.url("/"), "format": "slack"});
    api.create_webhook_with(slack);
    let old = api.create_feedback("shop", "Old feedback");
    api.set_status(&old, "RESOLVED");
    let deliveries = api.deliveries(&webhook);
    for delivery in &deliveries {
        api.wait_for_state(text(delivery, "id"), "delivered");
    }
    app.advance(6 * DAY);
    let recent = api.create_feedback("shop", "Recent feedback");
    let path = |feedback: &serde_json::Value| format!("/api/v1/feedback/{}", text(feedback, "id"));
    app.advance(4 * DAY + SECOND);
    wait_until("the old feedback is deleted", || {
        // If retention was running when the clock was moved, it runs again within a minute.
        app.advance(60 * SECOND);
        (api.get(&path(&old)).status == 404).then_some(())
    });
    api.get(&path(&recent)).expect(200);
    for delivery in &deliveries {
        assert_eq!(api.delivery(text(delivery, "id"))["request"], json!(null));
    }
    let count_matches = |query: &str| {
        api.get(&format!("/api/v1/feedback?q={query}")).json()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count_matches("old"), count_matches("recent")), (0, 1));
    let connection = Connection::open(app.database()).unwrap();
    let bodies = "SELECT count(*) FROM event_bodies WHERE instr(body, ?1)";
    let count_bodies = |text: &str| {
        let count = connection.query_row(bodies, [text], |row| row.get::<_, u64>(0));
        count.unwrap()
    };
    assert_eq!((count_bodies("Old"), count_bodies("Recent")), (0, 1));
}

#[test]
fn feedback_never_expires_by_default() {
    let app = InProcess::start(&["--retention", "1d"]);
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Old feedback");
    let delivery = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&delivery, "delivered");
    app.advance(1000 * DAY);
    // Once the delivery is deleted, retention has run.
    wait_until("the delivery is deleted", || {
        (api.get(&format!("/api/v1/deliveries/{delivery}")).status == 404).then_some(())
    });
    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    api.get(&path).expect(200);
}

#[test]
fn refreshes_of_hidden_pages_do_not_extend_a_session() {
    for (refresh, expected) in [("live", 200), ("hidden", 303)] {
        let app = InProcess::start(&[]);
        let mut ada = app.visitor();
        ada.sign_in(ADMIN, PASSWORD);
        let headers = [("Miniback-Refresh", refresh)];
        app.advance(8 * DAY);
        ada.fetch("GET", "/feedback", &headers, None).expect(200);
        app.advance(8 * DAY);
        ada.fetch("GET", "/feedback", &headers, None)
            .expect(expected);
    }
}
