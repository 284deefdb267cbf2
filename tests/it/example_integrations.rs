//! The integrations in `examples/receivers/` (Discord, SQLite, Twilio, and GitHub), tested with
//! fakes of the web services.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::example_receiver::{ExampleReceiver, SECRET, UNKNOWN_EVENT, read_example_file};
use crate::support::receiver::{Receiver, Reply};
use crate::support::signature::standard_signature;
use crate::support::wait::wait_until;

/// Miniback with a webhook whose endpoint is an example integration.
struct Integration {
    _app: App,
    api: Api,
    receiver: ExampleReceiver,
    webhook: Value,
}

impl Integration {
    #[track_caller]
    fn start(path: &str, variables: &[(&str, &str)]) -> Self {
        let app = App::builder().option("--retry-delays", "10ms").start();
        let (_, name) = path.split_once('/').expect("split into directory and file");
        let mut all = vec![("MINIBACK_SECRET", SECRET)];
        all.extend_from_slice(variables);
        let receiver = ExampleReceiver::start(name, &read_example_file(path), &all);
        let api = app.api();
        let url = receiver.url_of("/webhooks/miniback");
        let webhook = api.create_webhook_with(json!({"url": url, "secret": SECRET}));
        api.create_project("Shop");
        Self {
            _app: app,
            api,
            receiver,
            webhook,
        }
    }

    /// Creates feedback, waits until it's delivered, and returns the feedback and its delivery.
    #[track_caller]
    fn create_feedback(&self, message: &str) -> (Value, Value) {
        let feedback = self.api.create_feedback("shop", message);
        (feedback, self.wait_until_delivered())
    }

    /// Waits until the newest delivery is in the state `delivered`, and returns it.
    #[track_caller]
    fn wait_until_delivered(&self) -> Value {
        let newest = self.api.deliveries(&self.webhook).remove(0);
        self.api.wait_for_state(text(&newest, "id"), "delivered")
    }

    #[track_caller]
    fn redeliver(&self, delivery: &Value) {
        let id = text(delivery, "id");
        let count = attempts(delivery).len();
        let path = format!("/api/v1/deliveries/{id}/redeliver");
        self.api.post_empty(&path).expect(202);
        wait_until("the redelivery is delivered", || {
            let now = self.api.delivery(id);
            (now["state"] == "delivered" && attempts(&now).len() > count).then_some(())
        });
    }

    #[track_caller]
    fn send_test(&self) {
        let path = format!("/api/v1/webhooks/{}/test", text(&self.webhook, "id"));
        let report = self.api.post_empty(&path).expect(200).json();
        assert_eq!(report["status"], 204, "{report:#}");
    }

    #[track_caller]
    fn assert_rejects_unsigned_and_ignores_unknown_events(&self) {
        let path = "/webhooks/miniback";
        assert_eq!(self.receiver.post(path, &[], b"{}"), 401);
        let now = jiff::Timestamp::now().as_second();
        let headers = [
            ("webhook-id", "dlv_unknown"),
            ("webhook-timestamp", &now.to_string()),
            (
                "webhook-signature",
                &standard_signature(SECRET, "dlv_unknown", now, UNKNOWN_EVENT),
            ),
        ];
        assert_eq!(self.receiver.post(path, &headers, UNKNOWN_EVENT), 204);
    }
}

#[test]
fn discord_receives_each_event_once_even_after_a_retry() {
    let service = Receiver::queue(vec![Reply::status(500), Reply::status(204)]);
    let url = service.url("/api/webhooks/1/token");
    let integration = Integration::start("discord/server.mjs", &[("DISCORD_WEBHOOK_URL", &url)]);
    let (feedback, delivery) = integration.create_feedback("Hello @everyone");
    assert_eq!(
        attempts(&delivery).len(),
        2,
        "expected a retry after the failure"
    );
    integration.redeliver(&delivery);
    let posts = service.received();
    assert_eq!(posts.len(), 2, "expected one failure and one success");
    assert_eq!(posts[1].path(), "/api/webhooks/1/token");
    let post = posts[1].json();
    assert_eq!(post["embeds"][0]["title"], "New feedback: Shop");
    assert_eq!(post["embeds"][0]["description"], "Hello @everyone");
    assert_eq!(post["allowed_mentions"], json!({"parse": []}));
    integration.api.set_status(&feedback, "REVIEWED");
    integration.wait_until_delivered();
    integration.send_test();
    let posts = service.received();
    assert_eq!(
        posts[2].json()["embeds"][0]["title"],
        "NEW → REVIEWED: Shop"
    );
    let test = posts[3].json();
    assert_eq!(test["content"], "Test webhook notification from Miniback");
    integration.assert_rejects_unsigned_and_ignores_unknown_events();
    assert_eq!(service.received().len(), 4, "an unknown event was handled");
}

#[test]
fn a_retry_after_header_from_discord_holds_the_webhook() {
    let service = Receiver::script(|_| Reply::status(429).header("Retry-After", "60"));
    let url = service.url("/");
    let integration = Integration::start("discord/server.mjs", &[("DISCORD_WEBHOOK_URL", &url)]);
    integration
        .api
        .create_feedback("shop", "One of many messages");
    let id = text(&integration.api.deliveries(&integration.webhook)[0], "id").to_owned();
    let held = integration.api.wait_for_attempts(&id, 1);
    assert_eq!(held["state"], "pending");
    let path = format!("/api/v1/webhooks/{}", text(&integration.webhook, "id"));
    let webhook = integration.api.get(&path).expect(200).json();
    assert!(webhook["heldUntil"].is_string(), "{webhook:#}");
}

#[test]
fn the_database_stores_each_item_once_with_its_latest_status() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("feedback.db");
    let integration =
        Integration::start("database/app.py", &[("DATABASE", path.to_str().unwrap())]);
    let (feedback, created) = integration.create_feedback("Add a dark mode");
    integration.api.set_status(&feedback, "RESOLVED");
    integration.wait_until_delivered();
    integration.redeliver(&created);
    integration.send_test();
    let database = rusqlite::Connection::open(&path).unwrap();
    let rows = || -> Vec<(String, String, String, String)> {
        let mut query = database
            .prepare("SELECT id, project, message, status FROM feedback")
            .unwrap();
        let rows = query.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    let id = text(&feedback, "id").to_owned();
    let expected_rows = |status: &str| {
        vec![(
            id.clone(),
            "shop".into(),
            "Add a dark mode".into(),
            status.into(),
        )]
    };
    assert_eq!(rows(), expected_rows("RESOLVED"));
    // An old event that arrives last must not change the status, even if the integration doesn't
    // know the delivery's id.
    database.execute("DELETE FROM delivery", []).unwrap();
    integration.redeliver(&integration.api.delivery(text(&created, "id")));
    assert_eq!(rows(), expected_rows("RESOLVED"));
    integration.assert_rejects_unsigned_and_ignores_unknown_events();
    assert_eq!(rows(), expected_rows("RESOLVED"));
}

#[test]
fn sends_one_sms_for_urgent_feedback() {
    let service = Receiver::queue(vec![Reply::status(500), Reply::status(201)]);
    let integration = Integration::start(
        "sms/app.py",
        &[
            ("TWILIO_API_URL", &service.url("")),
            ("TWILIO_ACCOUNT_SID", "AC1"),
            ("TWILIO_AUTH_TOKEN", "token"),
            ("TWILIO_FROM", "+15550001"),
            ("SMS_TO", "+15550002"),
        ],
    );
    integration.create_feedback("Not so important");
    integration.send_test();
    assert_eq!(service.received().len(), 0);
    let (_, delivery) = integration.create_feedback("URGENT: the shop is down");
    assert_eq!(
        attempts(&delivery).len(),
        2,
        "expected a retry after the failure"
    );
    integration.redeliver(&delivery);
    let requests = service.received();
    assert_eq!(requests.len(), 2, "expected one failure and one success");
    let request = &requests[1];
    assert_eq!(request.path(), "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(request.header("Authorization"), "Basic QUMxOnRva2Vu");
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&request.body).unwrap();
    let expected = [
        ("From", "+15550001"),
        ("To", "+15550002"),
        ("Body", "Shop: URGENT: the shop is down"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, expected);
    integration.assert_rejects_unsigned_and_ignores_unknown_events();
    assert_eq!(service.received().len(), 2, "an unknown event was handled");
}

#[test]
fn opens_one_issue_for_each_new_feedback_item() {
    let service = Receiver::queue(vec![Reply::status(502), Reply::status(201)]);
    let integration = Integration::start(
        "ticket/server.mjs",
        &[
            ("GITHUB_API_URL", &service.url("")),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_TOKEN", "token"),
        ],
    );
    let (feedback, delivery) = integration.create_feedback("The button is dead\n@ada knows");
    assert_eq!(
        attempts(&delivery).len(),
        2,
        "expected a retry after the failure"
    );
    integration.redeliver(&delivery);
    integration.send_test();
    integration.api.set_status(&feedback, "REVIEWED");
    integration.wait_until_delivered();
    let requests = service.received();
    assert_eq!(requests.len(), 2, "expected one failure and one success");
    let request = &requests[1];
    assert_eq!(request.path(), "/repos/acme/shop/issues");
    assert_eq!(request.header("Authorization"), "Bearer token");
    let issue = request.json();
    assert_eq!(issue["title"], "The button is dead");
    let body = text(&issue, "body");
    assert!(body.starts_with("    The button is dead\n    @ada knows\n\n"));
    assert!(body.contains(text(&feedback, "id")) && body.contains("Shop"));
    integration.assert_rejects_unsigned_and_ignores_unknown_events();
    assert_eq!(service.received().len(), 2, "an unknown event was handled");
}
