//! `/feedback` without scripts: statuses, search, paging, details, bulk changes, undo, and
//! deletion.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{App, PASSWORD};
use crate::support::forms::Form;
use crate::support::pages::Page;
use crate::support::receiver::Receiver;

/// Returns the form with the button `button` for the feedback item `id`.
#[track_caller]
fn form_for(page: &Page, id: &str, button: &str) -> Form {
    let mut forms = page.forms_with(button);
    forms.retain(|form| form.press(button).action.contains(id));
    assert_eq!(
        forms.len(),
        1,
        "expected one {button} button of {id}: {:?}",
        page.response
    );
    forms.remove(0)
}

fn status(api: &Api, feedback: &Value) -> String {
    let path = format!("/api/v1/feedback/{}", text(feedback, "id"));
    text(&api.get(&path).expect(200).json(), "status").to_owned()
}

/// Waits until all status changes are delivered to a webhook. Returns them as pairs of previous and
/// new status, oldest first.
fn delivered_changes(api: &Api, webhook: &Value) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    for delivery in api.deliveries(webhook).iter().rev() {
        if delivery["event"] == "feedback.updated" {
            let detail = api.wait_for_state(text(delivery, "id"), "delivered");
            let body: Value = serde_json::from_str(text(&detail["request"], "body")).unwrap();
            let data = &body["data"];
            changes.push((
                text(data, "previousStatus").to_owned(),
                text(&data["feedback"], "status").to_owned(),
            ));
        }
    }
    changes
}

/// Checks that the options of the "Status" field show these numbers of items.
#[track_caller]
fn assert_status_counts(page: &Page, counts: &[(&str, u32)]) {
    let text = page.text();
    for (label, count) in counts {
        assert!(
            text.contains(&format!("{label} ({count})")),
            "{label}: {text}"
        );
    }
}

#[test]
fn the_status_filter_shows_counts_and_filters() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Docs");
    for number in 0..3 {
        api.create_feedback("shop", &format!("shop {number}"));
    }
    let resolved = api.create_feedback("docs", "docs 0");
    api.set_status(&resolved, "RESOLVED");
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let counts = [
        ("Any status", 4),
        ("New", 3),
        ("Reviewed", 0),
        ("Resolved", 1),
    ];
    assert_status_counts(&page, &counts);
    let new = ada.follow_link(&page, "3 new");
    assert!(new.text().contains("shop 0") && !new.text().contains("docs 0"));
    let filter = page.form_with("Filter").fill("Status", "RESOLVED");
    let page = ada.submit(&filter.press("Filter")).expect(200);
    assert!(page.text().contains("docs 0") && !page.text().contains("shop 0"));
    let filter = page.form_with("Filter");
    assert_eq!(filter.value("Status"), "RESOLVED");
    let page = ada
        .submit(&filter.fill("Project", "shop").press("Filter"))
        .expect(200);
    assert!(page.text().contains("No matches"));
    assert_status_counts(&page, &[("Any status", 3), ("New", 3), ("Resolved", 0)]);
    let page = ada.follow_link(&page, "Clear filters");
    assert!(page.text().contains("docs 0") && page.text().contains("shop 0"));
}

#[test]
fn search_finds_and_highlights_message_email_and_page_url() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let body = json!({
        "project": "shop", "message": "The <b>Submit</b> button", "email": "sam@example.com",
        "url": "https://shop.example/checkout",
    });
    api.post("/api/v1/feedback", body).expect(201);
    api.create_feedback("shop", "Unrelated feedback");
    let mut ada = app.signed_in();
    for (query, highlight) in [
        ("submit", "&lt;b&gt;<mark>Submit</mark>&lt;"),
        ("sam@", "<mark>sam@</mark>example.com"),
        ("checkout butt", "/<mark>checkout</mark>"),
    ] {
        let form = ada.get("/feedback").form_with("Filter");
        let page = ada
            .submit(&form.fill("Search", query).press("Filter"))
            .expect(200);
        let html = page
            .response
            .text
            .replace("&#60;", "&lt;")
            .replace("&#62;", "&gt;");
        assert!(html.contains(highlight), "{query}: {html}");
        assert!(!page.text().contains("Unrelated feedback"));
        assert_status_counts(&page, &[("Any status", 1)]);
        let path = format!("/api/v1/feedback?q={}", query.replace(' ', "%20"));
        let listed = api.get(&path).expect(200).json();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    }
    for query in ["%22", "*", "NEAR(", "%00", "a%20AND", "'"] {
        ada.get(&format!("/feedback?q={query}")).expect(200);
        api.get(&format!("/api/v1/feedback?q={query}")).expect(200);
    }
}

#[test]
fn pages_through_a_long_list_and_back_to_the_newest() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..60 {
        api.create_feedback("shop", &format!("message {number:02}."));
    }
    let mut ada = app.signed_in();
    let mut page = ada.get("/feedback?q=message&status=NEW").expect(200);
    let mut shown = Vec::new();
    loop {
        let text = page.text();
        shown.extend(
            (0..60)
                .rev()
                .filter(|number| text.contains(&format!("message {number:02}."))),
        );
        if page.link("Older").is_none() {
            break;
        }
        page = ada.follow_link(&page, "Older");
    }
    assert_eq!(shown, (0..60).rev().collect::<Vec<_>>());
    let page = ada.follow_link(&page, "Newest");
    assert!(page.text().contains("message 59.") && page.link("Newest").is_none());
}

#[test]
fn a_status_change_and_its_undo_are_separate_events() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", "Hello");
    let id = text(&feedback, "id");
    let mut ada = app.signed_in();
    let page = ada.get("/feedback?status=NEW").expect(200);
    let page = ada.submit_and_follow(&form_for(&page, id, "Resolved").press("Resolved"));
    assert!(page.text().contains("Marked as resolved."));
    assert_eq!(status(&api, &feedback), "RESOLVED");
    let undo = page.form_with("Undo").press("Undo");
    let page = ada.submit_and_follow(&undo);
    assert!(
        page.text().contains("Undone.") && page.text().contains("Hello"),
        "the feedback isn't back in the list"
    );
    assert_eq!(status(&api, &feedback), "NEW");
    let expected =
        [("NEW", "RESOLVED"), ("RESOLVED", "NEW")].map(|(from, to)| (from.into(), to.into()));
    assert_eq!(delivered_changes(&api, &webhook), expected);

    // Undo doesn't overwrite a later change by another user.
    let page = ada.submit_and_follow(&form_for(&page, id, "Resolved").press("Resolved"));
    let undo = page.form_with("Undo").press("Undo");
    api.set_status(&feedback, "REVIEWED");
    let page = ada.submit_and_follow(&undo);
    assert!(page.text().contains("Can’t undo"), "{}", page.text());
    assert_eq!(status(&api, &feedback), "REVIEWED");
    // Setting the current status changes nothing, so there's nothing to undo.
    let page = ada.get("/feedback");
    let page = ada.submit_and_follow(&form_for(&page, id, "Reviewed").press("Reviewed"));
    assert!(page.forms_with("Undo").is_empty());
}

#[test]
fn a_bulk_change_creates_one_event_per_item_and_is_undone_together() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let items: Vec<Value> = (0..3)
        .map(|n| api.create_feedback("shop", &format!("number {n}")))
        .collect();
    api.set_status(&items[2], "RESOLVED");
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let without_selection = page.form_with("Mark as resolved").press("Mark as resolved");
    assert!(
        ada.submit_and_follow(&without_selection)
            .text()
            .contains("No feedback selected.")
    );
    let page = ada.follow_link(&page, "Select all on this page");
    let resolve = page.form_with("Mark as resolved").press("Mark as resolved");
    let page = ada.submit_and_follow(&resolve);
    assert!(
        page.text().contains("2 items marked as resolved."),
        "{}",
        page.text()
    );
    assert!(items.iter().all(|item| status(&api, item) == "RESOLVED"));
    let page = ada.submit_and_follow(&page.form_with("Undo").press("Undo"));
    assert!(page.text().contains("Undone."));
    let after: Vec<String> = items.iter().map(|item| status(&api, item)).collect();
    assert_eq!(
        after,
        ["NEW", "NEW", "RESOLVED"],
        "undo changed an item that was already resolved"
    );
    let changes = delivered_changes(&api, &webhook);
    assert_eq!(changes.iter().filter(|(from, _)| from == "NEW").count(), 3);
    assert_eq!(
        changes
            .iter()
            .filter(|(from, _)| from == "RESOLVED")
            .count(),
        2
    );
}

#[test]
fn deleting_one_or_several_items_requires_confirmation() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let items: Vec<Value> = (0..4)
        .map(|n| api.create_feedback("shop", &format!("spam {n}")))
        .collect();
    let count = || {
        api.get("/api/v1/feedback").json()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    let mut ada = app.signed_in();
    let page = ada.get("/feedback?q=spam").expect(200);
    let newest = text(&items[3], "id");
    let resolve = form_for(&page, newest, "Resolved").press("Resolved");
    let page = ada.follow_link(&page, "Delete feedback");
    assert!(page.text().contains("Delete this feedback?"));
    assert_eq!(count(), 4, "feedback was deleted without confirmation");
    let canceled = ada.follow_link(&page, "Cancel");
    assert!(!canceled.text().contains("Delete this feedback?"));
    let page = ada.submit_and_follow(&page.form_with("Delete").press("Delete"));
    assert!(page.text().contains("Feedback deleted."));
    assert_eq!((count(), page.path.contains("q=spam")), (3, true));
    // A form from a page that was loaded before the deletion redirects to the filtered list.
    let page = ada.submit_and_follow(&resolve).expect(200);
    assert!(page.text().contains("because the feedback was deleted"));
    assert!(page.path.contains("q=spam"), "{}", page.path);

    let form = ada.get("/feedback?select=all").form_with("Delete selected");
    let confirmation = ada.submit(&form.press("Delete selected"));
    let page = ada.follow(&confirmation).expect(200);
    assert!(page.text().contains("Delete 3 feedback items?"));
    let confirm = page.form_with("Delete").press("Delete");
    let page = ada.submit_and_follow(&confirm);
    assert!(
        page.text().contains("3 items deleted.")
            && page.text().contains("Waiting for the first feedback…")
    );
    assert_eq!(count(), 0);
    assert!(
        ada.submit_and_follow(&confirm)
            .text()
            .contains("Already deleted")
    );
    for feedback in &items {
        ada.get(&format!("/feedback/{}", text(feedback, "id")))
            .expect(404);
    }
}

#[test]
fn details_show_history_to_all_users_and_deliveries_to_admins() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/hook"));
    let body = json!({
        "project": "shop", "message": "First line\nlast line", "email": "sam@example.com",
        "url": "https://shop.example/checkout?step=2",
        "metadata": {"browser": "Firefox", "cart": {"items": 2}},
    });
    let feedback = api.post("/api/v1/feedback", body).expect(201).json();
    let id = text(&feedback, "id");
    api.set_status(&feedback, "REVIEWED");
    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    ada.submit_and_follow(&form_for(&page, id, "Resolved").press("Resolved"));
    for delivery in api.deliveries(&webhook) {
        api.wait_for_state(text(&delivery, "id"), "failed");
    }
    for path in [format!("/feedback/{id}"), format!("/feedback?open={id}")] {
        let page = ada.get(&path).expect(200);
        let shown = page.text();
        for expected in [
            "last line",
            "https://shop.example/checkout?step=2",
            "Browser Firefox",
            "cart {\"items\":2}",
            "3 deliveries: 3 failed",
            "New → Reviewed by ada@example.com , token tests",
            "Reviewed → Resolved by ada@example.com",
            "Failed",
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        assert!(
            shown.contains(&receiver.url("/hook")),
            "the webhook's URL is missing"
        );
        assert!(page.response.text.contains("mailto:sam@example.com"));
        for fact in ["sam@example.com", "https://shop.example/checkout?step=2"] {
            assert_eq!(shown.matches(fact).count(), 1, "{fact}: {shown}");
        }
        let page = ada.follow_link(&page, "feedback.created");
        assert!(page.path.contains("/deliveries/dlv_"));
        let page = bob.get(&path).expect(200);
        assert!(page.text().contains("New → Reviewed"));
        assert!(
            !page.text().contains(&receiver.url("/hook")),
            "a member sees a webhook's URL"
        );
    }
}

#[test]
fn changing_a_status_on_the_detail_page_returns_to_it() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello");
    api.set_status(&feedback, "REVIEWED");
    let id = text(&feedback, "id");
    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let page = bob.get(&format!("/feedback/{id}")).expect(200);
    let page = bob.submit_and_follow(&form_for(&page, id, "New").press("New"));
    assert_eq!(page.path, format!("/feedback/{id}"));
    let page = bob.submit_and_follow(&page.form_with("Undo").press("Undo"));
    assert_eq!(page.path, format!("/feedback/{id}"));
    assert!(
        page.text().contains("by bob@example.com"),
        "the history doesn't show who changed the status"
    );
    bob.get("/feedback/fb_00000000000000000000000000")
        .expect(404);
}
