//! The options `--smtp-url` and `--mail-from`, and email without them. Sending is tested in
//! `tests/packaging/email`.

use serde_json::json;
use tempfile::TempDir;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::command::{miniback, run};

const URL: &str = "smtps://bot%40example.com:s3cret@mail.example.com";
const SENDER: &str = "bot@example.com";

/// Starts `serve` with these variables, and returns the line of the error. Checks that the line
/// doesn't contain the password.
fn start_error(variables: &[(&str, &str)]) -> String {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data).envs(variables.iter().copied());
    let line = run(command, "").error_line(2);
    assert!(!line.contains("s3cret"), "{line}");
    line
}

#[test]
fn invalid_mail_settings_are_explained_without_the_password() {
    for (url, expected) in [
        (
            "https://bot:s3cret@mail.example.com",
            "the scheme must be smtps://",
        ),
        ("smtps://bot:s3cret@", "percent-encoded"),
        ("smtps://bot:s3cret/@mail.example.com", "percent-encoded"),
        ("smtps://s3cret@mail.example.com", "no password"),
        (
            "smtps://bot:s3cret@mail.example.com/inbox",
            "without a path",
        ),
    ] {
        let line = start_error(&[("MINIBACK_SMTP_URL", url), ("MINIBACK_MAIL_FROM", SENDER)]);
        assert!(
            line.contains("--smtp-url") && line.contains(expected),
            "{line}"
        );
    }
    let line = start_error(&[("MINIBACK_SMTP_URL", URL)]);
    assert!(line.contains("--mail-from is missing"), "{line}");
    let line = start_error(&[
        ("MINIBACK_SMTP_URL", URL),
        ("MINIBACK_MAIL_FROM", "Miniback"),
    ]);
    assert!(
        line.contains("--mail-from") && line.contains("feedback@example.com"),
        "{line}"
    );
    let line = start_error(&[("MINIBACK_ALERT_URL", "mailto:ops@example.com")]);
    assert!(
        line.contains("--alert-url") && line.contains("--smtp-url"),
        "{line}"
    );
}

#[test]
fn the_mail_server_can_be_in_a_file() {
    let temp = TempDir::new().unwrap();
    let file = temp.path().join("smtp-url");
    std::fs::write(&file, format!("{URL}\r\n")).unwrap();
    let file = file.to_str().unwrap();
    let app = App::builder()
        .env("MINIBACK_SMTP_URL_FILE", file)
        .env("MINIBACK_MAIL_FROM", SENDER)
        .start();
    let body = json!({"url": "mailto:team@example.com"});
    let created = app.api().create_webhook_with(body);
    assert_eq!(text(&created, "format"), "email");
    assert_eq!(text(&created, "retries"), "patient");

    let both = [
        ("MINIBACK_SMTP_URL_FILE", file),
        ("MINIBACK_SMTP_URL", URL),
        ("MINIBACK_MAIL_FROM", SENDER),
    ];
    let line = start_error(&both);
    assert!(line.contains("are both set"), "{line}");
    std::fs::write(file, "smtps://s3cret@mail.example.com").unwrap();
    let line = start_error(&[both[0], both[2]]);
    assert!(
        line.contains("MINIBACK_SMTP_URL_FILE: the URL has a user"),
        "{line}"
    );
}

#[test]
fn an_email_webhook_needs_a_mail_server() {
    let app = App::start();
    let response = app.api().post(
        "/api/v1/webhooks",
        json!({"url": "mailto:team@example.com"}),
    );
    assert_eq!(response.status, 422);
    assert!(response.text.contains("--smtp-url"), "{}", response.text);
}

#[test]
fn a_sender_without_a_mail_server_is_reported() {
    let app = App::builder().env("MINIBACK_MAIL_FROM", SENDER).start();
    let log = app.log.lines().join("\n");
    assert!(
        log.contains("--mail-from has no effect without --smtp-url"),
        "{log}"
    );
}
