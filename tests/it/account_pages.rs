//! Settings → Account: the password is changed by who knows it; sessions are listed, and ended one by one.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::Visitor;

const ACCOUNT: &str = "/settings/account";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/feedback").response.status == 200
}

/// Somebody who signs in with a browser that says what it is.
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
fn sessions_are_listed_by_their_browser_and_ended_one_by_one() {
    let app = App::start();
    let mut here = app.signed_in();
    let mut there = signed_in_with(&app, ADMIN, FIREFOX);
    let mut elsewhere = signed_in_with(&app, ADMIN, "curl/8.5.0 (a-machine-of-sams)");
    let page = here.get(ACCOUNT).expect(200);
    assert!(page.text().contains("Firefox on Linux"), "{}", page.text());
    assert!(
        !page.text().contains("a-machine-of-sams"),
        "no words of theirs"
    );
    assert_eq!(page.text().matches("This one").count(), 1);
    let end = page
        .form_in("Firefox on Linux", "End session")
        .press("End session");
    let page = here.submit_and_follow(&end).expect(200);
    assert!(!page.text().contains("Firefox on Linux"));
    assert!(!is_signed_in(&mut there));
    assert!(is_signed_in(&mut elsewhere) && is_signed_in(&mut here));
    here.submit_and_follow(&end).expect(200);
}

#[test]
fn nobody_ends_somebody_elses_session() {
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
fn a_password_is_changed_by_who_knows_it_and_ends_the_other_sessions() {
    let app = App::start();
    let (mut here, mut there) = (app.signed_in(), app.signed_in());
    let form = here.get(ACCOUNT).form_with("Change password");
    let change = |current: &str, new: &str| {
        let form = form.clone().fill("Current password", current);
        form.fill("New password", new).press("Change password")
    };
    let page = here
        .submit(&change("not the password", "another good password"))
        .expect(422);
    assert!(page.text().contains("This is not your password."));
    let page = here.submit(&change(PASSWORD, "short")).expect(422);
    assert!(page.text().contains("too short"));
    assert!(is_signed_in(&mut there), "nothing is changed yet");
    let done = change(PASSWORD, "another good password");
    here.submit_and_follow(&done).expect(200);
    assert!(is_signed_in(&mut here) && !is_signed_in(&mut there));
    app.visitor().sign_in(ADMIN, "another good password");
}
