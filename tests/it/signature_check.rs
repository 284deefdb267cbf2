//! "Check a signature": users paste a request that their endpoint received, and the page explains
//! what is wrong.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{ReceivedRequest, Receiver};

struct Fixture {
    app: App,
    api: Api,
    admin: Visitor,
    webhook: Value,
    /// The request that the endpoint received.
    received: ReceivedRequest,
}

fn fixture() -> Fixture {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Grüße & so");
    api.wait_for_state(text(&api.only_delivery(&webhook), "id"), "delivered");
    let (admin, received) = (app.signed_in(), receiver.first());
    Fixture {
        app,
        api,
        admin,
        webhook,
        received,
    }
}

impl Fixture {
    fn path(&self) -> String {
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
        let path = self.path();
        let form = self.admin.get(&path).expect(200).form_with("Check");
        let filled = fields
            .iter()
            .fold(form, |form, (label, value)| form.fill(label, value));
        self.admin.submit(&filled.press("Check"))
    }

    /// Submits the form with these fields. Checks that the resulting page contains `text`.
    #[track_caller]
    fn assert_shows(&mut self, fields: &[(&str, &str)], text: &str) -> Page {
        let page = self.check(fields).expect(200);
        assert!(page.text().contains(text), "{text}: {}", page.text());
        page
    }
}

#[test]
fn accepts_a_delivery_in_all_formats_without_showing_secrets() {
    let mut fixture = fixture();
    let (headers, body) = (fixture.headers(), fixture.body());
    let path = format!("/api/v1/webhooks/{}/secret", text(&fixture.webhook, "id"));
    let secret = fixture.api.get(&path).json()["secret"].clone();
    let secret = secret.as_str().unwrap().to_owned();
    let curl: String = headers
        .lines()
        .map(|line| format!("< {line}\r\n"))
        .collect();
    let object: serde_json::Map<String, Value> = fixture
        .received
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), json!(value)))
        .collect();
    let object = Value::Object(object).to_string();
    for headers in [&headers, &curl, &object] {
        let page = fixture.assert_shows(
            &[("Headers", headers), ("Body", &body)],
            "Valid. Signed with the current secret.",
        );
        for text in ["Identical to the sent body.", "All present."] {
            assert!(page.text().contains(text), "{}", page.text());
        }
    }
    let hex: String = body.bytes().map(|byte| format!("{byte:02x}")).collect();
    let as_hex = [
        ("Headers", headers.as_str()),
        ("Body", &hex),
        ("Body format", "hex"),
    ];
    fixture.assert_shows(&as_hex, "Valid");
    let with_secret = [
        ("Headers", headers.as_str()),
        ("Body", &body),
        ("Secret on your server (optional)", &secret),
    ];
    let page = fixture.assert_shows(
        &with_secret,
        "Your server uses this webhook’s current secret.",
    );
    assert!(
        !page.response.text.contains(&secret),
        "the page shows the pasted secret"
    );
    let log = fixture.app.log.to_string();
    for word in [
        &secret,
        "Grüße",
        fixture.received.header("X-Miniback-Signature"),
    ] {
        assert!(!log.contains(word), "pasted data is in the log: {word}");
    }
}

#[test]
fn checks_signatures_against_all_active_secrets() {
    let mut fixture = fixture();
    let (headers, body) = (fixture.headers(), fixture.body());
    let path = format!("/api/v1/webhooks/{}/secret", text(&fixture.webhook, "id"));
    fixture
        .api
        .post(&format!("{path}/rotate"), json!({"overlapHours": 1}))
        .expect(200);
    fixture.assert_shows(
        &[("Headers", &headers), ("Body", &body)],
        "Valid. Signed with the current secret.",
    );
    fixture
        .api
        .post_empty(&format!("{path}/rotate/finish"))
        .expect(200);
    fixture.assert_shows(
        &[("Headers", &headers), ("Body", &body)],
        "no active secret produces this signature",
    );
}

#[test]
fn explains_why_a_signature_is_invalid() {
    let mut fixture = fixture();
    let (headers, body) = (fixture.headers(), fixture.body());
    let pasted = |body: &str, options: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let first = [("Headers", headers.clone()), ("Body", body.to_owned())];
        first
            .into_iter()
            .chain(
                options
                    .iter()
                    .map(|(name, value)| (*name, (*value).to_owned())),
            )
            .collect()
    };
    let mut assert_shows = |fields: Vec<(&'static str, String)>, text: &str| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        fixture.assert_shows(&fields, text)
    };
    let spaced = body.replace("\":", "\": ");
    let page = assert_shows(pasted(&spaced, &[]), "The body was re-serialized");
    assert!(
        page.text().contains("First difference after 9 bytes"),
        "{}",
        page.text()
    );
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_str(&body).unwrap();
    let sorted = serde_json::to_string(&sorted).unwrap();
    assert_shows(pasted(&sorted, &[]), "its members in a different order");
    assert_shows(
        pasted(&format!("{body}\r\n"), &[]),
        "has trailing whitespace",
    );
    let latin: String = body.bytes().map(char::from).collect();
    assert_shows(pasted(&latin, &[]), "a character set other than UTF-8");
    assert_shows(
        pasted(
            &body,
            &[(
                "Secret on your server (optional)",
                "another secret, and a long one",
            )],
        ),
        "Your server uses a different secret.",
    );
    assert_shows(
        pasted(&body, &[("Server time (optional)", "2001-01-01T00:00:00Z")]),
        "days behind webhook-timestamp",
    );
    let bare = "X-Miniback-Event: test";
    assert_shows(
        vec![("Headers", bare.to_owned()), ("Body", body.clone())],
        "X-Miniback-Signature is missing",
    );
}

#[test]
fn selecting_a_recent_delivery_fills_in_its_headers() {
    let mut fixture = fixture();
    let path = fixture.path();
    let form = fixture.admin.get(&path).expect(200).form_with("Use");
    let id = fixture.received.delivery().to_owned();
    let chosen = form.fill("Compare with a delivery", &id).press("Use");
    let form = fixture.admin.submit(&chosen).expect(200).form_with("Check");
    let headers = form.value("Headers");
    let signature = fixture.received.header("X-Miniback-Signature");
    assert!(headers.contains(signature), "{headers}");
    let changed = fixture.body().replacen('{', "[", 1);
    let pressed = form.fill("Body", &changed).press("Check");
    let page = fixture.admin.submit(&pressed).expect(200);
    assert!(
        page.text().contains("The first byte differs"),
        "{}",
        page.text()
    );

    // The headers of another webhook's delivery aren't filled in.
    fixture.webhook = fixture.api.create_webhook("http://127.0.0.1:9/other");
    let path = format!("{}?delivery={id}", fixture.path());
    let page = fixture.admin.get(&path).expect(200);
    assert_eq!(page.form_with("Check").value("Headers"), "");
    assert!(page.forms_with("Use").is_empty());
}

#[test]
fn checks_a_secret_alone_or_with_a_delivery_but_without_a_body() {
    let mut fixture = fixture();
    let path = format!("/api/v1/webhooks/{}/secret", text(&fixture.webhook, "id"));
    let secret = fixture.api.get(&path).json()["secret"].clone();
    let secret = secret.as_str().unwrap().to_owned();
    let label = "Secret on your server (optional)";
    let headers = fixture.headers();
    let page = fixture.assert_shows(&[(label, &secret)], "The secret is right.");
    let text = page.text();
    assert!(
        !text.contains("are present") && !text.contains("The body"),
        "{text}"
    );
    for headers in ["", &headers] {
        let wrong = [
            ("Headers", headers),
            (label, "another secret, and a long one"),
        ];
        let page = fixture.assert_shows(&wrong, "Wrong secret. Your server uses a different");
        assert!(!page.text().contains("is right"), "{}", page.text());
    }
    let page = fixture.check(&[]).expect(422);
    assert!(page.text().contains("No headers found"), "{}", page.text());
}

#[test]
fn a_wrong_secret_is_mentioned_once() {
    let mut fixture = fixture();
    let (headers, body) = (fixture.headers(), fixture.body());
    let fields = [
        ("Headers", headers.as_str()),
        ("Body", &body),
        (
            "Secret on your server (optional)",
            "another secret, and a long one",
        ),
    ];
    let sentence = "Your server uses a different secret.";
    let page = fixture.assert_shows(&fields, sentence);
    assert_eq!(page.text().matches(sentence).count(), 1, "{}", page.text());
}

#[test]
fn unreadable_input_stays_in_the_form_with_the_reason() {
    let page = fixture()
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
fn detects_deliveries_of_other_webhooks_and_accepts_long_deliveries() {
    let mut fixture = fixture();
    let (headers, receiver) = (fixture.headers(), Receiver::ok());
    let other = fixture.api.create_webhook(&receiver.url("/other"));
    let first_webhook = std::mem::replace(&mut fixture.webhook, other);
    let body = fixture.body();
    let page = fixture.assert_shows(
        &[("Headers", &headers), ("Body", &body)],
        "This delivery belongs to a different webhook.",
    );
    assert!(!page.text().contains("Signed with"), "{}", page.text());
    let link = page.link("Check it on that webhook").unwrap();
    assert!(link.contains(text(&first_webhook, "id")), "{link}");

    fixture.api.create_feedback("shop", &"ü".repeat(10_000));
    let long_request = receiver.wait_for(1).remove(0);
    fixture.received = long_request;
    let (headers, body) = (fixture.headers(), fixture.body());
    fixture.assert_shows(&[("Headers", &headers), ("Body", &body)], "Valid");
}

#[test]
fn failing_webhooks_link_to_the_check_for_admins_only() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let id = text(&webhook, "id");
    let check_page = format!("/settings/notifications/{id}/signature-check");
    for path in [
        format!("/settings/notifications?open={id}"),
        format!("/settings/notifications/{id}/deliveries"),
    ] {
        let page = admin.get(&path).expect(200);
        assert_eq!(
            page.link("Check a signature"),
            Some(check_page.clone()),
            "{path}"
        );
    }
    let delivery = text(&failed, "id");
    let path = format!("/settings/notifications/{id}/deliveries/{delivery}");
    let link = admin.get(&path).expect(200).link("Check the signature");
    assert_eq!(link, Some(format!("{check_page}?delivery={delivery}")));
    admin
        .get("/settings/notifications/wh_unknown/signature-check")
        .expect(404);
    app.add_user("member@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("member@example.com", crate::support::app::PASSWORD);
    member.get(&check_page).expect(403);
    let posted = [("headers".to_owned(), "X: y".to_owned())];
    member
        .post_from(&check_page, &posted, &[("Sec-Fetch-Site", "same-origin")])
        .expect(403);
    admin
        .post_from(&check_page, &posted, &[("Sec-Fetch-Site", "cross-site")])
        .expect(403);
}
