//! Users and tokens on the command line, and the one-time link for setting up the first admin.

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::run_on_data_dir;
use crate::support::forms::FilledForm;
use crate::support::http::Response;
use crate::support::pages::Page;
use crate::support::wait::wait_until;

const GRACE: &str = "grace@example.com";

fn password_line() -> String {
    format!("{PASSWORD}\n")
}

#[test]
fn adds_lists_and_removes_users_while_the_program_runs() {
    let app = App::start();
    app.run(&["user", "add", GRACE], &password_line()).success();
    app.run(
        &["user", "add", "bob@example.com", "--role", "member"],
        &password_line(),
    )
    .success();
    let list = app.run(&["user", "list"], "").success().stdout;
    let line_of = |email: &str| -> String {
        let line = list.lines().find(|line| line.contains(email));
        line.unwrap_or_else(|| panic!("{email} isn't in {list}"))
            .to_owned()
    };
    assert!(
        line_of(GRACE).contains("admin"),
        "the default role isn't admin: {list}"
    );
    assert!(line_of("bob@example.com").contains("member"), "{list}");
    assert!(line_of(ADMIN).contains("admin"), "{list}");

    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let token = app.token(GRACE, "full");
    app.run(&["user", "remove", GRACE], "").success();
    wait_until("the removed user's session and token are invalid", || {
        let page_status = grace.get("/feedback").response.status;
        let api_status = app.api_with(&token).get("/api/v1/projects").status;
        (page_status != 200 && api_status == 401).then_some(())
    });
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(!list.contains(GRACE), "{list}");
}

#[test]
fn a_user_can_be_added_before_the_first_start() {
    let data = tempfile::TempDir::new().unwrap();
    let dir = data.path().join("data");
    run_on_data_dir(&dir, &["init"], "").success();
    run_on_data_dir(&dir, &["user", "add", GRACE], &password_line()).success();
    let app = App::builder()
        .without_admin()
        .with_data_dir(std::sync::Arc::new(data))
        .start();
    app.visitor().sign_in(GRACE, PASSWORD);
    assert!(!app.log.to_string().contains("/setup?token="));
}

#[test]
fn rejects_invalid_user_arguments_with_one_line() {
    let app = App::start();
    let long = "x".repeat(257);
    let cases: [(&[&str], &str); 8] = [
        (&["user", "add", "not-an-email"], PASSWORD),
        (&["user", "add", GRACE], "short"),
        (&["user", "add", GRACE], ""),
        (&["user", "add", GRACE], &long),
        (&["user", "add", ADMIN], PASSWORD),
        (&["user", "add", GRACE, "--role", "owner"], PASSWORD),
        (&["user", "remove", "nobody@example.com"], ""),
        (&["user", "passwd", "nobody@example.com"], PASSWORD),
    ];
    for (args, input) in cases {
        let output = app.run(args, input);
        assert!(matches!(output.code, Some(1 | 2)), "{args:?}: {output:#?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args:?}: {output:#?}");
    }
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(!list.contains(GRACE), "{list}");
}

#[test]
fn the_only_admin_cannot_be_removed() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    app.run(&["user", "remove", ADMIN], "").error_line(1);
    app.signed_in();
    app.add_user(GRACE, "admin");
    app.run(&["user", "remove", ADMIN], "").success();
    app.run(&["user", "remove", GRACE], "").error_line(1);
}

#[test]
fn passwd_replaces_the_old_password() {
    let app = App::start();
    app.run(&["user", "passwd", ADMIN], "another good password\n")
        .success();
    wait_until("the new password works", || {
        let page = app.visitor().try_sign_in(ADMIN, "another good password");
        matches!(page.response.status, 302 | 303).then_some(())
    });
    let old = app.visitor().try_sign_in(ADMIN, PASSWORD);
    assert!(
        !matches!(old.response.status, 302 | 303),
        "{:?}",
        old.response
    );
}

#[test]
fn accepts_passwords_of_12_to_256_bytes() {
    let app = App::start();
    for (email, password) in [
        ("twelve@example.com", "kT9#vQ2!mW7z".to_owned()),
        (
            "many@example.com",
            "äöüßéèêàçñøåæ".chars().cycle().take(128).collect(),
        ),
    ] {
        app.run(&["user", "add", email], &format!("{password}\n"))
            .success();
        app.visitor().sign_in(email, &password);
    }
}

#[test]
fn creates_lists_and_revokes_a_token_and_prints_it_only_once() {
    let app = App::start();
    let args = ["token", "create", "--user", ADMIN, "my deploy token"];
    let printed = app.run(&args, "").success().stdout;
    let token = printed.trim_end().to_owned();
    assert!(token.starts_with("mb_") && printed.lines().count() == 1);
    let send_request = || -> Response { app.api_with(&token).get("/api/v1/webhooks") };
    send_request().expect(200);

    let list = app.run(&["token", "list"], "").success().stdout;
    let line = list.lines().find(|line| line.contains("my deploy token"));
    let line = line.unwrap_or_else(|| panic!("the token isn't in {list}"));
    assert!(line.contains(ADMIN), "{line}");
    assert!(!list.contains(&token), "the list contains the token itself");
    let id = line.split_whitespace().next().unwrap();

    app.run(&["token", "revoke", id], "").success();
    wait_until("the revoked token is rejected", || {
        (send_request().status == 401).then_some(())
    });
    let unknown = app.run(&["token", "revoke", "tok_nothere"], "");
    assert!(matches!(unknown.code, Some(1 | 2)), "{unknown:#?}");
}

#[test]
fn a_token_requires_an_existing_user_and_a_valid_scope() {
    let app = App::start();
    for args in [
        [
            "token",
            "create",
            "--user",
            "nobody@example.com",
            "x",
            "--scope",
            "full",
        ],
        [
            "token",
            "create",
            "--user",
            ADMIN,
            "x",
            "--scope",
            "everything",
        ],
    ] {
        let output = app.run(&args, "");
        assert!(matches!(output.code, Some(1 | 2)), "{output:#?}");
        assert_eq!(output.stdout, "");
        assert_eq!(output.stderr.lines().count(), 1, "{output:#?}");
    }
}

#[test]
fn the_database_files_contain_no_token() {
    let app = App::start();
    let token = app.token(ADMIN, "full");
    let token = token.as_bytes();
    for file in std::fs::read_dir(&app.dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|w| w == token));
    }
}

#[test]
fn the_list_of_tokens_contains_no_control_characters() {
    let app = App::start();
    let args = ["token", "create", "--user", ADMIN, "red \u{1b}[31m name"];
    let created = app.run(&args, "");
    assert!(matches!(created.code, Some(0..=2)), "{created:#?}");
    let list = app.run(&["token", "list"], "").success().stdout;
    assert!(!list.contains('\u{1b}'), "{list:?}");
}

#[test]
fn creates_the_admin_from_the_environment_only_once() {
    let app = App::start();
    app.run(&["user", "passwd", ADMIN], "another good password\n")
        .success();
    let data = app.sigkill();
    let app = App::builder().with_data_dir(data).start();
    app.visitor().sign_in(ADMIN, "another good password");
    assert!(!app.log.to_string().contains("/setup?token="));
}

fn is_rejected(page: &Page) -> bool {
    (400..500).contains(&page.response.status)
}

/// Returns the setup form for the first admin, with all fields filled in.
#[track_caller]
fn fill_setup(page: &Page) -> FilledForm {
    let forms = page.forms();
    assert_eq!(forms.len(), 1, "{:?}", page.response);
    let form = forms[0].clone().fill("Email", ADMIN);
    let form = form.fill("Password", PASSWORD);
    form.press_first().expect("find the form's button")
}

#[test]
fn the_setup_url_works_until_it_creates_the_first_user() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let mut visitor = app.visitor();
    for _ in 0..3 {
        visitor.get(&path).expect(200);
    }
    let page = visitor.get(&path).expect(200);
    let filled = fill_setup(&page);
    let created = visitor.submit(&filled);
    assert!(
        matches!(created.response.status, 302 | 303),
        "{:?}",
        created.response
    );
    app.visitor().sign_in(ADMIN, PASSWORD);

    assert!(
        is_rejected(&app.visitor().get(&path)),
        "the setup page still opens"
    );
    let mut second = app.visitor();
    assert!(
        is_rejected(&second.submit(&filled)),
        "the setup form still works"
    );
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 1, "{list}");
    let listed = app.api().get("/api/v1/projects").expect(200).json();
    assert!(listed["data"].is_array());
}

#[test]
fn an_invalid_setup_form_does_not_use_up_the_setup_url() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let mut visitor = app.visitor();
    let page = visitor.get(&path).expect(200);
    let form = page.forms().remove(0);
    let form = form.fill("Email", ADMIN).fill("Password", "short");
    let rejected = visitor.submit(&form.press_first().unwrap());
    assert!(is_rejected(&rejected), "{:?}", rejected.response);
    let filled = fill_setup(&visitor.get(&path).expect(200));
    visitor.submit(&filled);
    app.visitor().sign_in(ADMIN, PASSWORD);
}

#[test]
fn two_simultaneous_setup_forms_create_one_user() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let filled = fill_setup(&app.visitor().get(&path).expect(200));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| app.visitor().submit(&filled).response.status))
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 1, "{list}");
}

#[test]
fn setup_requires_the_token() {
    let app = App::builder().without_admin().start();
    let valid = app.log.setup_path();
    for invalid in ["/setup", "/setup?token=", "/setup?token=guess"] {
        assert!(is_rejected(&app.visitor().get(invalid)), "{invalid}");
    }
    let filled = fill_setup(&app.visitor().get(&valid).expect(200));
    let token = valid.split_once('=').unwrap().1;
    let mut forged = filled.clone();
    forged.action = forged.action.replace(token, "guess");
    for (_, value) in &mut forged.fields {
        *value = value.replace(token, "guess");
    }
    assert!(is_rejected(&app.visitor().submit(&forged)));
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 0, "{list}");
}

#[test]
fn a_restart_replaces_the_setup_url() {
    let app = App::builder().without_admin().start();
    let old = app.log.setup_path();
    let app = App::builder()
        .without_admin()
        .with_data_dir(app.sigkill())
        .start();
    let new = app.log.setup_path();
    assert_ne!(old, new);
    assert!(is_rejected(&app.visitor().get(&old)));
    app.visitor().get(&new).expect(200);
}

#[test]
fn adding_a_user_on_the_command_line_disables_the_setup_url() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    app.add_user(ADMIN, "admin");
    wait_until("the setup URL is rejected", || {
        is_rejected(&app.visitor().get(&path)).then_some(())
    });
    let project = app.api().create_project("Shop");
    assert_eq!(text(&project, "slug"), "shop");
}
