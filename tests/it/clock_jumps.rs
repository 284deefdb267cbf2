//! Jumps of the system clock, while the program runs and across a restart: no deadline is extended,
//! and each jump is logged.

use miniback::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::{ADMIN, App, PASSWORD, database};
use crate::support::clock_jump::{HOUR, Jump, SECOND, YEAR, duration, millis_until};
use crate::support::in_process::{InProcess, START};
use crate::support::pages::Visitor;
use crate::support::receiver::{Receiver, Reply};
use crate::widget_script::form_token_in;

/// Checks that the `remaining` wait after a jump isn't longer than `before` (both in milliseconds).
/// A jump that looks like elapsed time can shorten the wait by up to the jump's length. A jump back
/// across a restart can shorten the wait by at most 1 s. Any other jump doesn't change the wait.
#[track_caller]
fn assert_not_longer(jump: Jump, remaining: i64, before: i64) {
    let expected = if jump.looks_like_elapsed_time() {
        before - jump.by..=before
    } else if jump.is_across_restart {
        before - SECOND..=before
    } else {
        before..=before
    };
    assert!(expected.contains(&remaining), "{jump:?}: {remaining} ms");
}

#[test]
fn an_open_form_can_still_be_submitted() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&[]);
        app.api().create_project("Shop");
        let script = app.visitor().get("/widget.js").response.text;
        let token = form_token_in(&script);
        app.advance(duration(2 * SECOND));
        jump.perform(&mut app);
        let body = json!({"projectSlug": "shop", "message": "Hello", "stamp": token});
        let status = Api::new(&app.url, None).post("/api/feedback", body).status;
        // After a restart, a jump of a year looks like elapsed time, so the form token has expired.
        let is_expired = jump.is_across_restart && jump.by == YEAR;
        assert_eq!(status, if is_expired { 422 } else { 201 }, "{jump:?}");
    }
}

/// Creates a project, a webhook to `receiver`, and feedback. Returns the webhook and the delivery
/// after its first attempt.
fn attempt_once(api: &Api, receiver: &Receiver) -> (Value, Value) {
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let delivery = api.only_delivery(&webhook);
    let delivery = api.wait_for_attempts(text(&delivery, "id"), 1);
    (webhook, delivery)
}

#[test]
fn a_retry_waits_no_longer_than_its_delay() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&["--retry-delays", "30s"]);
        let receiver = Receiver::status(500);
        let (_, delivery) = attempt_once(&app.api(), &receiver);
        let id = text(&delivery, "id");
        app.advance(duration(10 * SECOND));
        jump.perform(&mut app);
        if jump.looks_like_elapsed_time() {
            app.api().wait_for_attempts(id, 2);
            continue;
        }
        let pending = app.api().delivery(id);
        assert_eq!(attempts(&pending).len(), 1, "{jump:?}");
        let next = millis_until(&app, &pending["nextAttemptAt"]);
        assert_not_longer(jump, next, 20 * SECOND);
        app.advance(duration(20 * SECOND));
        app.api().wait_for_attempts(id, 2);
    }
}

#[test]
fn a_hold_keeps_its_length() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&["--retry-delays", "1s"]);
        let receiver = Receiver::queue(vec![
            Reply::status(503).header("Retry-After", "120"),
            Reply::status(200),
        ]);
        let (webhook, delivery) = attempt_once(&app.api(), &receiver);
        let id = text(&delivery, "id");
        app.advance(duration(20 * SECOND));
        jump.perform(&mut app);
        if !jump.looks_like_elapsed_time() {
            let end = app.api().held_until(&webhook);
            assert_not_longer(jump, millis_until(&app, &end), 100 * SECOND);
            assert_eq!(receiver.received().len(), 1, "{jump:?}");
        }
        app.advance(duration(100 * SECOND));
        app.api().wait_for_state(id, "delivered");
    }
}

#[test]
fn a_wait_that_starts_with_the_jump_counts_from_the_new_time() {
    // The clock jumps during an attempt. The first write after the jump records the attempt's
    // outcome.
    for by in [-YEAR, -HOUR, HOUR, YEAR] {
        let app = InProcess::start(&["--retry-delays", "30s"]);
        let clock = app.clock.clone();
        let receiver = Receiver::script(move |_| {
            clock.set_wall_clock(Timestamp::from_millis(START + by));
            Reply::status(500)
        });
        let api = app.api();
        let (_, pending) = attempt_once(&api, &receiver);
        app.wait_for_commit();
        let next = millis_until(&app, &api.delivery(text(&pending, "id"))["nextAttemptAt"]);
        assert_not_longer(Jump::running(by), next, 30 * SECOND);
        assert_eq!(pending["state"], "pending", "{by}");
    }
}

#[test]
fn the_wait_after_failed_sign_ins_does_not_change() {
    for by in [-YEAR, -HOUR, HOUR, YEAR] {
        let mut app = InProcess::start(&[]);
        let mut visitor = app.visitor();
        let status =
            |visitor: &mut Visitor, password| visitor.try_sign_in(ADMIN, password).response.status;
        for _ in 0..5 {
            status(&mut visitor, "wrong, wrong, wrong");
        }
        Jump::running(by).perform(&mut app);
        assert_eq!(status(&mut visitor, PASSWORD), 429, "{by}");
        app.advance(duration(60 * SECOND));
        assert_eq!(status(&mut visitor, PASSWORD), 303, "{by}");
    }
}

#[test]
fn a_failing_webhook_is_reported_after_5_minutes() {
    for by in [-YEAR, -HOUR, HOUR, YEAR] {
        let alerts = Receiver::ok();
        let mut app = InProcess::start(&["--alert-url", &alerts.url("/")]);
        let receiver = Receiver::status(500);
        attempt_once(&app.api(), &receiver);
        app.advance(duration(60 * SECOND));
        Jump::running(by).perform(&mut app);
        (0..5).for_each(|_| app.wait_for_commit());
        assert_eq!(alerts.received().len(), 0, "{by}");
        app.advance(duration(4 * 60 * SECOND));
        alerts.wait_for(1);
    }
}

#[test]
fn the_log_says_once_that_the_clock_was_set_back() {
    let (_, data) = App::start().sigterm_and_wait();
    let restart = |statement: &str| {
        let connection = rusqlite::Connection::open(database(&data.path().join("data")));
        let changed = connection.unwrap().execute(statement, []).unwrap();
        assert_eq!(changed, 1);
        App::builder().with_data_dir(data.clone()).start()
    };
    let app = restart("UPDATE clock_readings SET read_at = read_at + 3600000");
    let line = app.log.wait_for_message("system clock jumped");
    assert_eq!(line["level"], "WARN", "{line}");
    let by = line["jump_ms"].as_i64().unwrap();
    assert!((-HOUR..-HOUR + 60 * SECOND).contains(&by), "{line}");
    drop(app.sigterm_and_wait());
    let app = restart("UPDATE clock_readings SET trusted_at = trusted_at - 3600000");
    app.log
        .wait_for_message("system clock isn't trusted for the next hour");
}
