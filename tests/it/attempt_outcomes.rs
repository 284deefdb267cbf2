//! Every way in which an attempt fails, and what the log says of it; and what is a success all the
//! same.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{attempts, millis, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply, closed_address};

/// Delivers one feedback to an address, with no retry, and returns its only attempt.
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
        let said = attempt[member].as_str().unwrap_or_default();
        assert!(!said.is_empty(), "no {member}: {attempt:#}");
    }
    attempt
}

#[track_caller]
fn failed_answer(reply: impl Fn() -> Reply + Send + 'static) -> Value {
    let receiver = Receiver::script(move |_| reply());
    let attempt = failed_attempt(&App::without_retries(), &receiver.url("/hook"));
    assert_eq!(receiver.received().len(), 1, "it was sent once");
    attempt
}

#[test]
fn any_status_other_than_2xx_is_a_failure() {
    let app = App::without_retries();
    let api = app.api();
    api.create_project("Shop");
    for status in [304, 400, 404, 410, 429, 500, 503, 599] {
        let receiver = Receiver::status(status);
        let webhook = api.create_webhook(&receiver.url("/"));
        api.create_feedback("shop", "Hello");
        let id = text(&api.only_delivery(&webhook), "id").to_owned();
        let failed = api.wait_for_state(&id, "failed");
        assert_eq!(attempts(&failed)[0]["status"], status);
        assert!(attempts(&failed)[0]["errorCode"].is_string());
        api.delete_webhook(&webhook);
    }
}

#[test]
fn any_2xx_is_a_success_without_an_error() {
    let app = App::without_retries();
    let api = app.api();
    api.create_project("Shop");
    for status in [200, 201, 202, 204, 299] {
        let receiver = Receiver::script(move |_| match status {
            // A 204 has no body, and no length either.
            204 => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            _ => Reply::status(status),
        });
        let webhook = api.create_webhook(&receiver.url("/"));
        api.create_feedback("shop", "Hello");
        let id = text(&api.only_delivery(&webhook), "id").to_owned();
        let done = api.wait_for_state(&id, "delivered");
        assert_eq!(done["nextAttemptAt"], Value::Null);
        let attempt = &attempts(&done)[0];
        assert_eq!(attempt["status"], status);
        assert_eq!(attempt["error"], Value::Null);
        assert_eq!(attempt["errorCode"], Value::Null);
        api.delete_webhook(&webhook);
    }
}

#[test]
fn the_answer_of_a_failure_is_in_the_log() {
    let attempt = failed_answer(|| Reply::body(500, "database is down").header("X-Why", "disk"));
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
fn a_redirect_is_a_failure_and_is_not_followed() {
    let target = Receiver::ok();
    for status in [301, 302, 303, 307, 308] {
        let location = target.url("/elsewhere");
        let attempt = failed_answer(move || Reply::status(status).header("Location", &location));
        assert_eq!(attempt["status"], status);
        let said = text(&attempt, "error");
        assert!(
            said.contains(&target.url("/elsewhere")),
            "it says where to: {said}"
        );
    }
    assert!(target.received().is_empty(), "it is never followed");
}

#[test]
fn a_refused_connection_is_a_failure() {
    let attempt = failed_attempt(
        &App::without_retries(),
        &format!("http://{}/hook", closed_address()),
    );
    assert_eq!(attempt["status"], Value::Null);
    assert!(text(&attempt, "error").to_lowercase().contains("refused"));
}

#[test]
fn a_connection_that_is_closed_without_an_answer_is_a_failure() {
    let attempt = failed_answer(|| Reply::Close);
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn a_connection_that_breaks_within_the_head_is_a_failure() {
    let attempt = failed_answer(|| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-".to_vec()));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn an_answer_that_is_not_http_is_a_failure() {
    let attempt = failed_answer(|| Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn an_answer_with_an_endless_head_is_a_failure() {
    let attempt = failed_answer(|| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        for number in 0..20_000 {
            bytes.extend_from_slice(format!("X-Header-{number}: {number}\r\n").as_bytes());
        }
        Reply::Bytes(bytes)
    });
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn no_answer_within_the_timeout_is_a_failure() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "300ms")
        .start();
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
fn a_head_that_is_not_complete_within_the_timeout_is_a_failure() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "300ms")
        .start();
    let receiver = Receiver::script(|_| Reply::Hang.preceded_by("HTTP/1.1 200 OK\r\nX-Slow: "));
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn an_endpoint_that_never_accepts_is_a_timeout() {
    // Bound but never accepted from: the connection is made by the system, the answer never comes.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "300ms")
        .start();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    failed_attempt(&app, &url);
}

#[test]
fn a_name_that_does_not_exist_is_a_failure() {
    let attempt = failed_attempt(
        &App::without_retries(),
        "https://no-such-host.invalid/webhook",
    );
    assert_eq!(attempt["status"], Value::Null);
}

#[test]
fn an_endpoint_that_speaks_no_tls_is_a_failure_for_https() {
    let receiver = Receiver::ok();
    let url = format!("https://{}/", receiver.address());
    let attempt = failed_attempt(&App::without_retries(), &url);
    assert_eq!(attempt["status"], Value::Null);
    assert!(
        receiver.received().is_empty(),
        "nothing was sent in the clear"
    );
}

#[test]
fn each_kind_of_failure_has_a_code_of_its_own() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "3s")
        .start();
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
            Some(format!("http://{}/", closed_address())),
        ),
        (
            "name",
            Receiver::ok(),
            Some("https://no-such-host.invalid/".to_owned()),
        ),
    ];
    let mut codes = BTreeMap::new();
    let api = app.api();
    api.create_project("Shop");
    for (kind, receiver, url) in cases {
        let webhook = api.create_webhook(&url.unwrap_or_else(|| receiver.url("/")));
        api.create_feedback("shop", "Hello");
        let id = text(&api.only_delivery(&webhook), "id").to_owned();
        let failed = api.wait_for_state(&id, "failed");
        let code = text(&attempts(&failed)[0], "errorCode").to_owned();
        if let Some(other) = codes.insert(code.clone(), kind) {
            panic!("{kind} and {other} are both {code}");
        }
        api.delete_webhook(&webhook);
    }
}

/// Delivers one feedback, and returns the attempt that succeeded.
#[track_caller]
fn succeeded(app: &App, receiver: &Receiver) -> Value {
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    let delivery = api.deliver_one(&webhook, "delivered");
    let attempt = attempts(&delivery)[0].clone();
    assert_eq!(attempt["status"], 200);
    assert_eq!(attempt["errorCode"], Value::Null);
    attempt
}

#[test]
fn an_interim_answer_is_skipped() {
    let receiver = Receiver::script(|_| {
        Reply::body(200, "done").preceded_by(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        )
    });
    let attempt = succeeded(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseBody"], "done");
}

#[test]
fn an_interim_answer_alone_is_no_success() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "300ms")
        .start();
    let receiver =
        Receiver::script(|_| Reply::Hang.preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"));
    let attempt = failed_attempt(&app, &receiver.url("/"));
    assert_eq!(attempt["status"], Value::Null, "the time runs on");
}

#[test]
fn a_failure_after_an_interim_answer_is_a_failure() {
    let attempt =
        failed_answer(|| Reply::status(500).preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"));
    assert_eq!(attempt["status"], 500);
}

#[test]
fn an_endless_body_is_read_to_16_kib_and_stays_a_success() {
    let receiver = Receiver::script(|_| Reply::Endless);
    let attempt = succeeded(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseTruncated"], true);
    assert_eq!(text(&attempt, "responseBody"), "x".repeat(16 * 1024));
}

#[test]
fn a_body_that_drips_is_read_no_longer_than_the_timeout_and_stays_a_success() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "500ms")
        .start();
    let receiver = Receiver::script(|_| Reply::Drip(Duration::from_millis(20)));
    let attempt = succeeded(&app, &receiver);
    let said = attempt["responseTruncated"] == true || attempt["error"].is_string();
    assert!(said, "the log says so: {attempt:#}");
}

#[test]
fn a_body_shorter_than_its_length_stays_a_success_and_the_log_says_so() {
    let receiver = Receiver::script(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec())
    });
    let attempt = succeeded(&App::without_retries(), &receiver);
    assert_eq!(attempt["responseBody"], "short");
    let said = attempt["responseTruncated"] == true || attempt["error"].is_string();
    assert!(said, "the log says so: {attempt:#}");
}

#[test]
fn a_broken_chunked_body_stays_a_success_and_the_log_says_so() {
    let receiver = Receiver::script(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        Reply::Bytes([head, b"5\r\nhello\r\nZZ\r\n"].concat())
    });
    let attempt = succeeded(&App::without_retries(), &receiver);
    let said = attempt["responseTruncated"] == true || attempt["error"].is_string();
    assert!(said, "the log says so: {attempt:#}");
}

#[test]
fn a_body_of_16_kib_is_whole_and_one_byte_more_is_not() {
    let app = App::without_retries();
    for (length, truncated) in [(16 * 1024, false), (16 * 1024 + 1, true)] {
        let receiver = Receiver::script(move |_| Reply::body(200, &"y".repeat(length)));
        let attempt = succeeded(&app, &receiver);
        assert_eq!(attempt["responseTruncated"], truncated, "{length} bytes");
        assert_eq!(text(&attempt, "responseBody").len(), 16 * 1024);
        // The next round must have one webhook alone.
        let listed = app.api().get("/api/v1/webhooks").json()["data"].clone();
        app.api().delete_webhook(&listed[0]);
        app.api().delete("/api/v1/projects/delivered").expect(204);
    }
}

#[test]
fn a_body_that_is_not_utf_8_is_shown_lossily() {
    let receiver = Receiver::script(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\xff\xfeb".to_vec())
    });
    let attempt = succeeded(&App::without_retries(), &receiver);
    assert_eq!(text(&attempt, "responseBody"), "a\u{fffd}\u{fffd}b");
}

#[test]
fn the_log_shows_the_last_request_as_it_was_sent_and_where_the_time_went() {
    let (app, receiver) = (App::without_retries(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook_with(json!({
        "url": receiver.url("/"), "headers": {"X-Key": "hidden-value"},
    }));
    let delivery = api.deliver_one(&webhook, "delivered");
    let got = receiver.first();
    assert_eq!(delivery["request"]["body"], got.text().as_str());
    let headers = delivery["request"]["headers"].to_string();
    assert!(headers.contains("X-Miniback-Signature"), "{headers}");
    assert!(headers.contains(got.header("X-Miniback-Signature")));
    assert!(headers.contains("X-Key"), "{headers}");
    assert!(!headers.contains("hidden-value"), "masked: {headers}");
    let timings = &attempts(&delivery)[0]["timings"];
    assert!(timings["connectMs"].is_number(), "{timings}");
    assert!(timings["waitMs"].is_number(), "{timings}");
    assert_eq!(timings["tlsMs"], Value::Null, "there was none");
    assert_eq!(timings["dnsMs"], Value::Null, "there was none");
}
