//! An edit form saves only the fields that the user changed. If somebody else has changed the same
//! field, the form shows both values.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{App, PASSWORD};
use crate::support::forms::Form;
use crate::support::pages::Visitor;

const BOB: &str = "bob@example.com";

struct Fixture {
    app: App,
    api: Api,
    ada: Visitor,
    webhook: String,
    project: String,
}

impl Fixture {
    fn new() -> Self {
        let app = App::start();
        let api = app.api();
        let project = text(&api.create_project("Shop"), "id").to_owned();
        api.create_project("Blog");
        let webhook = api.create_webhook_with(json!({
            "url": "http://localhost:9/hook",
            "description": "first",
            "headers": {"X-Key": "1"},
        }));
        Self {
            webhook: text(&webhook, "id").to_owned(),
            project,
            ada: app.signed_in(),
            api,
            app,
        }
    }

    fn webhook_form(&mut self) -> Form {
        let path = format!("/settings/notifications?open={}", self.webhook);
        self.ada.get(&path).form_with("Save changes")
    }

    fn project_form(&mut self) -> Form {
        let path = format!("/settings/projects?open={}", self.project);
        let page = self.ada.get(&path);
        page.form_in("Shop", "Save changes")
    }

    fn webhook(&self) -> Value {
        self.api
            .get(&format!("/api/v1/webhooks/{}", self.webhook))
            .json()
    }

    fn project(&self) -> Value {
        self.api
            .get(&format!("/api/v1/projects/{}", self.project))
            .json()
    }

    fn change_webhook(&self, change: Value) {
        let path = format!("/api/v1/webhooks/{}", self.webhook);
        self.api.patch(&path, change).expect(200);
    }
}

#[test]
fn two_saves_of_different_fields_keep_both_changes() {
    let mut fixture = Fixture::new();
    let first = fixture
        .webhook_form()
        .fill("Endpoint URL", "http://localhost:9/new");
    let second = fixture
        .webhook_form()
        .fill("Description", "second")
        .fill("Retries", "patient")
        .fill("Headers", "X-Key: …\nX-Other: 2")
        .set_checked("Blog", true);
    fixture
        .ada
        .submit(&second.press("Save changes"))
        .expect(303);
    fixture.ada.submit(&first.press("Save changes")).expect(303);
    let webhook = fixture.webhook();
    assert_eq!(webhook["url"], "http://localhost:9/new");
    assert_eq!(webhook["description"], "second");
    assert_eq!(webhook["retries"], "patient");
    assert_eq!(webhook["headers"], json!({"X-Key": "…", "X-Other": "…"}));
    assert_eq!(webhook["projects"].as_array().map(Vec::len), Some(1));

    let first = fixture.project_form().fill("Name", "Store");
    let second = fixture
        .project_form()
        .fill("Allowed origins", "https://a.example");
    fixture
        .ada
        .submit(&second.press("Save changes"))
        .expect(303);
    fixture.ada.submit(&first.press("Save changes")).expect(303);
    let project = fixture.project();
    assert_eq!(project["name"], "Store");
    assert_eq!(project["allowedOrigins"], json!(["https://a.example"]));
}

/// Submits `mine` after somebody else has changed the same field. Checks that nothing is saved and
/// that the page shows both values. Then submits the form again and checks that it is accepted.
#[track_caller]
fn submit_with_conflict(fixture: &mut Fixture, mine: &Form, theirs_shown: &str, mine_shown: &str) {
    let before = (fixture.webhook(), fixture.project());
    let page = fixture.ada.submit(&mine.press("Save changes")).expect(409);
    assert_eq!((fixture.webhook(), fixture.project()), before);
    let shown = page.text_of("#form-notice");
    for value in [theirs_shown, mine_shown] {
        assert!(shown.contains(value), "{value:?} isn't in {shown:?}");
    }
    let mut forms = page.forms();
    forms.retain(|form| form.action() == mine.action());
    let again = forms.remove(0);
    assert_eq!(again.editable_values(), mine.editable_values());
    fixture.ada.submit(&again.press("Save changes")).expect(303);
}

#[test]
fn a_conflict_shows_both_values_and_a_second_press_saves() {
    let mut fixture = Fixture::new();
    let mine = fixture.webhook_form().fill("Description", "mine <b>");
    fixture.change_webhook(json!({"description": "theirs"}));
    submit_with_conflict(&mut fixture, &mine, "theirs", "mine <b>");
    assert_eq!(fixture.webhook()["description"], "mine <b>");

    let mine = fixture
        .webhook_form()
        .fill("Endpoint URL", "http://localhost:9/mine");
    fixture.change_webhook(json!({"url": "http://localhost:9/theirs"}));
    submit_with_conflict(
        &mut fixture,
        &mine,
        "localhost:9/theirs",
        "localhost:9/mine",
    );
    assert_eq!(fixture.webhook()["url"], "http://localhost:9/mine");

    let mine = fixture.webhook_form().set_checked("Shop", true);
    fixture.change_webhook(json!({"projects": ["blog"]}));
    submit_with_conflict(&mut fixture, &mine, "Blog", "Shop");
    assert_eq!(fixture.webhook()["projects"], json!([fixture.project]));

    let mine = fixture
        .project_form()
        .fill("Allowed origins", "https://mine.example");
    let path = format!("/api/v1/projects/{}", fixture.project);
    let theirs = json!({"allowedOrigins": ["https://theirs.example"]});
    fixture.api.patch(&path, theirs).expect(200);
    submit_with_conflict(
        &mut fixture,
        &mine,
        "https://theirs.example",
        "https://mine.example",
    );
    assert_eq!(
        fixture.project()["allowedOrigins"],
        json!(["https://mine.example"])
    );
}

#[test]
fn a_conflict_between_hidden_header_values_is_detected() {
    let mut fixture = Fixture::new();
    let mine = fixture
        .webhook_form()
        .fill("Headers", "X-Key: …\nX-Mine: 1");
    fixture.change_webhook(json!({"headers": {"X-Key": "changed"}}));
    submit_with_conflict(&mut fixture, &mine, "X-Key: …", "X-Mine: 1");
    // Editing a header that somebody else removed is a conflict too.
    let mine = fixture
        .webhook_form()
        .fill("Headers", "X-Key: …\nX-Mine: …\nX-New: 1");
    fixture.change_webhook(json!({"headers": {"X-Key": null}}));
    let page = fixture.ada.submit(&mine.press("Save changes")).expect(409);
    let shown = page.text_of("#form-notice");
    assert!(shown.contains("X-New: 1"), "{shown}");
    // A description can be saved although the headers have changed.
    let mine = fixture.webhook_form().fill("Description", "mine");
    fixture.change_webhook(json!({"headers": {}}));
    fixture.ada.submit(&mine.press("Save changes")).expect(303);
    assert_eq!(fixture.webhook()["headers"], json!({}));
    let page = fixture.webhook_form();
    assert!(
        !format!("{page:?}").contains("changed"),
        "a hidden value is in the page"
    );
}

#[test]
fn other_fields_show_their_current_values_after_a_conflict() {
    let mut fixture = Fixture::new();
    let mine = fixture.webhook_form().fill("Description", "mine");
    fixture.change_webhook(json!({"description": "theirs", "retries": "patient"}));
    let page = fixture.ada.submit(&mine.press("Save changes")).expect(409);
    let again = page.form_with("Save changes");
    assert_eq!(again.value("Retries"), "patient");
    // Somebody else changes the description again before the form is submitted again.
    fixture.change_webhook(json!({"description": "theirs again"}));
    let page = fixture.ada.submit(&again.press("Save changes")).expect(409);
    assert!(page.text_of("#form-notice").contains("theirs again"));
    let again = page.form_with("Save changes");
    fixture.ada.submit(&again.press("Save changes")).expect(303);
    assert_eq!(fixture.webhook()["retries"], "patient");
}

#[test]
fn pressing_save_twice_is_not_a_conflict() {
    let mut fixture = Fixture::new();
    let webhook = fixture
        .webhook_form()
        .fill("Endpoint URL", " http://localhost:9/new ")
        .fill("Description", " spaces ")
        .fill("Headers", "X-Key: 2\nX-Other: 3")
        .press("Save changes");
    let project = fixture
        .project_form()
        .fill("Name", " Store ")
        .fill("Allowed origins", "HTTPS://A.example/\n")
        .press("Save changes");
    for form in [&webhook, &webhook, &project, &project] {
        fixture.ada.submit(form).expect(303);
    }
}

#[test]
fn each_topic_is_a_separate_field() {
    let mut fixture = Fixture::new();
    let path = format!("/settings/notifications?open={}", fixture.webhook);
    let page = fixture.ada.get(&path);
    let mine = page.form_with("Save").set_checked("New Feedback", false);
    let theirs = page.form_with("Save").set_checked("Status Changed", false);
    fixture.ada.submit(&theirs.press("Save")).expect(303);
    fixture.ada.submit(&mine.press("Save")).expect(303);
    assert_eq!(fixture.webhook()["topics"], json!([]));
}

#[test]
fn a_changed_role_is_a_conflict() {
    let mut fixture = Fixture::new();
    fixture.app.add_user(BOB, "member");
    let page = fixture.ada.get("/settings/people");
    let change = page.form_in(BOB, "Change role").press("Change role");
    let form = fixture.ada.submit(&change).form_with("Save");
    let admin = form.clone().fill("Role", "admin").press("Save");
    fixture.ada.submit(&admin).expect(303);
    // Saving the same value again isn't a conflict. An unchanged value isn't saved.
    fixture.ada.submit(&admin).expect(303);
    fixture.ada.submit(&form.press("Save")).expect(303);
    let mut bob = fixture.app.visitor();
    bob.sign_in(BOB, PASSWORD);
    bob.get("/settings/people").expect(200);
}

#[test]
fn values_that_look_the_same_are_not_a_conflict() {
    let mut fixture = Fixture::new();
    let form = fixture.project_form();
    let path = format!("/api/v1/projects/{}", fixture.project);
    let theirs = json!({"name": "Caf\u{e9}"});
    fixture.api.patch(&path, theirs).expect(200);
    let mine = form.fill("Name", "Cafe\u{301}").press("Save changes");
    fixture.ada.submit(&mine).expect(303);
}

#[test]
fn an_unknown_retry_policy_is_rejected() {
    let mut fixture = Fixture::new();
    fixture.change_webhook(json!({"retries": "patient"}));
    let mut form = fixture.webhook_form().press("Save changes");
    for (name, value) in &mut form.fields {
        if name == "retries" {
            "zzz".clone_into(value);
        }
    }
    fixture.ada.submit(&form).expect(400);
    assert_eq!(fixture.webhook()["retries"], "patient");
}
