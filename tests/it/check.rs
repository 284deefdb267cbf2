//! `miniback check`: the reverse proxy, the last backup, and the free disk space.

use std::fs;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, run_on_data_dir};
use crate::support::http;
use crate::support::proxy::{ForwardedFor, Prefix, Proxy};
use crate::support::receiver::{Receiver, Reply};

/// Returns the line about the reverse proxy, and whether `check` found a problem.
#[track_caller]
fn proxy_line(app: &App, base_url: &str) -> (String, bool) {
    let output = app.run(&["check", "--base-url", base_url], "");
    let mut lines = output.stdout.lines();
    let line = lines.find(|line| line.contains("reverse proxy"));
    let line = line.unwrap_or_else(|| panic!("no line about the proxy: {output:#?}"));
    (line.to_owned(), output.code == Some(1))
}

#[test]
fn reports_what_the_reverse_proxy_does_with_forwarded_headers() {
    for (path, prefix) in [("", Prefix::Forwarded), ("/a/b", Prefix::Stripped)] {
        for (forwarded_for, expected) in [
            (ForwardedFor::Added, "ok "),
            (ForwardedFor::PassedOn, "clients can evade rate limits"),
            (ForwardedFor::Removed, "doesn't set X-Forwarded-For"),
        ] {
            let proxy = Proxy::bind();
            let base_url = format!("{}{path}", proxy.origin());
            let app = App::builder().option("--base-url", &base_url).start();
            proxy.forward_with(path, app.port(), prefix, forwarded_for);
            let (line, has_problem) = proxy_line(&app, &base_url);
            assert!(line.contains(expected), "{expected}: {line}");
            assert_eq!(has_problem, forwarded_for != ForwardedFor::Added, "{line}");
        }
    }
}

#[test]
fn reports_a_reverse_proxy_that_sends_no_ip_address() {
    let not_an_ip = "isn't an IP address, so all visitors share one rate limit";
    for (value, expected) in [
        ("", not_an_ip),
        ("unknown", not_an_ip),
        ("-", not_an_ip),
        ("_hidden", not_an_ip),
        ("203.0.113.7, unknown", not_an_ip),
        ("203.0.113.7,", not_an_ip),
        ("203.0.113.7, 192.0.2.1", "clients can evade rate limits"),
        ("unknown, 203.0.113.7", "ok "),
        ("[2001:db8::1]:41000", "ok "),
    ] {
        let proxy = Proxy::bind();
        let app = App::start();
        let sent = ForwardedFor::ReplacedBy(value);
        proxy.forward_with("", app.port(), Prefix::Forwarded, sent);
        let (line, has_problem) = proxy_line(&app, &proxy.origin());
        assert!(line.contains(expected), "{value:?}: {line}");
        assert_eq!(has_problem, expected != "ok ", "{value:?}: {line}");
    }
}

#[test]
fn explains_an_unreachable_public_url_without_words_for_webhooks() {
    let app = App::start();
    for status in [302, 401, 403, 404, 405, 429, 500, 502] {
        let proxy = Receiver::script(move |_| {
            Reply::status(status).header("Location", "https://login.example/endpoint")
        });
        let (line, has_problem) = proxy_line(&app, proxy.url("").trim_end_matches('/'));
        assert!(line.starts_with("WARN ") && !has_problem, "{line}");
        let expected = match status {
            302 => "https://login.example/endpoint".to_owned(),
            status => format!("responds to /healthz with {status}"),
        };
        assert!(line.contains(&expected), "{line}");
        for word in ["POST", "secret", "event", "The endpoint"] {
            assert!(!line.contains(word), "{word}: {line}");
        }
    }
    let closing = Receiver::script(|_| Reply::Close);
    let (line, _) = proxy_line(&app, closing.url("").trim_end_matches('/'));
    let expected = "The proxy closed the connection without responding.";
    assert!(line.contains(expected), "{line}");
}

#[test]
fn reports_a_reverse_proxy_that_is_not_trusted() {
    let proxy = Proxy::bind();
    let app = App::builder()
        .option("--trusted-proxy", "10.0.0.0/8")
        .start();
    proxy.forward("", app.port(), Prefix::Forwarded);
    let (line, has_problem) = proxy_line(&app, &proxy.origin());
    let fix = "set --trusted-proxy 10.0.0.0/8,127.0.0.1";
    assert!(line.contains(fix) && has_problem, "{line}");
}

#[test]
fn a_reverse_proxy_that_can_not_be_tested_is_only_a_warning() {
    let proxy = Proxy::bind();
    let (app, other) = (App::start(), App::start());
    proxy.forward("", other.port(), Prefix::Forwarded);
    let unused = Proxy::bind().origin();
    for (base_url, words) in [
        (
            proxy.origin(),
            "isn't from the server that uses this data directory",
        ),
        (format!("{}/missing", proxy.origin()), "404"),
        (unused, "refused"),
    ] {
        let (line, has_problem) = proxy_line(&app, &base_url);
        assert!(line.starts_with("WARN ") && line.contains(words), "{line}");
        assert!(!has_problem, "{line}");
    }
    let port = app.port();
    for (host, listen) in [("127.0.0.1", "127.0.0.1"), ("localhost", "")] {
        let (url, listen) = (format!("http://{host}:{port}"), format!("{listen}:{port}"));
        let args = ["check", "--base-url", &url, "--listen", &listen];
        let output = app.run(&args, "").success();
        assert!(output.stdout.contains("URL of --listen"), "{output:?}");
    }
    // Without a server, nothing is tested.
    let dir = app.dir.clone();
    let (_, _data) = app.sigterm_and_wait();
    let args = ["check", "--base-url", &proxy.origin()];
    let output = run_on_data_dir(&dir, &args, "").success();
    assert!(
        output.stdout.contains("the server isn't running"),
        "{output:?}"
    );
}

#[test]
fn strangers_learn_nothing_from_the_test_of_the_proxy() {
    let app = App::start();
    app.run(&["check", "--base-url", "http://127.0.0.1:9"], "")
        .success();
    let health = format!("{}/healthz", app.url);
    for token in ["", "1.2.3", "1764000000000.nonce.AAAA"] {
        let headers = [("X-Miniback-Proxy-Test", token)];
        let response = http::send("GET", &health, &headers, None).expect(200);
        assert_eq!(response.text, r#"{"status":"ok"}"#);
    }
}

#[test]
fn reports_the_last_backup_and_the_free_space() {
    let app = App::start();
    let check = || app.run(&["check"], "").success().stdout;
    let report = check();
    assert!(
        report.contains("WARN   backup: there is no backup yet"),
        "{report}"
    );
    assert!(report.contains("ok     disk: "), "{report}");

    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("copy.db");
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    let report = check();
    assert!(
        report.contains("ok     backup: the last backup is from 20"),
        "{report}"
    );

    let recorded = app.dir.join("miniback.last-backup");
    let time = fs::read_to_string(&recorded).unwrap();
    fs::write(&recorded, "2025-01-01T00:00:00.000Z\n").unwrap();
    let report = check();
    assert!(
        report.contains("WARN   backup: the last backup is from 2025-01-01"),
        "{report}"
    );
    // A failed backup doesn't count, and neither does a backup that nobody could read.
    app.run(&["backup", "/dev/null/copy.db"], "").error_line(1);
    assert!(check().contains("2025-01-01"));
    let mut to_file = miniback(["backup", "-", "--data-dir"]);
    to_file.arg(&app.dir);
    to_file.stdout(fs::File::create(copies.path().join("piped.db")).unwrap());
    assert!(to_file.status().unwrap().success());
    assert!(fs::read_to_string(&recorded).unwrap() > time);

    fs::write(&recorded, "nonsense").unwrap();
    assert!(check().contains("there is no backup yet"));
    // The file can't be the target of a backup.
    let mut backup = miniback(["backup".as_ref(), recorded.as_os_str()]);
    backup.arg("--data-dir").arg(&app.dir);
    run(backup, "").error_line(1);
}
