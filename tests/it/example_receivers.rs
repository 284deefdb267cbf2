//! The receivers in `examples/receivers/`: each handles genuine deliveries once and rejects
//! everything else.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::example_receiver::{ExampleReceiver, SECRET, UNKNOWN_EVENT, file};
use crate::support::signature::{hex_signature, standard_signature};
use crate::support::wait::wait_until;

const PATH: &str = "/webhooks/miniback";
const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDMyIGJ5dGVzIGV4YWN0bHk=";

#[test]
fn express_accepts_only_genuine_deliveries_and_each_once() {
    let receiver = start("server.mjs", &file("express/server.mjs"), SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
}

#[test]
fn flask_accepts_only_genuine_deliveries_and_each_once() {
    let receiver = start("app.py", &file("flask/app.py"), SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
}

#[test]
fn standard_webhooks_for_node_accepts_only_genuine_deliveries() {
    let code = file("standard-webhooks-node/server.mjs");
    let receiver = start("server.mjs", &code, SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
}

#[test]
fn standard_webhooks_for_python_accepts_only_genuine_deliveries() {
    let receiver = start("app.py", &file("standard-webhooks-python/app.py"), SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
}

/// Also tests the route from a webhook's page, because starting Next.js is slow.
#[test]
fn next_js_accepts_only_genuine_deliveries_and_each_once() {
    let app = miniback();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/in/_box");
    let (name, code) = shown_code(&app, &webhook, "Next.js");
    assert_eq!(name, "app/in/%5Fbox/route.js");
    let receiver = ExampleReceiver::next(&[(&name, &code)], &[("MINIBACK_SECRET", SECRET)]);
    for path in [PATH, "/in/_box"] {
        // The first request compiles the route, which can take longer than Miniback's timeout.
        assert_eq!(receiver.post(path, &[], b"{}"), 401);
    }
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
    api.patch_webhook(&webhook, json!({"enabled": false}));
    let shown_code =
        api.create_webhook_with(json!({"url": receiver.url_of("/in/_box"), "secret": SECRET}));
    assert_eq!(last_status(&api.deliver_one(&shown_code, "delivered")), 204);
}

#[test]
fn the_code_on_a_webhooks_page_runs_unchanged() {
    let frameworks = [
        ("Express", SECRET),
        ("Flask", SECRET),
        ("Express", "a-custom-secret-without-prefix"),
        ("Flask", "a-custom-secret-without-prefix"),
        ("Standard Webhooks, Node", SECRET),
        ("Standard Webhooks, Python", SECRET),
    ];
    let app = miniback();
    let api = app.api();
    for (framework, secret) in frameworks {
        // Characters with a special meaning in the routers of Express and Flask.
        let path = "/in/a:b(c)+d/%C3%A9%20f";
        let webhook = api.create_webhook_with(json!({
            "url": format!("http://127.0.0.1:9{path}"), "secret": secret, "enabled": false
        }));
        let (name, code) = shown_code(&app, &webhook, framework);
        let receiver = start(&name, &code, secret);
        api.patch_webhook(
            &webhook,
            json!({"url": receiver.url_of(path), "enabled": true}),
        );
        let delivered = api.deliver_one(&webhook, "delivered");
        assert_eq!(last_status(&delivered), 204, "{framework}");
        receiver.wait_for_output("One message");
        api.delete_webhook(&webhook);
    }
}

#[test]
fn a_receiver_without_a_secret_does_not_start() {
    for (name, path) in [
        ("server.mjs", "express/server.mjs"),
        ("app.py", "flask/app.py"),
    ] {
        let start = || ExampleReceiver::start(name, &file(path), &[]);
        let panic = std::panic::catch_unwind(start).err().expect(path);
        let message = panic
            .downcast_ref::<String>()
            .expect("read the panic message");
        assert!(message.contains("MINIBACK_SECRET"), "{message}");
    }
}

/// Starts a program without retries, and with a timeout that suffices on a busy machine.
#[track_caller]
fn miniback() -> App {
    App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "20s")
        .start()
}

#[track_caller]
fn start(name: &str, code: &str, secret: &str) -> ExampleReceiver {
    ExampleReceiver::start(name, code, &[("MINIBACK_SECRET", secret)])
}

/// Returns the name and code of the file that a webhook's page shows.
#[track_caller]
fn shown_code(app: &App, webhook: &Value, framework: &str) -> (String, String) {
    let mut admin = app.signed_in();
    let path = format!(
        "/settings/notifications/{}/endpoint-code",
        text(webhook, "id")
    );
    let tab = admin.get(&path).expect(200).link(framework);
    let page = admin.get(&tab.expect(framework)).expect(200);
    (page.text_of("#save code"), page.text_of("#snippet"))
}

#[track_caller]
fn assert_accepts_deliveries(receiver: &ExampleReceiver) {
    let app = miniback();
    let api = app.api();
    let matching = api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": SECRET}));
    let delivered = api.deliver_one(&matching, "delivered");
    assert_eq!(last_status(&delivered), 204);
    receiver.wait_for_output("feedback.created");

    let again = format!("/api/v1/deliveries/{}/redeliver", text(&delivered, "id"));
    api.post_empty(&again).expect(202);
    let redelivered = wait_until("the delivery is delivered again", || {
        let now = api.delivery(text(&delivered, "id"));
        (now["state"] == "delivered" && attempts(&now).len() == 2).then_some(now)
    });
    assert_eq!(last_status(&redelivered), 204);
    assert_eq!(test_event(&api, &matching)["status"], 204);
    receiver.wait_for_output("Test webhook notification");
    assert_eq!(
        receiver.count_lines("One message"),
        1,
        "a repeated delivery was handled twice"
    );

    let mut unknown = Request::genuine("dlv_unknown");
    unknown.body = UNKNOWN_EVENT.to_vec();
    unknown.signed = unknown.body.clone();
    assert_eq!(unknown.send(receiver, "", &[]), 204, "an unknown event");
    assert_eq!(receiver.count_lines("feedback.archived"), 0);

    api.delete_webhook(&matching);
    let other =
        api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": OTHER_SECRET}));
    api.create_feedback("delivered", "Signed with another secret");
    let failed = api.wait_for_state(text(&api.only_delivery(&other), "id"), "failed");
    assert_eq!(last_status(&failed), 401);
    assert_eq!(receiver.count_lines("Signed with another secret"), 0);
}

#[track_caller]
fn test_event(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
    api.post_empty(&path).expect(200).json()
}

fn last_status(delivery: &Value) -> Value {
    attempts(delivery).last().expect("find an attempt")["status"].clone()
}

/// A request in the form that Miniback sends. Tests create invalid variants of it.
struct Request {
    id: &'static str,
    secret: &'static str,
    /// The time of the attempt, in seconds from now.
    sent: i64,
    /// The body that is signed.
    signed: Vec<u8>,
    /// The body that is sent.
    body: Vec<u8>,
}

impl Request {
    fn genuine(id: &'static str) -> Self {
        let body = br#"{"event":"test","timestamp":"2025-10-31T12:34:56.789Z","data":{"message":"Sent by the test"}}"#;
        Self {
            id,
            secret: SECRET,
            sent: 0,
            signed: body.to_vec(),
            body: body.to_vec(),
        }
    }

    /// Sends the request without the header `omitted`, and with some headers replaced.
    #[track_caller]
    fn send(
        &self,
        receiver: &ExampleReceiver,
        omitted: &str,
        replacements: &[(&str, &str)],
    ) -> u16 {
        let now = jiff::Timestamp::now().as_second();
        let sent_at = (now + self.sent).to_string();
        let hex = hex_signature(self.secret, &self.signed);
        let standard = standard_signature(self.secret, self.id, now + self.sent, &self.signed);
        let all = [
            ("Content-Type", "application/json"),
            ("X-Miniback-Signature", &hex),
            ("X-Miniback-Delivery", self.id),
            ("webhook-id", self.id),
            ("webhook-timestamp", &sent_at),
            ("webhook-signature", &standard),
        ];
        let remaining = all.into_iter().filter(|(name, _)| {
            *name != omitted && !replacements.iter().any(|(replaced, _)| replaced == name)
        });
        let headers: Vec<(&str, &str)> = remaining.chain(replacements.iter().copied()).collect();
        receiver.post(PATH, &headers, &self.body)
    }
}

#[track_caller]
fn assert_rejects_forgeries(receiver: &ExampleReceiver) {
    let genuine = Request::genuine("dlv_genuine");
    assert_eq!(genuine.send(receiver, "", &[]), 204, "a genuine request");
    let mut changed = Request::genuine("dlv_changed");
    changed.body = changed.body.to_ascii_uppercase();
    assert_eq!(changed.send(receiver, "", &[]), 401, "a changed body");
    let mut other = Request::genuine("dlv_other");
    other.secret = OTHER_SECRET;
    assert_eq!(other.send(receiver, "", &[]), 401, "another secret");
    for sent in [-600, 600] {
        let mut stale = Request::genuine("dlv_stale");
        stale.sent = sent;
        assert_eq!(stale.send(receiver, "", &[]), 401, "{sent} s from now");
    }
    let bare = Request::genuine("dlv_bare");
    for omitted in ["webhook-timestamp", "webhook-signature"] {
        assert_eq!(bare.send(receiver, omitted, &[]), 401, "without {omitted}");
    }
    for signature in ["", "v1", "v1,", "v1,é", "nothing", "v1a,AAAA"] {
        let replacements = [("webhook-signature", signature)];
        assert_eq!(bare.send(receiver, "", &replacements), 401, "{signature:?}");
    }
    for at in ["", "soon", "1e400"] {
        let replacements = [("webhook-timestamp", at)];
        assert_eq!(bare.send(receiver, "", &replacements), 401, "at {at:?}");
    }
    // A replay under another id would be handled again.
    let new_id = [
        ("X-Miniback-Delivery", "dlv_renamed"),
        ("webhook-id", "dlv_renamed"),
    ];
    assert_eq!(genuine.send(receiver, "", &new_id), 401, "another id");
    genuine.send(receiver, "", &new_id[..1]);
    assert_eq!(receiver.post(PATH, &[], b""), 401, "an empty request");
    assert_eq!(
        receiver.count_lines("Sent by the test"),
        1,
        "expected only the genuine request to be handled"
    );
}

/// Checks that during a rotation, a receiver that knows only the next secret accepts requests.
#[track_caller]
fn assert_accepts_next_secret(receiver: &ExampleReceiver) {
    let request = Request::genuine("dlv_rotated");
    let next = hex_signature(SECRET, &request.body);
    let old = hex_signature(OTHER_SECRET, &request.body);
    for (signature, expected) in [(&next, 204), (&old, 401)] {
        let headers = [
            ("X-Miniback-Signature", old.as_str()),
            ("X-Miniback-Signature-Next", signature),
        ];
        assert_eq!(request.send(receiver, "", &headers), expected);
    }
}
