//! The outcomes of attempts and how the delivery log shows them: failures, and unusual successful
//! responses.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{attempts, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};

/// Starts Miniback with this timeout and without retries.
#[track_caller]
fn app_with_timeout(timeout: &str) -> App {
    App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", timeout)
        .start()
}

/// Delivers feedback to a URL, checks that the only attempt fails with an error, and returns the
/// attempt.
#[track_caller]
fn failed_attempt(app: &App, url: &str) -> Value {
    let api = app.api();
    let webhook = api.create_webhook(url);
    let delivery = api.deliver_one(&webhook, "failed");
    assert_eq!(attempts(&delivery).len(), 1);
    let attempt = attempts(&delivery)[0].clone();
    assert_eq!(attempt["number"], 1);
    millis(&attempt["startedAt"]);
    assert!(attempt["durationMs"].is_number(), "{attempt:#}");
    for member in ["error", "errorCode"] {
        let error = attempt[member].as_str().unwrap_or_default();
        assert!(!error.is_empty(), "no {member}: {attempt:#}");
    }
    attempt
}

/// Delivers feedback to an endpoint that sends `reply`. Checks that the only attempt fails, and
/// returns the attempt.
#[track_caller]
fn failed_attempt_with(reply: impl Fn() -> Reply + Send + 'static) -> Value {
    let receiver = Receiver::script(move |_| reply());
    let attempt = failed_attempt(&App::without_retries(), &receiver.url("/hook"));
    assert_eq!(receiver.received().len(), 1, "expected one request");
    attempt
}

#[test]
fn any_status_other_than_2xx_is_a_failure() {
    let app = App::without_retries();
    let api = app.api();
    for status in [304, 400, 404, 410, 429, 500, 503, 599] {
        let receiver = Receiver::status(status);
        let webhook = api.create_webhook(&receiver.url("/"));
        let failed = api.deliver_one(&webhook, "failed");
        assert_eq!(attempts(&failed)[0]["status"], status);
        assert!(attempts(&failed)[0]["errorCode"].is_string());
        api.delete_webhook(&webhook);
    }
}

#[test]
fn any_2xx_status_is_a_success_without_an_error() {
    let app = App::without_retries();
    let api = app.api();
    for status in [200, 201, 202, 204, 299] {
        let receiver = Receiver::script(move |_| match status {
            // A 204 response has neither a body nor a `Content-Length`.
            204 => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            _ => Reply::status(status),
        });
        let webhook = api.create_webhook(&receiver.url("/"));
        let delivered = api.deliver_one(&webhook, "delivered");
        assert_eq!(delivered["nextAttemptAt"], Value::Null);
        let attempt = &attempts(&delivered)[0];
        assert_eq!(attempt["status"], status);
        assert_eq!(attempt["error"], Value::Null);
        assert_eq!(attempt["errorCode"], Value::Null);
        api.delete_webhook(&webhook);
    }
}

#[test]
fn the_log_contains_the_response_of_a_failure() {
    let attempt =
        failed_attempt_with(|| Reply::body(500, "database is down").header("X-Why", "disk"));
    assert_eq!(attempt["status"], 500);
    assert_eq!(attempt["responseBody"], "database is down");
    assert_eq!(attempt["responseTruncated"], false);
    let headers = attempt["responseHeaders"].to_string().to_ascii_lowercase();
    assert!(
        headers.contains("x-why") && headers.contains("disk"),
        "{headers}"
    );
}

#[test]
fn rejects_a_redirect() {
    let target = Receiver::ok();
    for status in [301, 302, 303, 307, 308] {
        let location = target.url("/elsewhere");
        let attempt =
            failed_attempt_with(move || Reply::status(status).header("Location", &location));
        assert_eq!(attempt["status"], status);
        let error = text(&attempt, "error");
        assert!(
            error.contains(&target.url("/elsewhere")),
            "the error doesn't contain the redirect's target: {error}"
        );
    }
    assert!(target.received().is_empty(), "a redirect was followed");
}

#[test]
fn a_refused_connection_is_a_failure() {
    let attempt = failed_attempt(
        &App::without_retries(),
        &format!("http://{}/hook", closed_socket_address()),
    );
    assert_eq!(attempt["status"], Value::Null);
    assert!(text(&attempt, "error").to_lowercase().contains("refused"));
}

#[test]
fn a_connection_closed_without_a_response_is_a_failure() {
    let attempt = failed_attempt_with(|| Reply::Close);
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn a_connection_closed_within_the_head_is_a_failure() {
    let attempt = failed_attempt_with(|| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-".to_vec()));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn a_response_that_is_not_http_is_a_failure() {
    let attempt = failed_attempt_with(|| Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn a_huge_response_head_is_a_failure() {
    let attempt = failed_attempt_with(|| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        for number in 0..20_000 {
            bytes.extend_from_slice(format!("X-Header-{number}: {number}\r\n").as_bytes());
        }
        Reply::Bytes(bytes)
    });
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn no_response_within_the_timeout_is_a_failure() {
    let app = app_with_timeout("300ms");
    let receiver = Receiver::script(|_| Reply::Hang);
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert_eq!(attempt["status"], Value::Null);
    assert!(attempt["durationMs"].as_f64().unwrap() >= 299.0);
}

#[test]
fn the_timeout_is_5_s_by_default() {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::Hang);
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert!(attempt["durationMs"].as_f64().unwrap() >= 4_990.0);
    assert!(text(&attempt, "error").contains("5 s"), "{attempt:#}");
}

#[test]
fn an_incomplete_head_at_the_timeout_is_a_failure() {
    let app = app_with_timeout("300ms");
    let receiver = Receiver::script(|_| Reply::Hang.preceded_by("HTTP/1.1 200 OK\r\nX-Slow: "));
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn a_connection_that_is_never_accepted_times_out() {
    // The kernel completes the TCP handshake, but nothing accepts the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = app_with_timeout("300ms");
    let url = format!("http://{}/", listener.local_addr().unwrap());
    failed_attempt(&app, &url);
}

#[test]
fn an_unknown_host_name_is_a_failure() {
    let attempt = failed_attempt(
        &App::without_retries(),
        "https://no-such-host.invalid/webhook",
    );
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn https_to_an_endpoint_without_tls_is_a_failure() {
    let receiver = Receiver::ok();
    let url = format!("https://{}/", receiver.address());
    let attempt = failed_attempt(&App::without_retries(), &url);
    assert_eq!(attempt["status"], Value::Null);
    assert!(
        receiver.received().is_empty(),
        "the request was sent without TLS"
    );
}

#[test]
fn each_kind_of_failure_has_its_own_error_code() {
    let app = app_with_timeout("3s");
    let cases: Vec<(&str, Receiver, Option<String>)> = vec![
        ("status", Receiver::status(500), None),
        (
            "redirect",
            Receiver::script(|_| Reply::status(302).header("Location", "/elsewhere")),
            None,
        ),
        ("timeout", Receiver::script(|_| Reply::Hang), None),
        ("closed", Receiver::script(|_| Reply::Close), None),
        (
            "refused",
            Receiver::ok(),
            Some(format!("http://{}/", closed_socket_address())),
        ),
        (
            "dns",
            Receiver::ok(),
            Some("https://no-such-host.invalid/".to_owned()),
        ),
    ];
    let mut codes = BTreeMap::new();
    let api = app.api();
    for (kind, receiver, url) in cases {
        let webhook = api.create_webhook(&url.unwrap_or_else(|| receiver.url("/")));
        let failed = api.deliver_one(&webhook, "failed");
        let code = text(&attempts(&failed)[0], "errorCode").to_owned();
        if let Some(other) = codes.insert(code.clone(), kind) {
            panic!("{kind} and {other} have the same code {code}");
        }
        api.delete_webhook(&webhook);
    }
}

/// Delivers feedback to a receiver, checks that the attempt succeeds, and returns the attempt.
#[track_caller]
fn successful_attempt(app: &App, receiver: &Receiver) -> Value {
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = api.deliver_one(&webhook, "delivered");
    let attempt = attempts(&delivery)[0].clone();
    assert_eq!(attempt["status"], 200);
    assert_eq!(attempt["errorCode"], Value::Null);
    attempt
}

#[test]
fn skips_interim_responses() {
    let receiver = Receiver::script(|_| {
        Reply::body(200, "done").preceded_by(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        )
    });
    let attempt = successful_attempt(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseBody"], "done");
}

#[test]
fn an_interim_response_alone_is_a_timeout() {
    let app = app_with_timeout("300ms");
    let receiver =
        Receiver::script(|_| Reply::Hang.preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"));
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert_eq!(
        attempt["status"],
        Value::Null,
        "the interim response stopped the timeout"
    );
}

#[test]
fn a_500_after_an_interim_response_is_a_failure() {
    let attempt =
        failed_attempt_with(|| Reply::status(500).preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"));
    assert_eq!(attempt["status"], 500);
}

#[test]
fn reads_16_kib_of_an_endless_body_and_succeeds() {
    let receiver = Receiver::script(|_| Reply::Endless);
    let attempt = successful_attempt(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseTruncated"], true);
    assert_eq!(text(&attempt, "responseBody"), "x".repeat(16 * 1024));
}

/// Checks that the delivery log marks the response body as incomplete.
#[track_caller]
fn assert_incomplete_body(attempt: &Value) {
    let is_marked = attempt["responseTruncated"] == true || attempt["error"].is_string();
    assert!(
        is_marked,
        "the log doesn't say that the body is incomplete: {attempt:#}"
    );
}

#[test]
fn reads_a_slow_body_until_the_timeout_and_succeeds() {
    let app = app_with_timeout("500ms");
    let receiver = Receiver::script(|_| Reply::Drip(Duration::from_millis(20)));
    let attempt = successful_attempt(&app, &receiver);
    assert_incomplete_body(&attempt);
}

#[test]
fn a_body_shorter_than_its_content_length_is_a_success_with_a_note() {
    let receiver = Receiver::script(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec())
    });
    let attempt = successful_attempt(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseBody"], "short");
    assert_incomplete_body(&attempt);
}

#[test]
fn an_invalid_chunked_body_is_a_success_with_a_note() {
    let receiver = Receiver::script(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        Reply::Bytes([head, b"5\r\nhello\r\nZZ\r\n"].concat())
    });
    let attempt = successful_attempt(&App::without_retries(), &receiver);
    assert_incomplete_body(&attempt);
}

#[test]
fn truncates_bodies_over_16_kib() {
    for (length, truncated) in [(16 * 1024, false), (16 * 1024 + 1, true)] {
        let receiver = Receiver::script(move |_| Reply::body(200, &"y".repeat(length)));
        let attempt = successful_attempt(&App::without_retries(), &receiver);
        assert_eq!(attempt["responseTruncated"], truncated, "{length} bytes");
        assert_eq!(text(&attempt, "responseBody").len(), 16 * 1024);
    }
}

#[test]
fn replaces_invalid_utf_8_in_the_logged_body() {
    let receiver = Receiver::script(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\xff\xfeb".to_vec())
    });
    let attempt = successful_attempt(&App::without_retries(), &receiver);
    assert_eq!(text(&attempt, "responseBody"), "a\u{fffd}\u{fffd}b");
}

#[test]
fn the_log_contains_the_request_and_the_timings() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({
        "url": receiver.url("/"), "headers": {"X-Key": "hidden-value"},
    }));
    let delivery = api.deliver_one(&webhook, "delivered");
    let request = receiver.first();
    assert_eq!(delivery["request"]["body"], request.text().as_str());
    let headers = delivery["request"]["headers"].to_string();
    assert!(headers.contains("X-Miniback-Signature"), "{headers}");
    assert!(headers.contains(request.header("X-Miniback-Signature")));
    assert!(headers.contains("X-Key"), "{headers}");
    assert!(
        !headers.contains("hidden-value"),
        "a header value isn't masked: {headers}"
    );
    let timings = &attempts(&delivery)[0]["timings"];
    assert!(timings["connectMs"].is_number(), "{timings}");
    assert!(timings["waitMs"].is_number(), "{timings}");
    assert_eq!(
        timings["tlsMs"],
        Value::Null,
        "the log has a TLS time for plain HTTP"
    );
    assert_eq!(
        timings["dnsMs"],
        Value::Null,
        "the log has a DNS time for an IP address"
    );
}
