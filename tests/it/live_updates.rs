//! Live updates: the event stream, and pages that refresh themselves in a browser.

use std::time::{Duration, Instant};

use crate::support::api::{attempts, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::Browser;
use crate::support::event_stream::EventStream;
use crate::support::pages::Page;
use crate::support::receiver::{Gate, Receiver, Reply};

/// Returns the number of the last change that a page includes.
#[track_caller]
fn last_change(page: &Page) -> String {
    let (_, rest) = page
        .response
        .text
        .split_once("data-last-change=\"")
        .unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn streams_only_the_changes_that_a_page_subscribes_to() {
    let (app, gate) = (App::start(), Gate::new());
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let other =
        api.create_webhook_with(serde_json::json!({"url": receiver.url("/other"), "topics": []}));
    api.create_project("Shop");
    let mut admin = app.signed_in();
    let id = text(&webhook, "id");
    let page = admin
        .get(&format!("/settings/notifications/{id}/deliveries"))
        .expect(200);
    let (since, other) = (last_change(&page), text(&other, "id"));
    let path_of = |of: &str| format!("/live?since={since}{of}");
    let own_change = format!("deliveries:{id}");
    let mut events = EventStream::open(&app, &admin, &path_of(&format!("&of={own_change}")));
    assert_eq!(events.status, 200, "{:?}", events.head);
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
    ] {
        assert!(events.head.iter().any(|line| line == header), "{header}");
    }
    let mut all = EventStream::open(&app, &admin, &path_of("&of=deliveries&of=feedback"));
    let mut other_events =
        EventStream::open(&app, &admin, &path_of(&format!("&of=deliveries:{other}")));

    // Creating a delivery and recording its attempt are two changes.
    api.create_feedback("shop", "Hello");
    assert_eq!(events.next_change(), own_change);
    receiver.wait_for(1);
    gate.open();
    assert_eq!(events.next_change(), own_change);
    assert!(
        ["deliveries feedback", "deliveries", "feedback"].contains(&all.next_change().as_str())
    );
    api.wait_for_state(text(&api.only_delivery(&webhook), "id"), "delivered");
    // A client with an old change number receives a notification immediately after it connects.
    let mut stale = EventStream::open(&app, &admin, &path_of("&of=feedback"));
    assert_eq!(stale.next_change(), "feedback");
    // The other webhook's event stream has received no change so far. Its first change is the
    // following update.
    api.patch_webhook(
        &api.get(&format!("/api/v1/webhooks/{other}")).json(),
        serde_json::json!({"description": "new"}),
    );
    assert_eq!(other_events.next_change(), format!("deliveries:{other}"));
}

#[test]
fn a_stream_from_the_current_state_waits_for_the_next_change() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let mut admin = app.signed_in();
    let page = admin.get("/feedback");
    let mut current = EventStream::open(
        &app,
        &admin,
        &format!("/live?since={}&of=feedback", last_change(&page)),
    );
    api.create_feedback("shop", "Hello again");
    assert_eq!(current.next_change(), "feedback");
    let head = admin.fetch("HEAD", "/live?of=feedback", &[], None);
    assert_eq!(head.response.status, 200, "the HEAD request failed");
}

#[test]
fn members_can_only_subscribe_to_feedback() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    app.add_user("member@example.com", "member");
    let mut member = app.visitor();
    let signed_out = app.visitor();
    member.sign_in("member@example.com", PASSWORD);
    for of in ["deliveries", "deliveries:wh_1"] {
        for path in [
            format!("/live?of={of}"),
            format!("/live?of=feedback&of={of}"),
        ] {
            assert_eq!(
                EventStream::open(&app, &member, &path).status,
                403,
                "{path}"
            );
        }
    }
    for path in ["/live", "/live?of=", "/live?of=sessions"] {
        assert_eq!(EventStream::open(&app, &member, path).status, 400, "{path}");
    }
    let page = member.get("/feedback").expect(200);
    let path = format!("/live?since={}&of=feedback", last_change(&page));
    assert_eq!(
        EventStream::open(&app, &signed_out, &path).status,
        303,
        "expected a redirect to the sign-in page"
    );
    let mut events = EventStream::open(&app, &member, &path);
    api.create_feedback("shop", "Hello");
    assert_eq!(events.next_change(), "feedback");
}

#[test]
fn a_stream_ends_with_its_session() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut admin = app.signed_in();
    let page = admin.get("/feedback").expect(200);
    let path = format!("/live?since={}&of=feedback", last_change(&page));
    let mut events = EventStream::open(&app, &admin, &path);
    let sign_out = page.form_with("Sign out").press("Sign out");
    admin.submit(&sign_out);
    assert_eq!(events.next().unwrap().0, "ended");
    assert_eq!(events.next(), None);

    // A command that ends the session also ends the stream.
    let mut admin = app.signed_in();
    let page = admin.get("/feedback").expect(200);
    let path = format!("/live?since={}&of=feedback", last_change(&page));
    let mut events = EventStream::open(&app, &admin, &path);
    app.run(&["user", "passwd", ADMIN], &format!("{PASSWORD} 2\n"))
        .success();
    let ended_at = Instant::now();
    assert_eq!(events.next().unwrap().0, "ended");
    // The stream ends before the next heartbeat, which is sent every 15 s.
    assert!(ended_at.elapsed() < Duration::from_secs(5));
    assert_eq!(events.next(), None);
}

#[test]
fn a_session_has_at_most_8_streams_and_the_oldest_ends_first() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = format!(
        "/live?since={}&of=feedback",
        last_change(&admin.get("/feedback"))
    );
    let mut streams: Vec<EventStream> = (0..9)
        .map(|_| EventStream::open(&app, &admin, &path))
        .collect();
    let (name, reason) = streams[0].next().unwrap();
    assert_eq!(name, "ended");
    assert!(reason.ends_with('.'), "{reason}");
    assert_eq!(streams[0].next(), None);
    app.api().create_project("Shop");
    app.api().create_feedback("shop", "Hello");
    for stream in &mut streams[1..] {
        assert_eq!(stream.next_change(), "feedback");
    }
}

#[test]
fn an_open_stream_does_not_delay_the_shutdown() {
    let mut app = App::builder().option("--timeout", "60s").start();
    let admin = app.signed_in();
    let mut events = EventStream::open(&app, &admin, "/live?of=feedback&of=deliveries");
    assert_eq!(events.next_change(), "deliveries feedback");
    app.sigterm();
    assert_eq!(events.next(), None);
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn a_background_refresh_does_not_consume_flash_messages() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let path = format!(
        "/settings/notifications/{}/deliveries/{}",
        text(&webhook, "id"),
        text(&failed, "id")
    );
    let redeliver = admin.get(&path).form_with("Redeliver").press("Redeliver");
    let response = admin.submit(&redeliver);
    let refresh = admin.fetch("GET", &path, &[("Miniback-Refresh", "live")], None);
    assert!(!refresh.text().contains("Redelivery queued."));
    assert!(
        admin
            .follow(&response)
            .text()
            .contains("Redelivery queued.")
    );
}

fn open_signed_in(app: &App, path: &str) -> Browser {
    let browser = Browser::start();
    app.sign_in(&browser);
    browser.open(&format!("{}{path}", app.url));
    browser
}

#[test]
fn live_updates_keep_focus_field_values_and_expanded_sections() {
    let app = App::builder()
        .option("--base-url", "http://127.0.0.1/under")
        .option("--retry-delays", "1h")
        .start();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::body(200, "received")]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let list = format!(
        "/settings/notifications/{}/deliveries",
        text(&webhook, "id")
    );
    let browser = open_signed_in(&app, &format!("/under{list}"));
    browser.wait_for_text("No deliveries yet");
    browser.script(
        "const field = document.getElementById('period'); field.focus(); field.value = '7d'",
    );
    browser.script("document.body.dataset.marker = 'not reloaded'");

    api.create_feedback("shop", "Hello");
    browser.wait_for_text("500 in");
    let value_and_focus = browser
        .script("return document.getElementById('period').value + ' ' + document.activeElement.id");
    assert_eq!(
        value_and_focus, "7d period",
        "the selected value or the focus was lost"
    );
    let delivery = api.only_delivery(&webhook);
    let id = text(&delivery, "id").to_owned();
    assert_eq!(attempts(&api.wait_for_attempts(&id, 1)).len(), 1);
    assert_eq!(
        browser.script("return document.body.dataset.marker"),
        "not reloaded"
    );

    browser.open(&format!("{}/under{list}/{id}", app.url));
    browser.wait_for_text("Attempt 1");
    browser.find("DisclosureTriangle", "Raw body").press();
    browser.script("document.body.dataset.marker = 'not reloaded'");
    let webhook_path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    api.patch(&webhook_path, serde_json::json!({"enabled": false}))
        .expect(200);
    browser.wait_for_text("Canceled");
    api.patch(&webhook_path, serde_json::json!({"enabled": true}))
        .expect(200);
    api.post_empty(&format!("/api/v1/deliveries/{id}/redeliver"))
        .expect(202);
    browser.wait_for_text("received");
    let state = browser.script(
        "return document.body.dataset.marker + ' '
             + ['raw', 'curl-command'].map((id) => document.getElementById(id).open)",
    );
    assert_eq!(state, "not reloaded true,false");
}
