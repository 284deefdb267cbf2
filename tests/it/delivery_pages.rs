//! The pages of a webhook's deliveries: the list, a single delivery, and redelivery.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{attempts, text};
use crate::support::app::{App, PASSWORD};
use crate::support::receiver::{Receiver, Reply};

fn deliveries_path(webhook: &Value) -> String {
    format!("/settings/notifications/{}/deliveries", text(webhook, "id"))
}

#[test]
fn lists_deliveries_and_shows_their_request_and_response() {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| {
        Reply::body(503, "<script>alert(1)</script>").header("X-Reason", "<i>restarting</i>")
    });
    let api = app.api();
    let webhook = api.create_webhook_with(
        json!({"url": receiver.url("/hook"), "headers": {"X-Key": "hidden-value"}}),
    );
    let failed = api.deliver_one(&webhook, "failed");
    let mut admin = app.signed_in();
    let list = deliveries_path(&webhook);
    let failed_path = format!("{list}/{}", text(&failed, "id"));

    let page = admin.get(&list).expect(200);
    assert!(page.response.text.contains(&failed_path) && page.text().contains("Failed"));
    assert!(
        admin
            .get(&format!("{list}?state=failed&event=feedback.created"))
            .response
            .text
            .contains(&failed_path)
    );
    assert!(
        !admin
            .get(&format!("{list}?state=delivered"))
            .response
            .text
            .contains(&failed_path)
    );
    admin.get(&format!("{list}?state=unknown")).expect(400);

    let page = admin.get(&failed_path).expect(200);
    for expected in [
        "503 Service Unavailable",
        "Failed at",
        "Attempt 1",
        "X-Miniback-Signature",
        "One message",
        "<i>restarting</i>",
    ] {
        assert!(
            page.text().contains(expected),
            "no {expected}: {}",
            page.text()
        );
    }
    assert!(!page.response.text.contains("<script>alert") && !page.response.text.contains("<i>"));
    assert!(!page.response.text.contains("hidden-value"));
    admin
        .get(&format!(
            "/settings/notifications/wh_other/deliveries/{}",
            text(&failed, "id")
        ))
        .expect(404);
}

#[test]
fn redelivers_one_delivery_and_then_all_failed_deliveries() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(500),
        Reply::status(204),
        Reply::status(204),
    ]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let first = api.deliver_one(&webhook, "failed");
    api.create_feedback("delivered", "Another message");
    let second = api.deliveries(&webhook)[0].clone();
    api.wait_for_state(text(&second, "id"), "failed");
    let mut admin = app.signed_in();
    let list = deliveries_path(&webhook);

    let redeliver = admin
        .get(&format!("{list}/{}", text(&first, "id")))
        .form_with("Redeliver")
        .press("Redeliver");
    admin.submit_and_follow(&redeliver).expect(200);
    let redelivered = api.wait_for_state(text(&first, "id"), "delivered");
    assert_eq!(attempts(&redelivered).len(), 2);
    // The first delivery has succeeded by now, so the page counts only one failed delivery.
    let page = admin.get(&list);
    assert!(
        page.text().contains("1 delivery failed in the last hour"),
        "{}",
        page.text()
    );
    let ask = page.form_with("Redeliver").press("Redeliver");
    let question = admin.submit(&ask).expect(200);
    assert!(
        question
            .text()
            .contains("Redeliver 1 delivery that failed in the last hour?"),
        "{}",
        question.text()
    );
    let redeliver_failed = question.form_with("Redeliver").press("Redeliver");
    let page = admin.submit_and_follow(&redeliver_failed);
    assert!(
        page.text().contains("1 delivery queued."),
        "{}",
        page.text()
    );
    api.wait_for_state(text(&second, "id"), "delivered");
    let page = admin.get(&list);
    assert!(!page.text().contains("failed in"), "{}", page.text());
    assert!(page.forms_with("Redeliver").is_empty());
}

#[test]
fn a_failed_delivery_links_to_the_next_failed_delivery() {
    let app = App::without_retries();
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(204),
        Reply::status(500),
    ]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    for (message, state) in [
        ("First", "failed"),
        ("Second", "delivered"),
        ("Third", "failed"),
    ] {
        api.create_feedback("shop", message);
        let newest = api.deliveries(&webhook)[0].clone();
        api.wait_for_state(text(&newest, "id"), state);
    }
    let mut admin = app.signed_in();

    let list = admin.get(&format!("{}?state=failed", deliveries_path(&webhook)));
    let (first, third) = (list.link("First").unwrap(), list.link("Third").unwrap());
    assert_eq!(list.link("Second"), None);
    let page = admin.get(&third);
    assert_eq!(page.link("Older failed delivery"), Some(first.clone()));
    let page = admin.get(&first);
    assert_eq!(page.link("Newer failed delivery"), Some(third));
    assert_eq!(page.link("Older failed delivery"), None);
    let back = page.link("Deliveries").unwrap();
    assert!(back.ends_with("/deliveries?state=failed"), "{back}");
}

#[test]
fn canceled_deliveries_can_be_redelivered_together() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::queue(vec![Reply::status(500), Reply::status(500)]);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    for message in ["First", "Second"] {
        api.create_feedback("shop", message);
        let newest = api.deliveries(&webhook)[0].clone();
        api.wait_for_attempts(text(&newest, "id"), 1);
    }
    for enabled in [false, true] {
        api.patch_webhook(&webhook, json!({ "enabled": enabled }));
    }
    let mut admin = app.signed_in();

    let list = deliveries_path(&webhook);
    let page = admin.get(&format!("{list}?state=canceled"));
    let sentence = "2 deliveries were canceled in the last hour";
    assert!(page.text().contains(sentence), "{}", page.text());
    let question = admin.submit(&page.form_with("Redeliver").press("Redeliver"));
    let form = question.form_with("Redeliver").press("Redeliver");
    let page = admin.submit_and_follow(&form);
    assert!(
        page.text().contains("2 deliveries queued."),
        "{}",
        page.text()
    );
    receiver.wait_for(4);
    let page = admin.get(&format!("{list}?state=canceled"));
    assert!(!page.text().contains("were canceled"), "{}", page.text());
}

#[test]
fn members_cannot_see_deliveries() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    app.add_user("member@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("member@example.com", PASSWORD);
    let list = deliveries_path(&webhook);
    member.get(&list).expect(403);
    member
        .get(&format!("{list}/{}", text(&failed, "id")))
        .expect(403);
}

#[test]
fn shows_the_next_attempt_and_the_maximum_number_of_attempts() {
    let app = App::builder()
        .option("--retry-delays", "10ms,1h,1h")
        .start();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&id, 2);
    let mut admin = app.signed_in();
    let list = deliveries_path(&webhook);
    let page = admin.get(&format!("{list}/{id}")).expect(200);
    assert!(
        page.text().contains("Next attempt at") && page.text().contains("(3 of 4)"),
        "{}",
        page.text()
    );
    assert!(admin.get(&list).text().contains("Attempt 3 of 4"));
    api.patch_webhook(&webhook, json!({"retries": "patient"}));
    assert!(
        admin
            .get(&format!("{list}/{id}"))
            .text()
            .contains("(3 of 10)")
    );
    receiver.set_script(|_| Reply::status(204));
    api.patch_webhook(&webhook, json!({"enabled": false}));
    assert!(
        admin
            .get(&format!("{list}/{id}"))
            .text()
            .contains("because the webhook was disabled")
    );
    api.patch_webhook(&webhook, json!({"enabled": true}));
    api.post_empty(&format!("/api/v1/deliveries/{id}/redeliver"))
        .expect(202);
    api.wait_for_state(&id, "delivered");
    let page = admin.get(&format!("{list}/{id}"));
    assert!(
        page.text().contains("Delivered at") && page.text().contains("on attempt 3 (redelivered)"),
        "{}",
        page.text()
    );
}

#[test]
fn opens_only_the_last_attempt_and_formats_json() {
    let app = App::builder().option("--retry-delays", "10ms").start();
    let receiver = Receiver::script(|_| {
        Reply::body(500, "{\"error\":\"unavailable\"}").delayed(Duration::from_millis(30))
    });
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let failed = api.deliver_one(&webhook, "failed");
    let list = deliveries_path(&webhook);
    let page = app
        .signed_in()
        .get(&format!("{list}/{}", text(&failed, "id")))
        .expect(200);
    let open = page.text_of("details.attempt[open]");
    assert!(open.contains("Attempt 2: 500"), "{open}");
    assert!(open.contains("\"error\": \"unavailable\""), "{open}");
    assert!(open.contains("Limit 5 s"), "{open}");
    let closed = page.text_of("details.attempt:not([open])");
    assert!(closed.contains("Attempt 1: 500"), "{closed}");
    let summary = page.text_of("#summary");
    assert!(
        summary.contains("The endpoint responded with 500"),
        "{summary}"
    );
    let order = ["id=\"summary\"", "id=\"request\"", "id=\"attempts\""];
    let positions = order.map(|id| page.response.text.find(id).unwrap());
    assert!(positions.is_sorted(), "{positions:?}");
    assert!(summary.contains("\"error\": \"unavailable\""), "{summary}");
    let feedback = page.link("Open the feedback").unwrap();
    let id = feedback.strip_prefix("/feedback/").unwrap();
    assert!(id.starts_with("fb_"), "{feedback}");
    let deliveries = page.link("All deliveries of this feedback").unwrap();
    assert!(deliveries.ends_with(id), "{deliveries}");
    let title = page.text_of("title");
    assert!(title.starts_with("One message"), "{title}");
}

#[test]
fn says_why_a_delivery_has_no_request() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::script(|_| Reply::status(503).header("Retry-After", "3600"));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "The first message");
    api.wait_for_attempts(text(&api.only_delivery(&webhook), "id"), 1);
    let feedback = api.create_feedback("shop", "The held message");
    let list = deliveries_path(&webhook);
    let mut admin = app.signed_in();
    let held = format!("{list}/{}", text(&api.deliveries(&webhook)[0], "id"));
    let sent = format!("{list}/{}", text(&api.deliveries(&webhook)[1], "id"));

    let page = admin.get(&held).expect(200);
    assert!(page.text().contains("Not sent yet."), "{}", page.text());
    let body = page.text_of("[aria-label='Request body']");
    assert!(body.contains("\"message\": \"The held message\""), "{body}");
    assert_eq!(page.link("Newer delivery"), None);
    assert_eq!(page.link("Older delivery"), Some(sent.clone()));
    assert_eq!(admin.get(&sent).link("Newer delivery"), Some(held.clone()));

    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let page = admin.get(&held).expect(200);
    for expected in [
        "Deleted feedback",
        "Canceled at",
        "because the feedback was deleted",
        "Nothing was sent.",
    ] {
        assert!(page.text().contains(expected), "{}", page.text());
    }
    assert!(!page.text().contains("The held message"));
}
