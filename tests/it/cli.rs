//! The command line: exit codes, messages, and that what it changes is heeded by a running program.

use tempfile::TempDir;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{miniback, run, run_on};

/// Runs `serve` with a configuration that must be refused before anything is made.
#[track_caller]
fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    let data = TempDir::new().unwrap();
    let dir = data.path().join("data");
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(&dir).args(args);
    command.envs(env.iter().copied());
    run(command, "").error_line(2)
}

#[test]
fn an_option_that_makes_no_sense_is_one_line_that_names_it_and_exit_2() {
    for (option, value) in [
        ("--timeout", "soon"),
        ("--timeout", "-5s"),
        ("--timeout", "0s"),
        ("--retry-delays", "1s,often"),
        ("--retention", "x"),
        ("--base-url", "not an address"),
        ("--base-url", "ftp://example.com"),
        ("--allow-target", "10.0.0.0/64"),
        ("--trusted-proxy", "nonsense"),
        ("--log-format", "xml"),
        ("--ca-file", "/no/such/file.pem"),
    ] {
        let line = refused(&[&format!("{option}={value}")], &[]);
        assert!(line.contains(option), "{option}={value}: {line}");
    }
    // The one given last wins, or two are refused: either way the line names it.
    let line = refused(&["--listen", "nonsense"], &[]);
    assert!(line.contains("--listen"), "{line}");
}

#[test]
fn a_variable_that_makes_no_sense_is_one_line_that_names_it_and_exit_2() {
    for (name, option) in [
        ("MINIBACK_TIMEOUT", "--timeout"),
        ("MINIBACK_BASE_URL", "--base-url"),
        ("MINIBACK_TRUSTED_PROXY", "--trusted-proxy"),
        ("MINIBACK_DENY_LOCALHOST", "--deny-localhost"),
    ] {
        let line = refused(&[], &[(name, "utter nonsense")]);
        assert!(line.contains(name) || line.contains(option), "{line}");
    }
}

#[test]
fn an_option_or_a_command_that_does_not_exist_is_exit_2_and_named() {
    let line = refused(&["--no-such-option"], &[]);
    assert!(line.contains("--no-such-option"), "{line}");
    let line = run(miniback(["dance"]), "").error_line(2);
    assert!(line.contains("dance"), "{line}");
}

#[test]
fn an_address_that_is_taken_is_one_line_that_names_listen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", &address]);
    command.arg("--data-dir").arg(data.path());
    let finished = run(command, "");
    assert!(matches!(finished.code, Some(1 | 2)), "{finished:#?}");
    assert!(finished.stderr.contains("--listen"), "{finished:#?}");
}

#[test]
fn an_admins_password_that_is_too_short_is_refused() {
    let line = refused(
        &[],
        &[
            ("MINIBACK_ADMIN_EMAIL", ADMIN),
            ("MINIBACK_ADMIN_PASSWORD", "short"),
        ],
    );
    assert!(line.contains("MINIBACK_ADMIN_PASSWORD"), "{line}");
    assert!(!line.contains("short\""), "it is not repeated: {line}");
}

#[test]
fn an_empty_variable_is_not_set() {
    let mut setup = App::builder();
    for name in [
        "TIMEOUT",
        "RETRY_DELAYS",
        "RETENTION",
        "BASE_URL",
        "ALLOW_TARGET",
        "DENY_LOCALHOST",
        "CA_FILE",
        "TRUSTED_PROXY",
    ] {
        setup = setup.env(&format!("MINIBACK_{name}"), "");
    }
    let app = setup.start();
    app.api().create_webhook("http://127.0.0.1:9/");
}

#[test]
fn the_flag_wins_over_the_variable() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .env("MINIBACK_RETRY_DELAYS", "nonsense-that-is-not-read")
        .start();
    drop(app);
}

#[test]
fn a_secret_may_be_given_in_a_file() {
    let file = TempDir::new().unwrap();
    let path = file.path().join("password");
    std::fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    let app = App::builder()
        .without_admin()
        .env("MINIBACK_ADMIN_EMAIL", ADMIN)
        .env("MINIBACK_ADMIN_PASSWORD_FILE", path.to_str().unwrap())
        .start();
    app.signed_in();
}

#[test]
fn version_and_help_are_printed() {
    let version = run(miniback(["--version"]), "").success().stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let help = run(miniback(["serve", "--help"]), "").success().stdout;
    for said in [
        "--listen",
        "MINIBACK_LISTEN",
        "127.0.0.1:8080",
        "--retry-delays",
        "MINIBACK_RETRY_DELAYS",
        "1s,5s,15s",
    ] {
        assert!(help.contains(said), "no {said} in {help}");
    }
}

#[test]
fn a_second_serve_on_the_same_directory_is_refused_and_told_who_holds_it() {
    let app = App::start();
    let finished = app.run(&["serve", "--listen", "127.0.0.1:0"], "");
    let line = finished.error_line(1);
    assert!(line.contains(&app.pid().to_string()), "who: {line}");
    app.api().get("/healthz").expect(200);
}

#[test]
fn a_directory_is_free_again_after_a_crash() {
    let app = App::start();
    let data = app.kill9();
    App::builder().with_data(data).start();
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_untouched() {
    let app = App::start();
    let database = app.database();
    let (status, data) = app.sigterm_and_wait();
    assert!(status.success());
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.pragma_update(None, "user_version", 9_999).unwrap();
    newer.close().unwrap();
    let before = std::fs::read(&database).unwrap();

    let dir = data.path().join("data");
    let line = run_on(&dir, &["serve", "--listen", "127.0.0.1:0"], "").error_line(2);
    assert!(line.contains("newer"), "{line}");
    assert!(std::fs::read(&database).unwrap() == before, "untouched");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_untouched() {
    let data = TempDir::new().unwrap();
    let file = crate::support::app::database(data.path());
    std::fs::write(&file, "this is not a database, but a letter to a friend").unwrap();
    let finished = run_on(data.path(), &["serve", "--listen", "127.0.0.1:0"], "");
    assert!(matches!(finished.code, Some(1 | 2)), "{finished:#?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:#?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("friend"));
}

#[cfg(unix)]
#[test]
fn directory_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let app = App::start();
    app.api().create_project("Shop");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&app.dir), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&app.dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn healthz_says_ok_to_anybody() {
    let app = App::start();
    let response = app.api_without_token().get("/healthz").expect(200);
    assert_eq!(response.text, r#"{"status":"ok"}"#);
}

#[test]
fn the_text_log_says_where_it_listens() {
    let app = App::builder().text_log().start();
    let line = format!("listening on {}", app.url);
    assert!(app.log.to_string().contains(&line), "{}", app.log);
    app.api().get("/api/v1/projects").expect(200);
}
