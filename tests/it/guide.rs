//! The guide at `/docs/webhooks`: for whoever writes an endpoint, without a session; and its
//! checklist, which tells an admin what this installation knows of a webhook.

#[path = "../../examples/verify/verify.rs"]
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{App, PASSWORD};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::example_receiver::{SECRET, file};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{ReceivedRequest, Receiver, closed_address};

const GUIDE: &str = "/docs/webhooks";

fn select(css: &str) -> Selector {
    Selector::parse(css).expect("a selector")
}

fn words_of(element: ElementRef<'_>) -> String {
    let text: Vec<&str> = element.text().flat_map(str::split_whitespace).collect();
    text.join(" ")
}

/// The checklist of one webhook: name, finding and words of each item.
#[track_caller]
fn findings(page: &Page, webhook: &Value) -> Vec<(String, String, String)> {
    let html = Html::parse_document(&page.response.text);
    let items = select(&format!("#{} .checklist > li", text(webhook, "id")));
    let within = |item: ElementRef<'_>, css: &str| item.select(&select(css)).next().map(words_of);
    html.select(&items)
        .map(|item| {
            let name = within(item, "h4").expect("a name");
            let finding = within(item, ".state").expect("a word beside the shape");
            (name, finding, words_of(item))
        })
        .collect()
}

/// The findings that are not "ok", by name.
#[track_caller]
fn to_look_at(admin: &mut Visitor, webhook: &Value) -> Vec<(String, String)> {
    let page = admin.get(GUIDE).expect(200);
    let found = findings(&page, webhook);
    assert_eq!(found.len(), 9, "{found:#?}");
    let bad = found.into_iter().filter(|(_, finding, _)| finding != "ok");
    bad.map(|(name, finding, _)| (name, finding)).collect()
}

#[track_caller]
fn says(admin: &mut Visitor, webhook: &Value, name: &str, finding: &str, words: &str) {
    let page = admin.get(GUIDE).expect(200);
    let found = findings(&page, webhook);
    let item = found.iter().find(|item| item.0 == name).expect(name);
    assert_eq!(item.1, finding, "{item:?}");
    assert!(item.2.contains(words), "{words}: {item:?}");
}

#[test]
fn it_asks_for_no_session_leads_everywhere_and_makes_no_request_outside() {
    let app = App::start();
    let page = app.visitor().get(GUIDE).expect(200);
    let html = &page.response.text;
    let parsed = Html::parse_document(html);
    let anchors: Vec<&str> = parsed
        .select(&select(".toc a"))
        .filter_map(|link| link.attr("href"))
        .collect();
    assert!(anchors.len() > 10, "{anchors:?}");
    for anchor in html.split("href=\"#").skip(1) {
        let name = anchor.split('"').next().unwrap();
        assert_eq!(
            html.matches(&format!(" id=\"{name}\"")).count(),
            1,
            "#{name}"
        );
    }
    for outside in ["src=\"http", "href=\"http", "url(http", "src=\"//"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("within <b>5 s</b>"), "the default timeout");
    assert!(page.text().contains("1 s, 5 s, and 15 s"));
    let head = app.api_without_token().head(GUIDE);
    assert_eq!(head.status, 200);
}

#[test]
fn it_tells_the_times_of_this_installation() {
    let app = App::builder()
        .option("--retry-delays", "2s,60s")
        .option("--timeout", "1500ms")
        .start();
    let words = app.visitor().get(GUIDE).expect(200).text();
    assert!(words.contains("after 2 s and 1 min,"), "{words}");
    assert!(words.contains("within 1.5 s"), "{words}");
    let once = App::without_retries();
    let words = once.visitor().get(GUIDE).expect(200).text();
    assert!(words.contains("doesn’t retry failed deliveries"), "{words}");
}

/// Names of members in their order, with what kind of value each has.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| json!([name, shape(value)]))
            .collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

#[test]
fn its_payloads_have_the_members_that_are_really_sent_in_their_order() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    api.post_empty(&format!("/api/v1/webhooks/{}/test", text(&webhook, "id")))
        .expect(200);
    let page = app.visitor().get(GUIDE).expect(200);
    for sent in receiver.wait_for(3) {
        let sent = sent.json();
        let event = text(&sent, "event");
        let shown = page.text_of(&format!("[aria-labelledby='{event}']"));
        let shown: Value = serde_json::from_str(&shown).expect(event);
        assert_eq!(shape(&shown), shape(&sent), "{event}");
    }
}

#[test]
fn its_code_is_that_of_the_examples() {
    let page = App::start().visitor().get(GUIDE).expect(200);
    for (anchor, path) in [
        ("node", "express/server.mjs"),
        ("python", "flask/app.py"),
        ("nextjs", "nextjs/app/webhooks/miniback/route.js"),
        ("go", "../verify/verify.go"),
        ("php", "../verify/verify.php"),
        ("ruby", "../verify/verify.rb"),
        ("rust", "../verify/verify.rs"),
        ("use-discord", "discord/server.mjs"),
        ("use-database", "database/app.py"),
        ("use-sms", "sms/app.py"),
        ("use-ticket", "ticket/server.mjs"),
    ] {
        let shown = page.text_of(&format!("#{anchor}-code"));
        assert_eq!(shown.trim_end(), file(path).trim_end(), "{anchor}");
    }
}

fn is_genuine(secret: &str, received: &ReceivedRequest, body: &[u8], age: i64) -> bool {
    let header = |name: &str| {
        let mut headers = received.headers.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    verify::is_genuine(secret, header, body, now + age)
}

#[test]
fn its_rust_takes_what_is_sent_and_refuses_what_is_changed_or_old() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let own = "a-secret-of-our-own";
    for secret in [SECRET, own] {
        let webhook = api.create_webhook_with(json!({"url": receiver.url("/"), "secret": secret}));
        let id = text(&webhook, "id").to_owned();
        let test = format!("/api/v1/webhooks/{id}/test");
        api.post_empty(&test).expect(200);
        let received = receiver.received().pop().expect("the test");
        let body = &received.body;
        assert!(is_genuine(secret, &received, body, 0));
        assert!(!is_genuine("whsec_AAAA", &received, body, 0));
        assert!(!is_genuine(secret, &received, b"{}", 0));
        // Only what Standard Webhooks signs is over the time.
        assert_eq!(is_genuine(secret, &received, body, 600), secret == own);
        assert_eq!(is_genuine(secret, &received, body, -600), secret == own);
        let rotate = format!("/api/v1/webhooks/{id}/secret/rotate");
        let rotated = api.post(&rotate, json!({"overlapHours": 1})).expect(200);
        let next = text(&rotated.json(), "nextSecret").to_owned();
        api.post_empty(&test).expect(200);
        let received = receiver.received().pop().expect("the test");
        for secret in [secret, &next] {
            assert!(is_genuine(secret, &received, &received.body, 0), "{secret}");
        }
    }
}

#[test]
fn the_checklist_of_a_webhook_that_works_has_nothing_to_look_at() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/hook"));
    let mut admin = app.signed_in();
    let before = to_look_at(&mut admin, &webhook);
    let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "The endpoint can be reached",
        "The endpoint responds in time",
        "The project is selected",
        "The project isn’t paused",
        "The feedback was received",
        "Last error",
    ];
    assert_eq!(names, expected, "nothing is there yet");

    api.create_project("Shop");
    api.deliver_one(&webhook, "delivered");
    assert_eq!(to_look_at(&mut admin, &webhook), []);
    let page = admin.get(GUIDE).expect(200);
    assert!(page.text().contains("No issues found"));
    let curl = format!("'{}'", receiver.url("/hook"));
    assert!(page.text().contains(&curl), "the address to try");
    says(
        &mut admin,
        &webhook,
        "The connection is encrypted",
        "ok",
        "Plain http:// to this machine",
    );
    says(
        &mut admin,
        &webhook,
        "The endpoint responds in time",
        "ok",
        "(limit: 5 s)",
    );
    assert_eq!(receiver.received().len(), 1, "looking sends nothing");
}

#[test]
fn what_stands_in_a_webhooks_way_is_found() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Blog");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "delivered");
    let mut admin = app.signed_in();
    let look = |name: &str| vec![(name.to_owned(), "needs attention".to_owned())];
    assert_eq!(to_look_at(&mut admin, &webhook), []);

    for (change, name, mend) in [
        (
            json!({"enabled": false}),
            "The webhook is enabled",
            json!({"enabled": true}),
        ),
        (
            json!({"topics": []}),
            "Topics are selected",
            json!({"topics": ["feedback.created"]}),
        ),
        (
            json!({"projects": ["blog"]}),
            "The feedback was received",
            json!({"projects": ["delivered"]}),
        ),
    ] {
        api.patch_webhook(&webhook, change);
        assert_eq!(to_look_at(&mut admin, &webhook), look(name));
        api.patch_webhook(&webhook, mend);
        assert_eq!(to_look_at(&mut admin, &webhook), []);
    }
    let topics = "Status Changed isn’t selected";
    says(&mut admin, &webhook, "Topics are selected", "ok", topics);

    let path = "/api/v1/projects/delivered";
    api.patch(path, json!({"status": "PAUSED"})).expect(200);
    let paused = "The project isn’t paused";
    assert_eq!(to_look_at(&mut admin, &webhook), look(paused));
    says(
        &mut admin,
        &webhook,
        paused,
        "needs attention",
        "“Delivered”",
    );
    api.patch(path, json!({"status": "ACTIVE"})).expect(200);

    api.delete(path).expect(204);
    let page = admin.get(GUIDE).expect(200);
    let deleted = findings(&page, &webhook);
    assert!(deleted[5].2.contains("were deleted"), "{:?}", deleted[5]);
}

#[test]
fn an_endpoint_that_fails_is_told_with_its_error_and_what_to_do() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let api = app.api();
    api.create_project("Shop");
    let refuses = api.create_webhook(&receiver.url("/"));
    let gone = api.create_webhook(&format!("http://{}/", closed_address()));
    api.deliver_one(&refuses, "failed");
    api.wait_for_state(text(&api.only_delivery(&gone), "id"), "failed");
    let mut admin = app.signed_in();
    let last = "Last error";
    says(
        &mut admin,
        &refuses,
        last,
        "needs attention",
        "401 Unauthorized",
    );
    says(
        &mut admin,
        &refuses,
        last,
        "needs attention",
        "Check its signing secret",
    );
    let reached = "The endpoint can be reached";
    says(&mut admin, &refuses, reached, "ok", "responded with 401");
    says(&mut admin, &gone, reached, "needs attention", "refused");
    says(
        &mut admin,
        &gone,
        last,
        "needs attention",
        "Nothing is listening",
    );

    // One webhook alone, from where it fails.
    let settings = admin.get("/settings/notifications").expect(200);
    let way = settings.link("Troubleshoot").expect("a link");
    let id = text(&refuses, "id");
    assert_eq!(way, format!("{GUIDE}?webhook={id}"));
    let whole = format!("href=\"{way}#troubleshooting\"");
    assert!(settings.response.text.contains(&whole));
    let alone = admin.get(&format!("{GUIDE}?webhook={id}")).expect(200);
    assert_eq!(findings(&alone, &refuses).len(), 9);
    assert!(findings(&alone, &gone).is_empty());
    assert!(alone.link("Check a signature").is_some());
    let delivery = api.only_delivery(&refuses);
    let detail = format!(
        "/settings/notifications/{id}/deliveries/{}",
        text(&delivery, "id")
    );
    let detail = admin.get(&detail).expect(200);
    assert_eq!(detail.link("Troubleshoot"), Some(way));
    let nowhere = admin.get(&format!("{GUIDE}?webhook=wh_gone")).expect(200);
    assert!(nowhere.text().contains("This webhook was deleted"));

    // Once it is well, the error is of the past.
    receiver.set_script(|_| crate::support::receiver::Reply::status(204));
    api.post_empty(&format!("/api/v1/webhooks/{id}/test"))
        .expect(200);
    says(&mut admin, &refuses, last, "ok", "No failures since");
}

#[test]
fn who_is_no_admin_gets_the_same_checklist_as_advice_and_sees_no_webhook() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Secret Project");
    let webhook = api.create_webhook(&receiver.url("/hidden"));
    api.deliver_one(&webhook, "delivered");
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    for visitor in [&mut member, &mut app.visitor()] {
        for address in [
            GUIDE.to_owned(),
            format!("{GUIDE}?webhook={}", text(&webhook, "id")),
        ] {
            let page = visitor.get(&address).expect(200);
            let html = Html::parse_document(&page.response.text);
            assert_eq!(html.select(&select(".checklist > li")).count(), 9);
            assert_eq!(html.select(&select(".checklist .state")).count(), 0);
            for hidden in [text(&webhook, "id"), "/hidden", "Secret Project"] {
                assert!(!page.response.text.contains(hidden), "{hidden}");
            }
        }
    }
}

#[test]
fn help_is_one_press_away_on_every_page() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let help = Some(format!("/miniback{GUIDE}"));
    assert_eq!(app.visitor().get("/login").expect(200).link("Help"), help);
    assert_eq!(app.visitor().get("/nothing").expect(404).link("Help"), help);
    assert_eq!(
        app.visitor().get("/docs/api").expect(200).link("Help"),
        help
    );
    let app = App::start();
    let mut admin = app.signed_in();
    for page in ["/feedback", "/settings/account", "/settings/tokens"] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("Help"), Some(GUIDE.to_owned()), "{}", page.path);
    }
    for page in ["/settings/tokens", GUIDE] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("API reference"), Some("/docs/api".to_owned()));
    }
}

#[test]
fn on_a_phone_without_scripts_it_fits_with_its_code_open() {
    let app = App::start();
    let browser = Browser::with(BrowserOptions {
        javascript: false,
        width: 360,
        height: 780,
    });
    browser.open(&format!("{}{GUIDE}", app.url));
    browser.script("document.querySelectorAll('details').forEach(one => one.open = true)");
    browser.wait_for_text("hmac.Equal");
    let over = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
    assert!(over.as_i64().unwrap_or(1) <= 0, "{over} px too wide");
    assert!(browser.all("button", "Copy").is_empty());
}
