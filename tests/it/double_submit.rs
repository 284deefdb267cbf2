//! Submitting a form twice, with a double click or a reload, has the same effect as submitting it
//! once.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::pages::Visitor;
use crate::support::receiver::Receiver;

#[test]
fn submitting_create_twice_creates_one_project() {
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
fn simultaneous_submissions_create_one_project_and_redirect_to_it() {
    let app = App::start();
    let mut visitor = app.signed_in();
    let form = visitor
        .get("/settings/projects?add")
        .form_with("Create")
        .fill("Name", "Shop")
        .press("Create");
    let submit = || {
        let mut tab = Visitor::new(&app.url);
        tab.cookies = visitor.cookies.clone();
        tab.submit(&form).expect(303).location()
    };
    let locations: Vec<String> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..4).map(|_| scope.spawn(submit)).collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(
        projects["data"].as_array().map(Vec::len),
        Some(1),
        "{projects}"
    );
    let id = text(&projects["data"][0], "id");
    for location in locations {
        assert!(location.contains(id), "{location}");
    }
}

#[test]
fn the_same_form_with_different_text_is_another_submission() {
    let app = App::start();
    let mut visitor = app.signed_in();
    for (path, button, field) in [
        ("/settings/projects?add", "Create", "Name"),
        ("/settings/tokens?add", "Create", "Name"),
        ("/settings/people?add", "Invite", "Email"),
        ("/settings/notifications?add=k1", "Add", "Endpoint URL"),
    ] {
        let form = visitor.get(path).form_with(button);
        let texts = match field {
            "Email" => ["one@example.com", "two@example.com"],
            "Endpoint URL" => ["http://localhost:9/one", "http://localhost:9/two"],
            _ => ["One", "Two"],
        };
        for text in texts {
            let filled = form.clone().fill(field, text).press(button);
            visitor.submit(&filled).expect(303);
            visitor.submit(&filled).expect(303);
        }
        let list = visitor.get(path.split('?').next().unwrap()).expect(200);
        for text in texts {
            assert!(list.text().contains(text), "{path}: {}", list.text());
        }
    }
    let api = app.api();
    for list in ["/api/v1/projects", "/api/v1/webhooks"] {
        let list = api.get(list).json();
        assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
    }
}

#[test]
fn a_rejected_form_can_be_submitted_again() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut visitor = app.signed_in();
    let form = visitor
        .get("/settings/projects?add")
        .form_with("Create")
        .fill("Name", "Other shop");
    let duplicate_slug = form.clone().fill("Slug", "shop").press("Create");
    visitor.submit(&duplicate_slug).expect(422);
    let unused_slug = form.fill("Slug", "other-shop").press("Create");
    visitor.submit(&unused_slug).expect(303);
    app.api().get("/api/v1/projects/other-shop").expect(200);
}

#[test]
fn submitting_a_rotation_twice_keeps_the_overlap() {
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
    let secrets = api.get(&format!("/api/v1/webhooks/{id}/secret")).json();
    assert_eq!(secrets["secret"], webhook["secret"]);
    assert_ne!(secrets["nextSecret"], json!(null));
    visitor.submit(&form).expect(303);
    assert_eq!(
        api.get(&format!("/api/v1/webhooks/{id}/secret")).json(),
        secrets
    );
}

#[test]
fn a_rotation_without_hours_keeps_the_secret() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let id = text(&webhook, "id");
    let secrets = || api.get(&format!("/api/v1/webhooks/{id}/secret")).json();
    let before = secrets();
    let mut visitor = app.signed_in();
    let form = visitor
        .get(&format!("/settings/notifications?rotate={id}"))
        .form_with("Rotate");
    let field = "Keep the old secret active for (hours)";
    for hours in ["", "0", "-1", "1.5", "169", "abc"] {
        let page = visitor.submit(&form.clone().fill(field, hours).press("Rotate"));
        let message = "Enter the hours as a number from 1 to 168";
        assert!(page.expect(422).text().contains(message), "{hours}");
        assert_eq!(secrets(), before, "{hours}");
    }
    let at_once = form.fill(field, "").set_checked("Rotate immediately", true);
    visitor.submit(&at_once.press("Rotate")).expect(303);
    assert_ne!(secrets()["secret"], before["secret"]);
}

#[test]
fn reloading_the_form_after_a_test_shows_the_same_secret() {
    let app = App::start();
    let receiver = Receiver::ok();
    let mut visitor = app.signed_in();
    let form = visitor.get("/settings/notifications?add").form_with("Add");
    let secret = form.value("Signing secret");
    let tested = form.fill("Endpoint URL", &receiver.url("/")).press("Test");
    visitor.submit_and_follow(&tested).expect(200);
    let reloaded = visitor.get("/settings/notifications?add").form_with("Add");
    assert_eq!(reloaded.value("Signing secret"), secret);
    assert_eq!(reloaded.value("Endpoint URL"), receiver.url("/"));
    // Leaving the form and opening it again creates a new secret.
    visitor.get("/settings/notifications");
    let reopened = visitor.get("/settings/notifications?add").form_with("Add");
    assert_ne!(reopened.value("Signing secret"), secret);
}
