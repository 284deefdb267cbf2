//! One-time links: their expiry, their URLs, and the pages of links that don't work.

use std::time::Duration;

use crate::people::{GRACE, PEOPLE, fill_account_form, invite, reset_link};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::in_process::InProcess;

#[test]
fn invitations_expire_after_7_days_and_reset_links_after_1_day() {
    let app = InProcess::start(&[]);
    let mut ada = app.visitor();
    ada.sign_in(ADMIN, PASSWORD);
    let invitation = invite(&mut ada, "member");
    app.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    app.visitor().get(&invitation).expect(200);
    app.advance(Duration::from_secs(1));
    app.visitor().get(&invitation).expect(410);
    assert!(!ada.get(PEOPLE).text().contains("Invited"));

    let invitation = invite(&mut ada, "admin");
    let mut grace = app.visitor();
    let filled = fill_account_form(&grace.get(&invitation));
    grace.submit(&filled).expect(303);
    let reset = reset_link(&mut ada, GRACE);
    app.advance(Duration::from_secs(24 * 3600 - 1));
    app.visitor().get(&reset).expect(200);
    app.advance(Duration::from_secs(1));
    app.visitor().get(&reset).expect(410);
}

/// Opens a link as a visitor without cookies. Checks that the status is 410. Also checks the
/// heading, the text, and whether there is a sign-in link.
#[track_caller]
fn assert_does_not_work(app: &InProcess, path: &str, heading: &str, text: &str, can_sign_in: bool) {
    let page = app.visitor().get(path).expect(410);
    assert_eq!(page.text_of("h1"), heading);
    assert!(page.text().contains(text), "{}", page.text());
    assert_eq!(page.link("Sign in").is_some(), can_sign_in, "{path}");
}

#[test]
fn the_page_of_an_invalid_link_says_why_it_does_not_work() {
    let app = InProcess::start(&[]);
    let mut ada = app.visitor();
    ada.sign_in(ADMIN, PASSWORD);
    let invitation = invite(&mut ada, "member");
    let part = &invitation[..invitation.len() - 1];
    let unknown = "This invitation doesn’t work";
    assert_does_not_work(&app, part, unknown, "Copy all of it", false);
    let filled = fill_account_form(&app.visitor().get(&invitation));
    app.visitor().submit(&filled).expect(303);
    let used = "This invitation was already used";
    assert_does_not_work(&app, &invitation, used, "Sign in with the password", true);
    let second = app.visitor().submit(&filled).expect(410);
    assert_eq!(second.text_of("h1"), used);

    let replaced = reset_link(&mut ada, GRACE);
    let reset = reset_link(&mut ada, GRACE);
    let unknown = "This reset link doesn’t work";
    assert_does_not_work(&app, &replaced, unknown, "replaced or revoked", false);
    let form = app.visitor().get(&reset).form_with("Set password");
    let set = form.fill("New password", "another good password");
    app.visitor().submit(&set.press("Set password")).expect(303);
    let used = "This reset link was already used";
    assert_does_not_work(&app, &reset, used, "Sign in with the new password", true);

    let reset = reset_link(&mut ada, GRACE);
    app.advance(Duration::from_secs(24 * 3600));
    let expired = "This reset link has expired";
    assert_does_not_work(&app, &reset, expired, "Ask an admin for a new one", false);
    let setup = "/setup?token=guess";
    assert_does_not_work(&app, setup, "Miniback is already set up", "Sign in.", true);
    let page = ada.get(setup).expect(410);
    assert_eq!(page.link("Go to feedback").as_deref(), Some("/feedback"));
    // Creating another link 30 days later deletes the expired link, so Miniback no longer knows
    // that this link existed.
    app.advance(Duration::from_secs(30 * 24 * 3600));
    ada.sign_in(ADMIN, PASSWORD);
    reset_link(&mut ada, GRACE);
    assert_does_not_work(&app, &reset, unknown, "replaced or revoked", false);
}

#[test]
fn the_page_of_an_invalid_setup_link_says_why_it_does_not_work() {
    let app = App::builder().without_admin().start();
    let page = app.visitor().get("/setup?token=guess").expect(410);
    assert_eq!(page.text_of("h1"), "This setup link doesn’t work");
    assert!(page.text().contains("newest setup link"), "{}", page.text());
    assert!(page.link("Sign in").is_none(), "nobody can sign in yet");
    let sign_in = app.visitor().get("/login").expect(200);
    assert!(sign_in.text().contains("No accounts yet."));
    assert!(sign_in.forms_with("Sign in").is_empty());
    let path = app.log.setup_path();
    let connection = rusqlite::Connection::open(app.database()).unwrap();
    let expire = "UPDATE one_time_links SET expires_at = 0";
    assert_eq!(connection.execute(expire, []).unwrap(), 1);
    let page = app.visitor().get(&path).expect(410);
    assert_eq!(page.text_of("h1"), "This setup link has expired");
    assert!(
        page.text().contains("miniback setup-link"),
        "{}",
        page.text()
    );
}

#[test]
fn a_live_update_does_not_discard_a_new_link() {
    let app = App::start();
    let mut ada = app.signed_in();
    let form = ada.get("/settings/people?add").form_with("Invite");
    let invite = form.fill("Email", GRACE).press("Invite");
    ada.submit(&invite).expect(303);
    let refresh = [("Miniback-Refresh", "live")];
    ada.fetch("GET", PEOPLE, &refresh, None).expect(200);
    let page = ada.get(PEOPLE).expect(200);
    let link = page.field_value(&format!("Invitation for {GRACE}"));
    assert!(link.contains("/invitation?token="), "{link}");
    assert!(
        page.text().contains("Only people on this computer"),
        "{}",
        page.text()
    );
}

#[test]
fn only_another_users_reset_link_warns_about_signing_in() {
    let app = App::start();
    app.add_user(GRACE, "admin");
    let mut ada = app.signed_in();
    let path = reset_link(&mut ada, GRACE);
    let warning = "You’re signed in as";
    assert!(ada.get(&path).expect(200).text().contains(warning));
    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    assert!(!grace.get(&path).expect(200).text().contains(warning));
}

#[test]
fn the_sign_in_page_says_how_to_get_a_new_password() {
    let app = App::start();
    let text = app.visitor().get("/login").expect(200).text();
    assert!(text.contains("Forgot your password?"), "{text}");
    assert!(text.contains("miniback user passwd EMAIL"), "{text}");
}

#[test]
fn links_use_the_base_url() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let mut ada = app.visitor();
    let headers = [("Origin", "https://example.com")];
    let form = ada.get("/login").form_with("Sign in");
    let sign_in = form
        .fill("Email", ADMIN)
        .fill("Password", PASSWORD)
        .press("Sign in");
    ada.post_from(&sign_in.action, &sign_in.fields, &headers);
    let form = ada.get("/settings/people?add").form_with("Invite");
    let filled = form.fill("Email", GRACE).press("Invite");
    ada.post_from(&filled.action, &filled.fields, &headers)
        .expect(303);
    let link = ada
        .get(PEOPLE)
        .field_value(&format!("Invitation for {GRACE}"));
    assert!(
        link.starts_with("https://example.com/miniback/invitation?token="),
        "{link}"
    );
}
