//! The form "Add Webhook": its secret stays the same, and it helps people who have no endpoint yet.

use crate::support::app::{App, PASSWORD};
use crate::support::pages::Visitor;
use crate::support::receiver::Receiver;
use crate::support::signature::hex_signature;

const LIST: &str = "/settings/notifications";

fn add_path(admin: &mut Visitor) -> String {
    let page = admin.get(LIST).expect(200);
    page.link("Add Webhook").expect("find the link")
}

fn secret_at(admin: &mut Visitor, path: &str) -> String {
    let form = admin.get(path).expect(200).form_with("Add");
    form.value("Signing secret")
}

#[test]
fn the_secret_is_the_same_after_visiting_another_page() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = add_path(&mut admin);
    let secret = secret_at(&mut admin, &path);
    admin.get("/docs/webhooks").expect(200);
    admin.get(LIST).expect(200);
    assert_eq!(secret_at(&mut admin, &path), secret);
    // Nobody else gets this secret, and another new webhook has another secret.
    let other_path = add_path(&mut admin);
    assert_ne!(secret_at(&mut admin, &other_path), secret);
    app.add_user("grace@example.com", "admin");
    let mut grace = app.visitor();
    grace.sign_in("grace@example.com", PASSWORD);
    assert_ne!(secret_at(&mut grace, &path), secret);
}

#[test]
fn going_back_after_adding_shows_a_new_secret() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = add_path(&mut admin);
    let form = admin.get(&path).expect(200).form_with("Add");
    let secret = form.value("Signing secret");
    let filled = form.fill("Endpoint URL", "http://127.0.0.1:9/");
    admin.submit_and_follow(&filled.press("Add")).expect(200);
    // Only "Reveal" shows the secret of a saved webhook.
    let page = admin.get(&path).expect(200);
    assert!(!page.response.text.contains(&secret));
    assert_ne!(secret_at(&mut admin, &path), secret);
}

#[test]
fn the_secret_is_the_same_after_a_restart() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = add_path(&mut admin);
    let secret = secret_at(&mut admin, &path);
    let data = app.sigkill();
    let app = App::builder().with_data_dir(data).start();
    let mut admin = app.signed_in();
    assert_eq!(secret_at(&mut admin, &path), secret);
}

#[test]
fn a_tested_url_stays_in_the_form_while_another_page_is_open() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let mut admin = app.signed_in();
    let path = add_path(&mut admin);
    let form = admin.get(&path).form_with("Add");
    let filled = form.fill("Endpoint URL", &receiver.url("/"));
    admin.submit_and_follow(&filled.press("Test")).expect(200);
    admin.get("/docs/webhooks").expect(200);
    let form = admin.get(&path).expect(200).form_with("Add");
    assert_eq!(form.value("Endpoint URL"), receiver.url("/"));
    let tested = receiver.first();
    assert_eq!(
        tested.header("X-Miniback-Signature"),
        hex_signature(&form.value("Signing secret"), &tested.body)
    );
}

#[test]
fn the_form_says_what_is_sent_and_how_to_receive_it_without_an_endpoint() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = add_path(&mut admin);
    let page = admin.get(&path).expect(200);
    let secret = page.form_with("Add").value("Signing secret");
    assert!(
        page.text()
            .contains("All new feedback and status changes are sent.")
    );
    let command = format!("miniback listen --port 3000 --secret {secret}");
    assert_eq!(page.text_of("#add-listen"), command);

    let code = page.link("Get endpoint code").expect("find the link");
    let code = admin.get(&code).expect(200);
    let flask = admin
        .get(&code.link("Flask").expect("find the link"))
        .expect(200);
    for page in [&code, &flask] {
        assert!(!page.response.text.contains(&secret));
        assert!(
            page.text()
                .contains("http://localhost:3000/webhooks/miniback")
        );
    }
    assert!(flask.text_of("#snippet").contains("from flask import"));
    let back = flask.link("Back to “Add Webhook”").expect("find the link");
    assert_eq!(back, path);
    assert_eq!(secret_at(&mut admin, &back), secret);
}

#[test]
fn only_admins_can_open_the_code_for_a_new_webhook() {
    let app = App::start();
    app.add_user("mel@example.com", "member");
    let mut member = app.visitor();
    member.sign_in("mel@example.com", PASSWORD);
    let path = format!("{LIST}/endpoint-code");
    member.get(&path).expect(403);
    let mut admin = app.signed_in();
    admin.get(&format!("{path}?with=cobol")).expect(404);
    // An id that Miniback didn't generate isn't used.
    let page = admin.get(&format!("{path}?add=short")).expect(200);
    let back = page.link("Back to “Add Webhook”").expect("find the link");
    assert!(!back.contains("short"), "{back}");
}
