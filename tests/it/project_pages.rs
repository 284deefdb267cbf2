//! Settings → Projects: creating, renaming, pausing, restricting origins, and deleting with
//! confirmation.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::Receiver;

const PROJECTS: &str = "/settings/projects";

#[track_caller]
fn edit_project(admin: &mut Visitor, name: &str, label: &str, value: &str) -> Page {
    let form = admin.get(PROJECTS).form_in(name, "Save changes");
    admin.submit(&form.fill(label, value).press("Save changes"))
}

fn fetch_project(app: &App, slug: &str) -> Value {
    let path = format!("/api/v1/projects/{slug}");
    app.api().get(&path).expect(200).json()
}

#[test]
fn creates_projects_and_shows_their_snippet() {
    let app = App::start();
    let mut ada = app.signed_in();
    let page = ada.get(PROJECTS).expect(200);
    assert!(page.text().contains("No projects yet"));
    let form = ada.get("/settings/projects?add").form_with("Create");
    let filled = form.fill("Name", "My Shop <b>").press("Create");
    let page = ada.submit_and_follow(&filled).expect(200);
    let snippet = format!(
        "<script src=\"{}/widget.js\" data-project=\"my-shop-b\" defer></script>",
        app.url
    );
    assert!(page.text().contains(&snippet), "{}", page.text());
    assert!(page.text().contains(&format!("{}/f/my-shop-b", app.url)));
    assert!(
        !page.response.text.contains("<script src=\"http"),
        "the page runs the snippet"
    );

    let form = ada.get("/settings/projects?add").form_with("Create");
    let filled = form.fill("Name", "Other").fill("Slug", "my-shop-b");
    let page = ada.submit(&filled.press("Create")).expect(422);
    let form = page.form_with("Create");
    assert!(page.text().contains("is already in use"), "{}", page.text());
    assert_eq!(form.value("Name"), "Other");
    let filled = form.fill("Slug", "Not A Slug").press("Create");
    let page = ada.submit(&filled).expect(422);
    let filled = page
        .form_with("Create")
        .fill("Slug", "other")
        .press("Create");
    ada.submit_and_follow(&filled).expect(200);
    assert_eq!(fetch_project(&app, "other")["name"], "Other");
}

#[test]
fn the_snippet_uses_the_base_url() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    app.api().create_project("Shop");
    let mut ada = app.visitor();
    let form = ada.get("/login").form_with("Sign in");
    let form = form.fill("Email", ADMIN).fill("Password", PASSWORD);
    let filled = form.press("Sign in");
    ada.post_from(
        &filled.action,
        &filled.fields,
        &[("Origin", "https://example.com")],
    );
    let page = ada.get(PROJECTS).expect(200);
    let src = "src=\"https://example.com/miniback/widget.js\" data-project=\"shop\"";
    assert!(page.text().contains(src), "{}", page.text());
}

#[test]
fn changes_name_and_origins_and_explains_invalid_origins() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut ada = app.signed_in();
    edit_project(&mut ada, "Shop", "Name", "The Shop").expect(303);
    let origins = " https://Example.com/ \r\n\r\nhttp://localhost:3000\r\nhttps://example.com";
    edit_project(&mut ada, "The Shop", "Allowed origins", origins).expect(303);
    let changed = fetch_project(&app, "shop");
    assert_eq!(changed["name"], "The Shop");
    let stored_origins = json!(["https://example.com", "http://localhost:3000"]);
    assert_eq!(changed["allowedOrigins"], stored_origins);
    for invalid in [
        "example.com",
        "https://example.com/shop",
        "https://*.example.com",
        "ftp://example.com",
        "null",
    ] {
        let page = edit_project(&mut ada, "The Shop", "Allowed origins", invalid).expect(422);
        let returned = page
            .form_in("The Shop", "Save changes")
            .value("Allowed origins");
        assert_eq!(returned.trim(), invalid, "the form lost the origins");
        assert!(
            page.text()
                .contains(&format!("“{invalid}” isn’t an origin"))
        );
        assert_eq!(
            fetch_project(&app, "shop")["allowedOrigins"],
            stored_origins
        );
    }
    let page = edit_project(&mut ada, "The Shop", "Name", " ").expect(422);
    assert!(page.text().contains("Enter a name"));
    edit_project(&mut ada, "The Shop", "Allowed origins", "").expect(303);
    assert_eq!(fetch_project(&app, "shop")["allowedOrigins"], json!([]));
}

#[test]
fn a_paused_project_rejects_feedback_until_it_is_resumed() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut ada = app.signed_in();
    let pause = ada.get(PROJECTS).form_in("Shop", "Pause").press("Pause");
    for _ in 0..2 {
        let page = ada.submit_and_follow(&pause).expect(200);
        assert!(page.text().contains("Paused: not accepting feedback"));
    }
    let body = json!({"project": "shop", "message": "Hello"});
    app.api().post("/api/v1/feedback", body).problem(403);
    let resume = ada.get(PROJECTS).form_in("Shop", "Resume").press("Resume");
    ada.submit_and_follow(&resume).expect(200);
    app.api().create_feedback("shop", "Hello");
    assert!(ada.get(PROJECTS).text().contains("Feedback: 1"));
}

#[test]
fn deletes_a_project_after_its_slug_is_typed() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Blog");
    let webhook = api.create_webhook(&receiver.url("/"));
    // A project's feedback is deleted in batches of 100 items.
    for number in 0..120 {
        api.create_feedback("shop", &format!("Message {number}"));
    }
    api.create_feedback("blog", "Feedback of another project");
    let delivery = text(api.deliveries(&webhook).last().unwrap(), "id").to_owned();
    let mut ada = app.signed_in();
    let request = ada
        .get(PROJECTS)
        .form_in("Shop", "Delete project")
        .press("Delete project");
    let page = ada.submit(&request).expect(200);
    let form = page.form_in("Delete this project?", "Delete");
    let mismatch = form.clone().fill("Project slug", "Shop").press("Delete");
    let page = ada.submit(&mismatch).expect(422);
    assert!(page.text().contains("The slug doesn’t match."));
    assert_eq!(fetch_project(&app, "shop")["status"], "ACTIVE");

    let confirmation = form.fill("Project slug", "shop").press("Delete");
    let page = ada.submit_and_follow(&confirmation).expect(200);
    assert!(
        page.text().contains("“Shop” and its feedback were deleted"),
        "{}",
        page.text()
    );
    ada.submit_and_follow(&confirmation).expect(200);
    api.get("/api/v1/projects/shop").expect(404);
    let remaining = api.get("/api/v1/feedback?limit=100").json();
    assert_eq!(
        remaining["data"].as_array().map(Vec::len),
        Some(1),
        "{remaining}"
    );
    let logged = api.delivery(&delivery);
    assert_ne!(logged["state"], "pending");
    assert_eq!(
        logged["request"],
        json!(null),
        "the log still contains the payload"
    );
}

#[test]
fn members_can_see_projects_but_not_change_them() {
    let app = App::start();
    app.api().create_project("Shop");
    app.add_user("bob@example.com", "member");
    let mut ada = app.signed_in();
    edit_project(&mut ada, "Shop", "Allowed origins", "https://shop.example").expect(303);
    let page = ada.get(PROJECTS);
    let forms = [
        page.form_in("Shop", "Save changes").press("Save changes"),
        page.form_in("Shop", "Pause").press("Pause"),
        ada.get("/settings/projects?add")
            .form_with("Create")
            .press("Create"),
    ];
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let page = bob.get("/settings/projects?add").expect(200);
    for expected in ["data-project=\"shop\"", "https://shop.example"] {
        assert!(
            page.text().contains(expected),
            "{expected}: {}",
            page.text()
        );
    }
    let member_forms = page.forms();
    assert_eq!(
        member_forms.len(),
        1,
        "expected only the sign-out form: {member_forms:#?}"
    );
    for form in forms {
        bob.submit(&form).expect(403);
    }
    assert_eq!(fetch_project(&app, "shop")["status"], "ACTIVE");
}
