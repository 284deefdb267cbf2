//! One-time links for invitations and password resets: their expiry and their URL.

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
