//! Users and tokens on the command line, and the one-time address by which the first user is made.

use crate::support::api::text;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::run_on;
use crate::support::http::Response;
use crate::support::pages::Page;
use crate::support::wait::wait_until;

const GRACE: &str = "grace@example.com";

fn with_password() -> String {
    format!("{PASSWORD}\n")
}

#[test]
fn a_user_is_added_listed_and_removed_beside_a_running_program() {
    let app = App::start();
    app.run(&["user", "add", GRACE], &with_password()).success();
    app.run(
        &["user", "add", "bob@example.com", "--role", "member"],
        &with_password(),
    )
    .success();
    let list = app.run(&["user", "list"], "").success().stdout;
    let role_of = |email: &str| -> String {
        let line = list.lines().find(|line| line.contains(email));
        line.unwrap_or_else(|| panic!("{email} is not in {list}"))
            .to_owned()
    };
    assert!(role_of(GRACE).contains("admin"), "the default: {list}");
    assert!(role_of("bob@example.com").contains("member"), "{list}");
    assert!(role_of(ADMIN).contains("admin"), "{list}");

    let mut grace = app.visitor();
    grace.sign_in(GRACE, PASSWORD);
    let token = app.token(GRACE, "full");
    app.run(&["user", "remove", GRACE], "").success();
    wait_until("session and token of a removed user are gone", || {
        let page = grace.get("/feedback").response.status;
        let call = app.api_with(&token).get("/api/v1/projects").status;
        (page != 200 && call == 401).then_some(())
    });
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(!list.contains(GRACE), "{list}");
}

#[test]
fn users_can_be_made_before_the_program_first_runs() {
    let data = tempfile::TempDir::new().unwrap();
    let dir = data.path().join("data");
    run_on(&dir, &["user", "add", GRACE], &with_password()).success();
    let app = App::builder()
        .without_admin()
        .with_data(std::sync::Arc::new(data))
        .start();
    app.visitor().sign_in(GRACE, PASSWORD);
    assert!(!app.log.to_string().contains("/setup?token="));
}

#[test]
fn what_makes_no_sense_of_a_user_is_refused_with_one_line() {
    let app = App::start();
    let long = "x".repeat(257);
    let cases: [(&[&str], &str); 8] = [
        (&["user", "add", "not-an-address"], PASSWORD),
        (&["user", "add", GRACE], "short"),
        (&["user", "add", GRACE], ""),
        (&["user", "add", GRACE], &long),
        (&["user", "add", ADMIN], PASSWORD),
        (&["user", "add", GRACE, "--role", "owner"], PASSWORD),
        (&["user", "remove", "nobody@example.com"], ""),
        (&["user", "passwd", "nobody@example.com"], PASSWORD),
    ];
    for (args, input) in cases {
        let finished = app.run(args, input);
        assert!(
            matches!(finished.code, Some(1 | 2)),
            "{args:?}: {finished:#?}"
        );
        assert_eq!(
            finished.stderr.lines().count(),
            1,
            "{args:?}: {finished:#?}"
        );
    }
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(!list.contains(GRACE), "{list}");
}

#[test]
fn the_last_admin_stays() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    app.run(&["user", "remove", ADMIN], "").error_line(1);
    app.signed_in();
    app.add_user(GRACE, "admin");
    app.run(&["user", "remove", ADMIN], "").success();
    app.run(&["user", "remove", GRACE], "").error_line(1);
}

#[test]
fn a_new_password_holds_and_the_old_one_does_not() {
    let app = App::start();
    app.run(&["user", "passwd", ADMIN], "another good password\n")
        .success();
    wait_until("the new password holds", || {
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
fn passwords_of_12_and_of_256_bytes_are_taken() {
    let app = App::start();
    for (email, password) in [
        ("twelve@example.com", "x".repeat(12)),
        ("many@example.com", "ü".repeat(128)),
    ] {
        app.run(&["user", "add", email], &format!("{password}\n"))
            .success();
        app.visitor().sign_in(email, &password);
    }
}

#[test]
fn a_token_is_printed_alone_listed_without_itself_and_revoked() {
    let app = App::start();
    let args = ["token", "create", "--user", ADMIN, "my deploy token"];
    let printed = app.run(&args, "").success().stdout;
    let token = printed.trim_end().to_owned();
    assert!(token.starts_with("mb_") && printed.lines().count() == 1);
    let call = || -> Response { app.api_with(&token).get("/api/v1/webhooks") };
    call().expect(200);

    let list = app.run(&["token", "list"], "").success().stdout;
    let line = list.lines().find(|line| line.contains("my deploy token"));
    let line = line.unwrap_or_else(|| panic!("the token is not in {list}"));
    assert!(line.contains(ADMIN), "{line}");
    assert!(!list.contains(&token), "only its hash is stored");
    let id = line.split_whitespace().next().unwrap();

    app.run(&["token", "revoke", id], "").success();
    wait_until("a revoked token is refused", || {
        (call().status == 401).then_some(())
    });
    app.run(&["token", "revoke", id], "nothing to read");
    let again = app.run(&["token", "revoke", "tok_nothere"], "");
    assert!(matches!(again.code, Some(1 | 2)), "{again:#?}");
}

#[test]
fn a_token_needs_a_user_who_is_there_and_a_scope_that_exists() {
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
        let finished = app.run(&args, "");
        assert!(matches!(finished.code, Some(1 | 2)), "{finished:#?}");
        assert_eq!(finished.stdout, "");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:#?}");
    }
}

#[test]
fn a_token_is_not_in_the_database() {
    let app = App::start();
    let token = app.token(ADMIN, "full");
    let token = token.as_bytes();
    for file in std::fs::read_dir(&app.dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|w| w == token));
    }
}

#[test]
fn control_characters_in_a_name_are_escaped_on_the_terminal() {
    let app = App::start();
    let args = ["token", "create", "--user", ADMIN, "red \u{1b}[31m name"];
    let made = app.run(&args, "");
    assert!(matches!(made.code, Some(0..=2)), "{made:#?}");
    let list = app.run(&["token", "list"], "").success().stdout;
    assert!(!list.contains('\u{1b}'), "{list:?}");
}

#[test]
fn the_first_user_of_the_environment_is_made_once() {
    let app = App::start();
    app.run(&["user", "passwd", ADMIN], "another good password\n")
        .success();
    let data = app.kill9();
    let app = App::builder().with_data(data).start();
    app.visitor().sign_in(ADMIN, "another good password");
    assert!(!app.log.to_string().contains("/setup?token="));
}

fn is_refused(page: &Page) -> bool {
    (400..500).contains(&page.response.status)
}

/// The setup form, filled for Ada.
#[track_caller]
fn fill_setup(page: &Page) -> crate::support::forms::FilledForm {
    let forms = page.forms();
    assert_eq!(forms.len(), 1, "{:?}", page.response);
    let form = forms[0].clone().fill("Email", ADMIN);
    let form = form.fill("Password", PASSWORD);
    form.press_first().expect("the form has a button")
}

#[test]
fn the_setup_address_makes_the_first_user_and_is_spent_by_that_alone() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let mut visitor = app.visitor();
    for _ in 0..3 {
        visitor.get(&path).expect(200);
    }
    let page = visitor.get(&path).expect(200);
    let filled = fill_setup(&page);
    let made = visitor.submit(&filled);
    assert!(
        matches!(made.response.status, 302 | 303),
        "{:?}",
        made.response
    );
    app.visitor().sign_in(ADMIN, PASSWORD);

    assert!(is_refused(&app.visitor().get(&path)), "it is spent");
    let mut late = app.visitor();
    assert!(is_refused(&late.submit(&filled)), "it is spent");
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 1, "{list}");
    let listed = app.api().get("/api/v1/projects").expect(200).json();
    assert!(listed["data"].is_array());
}

#[test]
fn a_setup_form_that_is_wrong_spends_nothing_either() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let mut visitor = app.visitor();
    let page = visitor.get(&path).expect(200);
    let form = page.forms().remove(0);
    let form = form.fill("Email", ADMIN).fill("Password", "short");
    let refused = visitor.submit(&form.press_first().unwrap());
    assert!(is_refused(&refused), "{:?}", refused.response);
    let filled = fill_setup(&visitor.get(&path).expect(200));
    visitor.submit(&filled);
    app.visitor().sign_in(ADMIN, PASSWORD);
}

#[test]
fn two_posts_of_the_setup_form_make_one_user() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    let filled = fill_setup(&app.visitor().get(&path).expect(200));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| app.visitor().submit(&filled).response.status))
            .collect();
        posts.into_iter().map(|p| p.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|s| *s < 500), "{statuses:?}");
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 1, "{list}");
}

#[test]
fn without_the_token_nobody_can_claim_the_installation() {
    let app = App::builder().without_admin().start();
    let right = app.log.setup_path();
    for wrong in ["/setup", "/setup?token=", "/setup?token=guess"] {
        assert!(is_refused(&app.visitor().get(wrong)), "{wrong}");
    }
    let filled = fill_setup(&app.visitor().get(&right).expect(200));
    let token = right.split_once('=').unwrap().1;
    let mut forged = filled.clone();
    forged.action = forged.action.replace(token, "guess");
    for (_, value) in &mut forged.fields {
        *value = value.replace(token, "guess");
    }
    assert!(is_refused(&app.visitor().submit(&forged)));
    let list = app.run(&["user", "list"], "").success().stdout;
    assert_eq!(list.matches('@').count(), 0, "{list}");
}

#[test]
fn a_new_start_makes_the_old_setup_address_void() {
    let app = App::builder().without_admin().start();
    let old = app.log.setup_path();
    let app = App::builder()
        .without_admin()
        .with_data(app.kill9())
        .start();
    let new = app.log.setup_path();
    assert_ne!(old, new);
    assert!(is_refused(&app.visitor().get(&old)));
    app.visitor().get(&new).expect(200);
}

#[test]
fn a_user_made_on_the_command_line_makes_the_setup_address_void() {
    let app = App::builder().without_admin().start();
    let path = app.log.setup_path();
    app.add_user(ADMIN, "admin");
    wait_until("the setup address is void", || {
        is_refused(&app.visitor().get(&path)).then_some(())
    });
    let project = app.api().create_project("Shop");
    assert_eq!(text(&project, "slug"), "shop");
}
