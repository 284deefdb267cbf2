//! Passwords that attackers try first are rejected wherever a person sets a password.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command;
use crate::support::pages::same_origin_headers;

const COMMON: &str = "password1234";

#[test]
fn commands_reject_common_passwords_and_the_email_of_the_user() {
    let app = App::start();
    for password in [COMMON, "kim@example.com", "            ", "miniback1234"] {
        let output = app.run(
            &["user", "add", "kim@example.com"],
            &format!("{password}\n"),
        );
        assert_eq!(output.code, Some(2), "{output:#?}");
        assert!(output.stderr.contains("The password"), "{output:#?}");
    }
    let output = app.run(&["user", "passwd", ADMIN], "ada@example.com\n");
    assert_eq!(output.code, Some(2), "{output:#?}");
}

#[test]
fn the_account_page_rejects_a_common_password() {
    let app = App::start();
    let mut ada = app.signed_in();
    let form = ada.get("/settings/account").form_with("Change password");
    let form = form
        .fill("Current password", PASSWORD)
        .fill("New password", COMMON);
    let page = ada.submit(&form.press("Change password")).expect(422);
    assert!(page.text().contains("common"), "{}", page.text());
}

#[test]
fn the_setup_page_rejects_a_common_password() {
    let app = App::builder().without_admin().start();
    let mut visitor = app.visitor();
    let form = visitor
        .get(&app.log.setup_path())
        .form_with("Create account");
    let form = form.fill("Email", ADMIN).fill("Password", COMMON);
    let page = visitor.submit(&form.press("Create account")).expect(422);
    assert!(page.text().contains("common"), "{}", page.text());
}

#[test]
fn invitations_and_reset_links_reject_a_common_password() {
    let app = App::start();
    let mut ada = app.signed_in();
    let fields = [("email", "bob@example.com"), ("role", "member")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let page = ada.post_from("/settings/people", &fields, &same_origin_headers(&app.url));
    let page = ada.follow(&page).expect(200);
    let text = &page.response.text;
    let start = text
        .find("/invitation?token=")
        .expect("find the invitation link");
    let end = text[start..].find(['"', '<']).unwrap();
    let mut visitor = app.visitor();
    let form = visitor
        .get(&text[start..start + end])
        .form_with("Create account");
    let page = visitor.submit(&form.fill("Password", COMMON).press("Create account"));
    assert!(page.expect(422).text().contains("common"));
}

#[test]
fn serve_rejects_a_common_password_of_the_first_user() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = command::miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    serve.arg(data.path()).env("MINIBACK_ADMIN_EMAIL", ADMIN);
    serve.env("MINIBACK_ADMIN_PASSWORD", COMMON);
    let output = serve.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("MINIBACK_ADMIN_PASSWORD"), "{error}");
}

#[test]
fn signs_in_with_every_encoding_of_a_password() {
    let app = App::start();
    let encodings = [
        "Cr\u{e8}me br\u{fb}l\u{e9}e \u{fb01}ne 12",
        "Cre\u{300}me bru\u{302}le\u{301}e fine 12",
        "Cr\u{e8}me\u{3000}br\u{fb}l\u{e9}e fine \u{ff11}\u{ff12}",
    ];
    for password in encodings {
        app.run(&["user", "passwd", ADMIN], &format!("{password}\n"))
            .success();
        for typed in encodings {
            app.visitor().sign_in(ADMIN, typed);
        }
    }
    let other = app.visitor().try_sign_in(ADMIN, "Creme brulee fine 12");
    assert_eq!(other.response.status, 401);
}

#[test]
fn rejects_common_passwords_in_every_encoding() {
    let app = App::start();
    for password in [
        "\u{ff50}\u{ff41}\u{ff53}\u{ff53}\u{ff57}\u{ff4f}\u{ff52}\u{ff44}1234",
        "miniback miniback",
        "mini-back-miniback",
        "MINIBACK_2026_miniback",
    ] {
        let output = app.run(&["user", "passwd", ADMIN], &format!("{password}\n"));
        assert_eq!(output.code, Some(2), "{password}: {output:#?}");
    }
}
