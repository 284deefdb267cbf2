//! The list of all webhooks' deliveries: its rows, filters, search by id, and redelivery.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{App, database};
use crate::support::in_process::InProcess;
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{Receiver, Reply};

const LOG: &str = "/settings/notifications/deliveries";
/// The number of deliveries that are newer than the test event's delivery. It exceeds the maximum
/// number of rows that Miniback reads for one page.
const NEWER_COUNT: u32 = 10_100;

/// An installation with two webhooks. Deliveries to `works` succeed, and deliveries to `fails`
/// fail.
struct Log {
    app: App,
    api: Api,
    works: Value,
    fails: Value,
    receivers: [Receiver; 2],
}

impl Log {
    fn create() -> Self {
        let app = App::without_retries();
        let receivers = [Receiver::ok(), Receiver::status(500)];
        let api = app.api();
        api.create_project("Shop");
        let works = api.create_webhook(&receivers[0].url("/hook"));
        let fails = api.create_webhook_with(
            json!({"url": receivers[1].url("/"), "description": "The team’s inbox"}),
        );
        Self {
            app,
            api,
            works,
            fails,
            receivers,
        }
    }

    fn add_feedback(&self, message: &str) -> Value {
        let feedback = self.api.create_feedback("shop", message);
        for webhook in [&self.works, &self.fails] {
            self.api.wait_until_none_pending(webhook);
        }
        feedback
    }

    fn send_test(&self, webhook: &Value) {
        let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
        self.api.post_empty(&path).expect(200);
    }
}

fn id_of(value: &Value) -> &str {
    text(value, "id")
}

/// Returns the ids of the listed deliveries.
fn listed(page: &Page) -> Vec<String> {
    let rows = page.response.text.split("<li id=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn assert_shows(page: &Page, expected: &str) {
    assert!(page.text().contains(expected), "{}", page.text());
}

fn get_list(visitor: &mut Visitor, query: &str) -> Page {
    visitor.get(&format!("{LOG}?{query}")).expect(200)
}

#[test]
fn lists_the_deliveries_of_all_webhooks_with_their_subjects() {
    let log = Log::create();
    let mut admin = log.app.signed_in();
    assert_shows(&admin.get(LOG).expect(200), "No deliveries yet");
    let deleted = log.add_feedback("To be deleted");
    log.api
        .delete(&format!("/api/v1/feedback/{}", id_of(&deleted)))
        .expect(204);
    log.add_feedback(&format!(
        "The <b>button</b>\n is {}broken",
        "very ".repeat(30)
    ));
    log.send_test(&log.works);

    let settings = admin.get("/settings/notifications").expect(200);
    assert_eq!(settings.link("Deliveries").as_deref(), Some(LOG));
    let page = admin.get(LOG).expect(200);
    for expected in [
        "The <b>button</b> is very very",
        "very…",
        "Shop",
        "The team’s inbox",
        "/hook",
        "Deleted feedback",
        "Test event",
        "1 attempt",
        "500 in",
        "5 deliveries",
    ] {
        assert_shows(&page, expected);
    }
    assert!(!page.text().contains("To be deleted"));
    assert_eq!(listed(&page).len(), 5);
    let test = page.link("Test event").unwrap();
    assert!(test.starts_with(&format!("/settings/notifications/{}/", id_of(&log.works))));
    admin.get(&test).expect(200);
    let list = format!("/settings/notifications/{}/deliveries", id_of(&log.works));
    let page = admin.get(&list).expect(200);
    assert_eq!(page.link("All webhooks").as_deref(), Some(LOG));
    assert_eq!(listed(&page).len(), 3);
}

#[test]
fn filters_by_state_event_webhook_and_time() {
    let log = Log::create();
    let mut admin = log.app.signed_in();
    let feedback = log.add_feedback("Hello");
    log.api.set_status(&feedback, "REVIEWED");
    log.api.wait_until_none_pending(&log.fails);
    log.send_test(&log.works);
    for (query, count) in [
        ("", 5),
        ("state=failed", 2),
        ("state=delivered", 3),
        ("state=pending", 0),
        ("event=feedback.updated", 2),
        ("event=test&state=failed", 0),
        (&format!("webhook={}", id_of(&log.works)), 3),
        (&format!("webhook={}&state=failed", id_of(&log.fails)), 2),
        ("period=1h", 5),
        ("period=1h&from=2030-01-01", 5),
        ("from=2020-01-01", 5),
        ("period=range&from=2030-01-01", 0),
        ("period=&from=2030-01-01", 5),
        ("to=2020-01-01", 0),
        ("from=2020-01-01&to=2020-02-01", 0),
    ] {
        let page = get_list(&mut admin, query);
        assert_eq!(listed(&page).len(), count, "{query}: {}", page.text());
    }
    let page = admin.get(LOG);
    for option in ["Pending (0)", "Failed (2)", "Canceled (0)", "Delivered"] {
        assert_shows(&page, option);
    }
    for (query, expected) in [
        ("state=pending", "Nothing is waiting to be sent."),
        ("to=2020-01-01", "No deliveries match these filters."),
        (
            "from=2020-02-01&to=2020-01-01",
            "The first day is after the last day.",
        ),
    ] {
        let page = get_list(&mut admin, query);
        assert_shows(&page, expected);
        assert_eq!(page.link("Show all").as_deref(), Some(LOG));
    }
    for invalid in ["state=x", "event=x", "period=x"] {
        admin.get(&format!("{LOG}?{invalid}")).expect(400);
    }
    for invalid in ["from=x", "to=2020-13-01"] {
        let page = get_list(&mut admin, invalid);
        assert_shows(&page, "Enter dates as year, month, and day");
        assert!(listed(&page).is_empty(), "{}", page.text());
    }
}

#[test]
fn finds_deliveries_by_delivery_id_and_by_feedback_id() {
    let log = Log::create();
    let mut admin = log.app.signed_in();
    let feedback = log.add_feedback("Hello");
    log.add_feedback("Something else");
    let delivery = log.api.deliveries(&log.fails)[1].clone();
    let search = |admin: &mut Visitor, list: &str, text: &str| {
        let form = admin.get(list).form_with("Filter");
        admin.submit(&form.fill("Delivery or feedback ID", text).press("Filter"))
    };
    let works_list = format!("/settings/notifications/{}/deliveries", id_of(&log.works));
    let delivery_page = format!(
        "/settings/notifications/{}/deliveries/{}",
        id_of(&log.fails),
        id_of(&delivery)
    );
    for list in [LOG, &works_list] {
        let found = search(&mut admin, list, &format!(" {} ", id_of(&delivery)));
        assert_eq!(found.expect(303).location(), delivery_page);
    }
    let found = search(&mut admin, LOG, id_of(&feedback)).expect(200);
    assert_eq!(listed(&found).len(), 2);
    assert_shows(&found, "Hello");
    let found = search(&mut admin, &works_list, id_of(&feedback)).expect(200);
    assert_eq!(listed(&found).len(), 1);
    for (text, expected) in [
        ("dlv_01K8X3Q6M5T9V2W7Y4Z1A3B5C7", "Delivery not found"),
        ("fb_01K8X3Q6M5T9V2W7Y4Z1A3B5C7", "No deliveries found"),
        ("hello", "Not an ID"),
    ] {
        assert_shows(&search(&mut admin, LOG, text).expect(200), expected);
    }
}

#[test]
fn redelivers_the_failures_of_all_webhooks_after_confirmation() {
    let log = Log::create();
    let mut admin = log.app.signed_in();
    log.receivers[0].set_script(|_| Reply::status(500));
    log.add_feedback("First");
    log.add_feedback("Second");
    log.send_test(&log.fails);
    let page = admin.get(LOG).expect(200);
    let notice = page.text_of("#failures .notice-action > p");
    assert_eq!(
        notice,
        "4 deliveries to 2 webhooks failed in the last hour."
    );
    let ask = page.form_with("Redeliver").press("Redeliver");
    let question = admin.submit(&ask).expect(200);
    let asked = question.text_of("#failures p");
    let expected = "Redeliver 4 deliveries that failed in the last hour?";
    assert!(asked.starts_with(expected), "{asked}");
    assert_shows(&question, "The team’s inbox : 2");
    let confirmation = question.form_with("Redeliver").press("Redeliver");
    for receiver in &log.receivers {
        receiver.set_script(|_| Reply::status(204));
    }
    let done = admin.submit_and_follow(&confirmation);
    assert_shows(&done, "4 deliveries to 2 webhooks queued.");
    for webhook in [&log.works, &log.fails] {
        log.api.wait_until_none_pending(webhook);
    }
    let page = admin.get(LOG);
    assert_eq!(listed(&get_list(&mut admin, "state=delivered")).len(), 4);
    assert!(page.forms_with("Redeliver").is_empty(), "{}", page.text());
}

#[test]
fn a_redelivery_omits_disabled_webhooks() {
    let log = Log::create();
    let mut admin = log.app.signed_in();
    log.add_feedback("Hello");
    log.api.patch_webhook(&log.fails, json!({"enabled": false}));
    let page = admin.get(LOG).expect(200);
    assert_shows(&page, "1 delivery failed in the last 30 days.");
    assert_shows(&page, "Their webhooks are disabled.");
    assert!(page.forms_with("Redeliver").is_empty());
    let list = format!("/settings/notifications/{}/deliveries", id_of(&log.fails));
    assert_shows(&admin.get(&list).expect(200), "The webhook is disabled.");
}

#[test]
fn shows_the_shortest_period_with_failures() {
    let (app, receiver) = (InProcess::start(&[]), Receiver::status(404));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let fail_one = || {
        api.create_feedback("shop", "Hello");
        let id = text(&api.deliveries(&webhook)[0], "id").to_owned();
        for attempts in 1..=4 {
            api.wait_for_attempts(&id, attempts);
            app.advance(Duration::from_secs(20));
        }
        api.wait_for_state(&id, "failed");
    };
    fail_one();
    app.advance(Duration::from_secs(2 * 3600));
    let mut admin = app.visitor();
    admin.sign_in(crate::support::app::ADMIN, crate::support::app::PASSWORD);
    assert_shows(
        &admin.get(LOG),
        "1 delivery to 1 webhook failed in the last 24 hours",
    );
    fail_one();
    let page = admin.get(LOG);
    assert_shows(&page, "1 delivery to 1 webhook failed in the last hour");
    assert_shows(&page, "Last 24 hours (2)");
    let question = page.form_with("Redeliver").fill("Failed in", "24h");
    let question = admin.submit(&question.press("Redeliver"));
    assert_shows(
        &question,
        "Redeliver 2 deliveries that failed in the last 24 hours?",
    );
}

#[test]
fn links_lead_to_older_deliveries_and_back_to_the_newest() {
    let log = Log::create();
    for number in 1..=26 {
        log.api
            .create_feedback("shop", &format!("Message {number}"));
    }
    log.api.wait_until_none_pending(&log.fails);
    let mut admin = log.app.signed_in();
    let newest = admin.get(LOG);
    let older = newest.link("Older").unwrap();
    assert_eq!((listed(&newest).len(), newest.link("Newest")), (50, None));
    let oldest = admin.get(&older);
    assert_eq!((listed(&oldest).len(), oldest.link("Older")), (2, None));
    assert_shows(&oldest, "Message 1");
    assert_eq!(oldest.link("Newest").as_deref(), Some(LOG));
}

#[test]
fn a_search_stops_after_10000_rows_and_can_be_continued() {
    let log = Log::create();
    log.send_test(&log.works);
    log.add_feedback("Hello");
    let data = log.app.sigkill();
    let connection = rusqlite::Connection::open(database(&data.path().join("data"))).unwrap();
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NEWER_COUNT})
         INSERT INTO deliveries (id, event_number, webhook_number, state, attempts, round_attempts,
             created_at, finished_at)
         SELECT unhex('FF' || printf('%030d', i)), event_number, webhook_number, 'delivered', 1, 1,
             created_at, created_at
         FROM n, (SELECT * FROM deliveries WHERE state = 'delivered' ORDER BY id DESC LIMIT 1);
         UPDATE delivery_totals SET events = events + {NEWER_COUNT},
             delivered = delivered + {NEWER_COUNT} WHERE delivered > 0;"
    );
    connection.execute_batch(&insert).unwrap();
    drop(connection);
    let app = App::builder().with_data_dir(data).start();
    let mut admin = app.signed_in();
    let page = get_list(&mut admin, "event=test");
    assert_shows(&page, "No matches so far");
    let older = page.link("Search older deliveries").unwrap();
    let page = admin.get(&older).expect(200);
    assert_eq!(listed(&page).len(), 1);
    assert_shows(&page, "Test event");
    assert_eq!(listed(&get_list(&mut admin, "state=failed")).len(), 1);
}
