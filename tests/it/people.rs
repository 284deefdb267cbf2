//! Settings → People: invitations and links for a new password, roles, removal; each link works
//! once, for its time.

use std::time::Duration;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::forms::FilledForm;
use crate::support::in_process::InProcess;
use crate::support::pages::{Page, Visitor};

const PEOPLE: &str = "/settings/people";
const GRACE: &str = "grace@example.com";
const NEW_PASSWORD: &str = "another good password";

/// The path of a link to hand over.
fn path_of(link: &str) -> String {
    let url = url::Url::parse(link).unwrap();
    url[url::Position::BeforePath..].to_owned()
}

/// Invites Grace, and returns the path of her link.
#[track_caller]
fn invite(admin: &mut Visitor, role: &str) -> String {
    let form = admin.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", GRACE).fill("Role", role).press("Invite");
    let page = admin.submit_and_follow(&filled).expect(200);
    path_of(&page.shown(&format!("Invitation for {GRACE}")))
}

/// The form behind an invitation, with a password.
#[track_caller]
fn accepting(page: &Page) -> FilledForm {
    let form = page.form_with("Create account");
    assert!(!form.has_field("Role"), "the invitation says it");
    form.fill("Password", PASSWORD).press("Create account")
}

/// Makes a link for a new password, and returns its path.
#[track_caller]
fn reset_link(admin: &mut Visitor, email: &str) -> String {
    let page = admin.get(PEOPLE);
    let press = page
        .form_in(email, "Reset password")
        .press("Reset password");
    let page = admin.submit_and_follow(&press).expect(200);
    path_of(&page.shown("Password reset link"))
}

/// Asks for a removal; returns the form that confirms it.
#[track_caller]
fn asked_to_remove(admin: &mut Visitor, email: &str) -> FilledForm {
    let ask = admin.get(PEOPLE).form_in(email, "Remove").press("Remove");
    let page = admin.submit(&ask).expect(200);
    assert!(
        page.text().contains("Remove this account?"),
        "{}",
        page.text()
    );
    page.form_in(email, "Remove").press("Remove")
}

#[track_caller]
fn change_role(admin: &mut Visitor, email: &str, role: &str) -> Page {
    let ask = admin
        .get(PEOPLE)
        .form_in(email, "Change role")
        .press("Change role");
    let form = admin.submit(&ask).form_in(email, "Save");
    admin.submit(&form.fill("Role", role).press("Save"))
}

fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/feedback").response.status == 200
}

#[test]
fn an_invitation_is_a_link_that_makes_the_account_once_and_signs_it_in() {
    let app = App::start();
    let mut ada = app.signed_in();
    let path = invite(&mut ada, "member");
    let page = ada.get(PEOPLE);
    let token = path.split_once("token=").unwrap().1;
    assert!(!page.response.text.contains(token), "it is shown once");
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
    assert_eq!(page.shown("Email"), GRACE);
    let form = page.form_with("Create account");
    let short = form.fill("Password", "short").press("Create account");
    let refused = grace.submit(&short).expect(422);
    assert!(refused.text().contains("too short"));
    let filled = accepting(&page);
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
fn two_who_use_one_invitation_at_once_make_one_account() {
    let app = App::start();
    let path = invite(&mut app.signed_in(), "admin");
    let filled = accepting(&app.visitor().get(&path).expect(200));
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
fn an_invitation_is_void_when_it_is_revoked_or_made_anew_or_not_needed_any_more() {
    let app = App::start();
    let mut ada = app.signed_in();
    let within = format!("Invitation for {GRACE}");
    let revoked = invite(&mut ada, "member");
    let press = ada.get(PEOPLE).form_in(&within, "Revoke").press("Revoke");
    ada.submit_and_follow(&press).expect(200);
    app.visitor().get(&revoked).expect(410);

    let first = invite(&mut ada, "member");
    let press = ada
        .get(PEOPLE)
        .form_in(&within, "New link")
        .press("New link");
    let page = ada.submit_and_follow(&press);
    let second = path_of(&page.shown(&format!("Invitation for {GRACE}")));
    app.visitor().get(&first).expect(410);
    app.visitor().get(&second).expect(200);

    app.add_user(GRACE, "member");
    app.visitor().get(&second).expect(410);
    assert!(!ada.get(PEOPLE).text().contains("Invited"));
}

#[test]
fn what_makes_no_sense_of_an_invitation_is_said_beside_the_field() {
    let app = App::start();
    let mut ada = app.signed_in();
    for (email, reason) in [
        ("not-an-address", "address"),
        ("", "address"),
        ("ADA@example.com", "already has an account"),
    ] {
        let form = ada.get("/settings/people?add").form_with("Invite");
        let page = ada
            .submit(&form.fill("Email", email).press("Invite"))
            .expect(422);
        let again = page.form_with("Invite");
        assert_eq!(again.value("Email"), email, "what was written stays");
        assert!(page.response.text.contains("aria-invalid"), "{email}");
        assert!(page.text().contains(reason), "{email}: {}", page.text());
    }
}

#[test]
fn two_presses_of_invite_and_of_reset_password_make_one_link() {
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
        // The browser shows the answer to the second press: the link stands there, and it is the
        // one that works.
        let path = path_of(&ada.submit_and_follow(&press).shown(&label));
        app.visitor().get(&path).expect(200);
    }
}

#[test]
fn a_password_is_reset_by_a_link_that_works_once_and_ends_the_sessions() {
    let app = App::start();
    app.add_user(GRACE, "member");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let mut ada = app.signed_in();
    let first = reset_link(&mut ada, GRACE);
    let path = reset_link(&mut ada, GRACE);
    app.visitor().get(&first).expect(410);
    assert!(is_signed_in(&mut grace), "the present one holds until then");
    app.visitor().sign_in(GRACE, PASSWORD);

    let mut elsewhere = app.visitor();
    let form = elsewhere.get(&path).expect(200).form_with("Set password");
    let filled = form
        .fill("New password", NEW_PASSWORD)
        .press("Set password");
    elsewhere.submit_and_follow(&filled).expect(200);
    assert!(!is_signed_in(&mut grace));
    app.visitor().sign_in(GRACE, NEW_PASSWORD);
    app.visitor().get(&path).expect(410);
    app.visitor().submit(&filled).expect(410);

    // A link for one purpose opens no other, and a password changed otherwise makes it void.
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
fn who_is_removed_is_out_at_once_with_their_tokens_and_the_links_that_they_made() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let token = app.token(GRACE, "full");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let form = grace.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", "friend@example.com").press("Invite");
    let page = grace.submit_and_follow(&filled);
    let invitation = path_of(&page.shown("Invitation for friend@example.com"));
    let reset = reset_link(&mut grace, ADMIN);

    let mut ada = app.signed_in();
    let confirm = asked_to_remove(&mut ada, GRACE);
    assert!(is_signed_in(&mut grace), "it is asked first");
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
fn the_last_admin_can_neither_be_removed_nor_made_a_member_also_when_two_go_at_once() {
    let app = App::start();
    let mut ada = app.signed_in();
    let page = ada.get(PEOPLE);
    assert!(page.text().contains("Only admin, can’t be removed"));
    assert!(page.forms_with("Remove").is_empty() && page.forms_with("Change role").is_empty());

    app.add_user(GRACE, "admin");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let (of_grace, of_ada) = (
        asked_to_remove(&mut ada, GRACE),
        asked_to_remove(&mut grace, ADMIN),
    );
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let first = scope.spawn(|| ada.submit(&of_grace).response.status);
        let second = scope.spawn(|| grace.submit(&of_ada).response.status);
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
fn the_last_admin_is_told_why_they_stay() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let mut ada = app.signed_in();
    let ask = ada.get(PEOPLE).form_in(ADMIN, "Remove").press("Remove");
    let remove = ada.submit(&ask).form_in(ADMIN, "Remove").press("Remove");
    app.run(&["user", "remove", GRACE], "").success();
    let page = ada.submit(&remove).expect(409);
    assert!(page.text().contains("is the only admin"), "{}", page.text());
    assert!(is_signed_in(&mut ada));
}

#[test]
fn another_role_ends_the_sessions_and_the_links_made_as_an_admin() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let reset = reset_link(&mut grace, ADMIN);
    let mut ada = app.signed_in();
    change_role(&mut ada, GRACE, "admin").expect(303);
    assert!(is_signed_in(&mut grace), "the role that it was already");
    change_role(&mut ada, GRACE, "member").expect(303);
    assert!(!is_signed_in(&mut grace));
    app.visitor().get(&reset).expect(410);
    grace.sign_in(GRACE, PASSWORD);
    grace.get(PEOPLE).expect(403);
    // One's own role too, as long as somebody is left.
    change_role(&mut ada, GRACE, "admin").expect(303);
    let page = change_role(&mut ada, ADMIN, "member").expect(303);
    assert!(page.location().starts_with("/login"));
    assert!(!is_signed_in(&mut ada));
}

#[test]
fn the_list_says_who_was_there_and_when() {
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

#[test]
fn links_are_void_after_their_time() {
    let app = InProcess::start(&[]);
    let mut ada = app.visitor();
    ada.sign_in(ADMIN, PASSWORD);
    let invitation = invite(&mut ada, "member");
    app.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    app.visitor().get(&invitation).expect(200);
    app.advance(Duration::from_secs(1));
    app.visitor().get(&invitation).expect(410);
    assert!(!ada.get(PEOPLE).text().contains("Invited"));

    let accept = invite(&mut ada, "admin");
    let mut grace = app.visitor();
    let filled = accepting(&grace.get(&accept));
    grace.submit(&filled).expect(303);
    let reset = reset_link(&mut ada, GRACE);
    app.advance(Duration::from_secs(24 * 3600 - 1));
    app.visitor().get(&reset).expect(200);
    app.advance(Duration::from_secs(1));
    app.visitor().get(&reset).expect(410);
}

#[test]
fn a_link_names_the_public_address() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let mut ada = app.visitor();
    let own = [("Origin", "https://example.com")];
    let form = ada.get("/login").form_with("Sign in");
    let sign_in = form
        .fill("Email", ADMIN)
        .fill("Password", PASSWORD)
        .press("Sign in");
    ada.post_from(&sign_in.action, &sign_in.fields, &own);
    let form = ada.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", GRACE).press("Invite");
    ada.post_from(&filled.action, &filled.fields, &own)
        .expect(303);
    let link = ada.get(PEOPLE).shown(&format!("Invitation for {GRACE}"));
    assert!(
        link.starts_with("https://example.com/miniback/invitation?token="),
        "{link}"
    );
}
