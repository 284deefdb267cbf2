//! Settings → People: invitations, password reset links, roles, and removal. Each link works once
//! and expires.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::forms::FilledForm;
use crate::support::pages::{Page, Visitor};

pub const PEOPLE: &str = "/settings/people";
pub const GRACE: &str = "grace@example.com";
const NEW_PASSWORD: &str = "another good password";

/// Returns the path and query of a one-time link.
fn path_of(link: &str) -> String {
    let url = url::Url::parse(link).unwrap();
    url[url::Position::BeforePath..].to_owned()
}

/// Invites Grace with this role and returns the path of her invitation.
#[track_caller]
pub fn invite(admin: &mut Visitor, role: &str) -> String {
    let form = admin.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", GRACE).fill("Role", role).press("Invite");
    let page = admin.submit_and_follow(&filled).expect(200);
    path_of(&page.field_value(&format!("Invitation for {GRACE}")))
}

/// Fills in the form that creates an account from an invitation. Checks that the form has no field
/// for the role.
#[track_caller]
pub fn fill_account_form(page: &Page) -> FilledForm {
    let form = page.form_with("Create account");
    assert!(!form.has_field("Role"), "the form has a field for the role");
    form.fill("Password", PASSWORD).press("Create account")
}

/// Creates a password reset link and returns its path.
#[track_caller]
pub fn reset_link(admin: &mut Visitor, email: &str) -> String {
    let page = admin.get(PEOPLE);
    let press = page
        .form_in(email, "Reset password")
        .press("Reset password");
    let page = admin.submit_and_follow(&press).expect(200);
    path_of(&page.field_value("Password reset link"))
}

/// Presses "Remove" for a user and returns the form that confirms the removal.
#[track_caller]
fn request_removal(admin: &mut Visitor, email: &str) -> FilledForm {
    let request = admin.get(PEOPLE).form_in(email, "Remove").press("Remove");
    let page = admin.submit(&request).expect(200);
    assert!(
        page.text().contains("Remove this account?"),
        "{}",
        page.text()
    );
    page.form_in(email, "Remove").press("Remove")
}

#[track_caller]
fn change_role(admin: &mut Visitor, email: &str, role: &str) -> Page {
    let request = admin
        .get(PEOPLE)
        .form_in(email, "Change role")
        .press("Change role");
    let form = admin.submit(&request).form_in(email, "Save");
    admin.submit(&form.fill("Role", role).press("Save"))
}

fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/feedback").response.status == 200
}

#[test]
fn an_invitation_creates_one_account_and_signs_in() {
    let app = App::start();
    let mut ada = app.signed_in();
    let path = invite(&mut ada, "member");
    let page = ada.get(PEOPLE);
    let token = path.split_once("token=").unwrap().1;
    assert!(
        !page.response.text.contains(token),
        "the link is shown again"
    );
    page.form_in(&format!("Invitation for {GRACE}"), "Revoke");

    let mut grace = app.visitor();
    for _ in 0..3 {
        grace.get(&path).expect(200);
    }
    let page = grace.get(&path).expect(200);
    assert!(
        page.text().contains(&format!("{ADMIN} invited you")),
        "{}",
        page.text()
    );
    assert_eq!(page.field_value("Email"), GRACE);
    let form = page.form_with("Create account");
    let short = form.fill("Password", "short").press("Create account");
    let rejected = grace.submit(&short).expect(422);
    assert!(rejected.text().contains("too short"));
    let filled = fill_account_form(&page);
    grace.submit_and_follow(&filled).expect(200);
    grace.get("/settings/account").expect(200);
    grace.get(PEOPLE).expect(403);
    app.visitor().sign_in(GRACE, PASSWORD);

    app.visitor().get(&path).expect(410);
    app.visitor().submit(&filled).expect(410);
    let page = ada.get(PEOPLE);
    assert!(!page.text().contains("Invited"), "{}", page.text());
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(
        list.lines()
            .any(|l| l.contains(GRACE) && l.contains("member")),
        "{list}"
    );
}

#[test]
fn two_simultaneous_uses_of_an_invitation_create_one_account() {
    let app = App::start();
    let path = invite(&mut app.signed_in(), "admin");
    let filled = fill_account_form(&app.visitor().get(&path).expect(200));
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| app.visitor().submit(&filled).response.status))
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410]);
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches(GRACE).count(), 1, "{list}");
}

#[test]
fn an_invitation_expires_when_revoked_replaced_or_obsolete() {
    let app = App::start();
    let mut ada = app.signed_in();
    let label = format!("Invitation for {GRACE}");
    let revoked = invite(&mut ada, "member");
    let press = ada.get(PEOPLE).form_in(&label, "Revoke").press("Revoke");
    ada.submit_and_follow(&press).expect(200);
    app.visitor().get(&revoked).expect(410);

    let first = invite(&mut ada, "member");
    let press = ada
        .get(PEOPLE)
        .form_in(&label, "New link")
        .press("New link");
    let page = ada.submit_and_follow(&press);
    let second = path_of(&page.field_value(&format!("Invitation for {GRACE}")));
    app.visitor().get(&first).expect(410);
    app.visitor().get(&second).expect(200);

    app.add_user(GRACE, "member");
    app.visitor().get(&second).expect(410);
    assert!(!ada.get(PEOPLE).text().contains("Invited"));
}

#[test]
fn invalid_invitations_show_an_error_at_the_field() {
    let app = App::start();
    let mut ada = app.signed_in();
    for (email, reason) in [
        ("not-an-email", "address"),
        ("", "address"),
        ("ADA@example.com", "already has an account"),
    ] {
        let form = ada.get("/settings/people?add").form_with("Invite");
        let page = ada
            .submit(&form.fill("Email", email).press("Invite"))
            .expect(422);
        let again = page.form_with("Invite");
        assert_eq!(again.value("Email"), email, "the form lost the email");
        assert!(page.response.text.contains("aria-invalid"), "{email}");
        assert!(page.text().contains(reason), "{email}: {}", page.text());
    }
}

#[test]
fn submitting_invite_or_reset_twice_creates_one_link() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut ada = app.signed_in();
    let form = ada.get("/settings/people?add").form_with("Invite");
    let invite = form.fill("Email", GRACE).press("Invite");
    let reset = ada.get(PEOPLE).form_in("bob@example.com", "Reset password");
    for (press, label) in [
        (invite, format!("Invitation for {GRACE}")),
        (
            reset.press("Reset password"),
            "Password reset link".to_owned(),
        ),
    ] {
        ada.submit(&press).expect(303);
        // After a double click, a browser shows only the second response. So the link on the second
        // page has to work.
        let path = path_of(&ada.submit_and_follow(&press).field_value(&label));
        app.visitor().get(&path).expect(200);
    }
}

#[test]
fn a_reset_link_works_once_and_ends_all_sessions() {
    let app = App::start();
    app.add_user(GRACE, "member");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let mut ada = app.signed_in();
    let first = reset_link(&mut ada, GRACE);
    let path = reset_link(&mut ada, GRACE);
    app.visitor().get(&first).expect(410);
    assert!(
        is_signed_in(&mut grace),
        "creating a reset link ended the session"
    );
    app.visitor().sign_in(GRACE, PASSWORD);

    let mut new_browser = app.visitor();
    let form = new_browser.get(&path).expect(200).form_with("Set password");
    let filled = form
        .fill("New password", NEW_PASSWORD)
        .press("Set password");
    new_browser.submit_and_follow(&filled).expect(200);
    assert!(!is_signed_in(&mut grace));
    app.visitor().sign_in(GRACE, NEW_PASSWORD);
    app.visitor().get(&path).expect(410);
    app.visitor().submit(&filled).expect(410);

    // A reset link doesn't work as an invitation. It expires when the password is changed in
    // another way.
    let path = reset_link(&mut ada, GRACE);
    app.visitor()
        .get(&path.replace("/reset", "/invitation"))
        .expect(410);
    app.run(&["user", "passwd", GRACE], &format!("{PASSWORD}\n"))
        .success();
    app.visitor().get(&path).expect(410);

    let path = reset_link(&mut ada, GRACE);
    let revoke = ada.get(PEOPLE).form_in(GRACE, "Revoke reset link");
    ada.submit_and_follow(&revoke.press("Revoke reset link"));
    app.visitor().get(&path).expect(410);
}

#[test]
fn removing_a_user_ends_their_sessions_tokens_and_links() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let token = app.token(GRACE, "full");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let form = grace.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", "friend@example.com").press("Invite");
    let page = grace.submit_and_follow(&filled);
    let invitation = path_of(&page.field_value("Invitation for friend@example.com"));
    let reset = reset_link(&mut grace, ADMIN);

    let mut ada = app.signed_in();
    let confirm = request_removal(&mut ada, GRACE);
    assert!(
        is_signed_in(&mut grace),
        "the user was removed without confirmation"
    );
    let page = ada.submit_and_follow(&confirm).expect(200);
    assert!(page.text().contains(&format!("{GRACE} removed.")));
    assert!(!is_signed_in(&mut grace));
    app.api_with(&token).get("/api/v1/projects").expect(401);
    for path in [invitation, reset] {
        app.visitor().get(&path).expect(410);
    }
    ada.submit(&confirm).expect(303);
}

#[test]
fn one_admin_remains_even_if_two_remove_each_other() {
    let app = App::start();
    let mut ada = app.signed_in();
    let page = ada.get(PEOPLE);
    assert!(page.text().contains("The only admin can’t be removed"));
    assert!(page.forms_with("Remove").is_empty() && page.forms_with("Change role").is_empty());

    app.add_user(GRACE, "admin");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let (removal_of_grace, removal_of_ada) = (
        request_removal(&mut ada, GRACE),
        request_removal(&mut grace, ADMIN),
    );
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let first = scope.spawn(|| ada.submit(&removal_of_grace).response.status);
        let second = scope.spawn(|| grace.submit(&removal_of_ada).response.status);
        [first, second].map(|press| press.join().unwrap()).to_vec()
    });
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches("admin").count(), 1, "{statuses:?}: {list}");
    assert!(
        statuses.iter().filter(|status| **status == 303).count() == 1,
        "{statuses:?}"
    );
}

#[test]
fn removing_the_only_admin_shows_the_reason() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let mut ada = app.signed_in();
    let request = ada.get(PEOPLE).form_in(ADMIN, "Remove").press("Remove");
    let remove = ada
        .submit(&request)
        .form_in(ADMIN, "Remove")
        .press("Remove");
    app.run(&["user", "remove", GRACE], "").success();
    let page = ada.submit(&remove).expect(409);
    assert!(page.text().contains("is the only admin"), "{}", page.text());
    assert!(is_signed_in(&mut ada));
}

#[test]
fn a_role_change_ends_sessions_and_links() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let reset = reset_link(&mut grace, ADMIN);
    let mut ada = app.signed_in();
    change_role(&mut ada, GRACE, "admin").expect(303);
    assert!(
        is_signed_in(&mut grace),
        "setting the current role ended the session"
    );
    change_role(&mut ada, GRACE, "member").expect(303);
    assert!(!is_signed_in(&mut grace));
    app.visitor().get(&reset).expect(410);
    grace.sign_in(GRACE, PASSWORD);
    grace.get(PEOPLE).expect(403);
    // Admins can change their own role if another admin remains.
    change_role(&mut ada, GRACE, "admin").expect(303);
    let page = change_role(&mut ada, ADMIN, "member").expect(303);
    assert!(page.location().starts_with("/login"));
    assert!(!is_signed_in(&mut ada));
}

#[test]
fn the_list_shows_when_users_were_last_seen() {
    let app = App::start();
    app.add_user(GRACE, "member");
    let mut ada = app.signed_in();
    assert!(ada.get(PEOPLE).text().contains("Never signed in"));
    app.visitor().sign_in(GRACE, PASSWORD);
    let text = ada.get(PEOPLE).text();
    assert!(
        !text.contains("Never signed in") && text.contains("Last seen"),
        "{text}"
    );
}
