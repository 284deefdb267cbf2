//! The syntax of responses. Miniback accepts deviations that RFC 9110 and RFC 9112 allow, and
//! rejects responses whose end is ambiguous.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};

/// Sends a test event to an endpoint that sends `response` and closes the connection. Returns the
/// result.
#[track_caller]
fn test_result(app: &App, response: &[u8]) -> Value {
    let bytes = response.to_vec();
    let receiver = Receiver::script(move |_| Reply::Bytes(bytes.clone()));
    let url = receiver.url("/");
    let tested = app.api().post("/api/v1/webhooks/test", json!({"url": url}));
    let result = tested.expect(200).json();
    assert_eq!(receiver.received().len(), 1, "expected one request");
    result
}

#[test]
fn accepts_deviations_that_the_standard_permits() {
    let app = App::start();
    let responses: &[(&[u8], &str)] = &[
        // The status line (RFC 9112, section 4).
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1  200  Fine \r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 Gr\xfcn\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", "ok"),
        (b"HTTP/1.3 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        // Empty lines before the head, and bare line feeds (section 2.2).
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok"),
        // Headers (section 5).
        (b"HTTP/1.1 200 OK\r\nCONTENT-length:2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nX: \xfc\x01\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok", "ok"),
        // Lengths (section 6.3).
        (b"HTTP/1.1 200 OK\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", ""),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        // Interim responses.
        (b"HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 202 \r\n\r\n", ""),
        // Transfer encodings (section 7).
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"b c\"\r\no\r\n01 \r\nk\r\n000\r\nX: y\r\n\r\n",
            "ok",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", "ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", "ok"),
    ];
    for (response, body) in responses {
        let result = test_result(&app, response);
        let shown = String::from_utf8_lossy(response);
        assert_eq!(result["success"], true, "{shown}: {result:#}");
        assert_eq!(result["responseBody"], *body, "{shown}");
    }
}

#[test]
fn rejects_an_ambiguous_end_of_the_body() {
    let app = App::start();
    for (headers, part) in [
        ("Content-Length: 2\r\nContent-Length: 3", "Content-Length"),
        ("Content-Length: 2, 3", "Content-Length"),
        ("Content-Length: 2x", "Content-Length"),
        ("Content-Length: -2", "Content-Length"),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            "both Content-Length",
        ),
        ("Transfer-Encoding: chunked, chunked", "Transfer-Encoding"),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nok");
        let result = test_result(&app, response.as_bytes());
        let error = text(&result, "error");
        assert!(
            error.starts_with("Invalid HTTP response: "),
            "{headers}: {error}"
        );
        assert!(error.contains(part), "{headers}: {error}");
    }
}

#[test]
fn a_broken_chunk_is_described_in_the_log() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, part) in [
        ("2\r\nok\r\nzz\r\n", "a chunk size isn’t valid"),
        ("1\r\nok\r\n", "a chunk is longer than its declared size"),
        ("2\r\nok\r\n", "the connection was closed"),
    ] {
        let response = format!("{head}{body}");
        let receiver = Receiver::script(move |_| Reply::Bytes(response.clone().into_bytes()));
        let app = App::without_retries();
        let webhook = app.api().create_webhook(&receiver.url("/"));
        let delivery = app.api().deliver_one(&webhook, "delivered");
        let error = text(&attempts(&delivery)[0], "error");
        assert_eq!(error, format!("The response body ended early: {part}."));
    }
}

/// Starts an endpoint that reads `bytes` bytes of each request, sends a response, and passes the
/// connection to `finish`. Returns its URL.
fn endpoint(bytes: usize, finish: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(4096)
        .unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut read = vec![0; bytes];
            let _ = stream.read_exact(&mut read);
            let response = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
            let _ = stream.write_all(response.as_bytes());
            finish(stream);
        }
    });
    url
}

/// Delivers feedback with a long message to a URL, waits until the delivery fails, and returns the
/// first attempt.
#[track_caller]
fn attempt_with_large_body(url: &str) -> Value {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "3s")
        .start();
    let api = app.api();
    let webhook = api.create_webhook(url);
    let project = api.create_project("Large");
    api.create_feedback(text(&project, "slug"), &"😀".repeat(10_000));
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    attempts(&api.wait_for_state(&id, "failed"))[0].clone()
}

#[test]
fn reads_a_response_that_arrives_before_the_request_is_read() {
    let open = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&open);
    let stays_open = endpoint(100, move |stream| kept.lock().unwrap().push(stream));
    for url in [stays_open, endpoint(100, drop)] {
        let attempt = attempt_with_large_body(&url);
        assert_eq!(attempt["status"], 413, "{attempt:#}");
        assert_eq!(attempt["responseBody"], "big");
    }
}
