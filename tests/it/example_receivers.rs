//! The receivers in `examples/receivers/`: each receiver handles every genuine delivery once and
//! rejects all other requests.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::example_receiver::{ExampleReceiver, SECRET, UNKNOWN_EVENT, read_example_file};
use crate::support::signature::{hex_signature, standard_signature};
use crate::support::wait::wait_until;

const PATH: &str = "/webhooks/miniback";
const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDMyIGJ5dGVzIGV4YWN0bHk=";

#[test]
fn express_handles_genuine_deliveries_once_and_rejects_others() {
    let receiver = start(
        "server.mjs",
        &read_example_file("express/server.mjs"),
        SECRET,
    );
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
}

#[test]
fn flask_handles_genuine_deliveries_once_and_rejects_others() {
    let receiver = start("app.py", &read_example_file("flask/app.py"), SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
}

#[test]
fn standard_webhooks_for_node_handles_genuine_deliveries_once() {
    let code = read_example_file("standard-webhooks-node/server.mjs");
    let receiver = start("server.mjs", &code, SECRET);
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
}

#[test]
fn standard_webhooks_for_python_handles_genuine_deliveries_once() {
    let receiver = start(
        "app.py",
        &read_example_file("standard-webhooks-python/app.py"),
        SECRET,
    );
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
}

/// Tests the example and the code on a webhook's page together, because Next.js starts slowly.
#[test]
fn next_js_handles_genuine_deliveries_once_and_rejects_others() {
    let app = start_miniback();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/in/_box");
    let (name, code) = shown_code(&app, &webhook, "Next.js");
    assert_eq!(name, "app/in/%5Fbox/route.js");
    let receiver = ExampleReceiver::start_nextjs(&[(&name, &code)], &[("MINIBACK_SECRET", SECRET)]);
    for path in [PATH, "/in/_box"] {
        // The first request compiles the route, which can take longer than Miniback's timeout.
        assert_eq!(receiver.post(path, &[], b"{}"), 401);
    }
    assert_accepts_deliveries(&receiver);
    assert_rejects_forgeries(&receiver);
    assert_accepts_next_secret(&receiver);
    api.patch_webhook(&webhook, json!({"enabled": false}));
    let webhook =
        api.create_webhook_with(json!({"url": receiver.url_of("/in/_box"), "secret": SECRET}));
    assert_eq!(last_status(&api.deliver_one(&webhook, "delivered")), 204);
}

#[test]
fn the_code_on_a_webhooks_page_runs_unchanged() {
    let frameworks = [
        ("Express", SECRET),
        ("Flask", SECRET),
        ("Express", "a-custom-secret-without-prefix"),
        ("Flask", "a-custom-secret-without-prefix"),
        ("Node library", SECRET),
        ("Python library", SECRET),
    ];
    let app = start_miniback();
    let api = app.api();
    for (framework, secret) in frameworks {
        // Some of these characters have a special meaning in the routers of Express and Flask.
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
        let start = || ExampleReceiver::start(name, &read_example_file(path), &[]);
        let panic = std::panic::catch_unwind(start).err().expect(path);
        let message = panic
            .downcast_ref::<String>()
            .expect("read the panic message");
        assert!(message.contains("MINIBACK_SECRET"), "{message}");
    }
}

/// Starts Miniback without retries, and with a timeout that is long enough on a busy machine.
#[track_caller]
fn start_miniback() -> App {
    App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "20s")
        .start()
}

#[track_caller]
fn start(name: &str, code: &str, secret: &str) -> ExampleReceiver {
    ExampleReceiver::start(name, code, &[("MINIBACK_SECRET", secret)])
}

/// Returns the name and the content of the file that a webhook's page shows for a framework.
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
    let app = start_miniback();
    let api = app.api();
    let matching = api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": SECRET}));
    let delivered = api.deliver_one(&matching, "delivered");
    assert_eq!(last_status(&delivered), 204);
    receiver.wait_for_output("feedback.created");

    let path = format!("/api/v1/deliveries/{}/redeliver", text(&delivered, "id"));
    api.post_empty(&path).expect(202);
    let redelivered = wait_until("the redelivery is delivered", || {
        let now = api.delivery(text(&delivered, "id"));
        (now["state"] == "delivered" && attempts(&now).len() == 2).then_some(now)
    });
    assert_eq!(last_status(&redelivered), 204);
    assert_eq!(send_test(&api, &matching)["status"], 204);
    receiver.wait_for_output("Test webhook notification");
    assert_eq!(
        receiver.count_lines("One message"),
        1,
        "a redelivery was handled again"
    );

    let mut unknown = Request::genuine("dlv_unknown");
    unknown.body = UNKNOWN_EVENT.to_vec();
    unknown.signed = unknown.body.clone();
    let status = unknown.send(receiver, "", &[]);
    assert_eq!(status, 204, "an unknown event was rejected");
    assert_eq!(receiver.count_lines("feedback.archived"), 0);

    api.delete_webhook(&matching);
    let other =
        api.create_webhook_with(json!({"url": receiver.url_of(PATH), "secret": OTHER_SECRET}));
    api.create_feedback("delivered", "Signed with another secret");
    let failed = api.wait_for_state(text(&api.only_delivery(&other), "id"), "failed");
    assert_eq!(last_status(&failed), 401);
    assert_eq!(receiver.count_lines("Signed with another secret"), 0);
    assert_prints_rejected(&app, receiver, &other, &failed);
}

/// Checks that the receiver has printed the rejected request without a secret, and that "Check a
/// signature" accepts the printed headers and body.
#[track_caller]
fn assert_prints_rejected(
    app: &App,
    receiver: &ExampleReceiver,
    webhook: &Value,
    delivery: &Value,
) {
    let detail = app.api().delivery(text(delivery, "id"));
    let body = text(&detail["request"], "body");
    let printed = receiver.wait_for_rejected_request(body);
    let [reason, headers @ .., empty, _] = printed.as_slice() else {
        panic!("{printed:#?}")
    };
    assert!(
        reason.len() > "rejected: ".len() && empty.is_empty(),
        "{printed:#?}"
    );
    for secret in [SECRET, OTHER_SECRET] {
        assert_eq!(receiver.count_lines(secret), 0, "the secret was printed");
    }
    let mut admin = app.signed_in();
    let path = format!(
        "/settings/notifications/{}/signature-check",
        text(webhook, "id")
    );
    let form = admin.get(&path).expect(200).form_with("Check");
    let form = form
        .fill("Headers", &headers.join("\n"))
        .fill("Body", body)
        .fill("Secret on your server (optional)", SECRET);
    let page = admin.submit(&form.press("Check")).expect(200);
    for text in [
        "Wrong secret.",
        "All present.",
        "Identical to the sent body.",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
}

#[track_caller]
fn send_test(api: &Api, webhook: &Value) -> Value {
    let path = format!("/api/v1/webhooks/{}/test", text(webhook, "id"));
    api.post_empty(&path).expect(200).json()
}

fn last_status(delivery: &Value) -> Value {
    attempts(delivery).last().expect("find an attempt")["status"].clone()
}

/// A signed request in the format of Miniback's requests. Tests create invalid variants of it.
struct Request {
    id: &'static str,
    secret: &'static str,
    /// The time of the attempt in seconds, relative to the current time.
    sent_in: i64,
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
            sent_in: 0,
            signed: body.to_vec(),
            body: body.to_vec(),
        }
    }

    /// Sends the request without the header `omitted`. The headers in `replacements` replace
    /// headers with the same names or are added. Returns the response's status.
    #[track_caller]
    fn send(
        &self,
        receiver: &ExampleReceiver,
        omitted: &str,
        replacements: &[(&str, &str)],
    ) -> u16 {
        let now = jiff::Timestamp::now().as_second();
        let sent_at = (now + self.sent_in).to_string();
        let hex = hex_signature(self.secret, &self.signed);
        let standard = standard_signature(self.secret, self.id, now + self.sent_in, &self.signed);
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
fn assert_rejected(status: u16, request: &str) {
    assert_eq!(status, 401, "{request} wasn't rejected");
}

#[track_caller]
fn assert_rejects_forgeries(receiver: &ExampleReceiver) {
    let genuine = Request::genuine("dlv_genuine");
    let status = genuine.send(receiver, "", &[]);
    assert_eq!(status, 204, "a genuine request was rejected");
    let mut changed = Request::genuine("dlv_changed");
    changed.body = changed.body.to_ascii_uppercase();
    assert_rejected(changed.send(receiver, "", &[]), "a changed body");
    let mut other = Request::genuine("dlv_other");
    other.secret = OTHER_SECRET;
    assert_rejected(
        other.send(receiver, "", &[]),
        "a signature with another secret",
    );
    for seconds in [-600, 600] {
        let mut mistimed = Request::genuine("dlv_mistimed");
        mistimed.sent_in = seconds;
        let status = mistimed.send(receiver, "", &[]);
        assert_rejected(status, &format!("a request sent {seconds} s from now"));
    }
    let forged = Request::genuine("dlv_forged");
    for omitted in ["webhook-timestamp", "webhook-signature"] {
        let status = forged.send(receiver, omitted, &[]);
        assert_rejected(status, &format!("a request without {omitted}"));
    }
    for signature in ["", "v1", "v1,", "v1,é", "nothing", "v1a,AAAA"] {
        let status = forged.send(receiver, "", &[("webhook-signature", signature)]);
        assert_rejected(status, &format!("the signature {signature:?}"));
    }
    for timestamp in ["", "soon", "1e400"] {
        let status = forged.send(receiver, "", &[("webhook-timestamp", timestamp)]);
        assert_rejected(status, &format!("the timestamp {timestamp:?}"));
    }
    // Receivers ignore requests with a known id, so they must reject a replay with a new id.
    let new_id = [
        ("X-Miniback-Delivery", "dlv_renamed"),
        ("webhook-id", "dlv_renamed"),
    ];
    assert_rejected(
        genuine.send(receiver, "", &new_id),
        "a replay with another id",
    );
    // Receivers that read only `webhook-id` accept this repeated request, but must not handle it
    // again.
    genuine.send(receiver, "", &new_id[..1]);
    assert_rejected(receiver.post(PATH, &[], b""), "an empty request");
    assert_eq!(
        receiver.count_lines("Sent by the test"),
        1,
        "the genuine request wasn't handled exactly once"
    );
}

/// Checks that a receiver with only the next secret accepts requests during a rotation, but only if
/// the signature with the next secret is valid.
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
