//! The command line: options, exit codes, error messages, and checks at startup.

use tempfile::TempDir;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{miniback, run, run_on_data_dir};

/// Runs `serve` with an invalid configuration. Returns the line that `serve` prints to standard
/// error.
#[track_caller]
fn serve_error(args: &[&str], env: &[(&str, &str)]) -> String {
    let data = TempDir::new().unwrap();
    let dir = data.path().join("data");
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(&dir).args(args);
    command.envs(env.iter().copied());
    run(command, "").error_line(2)
}

#[test]
fn an_invalid_option_value_exits_with_2_and_one_line() {
    for (option, value) in [
        ("--timeout", "soon"),
        ("--timeout", "-5s"),
        ("--timeout", "0s"),
        ("--retry-delays", "1s,often"),
        ("--retention", "x"),
        ("--base-url", "not a URL"),
        ("--base-url", "ftp://example.com"),
        ("--allow-target", "10.0.0.0/64"),
        ("--trusted-proxy", "nonsense"),
        ("--log-format", "xml"),
        ("--ca-file", "/no/such/file.pem"),
    ] {
        let line = serve_error(&[&format!("{option}={value}")], &[]);
        assert!(line.contains(option), "{option}={value}: {line}");
    }
    // `serve_error` sets `--listen` too, so the error can be about the invalid value or about the
    // repeated option. The line contains the option in either case.
    let line = serve_error(&["--listen", "nonsense"], &[]);
    assert!(line.contains("--listen"), "{line}");
}

#[test]
fn an_invalid_environment_variable_exits_with_2_and_one_line() {
    for (name, option) in [
        ("MINIBACK_TIMEOUT", "--timeout"),
        ("MINIBACK_BASE_URL", "--base-url"),
        ("MINIBACK_TRUSTED_PROXY", "--trusted-proxy"),
        ("MINIBACK_DENY_LOCALHOST", "--deny-localhost"),
    ] {
        let line = serve_error(&[], &[(name, "utter nonsense")]);
        assert!(line.contains(name) || line.contains(option), "{line}");
    }
}

#[test]
fn an_unknown_option_or_command_exits_with_2() {
    let line = serve_error(&["--no-such-option"], &[]);
    assert!(line.contains("--no-such-option"), "{line}");
    let line = run(miniback(["dance"]), "").error_line(2);
    assert!(line.contains("dance"), "{line}");
}

#[test]
fn a_port_in_use_is_an_error_that_mentions_the_listen_option() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", &address]);
    command.arg("--data-dir").arg(data.path());
    let output = run(command, "");
    assert!(matches!(output.code, Some(1 | 2)), "{output:#?}");
    assert!(output.stderr.contains("--listen"), "{output:#?}");
}

#[test]
fn rejects_a_short_admin_password() {
    let line = serve_error(
        &[],
        &[
            ("MINIBACK_ADMIN_EMAIL", ADMIN),
            ("MINIBACK_ADMIN_PASSWORD", "short"),
        ],
    );
    assert!(line.contains("MINIBACK_ADMIN_PASSWORD"), "{line}");
    assert!(
        !line.contains("short\""),
        "the error repeats the password: {line}"
    );
}

#[test]
fn an_empty_environment_variable_counts_as_unset() {
    let mut builder = App::builder();
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
        builder = builder.env(&format!("MINIBACK_{name}"), "");
    }
    let app = builder.start();
    app.api().create_webhook("http://127.0.0.1:9/");
}

#[test]
fn an_option_takes_precedence_over_its_environment_variable() {
    App::builder()
        .option("--retry-delays", "none")
        .env("MINIBACK_RETRY_DELAYS", "invalid-but-unused")
        .start();
}

#[test]
fn reads_the_admin_password_from_a_file() {
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
fn prints_version_and_help() {
    let version = run(miniback(["--version"]), "").success().stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let help = run(miniback(["serve", "--help"]), "").success().stdout;
    for expected in [
        "--listen",
        "MINIBACK_LISTEN",
        "127.0.0.1:8080",
        "--retry-delays",
        "MINIBACK_RETRY_DELAYS",
        "1s,5s,15s",
    ] {
        assert!(help.contains(expected), "no {expected} in {help}");
    }
}

#[test]
fn rejects_a_second_server_on_the_same_data_directory() {
    let app = App::start();
    let output = app.run(&["serve", "--listen", "127.0.0.1:0"], "");
    let line = output.error_line(1);
    assert!(
        line.contains(&app.pid().to_string()),
        "the error doesn't contain the process id: {line}"
    );
    app.api().get("/healthz").expect(200);
}

#[test]
fn starts_again_after_a_crash() {
    let app = App::start();
    let data = app.sigkill();
    App::builder().with_data_dir(data).start();
}

#[test]
fn rejects_a_database_of_a_newer_version_without_changing_it() {
    let app = App::start();
    let database = app.database();
    let (status, data) = app.sigterm_and_wait();
    assert!(status.success());
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.pragma_update(None, "user_version", 9_999).unwrap();
    newer.close().unwrap();
    let before = std::fs::read(&database).unwrap();

    let dir = data.path().join("data");
    let line = run_on_data_dir(&dir, &["serve", "--listen", "127.0.0.1:0"], "").error_line(2);
    assert!(line.contains("newer"), "{line}");
    assert!(
        std::fs::read(&database).unwrap() == before,
        "the database file was changed"
    );
}

#[test]
fn rejects_a_file_that_is_not_a_database_without_changing_it() {
    let data = TempDir::new().unwrap();
    let file = crate::support::app::database(data.path());
    let content = "This is not a database.";
    std::fs::write(&file, content).unwrap();
    let output = run_on_data_dir(data.path(), &["serve", "--listen", "127.0.0.1:0"], "");
    assert!(matches!(output.code, Some(1 | 2)), "{output:#?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:#?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_access_the_data_directory() {
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
fn healthz_is_public() {
    let app = App::start();
    let response = app.api_without_token().get("/healthz").expect(200);
    assert_eq!(response.text, r#"{"status":"ok"}"#);
}

#[test]
fn the_text_log_contains_the_url() {
    let app = App::builder().text_log().start();
    let line = format!("listening on {}", app.url);
    assert!(app.log.to_string().contains(&line), "{}", app.log);
    app.api().get("/api/v1/projects").expect(200);
}
