//! Settings → API tokens: shown once, listed with what they may do and when they last did, revoked
//! after being asked.

use crate::support::app::{ADMIN, App};
use crate::support::forms::Form;
use crate::support::pages::{Page, Visitor};
use crate::support::wait::wait_until;

const TOKENS: &str = "/settings/tokens";

#[track_caller]
fn add_form(admin: &mut Visitor) -> Form {
    admin.get("/settings/tokens?add").form_with("Create")
}

/// The form with this one scope chosen.
fn with_scope(form: Form, scope: &str) -> Form {
    let scopes = ["Full", "Submit", "Metrics"];
    scopes
        .iter()
        .fold(form, |form, one| form.tick(one, *one == scope))
}

/// Makes a token, and returns the page that shows it.
#[track_caller]
fn make(admin: &mut Visitor, name: &str, scope: &str) -> (Page, String) {
    let form = with_scope(add_form(admin), scope).fill("Name", name);
    let page = admin.submit_and_follow(&form.press("Create")).expect(200);
    let token = page.shown(&format!("Token “ {name} ”"));
    (page, token)
}

#[test]
fn a_token_is_shown_once_and_does_what_its_scope_allows() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut ada = app.signed_in();
    for (scope, projects, feedback, metrics) in [
        ("Full", 200, 201, 200),
        ("Submit", 403, 201, 403),
        ("Metrics", 403, 403, 200),
    ] {
        let (page, token) = make(&mut ada, scope, scope);
        assert!(token.starts_with("mb_"), "{token}");
        assert!(!page.path.contains(&token), "it stands in no address");
        assert!(page.text().contains("won’t be shown again"));
        let again = ada.get(TOKENS);
        assert!(!again.response.text.contains(&token), "it is shown once");
        let api = app.api_with(&token);
        api.get("/api/v1/projects").expect(projects);
        let body = serde_json::json!({"project": "shop", "message": "Hello"});
        api.post("/api/v1/feedback", body).expect(feedback);
        api.get("/metrics").expect(metrics);
    }
}

#[test]
fn the_list_says_whose_a_token_is_who_made_it_and_whether_it_was_used() {
    let app = App::start();
    let mut ada = app.signed_in();
    let (page, token) = make(&mut ada, "Deploy", "Full");
    for expected in [
        "Never used",
        &format!("User: {ADMIN}"),
        &format!("Created by {ADMIN}"),
    ] {
        assert!(
            page.text().contains(expected),
            "{expected}: {}",
            page.text()
        );
    }
    app.api_with(&token).get("/api/v1/projects").expect(200);
    wait_until("the use is noted", || {
        let text = ada.get(TOKENS).text();
        (text.contains("Last used just now") && !text.contains("Never used")).then_some(())
    });
    app.token(ADMIN, "submit");
    assert!(
        ada.get(TOKENS)
            .text()
            .contains("Created on the command line")
    );
}

#[test]
fn two_presses_of_create_make_one_token_and_show_it() {
    let app = App::start();
    let mut ada = app.signed_in();
    let press = add_form(&mut ada).fill("Name", "Deploy").press("Create");
    ada.submit(&press).expect(303);
    let page = ada.submit_and_follow(&press);
    page.shown("Token “ Deploy ”");
    let list = app.run(&["token", "list"], "").success().stdout;
    assert_eq!(list.matches("Deploy").count(), 1, "{list}");
}

#[test]
fn a_token_is_revoked_after_being_asked() {
    let app = App::start();
    let mut ada = app.signed_in();
    let (_, token) = make(&mut ada, "Deploy", "Full");
    let (_, other) = make(&mut ada, "Other", "Full");
    let call = |token: &str| app.api_with(token).get("/api/v1/projects").status;
    let ask = ada.get(TOKENS).form_in("Deploy", "Revoke").press("Revoke");
    let page = ada.submit(&ask).expect(200);
    assert!(page.text().contains("Revoke this token?"));
    assert_eq!(call(&token), 200, "it is asked first");
    let confirm = page.form_in("Deploy", "Revoke").press("Revoke");
    ada.submit_and_follow(&confirm).expect(200);
    assert_eq!((call(&token), call(&other)), (401, 200));
    ada.submit_and_follow(&confirm).expect(200);
    assert_eq!(call(&other), 200, "a second press revokes no other");
}

#[test]
fn a_token_revoked_or_a_user_removed_on_the_command_line_is_out_with_the_next_request() {
    let app = App::start();
    app.add_user("grace@example.com", "admin");
    let mut grace = app.visitor();
    grace.sign_in("grace@example.com", crate::support::app::PASSWORD);
    let (page, token) = make(&mut grace, "Hers", "Full");
    app.api_with(&token).get("/api/v1/projects").expect(200);
    let list = app.run(&["token", "list"], "").success().stdout;
    let id = list.split_whitespace().next().unwrap();
    app.run(&["token", "revoke", id], "").success();
    app.api_with(&token).get("/api/v1/projects").expect(401);
    app.run(&["user", "remove", "grace@example.com"], "")
        .success();
    let confirm = page.form_in("Hers", "Revoke").press("Revoke");
    assert!(grace.submit(&confirm).location().starts_with("/login"));
}

#[test]
fn what_makes_no_sense_of_a_token_is_said_beside_the_field() {
    let app = App::start();
    let mut ada = app.signed_in();
    let long = "x".repeat(101);
    for name in ["", "  ", long.as_str(), "bell \u{7}"] {
        let form = with_scope(add_form(&mut ada), "Metrics").fill("Name", name);
        let page = ada.submit(&form.press("Create")).expect(422);
        assert_eq!(page.form_with("Create").value("Name"), name);
        assert!(page.response.text.contains("name-error"), "{name:?}");
        let form = page
            .form_with("Create")
            .fill("Name", "Good")
            .press("Create");
        let chosen = form.fields.iter().filter(|(_, value)| value == "metrics");
        assert_eq!(chosen.count(), 1, "the scope that was chosen stays");
    }
    let mut form = add_form(&mut ada).fill("Name", "Good").press("Create");
    for (_, value) in form.fields.iter_mut().filter(|(_, value)| value == "full") {
        *value = "everything".to_owned();
    }
    let page = ada.submit(&form).expect(422);
    assert!(
        page.text()
            .contains("The scope must be full, submit, or metrics.")
    );
    assert_eq!(app.run(&["token", "list"], "").success().stdout, "");
}
