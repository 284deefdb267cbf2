//! Forms that couldn't be processed are shown again with all typed text. The tests read the forms
//! of all pages in the program's route tables.

use std::collections::{BTreeMap, BTreeSet};

use miniback::pages;
use miniback::server::permissions::Permission;

use crate::accessibility::sample_data::{MEMBER, SampleData};
use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::forms::{FilledForm, Form};
use crate::support::pages::{Page, Visitor, same_origin_headers};

/// `GET` routes that have no forms, or whose forms other tests cover.
const SKIPPED_ROUTES: [&str; 8] = [
    "/",
    "/settings",
    "/static/{name}",
    "/feedback/export.csv",
    "/feedback/export.json",
    "/live",
    "/setup",
    "/settings/notifications/{id}/secret",
];

/// Actions of forms that no sample page shows. Only the setup form has text fields.
const FORMS_WITHOUT_TEXT: [&str; 5] = [
    "/feedback/undo",
    "/settings/notifications/{id}/switch-now",
    "/settings/privacy/erase",
    "/settings/privacy/export",
    // `setup_keeps_the_email` covers this form.
    "/setup",
];

/// A form with changed fields, the path of its page, and the request that one of its buttons sends.
struct EditedForm {
    page: String,
    form: Form,
    sent: FilledForm,
}

/// Fills in the `POST` forms of the sample pages. Returns one form for each path that a form is
/// sent to.
fn all_forms(data: &SampleData, ada: &mut Visitor) -> Vec<EditedForm> {
    let mut forms = BTreeMap::new();
    for route in pages::routes().list() {
        let is_page = route.method == "GET" && !SKIPPED_ROUTES.contains(&route.path.as_str());
        let is_reset = matches!(route.path.as_str(), "/sign-in" | "/docs/api");
        if !is_page || is_reset {
            continue;
        }
        for path in data.paths_of(&route.path) {
            let mut visitor = match route.path.as_str() {
                "/login" => data.app.visitor(),
                _ => Visitor::clone(ada),
            };
            let page = visitor.get(&path);
            // Skip former URLs of pages, and lists with invalid filters.
            if matches!(page.response.status, 303 | 422) {
                continue;
            }
            let page = page.expect(200);
            for form in page.forms() {
                if form.method() != "post" {
                    continue;
                }
                let form = form.edit_all();
                for sent in form.press_each_button() {
                    let form = form.clone();
                    let page = path.clone();
                    forms
                        .entry(sent.action.clone())
                        .or_insert(EditedForm { page, form, sent });
                }
            }
        }
    }
    forms.into_values().collect()
}

/// Returns whether `path` matches a route such as `/settings/people/{id}/role`.
fn matches(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let is_same = |(pattern, part): (&&str, &&str)| pattern.starts_with('{') || pattern == part;
    route.len() == path.len() && route.iter().zip(&path).all(is_same)
}

/// Checks that a page contains the form with all typed text.
#[track_caller]
fn assert_contains(page: &Page, edited: &EditedForm) {
    let mut forms = page.forms();
    forms.retain(|form| form.action() == edited.form.action());
    let typed = edited.form.editable_values();
    let found: Vec<_> = forms.iter().map(Form::editable_values).collect();
    assert!(
        typed.is_empty() || found.contains(&typed),
        "{} at {} lost {typed:#?}; the page has {found:#?}: {}",
        edited.sent.action,
        edited.page,
        page.response.text,
    );
}

#[test]
fn every_form_survives_the_end_of_the_session() {
    let data = SampleData::create();
    let mut ada = data.app.signed_in();
    let forms = all_forms(&data, &mut ada);
    let mut covered = BTreeSet::new();
    let posts: Vec<_> = pages::routes()
        .list()
        .into_iter()
        .filter(|route| route.method == "POST")
        .collect();
    for edited in &forms {
        let route = posts
            .iter()
            .find(|route| matches(&route.path, &edited.sent.action));
        let route = route.unwrap_or_else(|| panic!("no route for {}", edited.sent.action));
        covered.insert(route.path.as_str());
        if route.permission == Permission::Public {
            continue;
        }
        let mut stranger = data.app.visitor();
        let page = stranger.submit(&edited.sent).expect(401);
        assert!(page.link("Sign in").is_some(), "{}", page.text());
        let sign_in = page.form_with("Sign in");
        let sign_in = sign_in.fill("Email", ADMIN).fill("Password", PASSWORD);
        let page = stranger.submit_and_follow(&sign_in.press("Sign in"));
        assert_contains(&page.expect(200), edited);
    }
    let uncovered: Vec<_> = posts
        .iter()
        .map(|route| route.path.as_str())
        .filter(|path| !covered.contains(path))
        .collect();
    let mut expected = FORMS_WITHOUT_TEXT.to_vec();
    expected.sort_by_key(|path| posts.iter().position(|route| route.path == *path));
    assert_eq!(uncovered, expected, "add a sample page with these forms");
}

#[test]
fn every_form_survives_a_failed_write() {
    let data = SampleData::create_with(App::builder().writes_can_fail());
    let mut ada = data.app.signed_in();
    let forms = all_forms(&data, &mut ada);
    data.app.limit_file_size(Some(4_096));
    let mut failed = 0;
    for edited in &forms {
        let page = ada.clone().submit(&edited.sent);
        // Forms that change no data succeed.
        if page.response.status >= 400 {
            failed += 1;
            assert_contains(&page, edited);
        }
    }
    assert!(
        failed >= 25,
        "only {failed} of {} forms failed",
        forms.len()
    );
    data.app.limit_file_size(None);
}

#[test]
fn a_second_press_after_signing_in_sends_the_form_once() {
    let app = App::start();
    let mut ada = app.signed_in();
    let form = ada.get("/settings/projects?add").form_with("Create");
    let form = form.fill("Name", "Shop & Co").press("Create");
    ada.cookies.clear();
    let page = ada.submit(&form).expect(401);
    // The text also survives a sign-in attempt with a wrong password.
    let sign_in = page.form_with("Sign in").fill("Email", ADMIN);
    let page = ada.submit(&sign_in.clone().fill("Password", "wrong").press("Sign in"));
    let sign_in = page.expect(401).form_with("Sign in");
    let sign_in = sign_in.fill("Password", PASSWORD).press("Sign in");
    let page = ada.submit_and_follow(&sign_in).expect(200);
    assert!(
        page.text().contains("Nothing has been sent yet"),
        "{}",
        page.text()
    );
    let projects = || app.api().get("/api/v1/projects").json()["data"].clone();
    assert_eq!(projects().as_array().map(Vec::len), Some(0));
    let form = page.form_with("Create");
    assert_eq!(form.value("Name"), "Shop & Co");
    ada.submit(&form.press("Create")).expect(303);
    assert_eq!(projects()[0]["name"], "Shop & Co");
    // A newly opened form doesn't contain the text.
    let page = ada.get("/settings/projects?add");
    assert_eq!(page.form_with("Create").value("Name"), "");
}

#[test]
fn passwords_and_secrets_are_never_carried_over_a_sign_in() {
    let app = App::start();
    let mut ada = app.signed_in();
    let add = ada.get("/settings/notifications?add").form_with("Add");
    let secret = add.secret().unwrap().to_owned();
    let account = ada.get("/settings/account").form_with("Change password");
    let account = account
        .fill("Current password", PASSWORD)
        .fill("New password", "a new long password");
    ada.cookies.clear();
    let page = ada.submit(&add.press("Add")).expect(401);
    assert!(!page.response.text.contains(&secret));
    let page = ada.submit(&account.press("Change password")).expect(401);
    for typed in [PASSWORD, "a new long password"] {
        assert!(
            !page.response.text.contains(typed),
            "{}",
            page.response.text
        );
    }
}

#[test]
fn a_member_who_loses_a_permission_can_copy_the_text() {
    let app = App::start();
    app.add_user(MEMBER, "admin");
    let mut bob = app.visitor();
    bob.sign_in(MEMBER, PASSWORD);
    let webhook = app.api().create_webhook("http://127.0.0.1:9/");
    let form = bob.get("/settings/projects?add").form_with("Create");
    let add = form.fill("Name", "Typed <name>").press("Create");
    let path = format!("/settings/notifications?open={}", text(&webhook, "id"));
    let form = bob.get(&path).form_with("Save changes");
    let edit = form
        .fill("Description", "Typed <name>")
        .press("Save changes");
    let mut ada = app.signed_in();
    let link = format!("Change role of {MEMBER}");
    let page = ada.get("/settings/people");
    let page = match page.link(&link) {
        Some(path) => ada.get(&path),
        None => {
            let form = page.form_in(MEMBER, "Change role").press("Change role");
            ada.submit(&form)
        }
    };
    let role = page.form_with("Save").fill("Role", "member").press("Save");
    ada.submit(&role).expect(303);
    // Bob's session has ended, and he is now a member. He can't open the form, but the page shows
    // his text.
    for form in [&edit, &add] {
        let mut bob = bob.clone();
        let sign_in = bob.submit(form).expect(401).form_with("Sign in");
        let sign_in = sign_in.fill("Email", MEMBER).fill("Password", PASSWORD);
        let page = bob.submit_and_follow(&sign_in.press("Sign in"));
        assert!(
            page.response.text.contains("Typed &#60;name&#62;"),
            "{}",
            page.response.text
        );
        // If a member sends the form, the page shows the text too.
        let page = bob.submit(form).expect(403);
        assert!(
            page.response.text.contains("Typed &#60;name&#62;"),
            "{}",
            page.response.text
        );
    }
}

#[test]
fn text_for_a_deleted_item_can_be_copied() {
    let app = App::start();
    let api = app.api();
    let webhook = api.create_webhook("http://127.0.0.1:9/");
    let mut ada = app.signed_in();
    let path = format!(
        "/settings/notifications?open={}",
        webhook["id"].as_str().unwrap()
    );
    let form = ada.get(&path).form_with("Save changes");
    let form = form.fill("Description", "Typed text").press("Save changes");
    api.delete_webhook(&webhook);
    let page = ada.submit(&form).expect(404);
    assert_eq!(page.text_of("textarea").trim(), "Typed text");
    // Unchanged fields aren't listed.
    assert!(!page.text().contains("127.0.0.1"), "{}", page.text());
}

#[test]
fn a_form_from_another_origin_is_not_shown_again() {
    let app = App::start();
    let ada = app.signed_in();
    for mut visitor in [app.visitor(), ada] {
        let fields = [("name".to_owned(), "Typed text".to_owned())];
        let headers = [("Sec-Fetch-Site", "cross-site")];
        let page = visitor.post_from("/settings/projects", &fields, &headers);
        assert!(!page.expect(403).response.text.contains("Typed text"));
    }
}

#[test]
fn a_form_that_is_too_large_is_shown_again() {
    let app = App::start();
    let mut ada = app.signed_in();
    let form = ada.get("/settings/projects?add").form_with("Create");
    let name = format!("Shop {}", "x".repeat(70_000));
    let page = ada
        .submit(&form.fill("Name", &name).press("Create"))
        .expect(413);
    assert_eq!(page.form_with("Create").value("Name"), name);
}

#[test]
fn the_page_after_signing_in_is_always_on_this_host() {
    let app = App::start();
    let mut ada = app.signed_in();
    let form = ada.get("/settings/projects?add").form_with("Create");
    let form = form.fill("Name", "Shop").press("Create");
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
    ] {
        ada.cookies.clear();
        let sign_in = ada.submit(&form).expect(401).form_with("Sign in");
        let sign_in = sign_in.fill("Email", ADMIN).fill("Password", PASSWORD);
        let mut sent = sign_in.press("Sign in");
        for (name, value) in &mut sent.fields {
            if name == "next" {
                *value = next.to_owned();
            }
        }
        let location = ada.submit(&sent).expect(303).location();
        assert_eq!(location, "/feedback", "{next}");
    }
}

#[test]
fn setup_keeps_the_email() {
    let app = App::builder().without_admin().start();
    let mut visitor = app.visitor();
    let form = visitor
        .get(&app.log.setup_path())
        .form_with("Create account");
    let form = form
        .fill("Email", "ada@example.com")
        .fill("Password", "short");
    let page = visitor.submit(&form.press("Create account")).expect(422);
    assert_eq!(
        page.form_with("Create account").value("Email"),
        "ada@example.com"
    );
}

#[test]
fn the_public_form_keeps_its_text_if_a_write_fails() {
    let app = App::builder().writes_can_fail().start();
    app.api().create_project("Shop");
    let mut visitor = app.visitor();
    let form = visitor.get("/f/shop").form_with("Send");
    let form = form
        .fill("Message", "Typed & <text>\nline 2")
        .fill("Email", "sam@example.com");
    let mut sent = form.press("Send");
    // Without a form token, the program doesn't check how old the form is.
    sent.fields.retain(|(name, _)| name != "stamp");
    app.limit_file_size(Some(4_096));
    let page = visitor.submit(&sent).expect(507);
    assert!(page.response.header("retry-after").is_some());
    let form = page.form_with("Send");
    assert_eq!(form.value("Message").trim_start(), "Typed & <text>\nline 2");
    assert_eq!(form.value("Email"), "sam@example.com");
    app.limit_file_size(None);
    visitor.submit(&sent).expect(303);
}

#[test]
fn a_form_with_many_fields_takes_only_a_moment() {
    let app = App::start();
    let mut ada = app.signed_in();
    app.add_user(MEMBER, "member");
    let mut bob = app.visitor();
    bob.sign_in(MEMBER, PASSWORD);
    let same = vec![("a".to_owned(), "b".to_owned()); 16_000];
    let different: Vec<_> = (0..8_000)
        .map(|n| (format!("k{n}"), "v".to_owned()))
        .collect();
    for fields in [same, different] {
        let headers = same_origin_headers(&app.url);
        // The requests would time out if the time were quadratic in the number of fields.
        bob.post_from("/feedback/status", &fields, &headers)
            .expect(400);
        bob.post_from("/settings/people", &fields, &headers)
            .expect(403);
        let page = ada.post_from("/settings/people", &fields, &headers);
        assert!(page.response.status >= 400, "{:?}", page.response.status);
    }
}
