//! Jumps of the system clock, while the program runs and across a restart: nothing expires or is
//! deleted early.

use miniback::clock::Timestamp;
use serde_json::json;

use crate::people::{GRACE, fill_account_form, invite, reset_link};
use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, PASSWORD};
use crate::support::clock_jump::{DAY, HOUR, Jump, SECOND, YEAR, duration, millis_until};
use crate::support::in_process::InProcess;
use crate::support::pages::Visitor;
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

#[test]
fn the_overlap_of_a_secret_rotation_keeps_its_length() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&[]);
        let webhook = app.api().create_webhook("http://127.0.0.1:9/");
        let secret = format!("/api/v1/webhooks/{}/secret", text(&webhook, "id"));
        let rotated = app
            .api()
            .post(&format!("{secret}/rotate"), json!({"overlapHours": 3}))
            .expect(200)
            .json();
        app.advance(duration(HOUR));
        jump.perform(&mut app);
        if jump.looks_like_elapsed_time() {
            jump.undo(&mut app);
        }
        let after = app.api().get(&secret).json();
        assert_eq!(after["nextSecret"], rotated["nextSecret"], "{jump:?}");
        let end = millis_until(&app, &after["overlapEndsAt"]);
        assert!((HOUR..=2 * HOUR).contains(&end), "{jump:?}: {end} ms");
        app.advance(duration(2 * HOUR));
        let ended = app.api().get(&secret).json();
        assert_eq!(ended["secret"], rotated["nextSecret"], "{jump:?}");
    }
}

#[test]
fn sessions_stay_valid_and_expire_after_their_time() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&[]);
        let mut ada = app.visitor();
        ada.sign_in(ADMIN, PASSWORD);
        app.advance(duration(DAY));
        jump.perform(&mut app);
        if jump.looks_like_elapsed_time() && jump.by == YEAR {
            // To the program, the session seems to have expired. A sign-in deletes expired sessions
            // permanently, but not before the clock is trusted.
            assert_eq!(page_status(&app, &ada, "/feedback"), 303, "{jump:?}");
            app.visitor().sign_in(ADMIN, PASSWORD);
            jump.undo(&mut app);
        }
        assert_eq!(page_status(&app, &ada, "/feedback"), 200, "{jump:?}");
        app.advance(duration(14 * DAY + HOUR));
        assert_eq!(page_status(&app, &ada, "/feedback"), 303, "{jump:?}");
    }
}

/// Requests a page with the visitor's cookies, and returns the status. Uses the program's current
/// URL, because each restart changes the URL.
fn page_status(app: &InProcess, visitor: &Visitor, path: &str) -> u16 {
    let mut current = app.visitor();
    current.cookies = visitor.cookies.clone();
    current.get(path).response.status
}

#[test]
fn one_time_links_stay_valid_and_expire_after_their_time() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&[]);
        let mut ada = app.visitor();
        ada.sign_in(ADMIN, PASSWORD);
        let invitation = invite(&mut ada, "admin");
        let filled = fill_account_form(&app.visitor().get(&invitation));
        app.visitor().submit(&filled).expect(303);
        let reset = reset_link(&mut ada, GRACE);
        app.advance(duration(HOUR));
        jump.perform(&mut app);
        if jump.looks_like_elapsed_time() && jump.by == YEAR {
            assert_eq!(app.visitor().get(&reset).response.status, 410);
            // Creating a link permanently deletes expired links, but not before the clock is
            // trusted.
            let mut ada = app.visitor();
            ada.sign_in(ADMIN, PASSWORD);
            invite_other(&mut ada);
            jump.undo(&mut app);
        }
        let status = app.visitor().get(&reset).response.status;
        assert_eq!(status, 200, "{jump:?}");
        app.advance(duration(DAY));
        let status = app.visitor().get(&reset).response.status;
        assert_eq!(status, 410, "{jump:?}");
    }
}

fn invite_other(admin: &mut Visitor) {
    let form = admin.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", "lin@example.com").press("Invite");
    admin.submit(&filled).expect(303);
}

#[test]
fn a_repeated_request_still_has_no_second_effect() {
    for jump in Jump::ALL {
        let mut app = InProcess::start(&[]);
        app.api().create_project("Shop");
        let token = app.api();
        let send = |api: &Api| {
            let body = json!({"projectSlug": "shop", "message": "Hello"});
            let key = [("Idempotency-Key", "key")];
            let response = api.send_json("POST", "/api/feedback", &key, &body);
            response.expect(201).json()["id"].clone()
        };
        let first = send(&token);
        jump.perform(&mut app);
        assert_eq!(send(&app.api()), first, "{jump:?}");
    }
}

#[test]
fn nothing_is_deleted_until_the_clock_has_run_for_an_hour() {
    for jump in Jump::ALL {
        let options = ["--feedback-retention", "30m", "--retention", "30m"];
        let mut app = InProcess::start(&options);
        let receiver = Receiver::ok();
        app.api().create_project("Shop");
        let webhook = app.api().create_webhook(&receiver.url("/"));
        let feedback = app.api().create_feedback("shop", "Hello");
        let feedback = format!("/api/v1/feedback/{}", text(&feedback, "id"));
        let delivery = text(&app.api().only_delivery(&webhook), "id").to_owned();
        app.api().wait_for_state(&delivery, "delivered");
        let delivery = format!("/api/v1/deliveries/{delivery}");
        jump.perform(&mut app);
        for _ in 0..10 {
            app.advance(duration(60 * SECOND));
            // Retention runs every 50 s. Its jobs have run when these calls return.
            (0..5).for_each(|_| app.wait_for_commit());
        }
        for path in [&feedback, &delivery] {
            let status = app.api().get(path).status;
            assert_eq!(status, 200, "{jump:?}: {path}");
        }
        // If the jump set the clock back, also advance the clock by the length of the jump.
        app.advance(duration(HOUR + (-jump.by).max(0)));
        for path in [&feedback, &delivery] {
            wait_until("retention runs again", || {
                (app.api().get(path).status == 404).then_some(())
            });
        }
    }
}

#[test]
fn rows_created_while_the_clock_was_behind_are_kept_for_the_retention() {
    let mut app = InProcess::start(&["--feedback-retention", "10d"]);
    // Commands put the real time into the ids of new rows. Ids must ascend, so the test's clock
    // starts at a later time.
    app.set_clock(Timestamp::parse("2100-01-01T00:00:00Z").unwrap());
    app.api().create_project("Shop");
    let first = app.api().create_feedback("shop", "Before");
    Jump::across_restart(-YEAR).perform(&mut app);
    let behind = app.api().create_feedback("shop", "The clock is behind");
    Jump::running(YEAR).perform(&mut app);
    let last = app.api().create_feedback("shop", "After");
    let ids = [&first, &behind, &last].map(|feedback| text(feedback, "id"));
    assert!(ids.is_sorted(), "{ids:?}");
    let path = |id: &str| format!("/api/v1/feedback/{id}");
    for _ in 0..3 {
        app.advance(duration(3 * DAY));
        (0..5).for_each(|_| app.wait_for_commit());
        for id in ids {
            app.api().get(&path(id)).expect(200);
        }
    }
    app.advance(duration(2 * DAY));
    for id in ids {
        wait_until("the feedback is deleted", || {
            (app.api().get(&path(id)).status == 404).then_some(())
        });
    }
}
