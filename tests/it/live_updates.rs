//! Pages that are kept up to date while somebody looks: the stream that tells them, and what a
//! browser makes of it.

use crate::support::api::{attempts, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::Browser;
use crate::support::event_stream::EventStream;
use crate::support::pages::Page;
use crate::support::receiver::{Gate, Receiver, Reply};

/// The number that a page says it is as new as.
#[track_caller]
fn seen(page: &Page) -> String {
    let (_, rest) = page
        .response
        .text
        .split_once("data-last-change=\"")
        .unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn what_a_page_shows_is_told_when_it_changes_and_nothing_else() {
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
    let (since, other) = (seen(&page), text(&other, "id"));
    let at = |of: &str| format!("/live?since={since}{of}");
    let one = format!("deliveries:{id}");
    let mut events = EventStream::open(&app, &admin, &at(&format!("&of={one}")));
    assert_eq!(events.status, 200, "{:?}", events.head);
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
    ] {
        assert!(events.head.iter().any(|line| line == header), "{header}");
    }
    let mut all = EventStream::open(&app, &admin, &at("&of=deliveries&of=feedback"));
    let mut elsewhere = EventStream::open(&app, &admin, &at(&format!("&of=deliveries:{other}")));

    // A delivery is made, and later its attempt is recorded: each is a change.
    api.create_feedback("shop", "Hello");
    assert_eq!(events.next_change(), one);
    receiver.wait_for(1);
    gate.open();
    assert_eq!(events.next_change(), one);
    assert!(
        ["deliveries feedback", "deliveries", "feedback"].contains(&all.next_change().as_str())
    );
    api.wait_for_state(text(&api.only_delivery(&webhook), "id"), "delivered");
    // Who comes with the old number is told at once.
    let mut late = EventStream::open(&app, &admin, &at("&of=feedback"));
    assert_eq!(late.next_change(), "feedback");
    // The other webhook's first change is its own.
    api.patch_webhook(
        &api.get(&format!("/api/v1/webhooks/{other}")).json(),
        serde_json::json!({"description": "new"}),
    );
    assert_eq!(elsewhere.next_change(), format!("deliveries:{other}"));
    let mut fresh = admin.get("/feedback");
    let mut quiet = EventStream::open(
        &app,
        &admin,
        &format!("/live?since={}&of=feedback", seen(&fresh)),
    );
    api.create_feedback("shop", "Hello again");
    assert_eq!(quiet.next_change(), "feedback");
    fresh = admin.fetch("HEAD", "/live?of=feedback", &[], None);
    assert_eq!(fresh.response.status, 200, "a HEAD ends");
}

#[test]
fn a_member_hears_of_feedback_alone_and_nobody_else_of_anything() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    app.add_user("member@example.com", "member");
    let mut member = app.visitor();
    let stranger = app.visitor();
    member.sign_in("member@example.com", PASSWORD);
    for of in ["deliveries", "deliveries:wh_1"] {
        for at in [
            format!("/live?of={of}"),
            format!("/live?of=feedback&of={of}"),
        ] {
            assert_eq!(EventStream::open(&app, &member, &at).status, 403, "{at}");
        }
    }
    for at in ["/live", "/live?of=", "/live?of=sessions"] {
        assert_eq!(EventStream::open(&app, &member, at).status, 400, "{at}");
    }
    let page = member.get("/feedback").expect(200);
    let at = format!("/live?since={}&of=feedback", seen(&page));
    assert_eq!(
        EventStream::open(&app, &stranger, &at).status,
        303,
        "to the sign-in"
    );
    let mut events = EventStream::open(&app, &member, &at);
    api.create_feedback("shop", "Hello");
    assert_eq!(events.next_change(), "feedback");
}

#[test]
fn a_stream_ends_with_its_session() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut admin = app.signed_in();
    let page = admin.get("/feedback").expect(200);
    let at = format!("/live?since={}&of=feedback", seen(&page));
    let mut events = EventStream::open(&app, &admin, &at);
    let sign_out = page.form_with("Sign out").press("Sign out");
    admin.submit(&sign_out);
    assert_eq!(events.next().unwrap().0, "ended");
    assert_eq!(events.next(), None);

    // A command beside the program ends it too: nothing more is told.
    let mut admin = app.signed_in();
    let page = admin.get("/feedback").expect(200);
    let at = format!("/live?since={}&of=feedback", seen(&page));
    let mut events = EventStream::open(&app, &admin, &at);
    app.run(&["user", "passwd", ADMIN], &format!("{PASSWORD} 2\n"))
        .success();
    app.api().create_feedback("shop", "Hello");
    assert_eq!(events.next().unwrap().0, "ended");
    assert_eq!(events.next(), None);
}

#[test]
fn a_session_may_have_some_streams_and_the_newest_are_those_that_stay() {
    let app = App::start();
    let mut admin = app.signed_in();
    let at = format!("/live?since={}&of=feedback", seen(&admin.get("/feedback")));
    let mut streams: Vec<EventStream> = (0..9)
        .map(|_| EventStream::open(&app, &admin, &at))
        .collect();
    let (name, sentence) = streams[0].next().unwrap();
    assert_eq!(name, "ended");
    assert!(sentence.ends_with('.'), "{sentence}");
    assert_eq!(streams[0].next(), None);
    app.api().create_project("Shop");
    app.api().create_feedback("shop", "Hello");
    for stream in &mut streams[1..] {
        assert_eq!(stream.next_change(), "feedback");
    }
}

#[test]
fn an_open_stream_does_not_hold_the_program_up() {
    let mut app = App::builder().option("--timeout", "60s").start();
    let admin = app.signed_in();
    let mut events = EventStream::open(&app, &admin, "/live?of=feedback&of=deliveries");
    assert_eq!(events.next_change(), "deliveries feedback");
    app.sigterm();
    assert_eq!(events.next(), None);
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn a_page_that_brings_itself_up_to_date_takes_no_message_from_the_one_that_is_gone_to() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let at = format!(
        "/settings/notifications/{}/deliveries/{}",
        text(&webhook, "id"),
        text(&failed, "id")
    );
    let press = admin.get(&at).form_with("Redeliver").press("Redeliver");
    let response = admin.submit(&press);
    let refresh = admin.fetch("GET", &at, &[("Miniback-Refresh", "live")], None);
    assert!(!refresh.text().contains("Redelivery queued."));
    assert!(
        admin
            .follow(&response)
            .text()
            .contains("Redelivery queued.")
    );
}

fn look_at(app: &App, path: &str) -> Browser {
    let browser = Browser::start();
    browser.open(&format!("{}/login", app.url));
    browser.find("textbox", "Email").fill(ADMIN);
    browser.find("textbox", "Password").fill(PASSWORD);
    browser.find("button", "Sign in").press();
    browser.find("button", "Sign out");
    browser.open(&format!("{}{path}", app.url));
    browser
}

#[test]
fn a_list_and_a_delivery_are_kept_up_to_date_while_they_are_looked_at_and_what_is_open_stays_open()
{
    let app = App::builder()
        .option("--base-url", "http://127.0.0.1/under")
        .option("--retry-delays", "1h")
        .start();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::body(200, "at last")]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let list = format!(
        "/settings/notifications/{}/deliveries",
        text(&webhook, "id")
    );
    let browser = look_at(&app, &format!("/under{list}"));
    browser.wait_for_text("No deliveries yet");
    browser.script(
        "const field = document.getElementById('hours'); field.focus(); field.value = '168'",
    );
    browser.script("document.body.dataset.kept = 'this page'");

    api.create_feedback("shop", "Hello");
    browser.wait_for_text("500 in");
    let chosen = browser
        .script("return document.getElementById('hours').value + ' ' + document.activeElement.id");
    assert_eq!(
        chosen, "168 hours",
        "what was chosen, and where one was, stays"
    );
    let delivery = api.only_delivery(&webhook);
    let id = text(&delivery, "id").to_owned();
    assert_eq!(attempts(&api.wait_for_attempts(&id, 1)).len(), 1);
    assert_eq!(
        browser.script("return document.body.dataset.kept"),
        "this page"
    );

    browser.open(&format!("{}/under{list}/{id}", app.url));
    browser.wait_for_text("Attempt 1");
    browser.find("DisclosureTriangle", "Raw body").press();
    browser.script("document.body.dataset.kept = 'this page'");
    let test = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    api.patch(&test, serde_json::json!({"enabled": false}))
        .expect(200);
    browser.wait_for_text("Canceled");
    api.patch(&test, serde_json::json!({"enabled": true}))
        .expect(200);
    api.post_empty(&format!("/api/v1/deliveries/{id}/redeliver"))
        .expect(202);
    browser.wait_for_text("at last");
    let state = browser.script(
        "return document.body.dataset.kept + [...document.querySelectorAll('details')].map((one) => one.open)",
    );
    assert_eq!(state, "this pagetrue,false");
}
