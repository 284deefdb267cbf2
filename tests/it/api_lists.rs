//! Lists in the JSON API: order, pagination, and filters.

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::receiver::Receiver;

/// Reads all pages of a list and returns the ids of their items. Calls `after_each_page` after it
/// has read a page.
fn page_through(
    api: &Api,
    path: &str,
    limit: usize,
    mut after_each_page: impl FnMut(),
) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = format!("{path}?limit={limit}");
    loop {
        let page = api.get(&next).expect(200).json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        ids.extend(data.iter().map(|item| text(item, "id").to_owned()));
        after_each_page();
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}?limit={limit}&cursor={cursor}"),
            None => return ids,
        }
    }
}

#[test]
fn lists_are_newest_first_and_pages_contain_every_item() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..7 {
        let project = api.create_project(&format!("Project {number}"));
        expected[0].push(text(&project, "id").to_owned());
        let feedback = api.create_feedback(text(&project, "slug"), "Hello");
        expected[1].push(text(&feedback, "id").to_owned());
        let webhook = api.create_webhook(&receiver.url("/"));
        expected[2].push(text(&webhook, "id").to_owned());
    }
    let lists = ["/api/v1/projects", "/api/v1/feedback", "/api/v1/webhooks"];
    for (path, mut ids) in lists.into_iter().zip(expected) {
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(sorted, ids, "ids aren't in the order of creation");
        ids.reverse();
        for limit in [1, 3, 7, 100] {
            assert_eq!(
                page_through(&api, path, limit, || ()),
                ids,
                "{path}, {limit} per page"
            );
        }
    }
}

#[test]
fn items_added_between_pages_do_not_shift_pages() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let mut ids: Vec<String> = (0..6)
        .map(|_| text(&api.create_feedback("shop", "Hello"), "id").to_owned())
        .collect();
    ids.reverse();
    let add = || {
        api.create_feedback("shop", "Added between two pages");
    };
    assert_eq!(page_through(&api, "/api/v1/feedback", 2, add), ids);
}

#[test]
fn a_page_has_25_items_by_default_and_up_to_100() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for _ in 0..101 {
        api.create_feedback("shop", "Hello");
    }
    let count = |query: &str| {
        let page = api
            .get(&format!("/api/v1/feedback{query}"))
            .expect(200)
            .json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 25);
    assert_eq!(count("?limit=100"), 100);
}

#[test]
fn filters_feedback_by_project_status_and_search() {
    let app = App::start();
    let api = app.api();
    let shop = api.create_project("Shop");
    api.create_project("Blog");
    let broken = api.create_feedback("shop", "The Checkout is broken, 100%");
    api.create_feedback("shop", "I like it");
    api.create_feedback("blog", "A typo at the checkout");
    api.set_status(&broken, "REVIEWED");
    let matching_messages = |query: &str| -> Vec<String> {
        let listed = api
            .get(&format!("/api/v1/feedback?{query}"))
            .expect(200)
            .json();
        let data = listed["data"].as_array().unwrap().clone();
        data.iter()
            .map(|feedback| text(feedback, "message").to_owned())
            .collect()
    };
    assert_eq!(matching_messages("").len(), 3);
    assert_eq!(matching_messages("project=shop").len(), 2);
    assert_eq!(
        matching_messages(&format!("project={}", text(&shop, "id"))).len(),
        2
    );
    assert_eq!(
        matching_messages("status=REVIEWED"),
        ["The Checkout is broken, 100%"]
    );
    assert_eq!(matching_messages("status=NEW&project=shop"), ["I like it"]);
    assert_eq!(matching_messages("q=checkout").len(), 2);
    assert_eq!(
        matching_messages("q=100%25"),
        ["The Checkout is broken, 100%"]
    );
    assert!(matching_messages("q=nothing-like-this").is_empty());
    assert!(matching_messages("status=RESOLVED").is_empty());
}
