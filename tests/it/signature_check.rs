//! "Check a signature": what an endpoint saw is pasted, and the page says what does not fit.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{ReceivedRequest, Receiver};

struct Doctor {
    app: App,
    api: Api,
    admin: Visitor,
    webhook: Value,
    /// A delivery as it was received.
    received: ReceivedRequest,
}

fn doctor() -> Doctor {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Grüße & so");
    api.wait_for_state(text(&api.only_delivery(&webhook), "id"), "delivered");
    let (admin, received) = (app.signed_in(), receiver.first());
    Doctor {
        app,
        api,
        admin,
        webhook,
        received,
    }
}

impl Doctor {
    fn at(&self) -> String {
        format!(
            "/settings/notifications/{}/signature-check",
            text(&self.webhook, "id")
        )
    }

    fn headers(&self) -> String {
        let lines = self.received.headers.iter();
        lines
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect()
    }

    fn body(&self) -> String {
        String::from_utf8(self.received.body.clone()).unwrap()
    }

    fn check(&mut self, fields: &[(&str, &str)]) -> Page {
        let at = self.at();
        let form = self.admin.get(&at).expect(200).form_with("Check");
        let filled = fields
            .iter()
            .fold(form, |form, (label, value)| form.fill(label, value));
        self.admin.submit(&filled.press("Check"))
    }

    #[track_caller]
    fn says(&mut self, fields: &[(&str, &str)], words: &str) -> Page {
        let page = self.check(fields).expect(200);
        assert!(page.text().contains(words), "{words}: {}", page.text());
        page
    }
}

#[test]
fn what_was_received_is_valid_however_it_is_pasted_and_no_secret_is_shown() {
    let mut doctor = doctor();
    let (headers, body) = (doctor.headers(), doctor.body());
    let path = format!("/api/v1/webhooks/{}/secret", text(&doctor.webhook, "id"));
    let secret = doctor.api.get(&path).json()["secret"].clone();
    let secret = secret.as_str().unwrap().to_owned();
    let curl: String = headers
        .lines()
        .map(|line| format!("< {line}\r\n"))
        .collect();
    let object: serde_json::Map<String, Value> = doctor
        .received
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), json!(value)))
        .collect();
    let object = Value::Object(object).to_string();
    for headers in [&headers, &curl, &object] {
        let page = doctor.says(
            &[("Headers", headers), ("Body", &body)],
            "Valid. Signed with the current secret.",
        );
        for words in ["Identical to the sent body.", "All present."] {
            assert!(page.text().contains(words), "{}", page.text());
        }
    }
    let hex: String = body.bytes().map(|byte| format!("{byte:02x}")).collect();
    let exact = [
        ("Headers", headers.as_str()),
        ("Body", &hex),
        ("Body format", "hex"),
    ];
    doctor.says(&exact, "Valid");
    let given = [
        ("Headers", headers.as_str()),
        ("Body", &body),
        ("Secret on your server (optional)", &secret),
    ];
    let page = doctor.says(&given, "Your server uses the current secret.");
    assert!(
        !page.response.text.contains(&secret),
        "the secret is not shown again"
    );
    let log = doctor.app.log.to_string();
    for word in [
        &secret,
        "Grüße",
        doctor.received.header("X-Miniback-Signature"),
    ] {
        assert!(!log.contains(word), "what is pasted is not logged: {word}");
    }

    // During a rotation the next secret is as good.
    doctor
        .api
        .post(&format!("{path}/rotate"), json!({"overlapHours": 1}))
        .expect(200);
    doctor.says(
        &[("Headers", &headers), ("Body", &body)],
        "Valid. Signed with the current secret.",
    );
    doctor
        .api
        .post_empty(&format!("{path}/rotate/finish"))
        .expect(200);
    doctor.says(
        &[("Headers", &headers), ("Body", &body)],
        "no current secret produces this signature",
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let mut doctor = doctor();
    let (headers, body) = (doctor.headers(), doctor.body());
    let pasted = |body: &str, more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let first = [("Headers", headers.clone()), ("Body", body.to_owned())];
        first
            .into_iter()
            .chain(
                more.iter()
                    .map(|(name, value)| (*name, (*value).to_owned())),
            )
            .collect()
    };
    let mut says = |fields: Vec<(&'static str, String)>, words: &str| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        doctor.says(&fields, words)
    };
    let spaced = body.replace("\":", "\": ");
    let page = says(pasted(&spaced, &[]), "The body was re-serialized");
    assert!(
        page.text().contains("First difference after 9 bytes"),
        "{}",
        page.text()
    );
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_str(&body).unwrap();
    let sorted = serde_json::to_string(&sorted).unwrap();
    says(pasted(&sorted, &[]), "its members in a different order");
    says(
        pasted(&format!("{body}\r\n"), &[]),
        "has extra whitespace at its end",
    );
    let latin: String = body.bytes().map(char::from).collect();
    says(pasted(&latin, &[]), "a character set other than UTF-8");
    says(
        pasted(
            &body,
            &[(
                "Secret on your server (optional)",
                "another secret, and a long one",
            )],
        ),
        "Your server uses a different secret.",
    );
    says(
        pasted(&body, &[("Server time (optional)", "2001-01-01T00:00:00Z")]),
        "days behind webhook-timestamp",
    );
    let bare = "X-Miniback-Event: test";
    says(
        vec![("Headers", bare.to_owned()), ("Body", body.clone())],
        "X-Miniback-Signature is missing",
    );

    // What cannot be read comes back with the reason, and with what was pasted.
    let page = doctor
        .check(&[
            ("Headers", "nothing"),
            ("Body", "zz"),
            ("Body format", "hex"),
        ])
        .expect(422);
    assert!(page.text().contains("No headers found") && page.text().contains("Invalid hex"));
    assert_eq!(page.form_with("Check").value("Body"), "zz");
}

#[test]
fn a_delivery_of_another_webhook_is_told_as_such_and_a_long_one_fits_into_the_form() {
    let mut doctor = doctor();
    let (headers, receiver) = (doctor.headers(), Receiver::ok());
    let other = doctor.api.create_webhook(&receiver.url("/other"));
    let mine = std::mem::replace(&mut doctor.webhook, other);
    let body = doctor.body();
    let page = doctor.says(
        &[("Headers", &headers), ("Body", &body)],
        "This delivery belongs to a different webhook.",
    );
    let there = page.link("Check it on that webhook").unwrap();
    assert!(there.contains(text(&mine, "id")), "{there}");

    doctor.api.create_feedback("shop", &"ü".repeat(10_000));
    let long = receiver.wait_for(1).remove(0);
    doctor.received = long;
    let (headers, body) = (doctor.headers(), doctor.body());
    doctor.says(&[("Headers", &headers), ("Body", &body)], "Valid");
}

#[test]
fn it_is_found_from_where_a_signature_is_in_doubt_and_by_admins_alone() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let id = text(&webhook, "id");
    let doctor = format!("/settings/notifications/{id}/signature-check");
    for at in [
        format!("/settings/notifications?open={id}"),
        format!("/settings/notifications/{id}/deliveries"),
        format!(
            "/settings/notifications/{id}/deliveries/{}",
            text(&failed, "id")
        ),
    ] {
        let page = admin.get(&at).expect(200);
        assert_eq!(page.link("Check a signature"), Some(doctor.clone()), "{at}");
    }
    admin
        .get("/settings/notifications/wh_nothere/signature-check")
        .expect(404);
    app.add_user("member@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("member@example.com", crate::support::app::PASSWORD);
    member.get(&doctor).expect(403);
    let posted = [("headers".to_owned(), "X: y".to_owned())];
    member
        .post_from(&doctor, &posted, &[("Sec-Fetch-Site", "same-origin")])
        .expect(403);
    admin
        .post_from(&doctor, &posted, &[("Sec-Fetch-Site", "cross-site")])
        .expect(403);
}
