//! Settings that are misspelled or have no effect are reported in the log, by commands, and on
//! pages.

use serde_json::json;
use tempfile::TempDir;

use crate::support::api::Api;
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{miniback, run, run_on_data_dir};
use crate::support::receiver::Receiver;

/// Returns the log messages at level WARN.
fn warnings(app: &App) -> Vec<String> {
    let lines = app.log.lines();
    let parsed = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("parse a log line"));
    parsed
        .filter(|line| line["level"] == "WARN")
        .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn serve_reports_all_unknown_variables_in_one_warning() {
    let app = App::builder()
        .env("MINIBACK_BASEURL", "https://feedback.example.com")
        .env("MINIBACK_TRUSTED_PROXIES", "172.16.0.0/12")
        .env("MINIBACK_RETENTION_DAYS", "7")
        .env("MINIBACK_EMPTY", "")
        .env("MINIBACKUP", "1")
        .start();
    let warnings = warnings(&app);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    for expected in [
        "MINIBACK_BASEURL (unknown; did you mean MINIBACK_BASE_URL?)",
        "MINIBACK_TRUSTED_PROXIES (unknown; did you mean MINIBACK_TRUSTED_PROXY?)",
        "MINIBACK_RETENTION_DAYS (unknown; did you mean MINIBACK_RETENTION?)",
    ] {
        assert!(warnings[0].contains(expected), "{expected}: {warnings:#?}");
    }
    assert!(!warnings[0].contains("MINIBACK_EMPTY") && !warnings[0].contains("MINIBACKUP"));
    assert!(
        !warnings[0].contains("172.16.0.0"),
        "the line contains a value"
    );
}

#[test]
fn variables_set_by_kubernetes_do_not_stop_serve() {
    let app = App::builder()
        .env("MINIBACK_PORT", "tcp://10.0.171.239:8080")
        .env("MINIBACK_SERVICE_HOST", "10.0.171.239")
        .env("MINIBACK_PORT_8080_TCP_PROTO", "tcp")
        .start();
    let warnings = warnings(&app);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("MINIBACK_PORT (read only by miniback listen)"));
    assert!(warnings[0].contains("MINIBACK_SERVICE_HOST"));
}

#[test]
fn other_commands_warn_on_standard_error_only() {
    let app = App::start();
    let mut command = miniback(["token", "create", "--user", ADMIN, "ci"]);
    command.arg("--data-dir").arg(&app.dir);
    command.env("MINIBACK_DATADIR", "/srv/miniback");
    let output = run(command, "").success();
    assert!(output.stdout.starts_with("mb_") && output.stdout.lines().count() == 1);
    assert!(output.stderr.contains("MINIBACK_DATADIR"), "{output:#?}");
    assert!(output.stderr.contains("MINIBACK_DATA_DIR"), "{output:#?}");

    // The environment variable for an option of another command causes no warning.
    let mut command = miniback(["user", "list"]);
    command.arg("--data-dir").arg(&app.dir);
    command.env("MINIBACK_BASE_URL", "https://feedback.example.com");
    assert_eq!(run(command, "").success().stderr, "");
}

#[test]
fn check_reports_unknown_variables_and_still_succeeds() {
    let app = App::start();
    let mut command = miniback(["check"]);
    command.arg("--data-dir").arg(&app.dir);
    command.env("MINIBACK_BASEURL", "https://feedback.example.com");
    let output = run(command, "").success();
    assert!(output.stdout.contains("WARN"), "{output:#?}");
    assert!(output.stdout.contains("MINIBACK_BASE_URL"), "{output:#?}");
}

#[test]
fn an_invalid_log_level_exits_with_2_and_one_line() {
    let data = TempDir::new().unwrap();
    for level in ["verbose", "INFO ", "5", "Debug"] {
        for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["check"]] {
            let mut command = miniback(args);
            command.arg("--data-dir").arg(data.path().join("data"));
            command.env("MINIBACK_LOG", level);
            let line = run(command, "").error_line(2);
            assert!(
                line.contains("MINIBACK_LOG") && line.contains("debug"),
                "{line}"
            );
        }
    }
    let output = run_on_data_dir(data.path(), &["check"], "");
    assert!(!output.stderr.contains("MINIBACK_LOG"), "{output:#?}");
}

#[test]
fn an_alert_secret_without_an_alert_url_is_reported() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let app = App::builder().env("MINIBACK_ALERT_SECRET", secret).start();
    let warnings = warnings(&app);
    assert_eq!(
        warnings,
        ["--alert-secret has no effect without --alert-url"]
    );
}

#[test]
fn a_secret_and_a_secret_file_are_mutually_exclusive() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("secret");
    std::fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(data.path().join("data"));
    command.env(
        "MINIBACK_ALERT_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    command.env("MINIBACK_ALERT_SECRET_FILE", &file);
    let line = run(command, "").error_line(2);
    assert!(line.contains("MINIBACK_ALERT_SECRET_FILE"), "{line}");
}

#[test]
fn variables_for_the_first_user_have_no_effect_once_a_user_exists() {
    let app = App::start();
    let data = app.sigkill();
    let app = App::builder()
        .env("MINIBACK_ADMIN_EMAIL", "other@example.com")
        .env("MINIBACK_ADMIN_PASSWORD", PASSWORD)
        .with_data_dir(data)
        .start();
    let message = "MINIBACK_ADMIN_EMAIL and MINIBACK_ADMIN_PASSWORD have no effect, because there \
                   is already a user";
    assert!(app.log.find(|line| line["message"] == message).is_some());
    let mut check = miniback(["check"]);
    check.arg("--data-dir").arg(&app.dir);
    check.env("MINIBACK_ADMIN_EMAIL", "other@example.com");
    check.env("MINIBACK_ADMIN_PASSWORD", PASSWORD);
    let output = run(check, "").success();
    let line = format!("info   {message}\n");
    assert!(output.stdout.contains(&line), "{output:#?}");
}

#[test]
fn serve_and_check_report_the_same_contradictory_settings() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let host_bits = |option: &str| {
        let both = format!("{option} 10.1.2.3/8 means all of 10.0.0.0/8");
        format!("{both}; for only one IP address, use 10.1.2.3")
    };
    let allows_localhost = |target: &str| {
        let both = format!("--allow-target {target} allows webhooks to localhost");
        format!("{both}, which --deny-localhost blocks; remove one of them")
    };
    let alerts = Receiver::ok();
    let alert_url = alerts.url("/");
    let no_link = "alerts don't link to the deliveries of the webhook; set --base-url".to_owned();
    let no_url = "--alert-secret has no effect without --alert-url".to_owned();
    let list = "localhost:3000,127.0.0.0/8,[::1]:80,10.0.0.5";
    let cases: [(&[&str], Vec<String>); 8] = [
        (&["--alert-secret", secret], vec![no_url]),
        (
            &["--deny-localhost", "--allow-target", list],
            ["localhost:3000", "127.0.0.0/8", "[::1]:80"]
                .map(allows_localhost)
                .to_vec(),
        ),
        (
            &["--deny-localhost", "--allow-target", "0.0.0.0/0"],
            vec![allows_localhost("0.0.0.0/0")],
        ),
        (
            &["--allow-target", "10.1.2.3/8"],
            vec![host_bits("--allow-target")],
        ),
        (
            &["--trusted-proxy", "10.1.2.3/8,10.0.0.0/8,10.1.2.3"],
            vec![host_bits("--trusted-proxy")],
        ),
        (&["--alert-url", &alert_url], vec![no_link]),
        (&["--allow-target", "localhost,127.0.0.1:3000"], vec![]),
        (
            &[
                "--deny-localhost",
                "--allow-target",
                "10.0.0.0/8,hooks.example:80",
            ],
            vec![],
        ),
    ];
    for (arguments, expected) in cases {
        let builder = arguments
            .iter()
            .fold(App::builder(), |app, arg| app.arg(arg));
        let app = builder.start();
        assert_eq!(warnings(&app), expected, "{arguments:?}");
        let output = app.run(&[&["check"], arguments].concat(), "").success();
        let lines = output.stdout.lines();
        let checked: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("WARN   "))
            // A new installation has no backup.
            .filter(|line| !line.starts_with("backup: "))
            .collect();
        assert_eq!(checked, expected, "{arguments:?}");
    }
}

/// Sends feedback with a header that reverse proxies add.
fn forward_feedback(app: &App, header: (&str, &str)) {
    let body = json!({"projectSlug": "shop", "message": "Hello"});
    let api = Api::new(&app.url, None);
    api.send_json("POST", "/api/feedback", &[header], &body)
        .expect(201);
}

fn reports_of_untrusted_peers(app: &App) -> Vec<String> {
    let all = warnings(app).into_iter();
    all.filter(|line| line.contains("--trusted-proxy"))
        .collect()
}

#[test]
fn an_untrusted_proxy_is_reported_once_with_the_option_that_trusts_it() {
    for header in [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
    ] {
        let app = App::builder()
            .option("--trusted-proxy", "10.0.0.0/8")
            .start();
        app.api().create_project("Shop");
        for _ in 0..3 {
            forward_feedback(&app, header);
        }
        let reports = reports_of_untrusted_peers(&app);
        assert_eq!(reports.len(), 1, "{reports:#?}");
        assert!(
            reports[0].ends_with("set --trusted-proxy 10.0.0.0/8,127.0.0.1"),
            "{reports:#?}"
        );

        let page = app.signed_in().get("/settings/projects").expect(200);
        assert!(page.text().contains("--trusted-proxy 10.0.0.0/8,127.0.0.1"));
        app.add_user("member@example.com", "member");
        let mut member = app.visitor();
        member.sign_in("member@example.com", PASSWORD);
        let page = member.get("/settings/projects").expect(200);
        assert!(!page.text().contains("--trusted-proxy"), "{}", page.text());
    }
}

#[test]
fn trusted_proxies_and_direct_clients_are_not_reported() {
    let app = App::start();
    app.api().create_project("Shop");
    forward_feedback(&app, ("X-Forwarded-For", "203.0.113.7"));
    assert_eq!(reports_of_untrusted_peers(&app), [""; 0]);

    let app = App::builder().option("--trusted-proxy", "none").start();
    app.api().create_project("Shop");
    forward_feedback(&app, ("X-Other", "203.0.113.7"));
    assert_eq!(reports_of_untrusted_peers(&app), [""; 0]);
    forward_feedback(&app, ("X-Forwarded-For", "203.0.113.7"));
    let reports = reports_of_untrusted_peers(&app);
    assert!(
        reports[0].ends_with("set --trusted-proxy 127.0.0.1"),
        "{reports:#?}"
    );
}

#[test]
fn a_public_installation_is_advised_to_deny_localhost() {
    let has_advice = |arguments: &[&str]| {
        let mut builder = App::builder();
        for argument in arguments {
            builder = builder.arg(argument);
        }
        let app = builder.start();
        let line = app.log.find(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            line["level"] == "INFO" && message.contains("--deny-localhost")
        });
        let check = app.run(&[&["check"], arguments].concat(), "").success();
        let is_in_check = check.stdout.contains("--deny-localhost");
        assert_eq!(line.is_some(), is_in_check, "{arguments:?}: {check:#?}");
        is_in_check
    };
    let public = ["--base-url", "https://feedback.example"];
    assert!(has_advice(&public));
    assert!(!has_advice(&[public[0], public[1], "--deny-localhost"]));
    assert!(!has_advice(&["--base-url", "https://localhost:8443"]));
    assert!(!has_advice(&["--base-url", "http://feedback.example"]));
    assert!(!has_advice(&[]));
}
