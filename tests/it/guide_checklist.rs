//! The checklist in the webhook guide, which shows admins the state of their webhooks.

use scraper::{ElementRef, Html};
use serde_json::{Value, json};

use crate::guide::{GUIDE, selector};
use crate::support::api::text;
use crate::support::app::{App, PASSWORD};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{Receiver, Reply, closed_socket_address};

/// The finding that the guide shows for an item that needs attention.
const PROBLEM: &str = "needs attention";

fn text_of(element: ElementRef<'_>) -> String {
    let text: Vec<&str> = element.text().flat_map(str::split_whitespace).collect();
    text.join(" ")
}

/// Returns the checklist of a webhook: the name, finding, and text of each item.
#[track_caller]
fn checklist(page: &Page, webhook: &Value) -> Vec<(String, String, String)> {
    let html = Html::parse_document(&page.response.text);
    let items = selector(&format!("#{} .checklist > li", text(webhook, "id")));
    let text_at = |item: ElementRef<'_>, css: &str| item.select(&selector(css)).next().map(text_of);
    html.select(&items)
        .map(|item| {
            let name = text_at(item, "h4").expect("find the item's name");
            let finding = text_at(item, ".state").expect("find the item's finding");
            (name, finding, text_of(item))
        })
        .collect()
}

/// Returns the name and finding of each item that isn't "ok".
#[track_caller]
fn problems(admin: &mut Visitor, webhook: &Value) -> Vec<(String, String)> {
    let page = admin.get(GUIDE).expect(200);
    let items = checklist(&page, webhook);
    assert_eq!(items.len(), 9, "{items:#?}");
    let problems = items.into_iter().filter(|(_, finding, _)| finding != "ok");
    problems.map(|(name, finding, _)| (name, finding)).collect()
}

#[track_caller]
fn assert_finding(admin: &mut Visitor, webhook: &Value, name: &str, finding: &str, text: &str) {
    let page = admin.get(GUIDE).expect(200);
    let items = checklist(&page, webhook);
    let item = items.iter().find(|item| item.0 == name).expect(name);
    assert_eq!(item.1, finding, "{item:?}");
    assert!(item.2.contains(text), "{text}: {item:?}");
}

#[test]
fn the_checklist_of_a_working_webhook_shows_no_problems() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/hook"));
    let mut admin = app.signed_in();
    let before = problems(&mut admin, &webhook);
    let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    // The page lists problems first, then the check that needs a test event, then the collapsed
    // checks.
    let expected = [
        "The project is selected",
        "The feedback was received",
        "The endpoint can be reached",
        "The endpoint responds in time",
        "The project isn’t paused",
        "Last error",
    ];
    assert_eq!(names, expected, "unexpected problems of a new webhook");

    api.create_project("Shop");
    api.deliver_one(&webhook, "delivered");
    assert_eq!(problems(&mut admin, &webhook), []);
    let page = admin.get(GUIDE).expect(200);
    assert!(page.text().contains("No issues found"));
    let curl = format!("'{}'", receiver.url("/hook"));
    assert!(
        page.text().contains(&curl),
        "the curl example doesn't contain the webhook's URL"
    );
    for (name, text) in [
        (
            "The connection is encrypted",
            "Plain http:// to this machine",
        ),
        ("The endpoint responds in time", "(limit: 5 s)"),
    ] {
        assert_finding(&mut admin, &webhook, name, "ok", text);
    }
    assert_eq!(
        receiver.received().len(),
        1,
        "opening the guide sent a request"
    );
}

#[test]
fn the_checklist_finds_what_prevents_deliveries() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    api.create_project("Blog");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "delivered");
    let mut admin = app.signed_in();
    let problem = |name: &str| vec![(name.to_owned(), PROBLEM.to_owned())];
    assert_eq!(problems(&mut admin, &webhook), []);

    for (change, name, fix) in [
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
        assert_eq!(problems(&mut admin, &webhook), problem(name));
        api.patch_webhook(&webhook, fix);
        assert_eq!(problems(&mut admin, &webhook), []);
    }
    let topics = "Not selected: Status Changed.";
    assert_finding(&mut admin, &webhook, "Topics are selected", "ok", topics);

    let path = "/api/v1/projects/delivered";
    api.patch(path, json!({"status": "PAUSED"})).expect(200);
    let paused = "The project isn’t paused";
    assert_eq!(problems(&mut admin, &webhook), problem(paused));
    assert_finding(&mut admin, &webhook, paused, PROBLEM, "“Delivered”");
    api.patch(path, json!({"status": "ACTIVE"})).expect(200);

    api.delete(path).expect(204);
    let page = admin.get(GUIDE).expect(200);
    let first = checklist(&page, &webhook).remove(0);
    assert!(first.2.contains("were deleted"), "{first:?}");
}

#[test]
fn the_checklist_explains_the_errors_of_an_endpoint() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let api = app.api();
    api.create_project("Shop");
    let rejecting = api.create_webhook(&receiver.url("/"));
    let unreachable = api.create_webhook(&format!("http://{}/", closed_socket_address()));
    api.deliver_one(&rejecting, "failed");
    api.wait_for_state(text(&api.only_delivery(&unreachable), "id"), "failed");
    let mut admin = app.signed_in();
    let (last_error, reachable) = ("Last error", "The endpoint can be reached");
    for (webhook, name, finding, text) in [
        (&rejecting, last_error, PROBLEM, "401 Unauthorized"),
        (&rejecting, last_error, PROBLEM, "Check its signing secret"),
        (&rejecting, reachable, "ok", "responded with 401"),
        (&unreachable, reachable, PROBLEM, "refused"),
        (&unreachable, last_error, PROBLEM, "Nothing is listening"),
    ] {
        assert_finding(&mut admin, webhook, name, finding, text);
    }

    // The section of a webhook with problems is open. The problems are visible, and the other
    // checks are collapsed.
    let page = admin.get(GUIDE).expect(200);
    let html = Html::parse_document(&page.response.text);
    let id = text(&rejecting, "id");
    let visible = selector(&format!("#{id} > .checklist h4"));
    let visible: Vec<String> = html.select(&visible).map(text_of).collect();
    assert_eq!(visible, [last_error]);
    let folded = page.text_of(&format!("#{id} > .disclosure > summary"));
    assert_eq!(folded, "8 checks passed");
    assert!(page.response.text.contains(&format!("id=\"{id}\" open")));

    // After a later success, the last error is no longer a problem.
    receiver.set_script(|_| Reply::status(204));
    api.post_empty(&format!("/api/v1/webhooks/{id}/test"))
        .expect(200);
    let recovered = "No failures since then.";
    assert_finding(&mut admin, &rejecting, last_error, "ok", recovered);
}

#[test]
fn failing_webhooks_link_to_their_own_checklist() {
    let (app, receiver) = (App::without_retries(), Receiver::status(401));
    let api = app.api();
    api.create_project("Shop");
    let rejecting = api.create_webhook(&receiver.url("/"));
    let unreachable = api.create_webhook(&format!("http://{}/", closed_socket_address()));
    api.deliver_one(&rejecting, "failed");
    api.wait_for_state(text(&api.only_delivery(&unreachable), "id"), "failed");
    let mut admin = app.signed_in();
    let settings = admin.get("/settings/notifications").expect(200);
    let troubleshooting = settings.link("Troubleshoot").expect("find the link");
    let id = text(&rejecting, "id");
    assert_eq!(troubleshooting, format!("{GUIDE}?webhook={id}"));
    let full_link = format!("href=\"{troubleshooting}#troubleshooting\"");
    assert!(settings.response.text.contains(&full_link));
    let filtered = admin.get(&format!("{GUIDE}?webhook={id}")).expect(200);
    assert_eq!(checklist(&filtered, &rejecting).len(), 9);
    assert!(checklist(&filtered, &unreachable).is_empty());
    assert!(filtered.link("Check a signature").is_some());
    let delivery = api.only_delivery(&rejecting);
    let detail = format!(
        "/settings/notifications/{id}/deliveries/{}",
        text(&delivery, "id")
    );
    let detail = admin.get(&detail).expect(200);
    assert_eq!(detail.link("Troubleshoot"), Some(troubleshooting));
    let deleted = admin.get(&format!("{GUIDE}?webhook=wh_x")).expect(200);
    assert!(deleted.text().contains("This webhook was deleted"));
}

#[test]
fn members_and_visitors_see_the_checklist_without_webhook_data() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Secret Project");
    let webhook = api.create_webhook(&receiver.url("/hidden"));
    api.deliver_one(&webhook, "delivered");
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    for visitor in [&mut member, &mut app.visitor()] {
        for path in [
            GUIDE.to_owned(),
            format!("{GUIDE}?webhook={}", text(&webhook, "id")),
        ] {
            let page = visitor.get(&path).expect(200);
            let html = Html::parse_document(&page.response.text);
            assert_eq!(html.select(&selector(".checklist > li")).count(), 9);
            assert_eq!(html.select(&selector(".checklist .state")).count(), 0);
            for hidden in [text(&webhook, "id"), "/hidden", "Secret Project"] {
                assert!(!page.response.text.contains(hidden), "{hidden}");
            }
        }
    }
}
