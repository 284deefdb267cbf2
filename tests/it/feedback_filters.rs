//! The filters and sort orders in the URL of `/feedback`, and the links to the previous and next
//! item, which keep the filters.

use std::time::Duration;

use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::in_process::InProcess;
use crate::support::pages::Page;

/// Returns the numbers of the messages `message 1.`, `message 2.`, … on a page, in page order.
fn listed(page: &Page) -> Vec<u32> {
    let text = page.text();
    let parts = text.split("message ").skip(1);
    parts
        .filter_map(|part| part.split_once('.')?.0.parse().ok())
        .collect()
}

fn create_feedback_with(api: &Api, message: &str, email: &str) {
    let body = json!({"project": "shop", "message": message, "email": email});
    api.post("/api/v1/feedback", body).expect(201);
}

#[test]
fn filters_by_day_in_utc_or_the_browsers_time_zone() {
    let app = InProcess::start(&[]);
    let api = app.api();
    api.create_project("Shop");
    // The clock starts at midnight (UTC) on January 1, 2026.
    api.create_feedback("shop", "message 1.");
    app.advance(Duration::from_secs(23 * 3600 + 1800));
    api.create_feedback("shop", "message 2.");
    app.advance(Duration::from_secs(3600));
    api.create_feedback("shop", "message 3.");
    let mut ada = app.visitor();
    ada.sign_in(ADMIN, PASSWORD);

    let form = ada.get("/feedback").expect(200).form_with("Filter");
    let page = ada.submit(&form.fill("Received", "today").press("Filter"));
    assert_eq!(listed(&page), [3]);
    assert!(page.text().contains("Since 2 Jan 2026 in UTC"));
    assert!(page.text().contains("Any status (1)") && page.text().contains("1 item"));
    for (query, expected) in [
        ("received=today&tz=60", vec![3, 2]),
        ("received=7d", vec![3, 2, 1]),
        ("from=2026-01-01&to=2026-01-01", vec![2, 1]),
        ("from=2026-01-01&to=2026-01-01&tz=60", vec![1]),
        ("from=2026-01-02", vec![3]),
        ("to=2025-12-31&tz=-60", vec![1]),
        ("to=2025-12-31", vec![]),
        (
            "q=message&from=2026-01-01&to=2026-01-01&sort=oldest",
            vec![1, 2],
        ),
    ] {
        let page = ada.get(&format!("/feedback?{query}")).expect(200);
        assert_eq!(listed(&page), expected, "{query}");
        let filter = page.form_with("Filter");
        let file = ada
            .get(&format!("/feedback/export.json?{query}"))
            .expect(200);
        let exported = file.response.text.matches("\"message\"").count();
        assert_eq!(exported, expected.len(), "{query}");
        if query.starts_with("from") {
            assert_eq!(filter.value("Received"), "range");
            assert_eq!(filter.value("From"), query[5..15]);
        }
    }
    for (query, problem) in [
        ("from=1.2.2026", "Enter dates as year, month, and day"),
        (
            "from=2026-02-01&to=2026-01-01",
            "The first day is after the last day.",
        ),
    ] {
        let page = ada.get(&format!("/feedback?{query}")).expect(422);
        assert!(page.text().contains(problem), "{query}");
        ada.get(&format!("/feedback/export.csv?{query}"))
            .expect(422);
    }
}

#[test]
fn the_email_filter_and_the_order_apply_to_all_pages() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 1..=60 {
        let message = format!("message {number}.");
        match number % 2 {
            0 => create_feedback_with(&api, &message, "sam@example.com"),
            _ => drop(api.create_feedback("shop", &message)),
        }
    }
    let mut ada = app.signed_in();
    let form = ada.get("/feedback").expect(200).form_with("Filter");
    let form = form.set_checked("Has email", true).fill("Sort", "oldest");
    let mut page = ada.submit(&form.press("Filter")).expect(200);
    assert!(page.text().contains("More filters (2)"));
    assert!(page.text().contains("30 items"));
    let selected = ada.follow_link(&page, "Select all on this page");
    assert_eq!(
        listed(&selected),
        (1..=25).map(|number| 2 * number).collect::<Vec<_>>()
    );
    let mut shown = listed(&page);
    while page.link("Newer").is_some() {
        page = ada.follow_link(&page, "Newer");
        shown.extend(listed(&page));
    }
    assert_eq!(shown, (1..=30).map(|number| 2 * number).collect::<Vec<_>>());
    let page = ada.follow_link(&page, "Oldest");
    assert_eq!(listed(&page)[0], 2);
    let page = ada.follow_link(&page, "Clear filters");
    assert_eq!(listed(&page)[..2], [60, 59]);
}

#[test]
fn an_items_page_leads_to_the_next_item_with_the_same_filters() {
    let app = App::start();
    let api = app.api();
    for project in ["Shop", "Docs"] {
        api.create_project(project);
    }
    let items: Vec<_> = (1..=4)
        .map(|number| api.create_feedback("shop", &format!("message {number}.")))
        .collect();
    api.create_feedback("docs", "message 5.");
    api.set_status(&items[2], "RESOLVED");
    let mut ada = app.signed_in();
    let open = format!(
        "/feedback?project=shop&status=NEW&open={}",
        text(&items[3], "id")
    );
    let page = ada.get(&open).expect(200);
    let page = ada.follow_link(&page, "Open full page");
    assert_eq!(listed(&page), [4]);
    assert!(
        page.link("Previous").is_none(),
        "item 5 is in another project"
    );
    let page = ada.follow_link(&page, "Next");
    assert_eq!(listed(&page), [2], "item 3 is resolved");

    // The filters still apply after a status change, although the item doesn't match them anymore.
    let page = ada.submit_and_follow(&page.form_with("Reviewed").press("Reviewed"));
    assert_eq!(listed(&page), [2]);
    let page = ada.follow_link(&page, "Next");
    assert_eq!(listed(&page), [1]);
    assert!(page.link("Next").is_none());
    let page = ada.follow_link(&page, "Previous");
    assert_eq!(listed(&page), [4]);
    assert_eq!(
        page.link("Feedback").as_deref(),
        Some("/feedback"),
        "the navigation leads to the list without filters"
    );
    let list = "/feedback?project=shop&status=NEW";
    assert!(
        page.urls()
            .iter()
            .any(|(_, url)| url.replace("&amp;", "&") == list)
    );
}

#[test]
fn filters_export_and_selection_are_hidden_without_feedback() {
    let app = App::start();
    let mut ada = app.signed_in();
    for project in [None, Some("Shop")] {
        if let Some(name) = project {
            app.api().create_project(name);
        }
        let page = ada.get("/feedback").expect(200);
        assert!(page.forms_with("Filter").is_empty());
        assert!(page.link("CSV").is_none() && page.link("Select all on this page").is_none());
    }
    app.api().create_feedback("shop", "message 1.");
    let page = ada.get("/feedback").expect(200);
    assert!(page.link("CSV").is_some() && page.forms_with("Filter").len() == 1);
    assert_eq!(page.text_of("title"), "(1) Feedback · Miniback");
}

#[test]
fn empty_lists_show_the_next_step() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    assert_eq!(
        page.link("Create a project").as_deref(),
        Some("/settings/projects?add")
    );
    assert!(bob.get("/feedback").link("Create a project").is_none());

    app.api().create_project("My Shop");
    let page = ada.get("/feedback").expect(200);
    let snippet = format!(
        "<script src=\"{}/widget.js\" data-project=\"my-shop\" defer></script>",
        app.url
    );
    assert!(page.text().contains(&snippet), "{}", page.text());
    assert!(page.text().contains("Waiting for the first feedback…"));
    app.api().create_feedback("my-shop", "Hello");
    let page = ada.get("/feedback?q=absent").expect(200);
    let page = ada.follow_link(&page, "Clear filters");
    assert!(page.text().contains("Hello"));
}
