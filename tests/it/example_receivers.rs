//! The receivers of `examples/receivers/`: each takes what is genuine, once, and nothing else.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::example_receiver::{ExampleReceiver, SECRET, file};
use crate::support::signature::{hex_signature, standard_signature};
use crate::support::wait::wait_until;

const PATH: &str = "/webhooks/miniback";
const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDMyIGJ5dGVzIGV4YWN0bHk=";

#[test]
fn express_takes_what_is_genuine_once_and_nothing_else() {
    let receiver = start("server.mjs", &file("express/server.mjs"), SECRET);
    takes_what_miniback_sends(&receiver);
    refuses_what_is_not_genuine(&receiver);
    takes_the_next_secret(&receiver);
}

#[test]
fn flask_takes_what_is_genuine_once_and_nothing_else() {
    let receiver = start("app.py", &file("flask/app.py"), SECRET);
    takes_what_miniback_sends(&receiver);
    refuses_what_is_not_genuine(&receiver);
    takes_the_next_secret(&receiver);
}

#[test]
fn the_standard_webhooks_library_for_node_takes_what_is_genuine_once_and_nothing_else() {
    let code = file("standard-webhooks-node/server.mjs");
    let receiver = start("server.mjs", &code, SECRET);
    takes_what_miniback_sends(&receiver);
    refuses_what_is_not_genuine(&receiver);
}

#[test]
fn the_standard_webhooks_library_for_python_takes_what_is_genuine_once_and_nothing_else() {
    let receiver = start("app.py", &file("standard-webhooks-python/app.py"), SECRET);
    takes_what_miniback_sends(&receiver);
    refuses_what_is_not_genuine(&receiver);
}

/// With the route as its page shows it beside that of the example: starting it is slow, so it is
/// started once.
#[test]
fn next_js_takes_what_is_genuine_once_and_nothing_else() {
    let app = miniback();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/in/_box");
    let (name, code) = shown(&app, &webhook, "Next.js");
    assert_eq!(name, "app/in/%5Fbox/route.js");
    let receiver = ExampleReceiver::next(&[(&name, &code)], &[("MINIBACK_SECRET", SECRET)]);
    for path in [PATH, "/in/_box"] {
        // Compiled when it is first asked for, which may take longer than Miniback waits.
        assert_eq!(receiver.post(path, &[], b"{}"), 401);
    }
    takes_what_miniback_sends(&receiver);
    refuses_what_is_not_genuine(&receiver);
    takes_the_next_secret(&receiver);
    api.patch_webhook(&webhook, json!({"enabled": false}));
    let shown =
        api.create_webhook_with(json!({"url": receiver.url_of("/in/_box"), "secret": SECRET}));
    assert_eq!(last_status(&api.deliver_one(&shown, "delivered")), 204);
}

#[test]
fn the_code_that_a_webhooks_page_shows_runs_as_it_is_shown() {
    let frameworks = [
        ("Express", SECRET),
        ("Flask", SECRET),
        ("Express", "a-secret-of-our-own"),
        ("Flask", "a-secret-of-our-own"),
        ("Standard Webhooks, Node", SECRET),
        ("Standard Webhooks, Python", SECRET),
    ];
    let app = miniback();
    let api = app.api();
    for (framework, secret) in frameworks {
        // Characters that the routers of Express and Flask read in ways of their own.
        let path = "/in/a:b(c)+d/%C3%A9%20f";
        let webhook = api.create_webhook_with(json!({
            "url": format!("http://127.0.0.1:9{path}"), "secret": secret, "enabled": false
        }));
        let (name, code) = shown(&app, &webhook, framework);
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
fn without_a_secret_a_receiver_does_not_start() {
    for (name, path) in [
        ("server.mjs", "express/server.mjs"),
        ("app.py", "flask/app.py"),
    ] {
        let start = || ExampleReceiver::start(name, &file(path), &[]);
        let ended = std::panic::catch_unwind(start).err().expect(path);
        let said = ended.downcast_ref::<String>().expect("words");
        assert!(said.contains("MINIBACK_SECRET"), "{said}");
    }
}

/// One that tries once, but waits for a receiver on a busy machine.
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

/// Name and code of the file that a webhook's page shows, as somebody copies it.
#[track_caller]
fn shown(app: &App, webhook: &Value, framework: &str) -> (String, String) {
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
fn takes_what_miniback_sends(receiver: &ExampleReceiver) {
    let app = miniback();
    let api = app.api();
    let right = api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": SECRET}));
    let delivered = api.deliver_one(&right, "delivered");
    assert_eq!(last_status(&delivered), 204);
    receiver.wait_for_output("feedback.created");

    let again = format!("/api/v1/deliveries/{}/redeliver", text(&delivered, "id"));
    api.post_empty(&again).expect(202);
    let twice = wait_until("it is delivered again", || {
        let now = api.delivery(text(&delivered, "id"));
        (now["state"] == "delivered" && attempts(&now).len() == 2).then_some(now)
    });
    assert_eq!(last_status(&twice), 204);
    assert_eq!(test_event(&api, &right)["status"], 204);
    receiver.wait_for_output("Test webhook notification");
    assert_eq!(receiver.count_lines("One message"), 1, "what came twice");

    api.delete_webhook(&right);
    let wrong =
        api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": OTHER_SECRET}));
    api.create_feedback("delivered", "By another secret");
    let failed = api.wait_for_state(text(&api.only_delivery(&wrong), "id"), "failed");
    assert_eq!(last_status(&failed), 401);
    assert_eq!(receiver.count_lines("By another secret"), 0);
}

#[track_caller]
fn test_event(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
    api.post_empty(&path).expect(200).json()
}

fn last_status(delivery: &Value) -> Value {
    attempts(delivery).last().expect("an attempt")["status"].clone()
}

/// A request as Miniback makes it, to be spoiled.
struct Request {
    id: &'static str,
    secret: &'static str,
    /// Seconds from now.
    sent: i64,
    signed: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    fn genuine(id: &'static str) -> Self {
        let body = br#"{"event":"test","timestamp":"2025-10-31T12:34:56.789Z","data":{"message":"By hand"}}"#;
        Self {
            id,
            secret: SECRET,
            sent: 0,
            signed: body.to_vec(),
            body: body.to_vec(),
        }
    }

    /// Sends it without the header `without`, and with what stands in `instead` in the place of
    /// others.
    #[track_caller]
    fn send(&self, receiver: &ExampleReceiver, without: &str, instead: &[(&str, &str)]) -> u16 {
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
        let kept = all.into_iter().filter(|(name, _)| {
            *name != without && !instead.iter().any(|(replaced, _)| replaced == name)
        });
        let headers: Vec<(&str, &str)> = kept.chain(instead.iter().copied()).collect();
        receiver.post(PATH, &headers, &self.body)
    }
}

#[track_caller]
fn refuses_what_is_not_genuine(receiver: &ExampleReceiver) {
    let genuine = Request::genuine("dlv_genuine");
    assert_eq!(genuine.send(receiver, "", &[]), 204, "as it is");
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
    for without in ["webhook-timestamp", "webhook-signature"] {
        assert_eq!(bare.send(receiver, without, &[]), 401, "without {without}");
    }
    for signature in ["", "v1", "v1,", "v1,é", "nothing", "v1a,AAAA"] {
        let instead = [("webhook-signature", signature)];
        assert_eq!(bare.send(receiver, "", &instead), 401, "{signature:?}");
    }
    for at in ["", "soon", "1e400"] {
        let instead = [("webhook-timestamp", at)];
        assert_eq!(bare.send(receiver, "", &instead), 401, "at {at:?}");
    }
    // Played back under another id it would not be known for what was handled already.
    let renamed = [
        ("X-Miniback-Delivery", "dlv_renamed"),
        ("webhook-id", "dlv_renamed"),
    ];
    assert_eq!(genuine.send(receiver, "", &renamed), 401, "another id");
    genuine.send(receiver, "", &renamed[..1]);
    assert_eq!(receiver.post(PATH, &[], b""), 401, "nothing at all");
    assert_eq!(
        receiver.count_lines("By hand"),
        1,
        "handled once, whatever came"
    );
}

/// While a secret is being rotated, one that knows the next one already verifies by that.
#[track_caller]
fn takes_the_next_secret(receiver: &ExampleReceiver) {
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
