//! Settings → API tokens: creating, listing, and revoking tokens.

use crate::support::app::{ADMIN, App};
use crate::support::forms::Form;
use crate::support::pages::{Page, Visitor};
use crate::support::wait::wait_until;

const TOKENS: &str = "/settings/tokens";

#[track_caller]
fn add_form(admin: &mut Visitor) -> Form {
    admin.get("/settings/tokens?add").form_with("Create")
}

/// Selects this scope and deselects all other scopes.
fn with_scope(form: Form, scope: &str) -> Form {
    let scopes = ["Full", "Submit", "Metrics"];
    scopes
        .iter()
        .fold(form, |form, label| form.set_checked(label, *label == scope))
}

/// Returns the first 8 hexadecimal digits of a token's SHA-256.
fn fingerprint_of(token: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    hex::encode(&hash.as_ref()[..4])
}

/// Creates a token. Returns the page that shows it, and the token.
#[track_caller]
fn create_token(admin: &mut Visitor, name: &str, scope: &str) -> (Page, String) {
    let form = with_scope(add_form(admin), scope).fill("Name", name);
    let page = admin.submit_and_follow(&form.press("Create")).expect(200);
    let token = page.field_value(&format!("Token “ {name} ”"));
    (page, token)
}

#[test]
fn a_token_is_shown_once_and_limited_to_its_scope() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut ada = app.signed_in();
    for (scope, projects, feedback, metrics) in [
        ("Full", 200, 201, 200),
        ("Submit", 403, 201, 403),
        ("Metrics", 403, 403, 200),
    ] {
        let (page, token) = create_token(&mut ada, scope, scope);
        assert!(token.starts_with("mb_"), "{token}");
        assert!(!page.path.contains(&token), "the URL contains the token");
        assert!(page.text().contains("won’t be shown again"));
        let reloaded = ada.get(TOKENS);
        assert!(
            !reloaded.response.text.contains(&token),
            "the token is shown again"
        );
        let api = app.api_with(&token);
        api.get("/api/v1/projects").expect(projects);
        let body = serde_json::json!({"project": "shop", "message": "Hello"});
        api.post("/api/v1/feedback", body).expect(feedback);
        api.get("/metrics").expect(metrics);
    }
}

#[test]
fn the_list_shows_owner_creator_and_last_use() {
    let app = App::start();
    let mut ada = app.signed_in();
    let (page, token) = create_token(&mut ada, "Deploy", "Full");
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
    wait_until("the last use is recorded", || {
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
fn tokens_with_the_same_name_have_different_fingerprints() {
    let app = App::start();
    let mut ada = app.signed_in();
    let fingerprints = ["Full", "Submit"].map(|scope| {
        let (page, token) = create_token(&mut ada, "Deploy", scope);
        let fingerprint = fingerprint_of(&token);
        // Both the panel of the new token and the token's row show the fingerprint.
        let shown = page.text().matches(&fingerprint).count();
        assert_eq!(shown, 2, "{fingerprint}: {}", page.text());
        fingerprint
    });
    assert_ne!(fingerprints[0], fingerprints[1]);
    let text = ada.get(TOKENS).text();
    assert!(
        fingerprints.iter().all(|each| text.contains(each)),
        "{text}"
    );
}

#[test]
fn a_new_token_can_only_submit_feedback_by_default() {
    let app = App::start();
    let mut ada = app.signed_in();
    let press = add_form(&mut ada).fill("Name", "Deploy").press("Create");
    let page = ada.submit_and_follow(&press).expect(200);
    let token = page.field_value("Token “ Deploy ”");
    let api = app.api_with(&token);
    api.get("/api/v1/projects").expect(403);
}

#[test]
fn submitting_create_twice_creates_and_shows_one_token() {
    let app = App::start();
    let mut ada = app.signed_in();
    let press = add_form(&mut ada).fill("Name", "Deploy").press("Create");
    ada.submit(&press).expect(303);
    let page = ada.submit_and_follow(&press);
    page.field_value("Token “ Deploy ”");
    let list = app.run(&["token", "list"], "").success().stdout;
    assert_eq!(list.matches("Deploy").count(), 1, "{list}");
}

#[test]
fn revoking_a_token_asks_first() {
    let app = App::start();
    let mut ada = app.signed_in();
    let (_, token) = create_token(&mut ada, "Deploy", "Full");
    let (_, other) = create_token(&mut ada, "Other", "Full");
    let status = |token: &str| app.api_with(token).get("/api/v1/projects").status;
    let request = ada.get(TOKENS).form_in("Deploy", "Revoke").press("Revoke");
    let page = ada.submit(&request).expect(200);
    assert!(page.text().contains("Revoke this token?"));
    assert_eq!(
        status(&token),
        200,
        "the token was revoked without confirmation"
    );
    let confirm = page.form_in("Deploy", "Revoke").press("Revoke");
    ada.submit_and_follow(&confirm).expect(200);
    assert_eq!((status(&token), status(&other)), (401, 200));
    ada.submit_and_follow(&confirm).expect(200);
    assert_eq!(
        status(&other),
        200,
        "submitting again revoked another token"
    );
}

#[test]
fn revocation_and_user_removal_in_the_cli_apply_immediately() {
    let app = App::start();
    app.add_user("grace@example.com", "admin");
    let mut grace = app.visitor();
    grace.sign_in("grace@example.com", crate::support::app::PASSWORD);
    let (page, token) = create_token(&mut grace, "Monitoring", "Full");
    app.api_with(&token).get("/api/v1/projects").expect(200);
    let list = app.run(&["token", "list"], "").success().stdout;
    let id = list.split_whitespace().next().unwrap();
    app.run(&["token", "revoke", id], "").success();
    app.api_with(&token).get("/api/v1/projects").expect(401);
    app.run(&["user", "remove", "grace@example.com"], "")
        .success();
    let confirm = page.form_in("Monitoring", "Revoke").press("Revoke");
    assert!(grace.submit(&confirm).location().starts_with("/login"));
}

#[test]
fn invalid_token_forms_show_an_error_at_the_field() {
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
            .fill("Name", "Deploy")
            .press("Create");
        let selected = form.fields.iter().filter(|(_, value)| value == "metrics");
        assert_eq!(selected.count(), 1, "the form lost the selected scope");
    }
    let mut form = add_form(&mut ada).fill("Name", "Deploy").press("Create");
    for (_, value) in form
        .fields
        .iter_mut()
        .filter(|(_, value)| value == "submit")
    {
        *value = "everything".to_owned();
    }
    let page = ada.submit(&form).expect(422);
    assert!(
        page.text()
            .contains("The scope must be full, submit, or metrics.")
    );
    assert_eq!(app.run(&["token", "list"], "").success().stdout, "");
}
