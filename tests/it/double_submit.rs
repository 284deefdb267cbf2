//! A form that is posted twice (two presses, a reload) makes one thing.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;

#[test]
fn two_presses_of_create_make_one_project() {
    let app = App::start();
    let mut visitor = app.signed_in();
    let form = visitor
        .get("/settings/projects?add")
        .form_with("Create")
        .fill("Name", "Shop")
        .press("Create");
    visitor.submit(&form).expect(303);
    visitor.submit(&form).expect(303);
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(
        projects["data"].as_array().map(Vec::len),
        Some(1),
        "{projects}"
    );
}

#[test]
fn a_second_press_of_a_rotation_does_not_end_the_overlap_that_the_first_began() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let id = text(&webhook, "id");
    let mut visitor = app.signed_in();
    let form = visitor
        .get(&format!("/settings/notifications?rotate={id}"))
        .form_with("Rotate")
        .fill("Keep the old secret active for (hours)", "24")
        .press("Rotate");
    visitor.submit(&form).expect(303);
    let once = api.get(&format!("/api/v1/webhooks/{id}/secret")).json();
    assert_eq!(once["secret"], webhook["secret"]);
    assert_ne!(once["nextSecret"], json!(null));
    visitor.submit(&form).expect(303);
    assert_eq!(
        api.get(&format!("/api/v1/webhooks/{id}/secret")).json(),
        once
    );
}

#[test]
fn a_webhook_that_was_tested_is_added_with_the_tested_secret_also_after_a_reload() {
    let app = App::start();
    let receiver = crate::support::receiver::Receiver::ok();
    let mut visitor = app.signed_in();
    let form = visitor.get("/settings/notifications?add").form_with("Add");
    let secret = form.value("Signing secret");
    let tested = form.fill("Endpoint URL", &receiver.url("/")).press("Test");
    visitor.submit_and_follow(&tested).expect(200);
    let again = visitor.get("/settings/notifications?add").form_with("Add");
    assert_eq!(again.value("Signing secret"), secret);
    assert_eq!(again.value("Endpoint URL"), receiver.url("/"));
    // Left and begun anew, it is another form.
    visitor.get("/settings/notifications");
    let fresh = visitor.get("/settings/notifications?add").form_with("Add");
    assert_ne!(fresh.value("Signing secret"), secret);
}
