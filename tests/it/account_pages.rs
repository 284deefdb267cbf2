//! Settings → Account: changing the password, and listing and ending sessions.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::Visitor;

const ACCOUNT: &str = "/settings/account";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/feedback").response.status == 200
}

/// Signs in from a browser that sends `agent` as its `User-Agent`, and returns the visitor.
fn signed_in_with(app: &App, email: &str, agent: &str) -> Visitor {
    let mut visitor = app.visitor();
    let form = visitor.get("/login").form_with("Sign in");
    let filled = form
        .fill("Email", email)
        .fill("Password", PASSWORD)
        .press("Sign in");
    let headers = [("Origin", app.url.as_str()), ("User-Agent", agent)];
    visitor
        .post_from(&filled.action, &filled.fields, &headers)
        .expect(303);
    visitor
}

#[test]
fn lists_sessions_by_browser_and_ends_one_at_a_time() {
    let app = App::start();
    let mut current = app.signed_in();
    let mut firefox = signed_in_with(&app, ADMIN, FIREFOX);
    let mut curl = signed_in_with(&app, ADMIN, "curl/8.5.0 (sams-laptop)");
    let page = current.get(ACCOUNT).expect(200);
    assert!(page.text().contains("Firefox on Linux"), "{}", page.text());
    assert!(
        !page.text().contains("sams-laptop"),
        "the page shows the whole User-Agent"
    );
    assert_eq!(page.text().matches("This browser").count(), 1);
    let end = page
        .form_in("Firefox on Linux", "End session")
        .press("End session");
    let page = current.submit_and_follow(&end).expect(200);
    assert!(!page.text().contains("Firefox on Linux"));
    assert!(!is_signed_in(&mut firefox));
    assert!(is_signed_in(&mut curl) && is_signed_in(&mut current));
    // Ending a session that has already ended is not an error.
    current.submit_and_follow(&end).expect(200);
}

#[test]
fn a_user_cannot_end_the_session_of_another_user() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut ada = app.signed_in();
    signed_in_with(&app, ADMIN, FIREFOX);
    let end = ada.get(ACCOUNT).form_in("Firefox on Linux", "End session");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    bob.submit(&end.press("End session")).expect(303);
    assert!(ada.get(ACCOUNT).text().contains("Firefox on Linux"));
}

#[test]
fn a_new_password_requires_the_old_password_and_ends_other_sessions() {
    let app = App::start();
    let (mut current, mut other) = (app.signed_in(), app.signed_in());
    let form = current.get(ACCOUNT).form_with("Change password");
    let change = |current: &str, new: &str| {
        let form = form.clone().fill("Current password", current);
        form.fill("New password", new).press("Change password")
    };
    let page = current
        .submit(&change("not the password", "another good password"))
        .expect(422);
    assert!(page.text().contains("That isn’t your current password."));
    let page = current.submit(&change(PASSWORD, "short")).expect(422);
    assert!(page.text().contains("too short"));
    assert!(
        is_signed_in(&mut other),
        "a rejected change ended a session"
    );
    let valid = change(PASSWORD, "another good password");
    current.submit_and_follow(&valid).expect(200);
    assert!(is_signed_in(&mut current) && !is_signed_in(&mut other));
    app.visitor().sign_in(ADMIN, "another good password");
}
