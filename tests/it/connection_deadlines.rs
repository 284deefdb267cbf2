//! Every phase of a connection has a deadline. The test of all phases runs its clients in parallel,
//! so the test takes about as long as the longest deadline.

use std::io::ErrorKind;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::support::app::App;
use crate::support::event_stream::EventStream;
use crate::support::pages::Visitor;
use crate::support::raw_http::RawConnection;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Sends `bytes` and then waits for `pause`, repeatedly, until the server closes the connection.
/// Returns the elapsed time.
fn send_until_closed(connection: &mut RawConnection, bytes: &[u8], pause: Duration) -> Duration {
    let started = Instant::now();
    while connection.try_send(bytes).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(60), "still open");
        sleep(pause);
    }
    started.elapsed()
}

#[track_caller]
fn assert_between(time: Duration, min: u64, max: u64) {
    let range = Duration::from_secs(min)..Duration::from_secs(max);
    assert!(range.contains(&time), "{time:?}, expected {range:?}");
}

fn slow_head(app: &App, reuses_the_connection: bool) {
    let mut connection = RawConnection::open(app);
    if reuses_the_connection {
        assert_eq!(connection.exchange("GET", HEALTH).status(), 200);
    }
    connection.send("GET /healthz HTTP/1.1\r\nX: ");
    let time = send_until_closed(&mut connection, b"a", Duration::from_millis(500));
    assert_between(time, 9, 25);
    let response = connection.read_response("GET");
    assert_eq!(response.status(), 408);
    assert!(response.announces_close(), "{response:?}");
}

fn silent_connection(app: &App) {
    let mut connection = RawConnection::open(app);
    assert_between(connection.wait_for_end(), 9, 25);
}

fn idle_connection(app: &App) {
    let mut connection = RawConnection::open(app);
    for _ in 0..3 {
        let response = connection.exchange("GET", HEALTH);
        assert_eq!(response.status(), 200);
        assert!(!response.announces_close(), "{response:?}");
        sleep(Duration::from_secs(12));
    }
    assert_eq!(connection.exchange("GET", HEALTH).status(), 200);
}

/// Sends a body slowly to a route whose handler reads the body, and checks that the server responds
/// with 408 at the deadline.
fn slow_body(app: &App) {
    let mut connection = RawConnection::open(app);
    let started = Instant::now();
    connection.send(
        "POST /api/feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n",
    );
    send_until_closed(&mut connection, b"1\r\na\r\n", Duration::from_millis(500));
    assert_between(started.elapsed(), 14, 35);
    let response = connection.read_response("POST");
    assert_eq!(response.status(), 408);
    assert!(response.announces_close(), "{response:?}");
}

/// Sends a body slowly to a route whose handler doesn't read the body. Checks that the server
/// responds, and that it closes the connection after 2 to 20 s.
fn slow_unread_body(app: &App, framing: &str, bytes: &[u8]) {
    let mut connection = RawConnection::open(app);
    connection.send(format!(
        "POST /nope HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    ));
    let response = connection.read_response("POST");
    assert_eq!(response.status(), 404);
    assert!(response.announces_close(), "{response:?}");
    let time = send_until_closed(&mut connection, bytes, Duration::from_millis(200));
    assert_between(time, 2, 20);
}

/// Checks that the server responds to a malformed request head with 400, even if the client
/// continues to send. Checks that the server then closes the connection.
fn malformed_head(app: &App, reuses_the_connection: bool) {
    let mut connection = RawConnection::open(app);
    if reuses_the_connection {
        assert_eq!(connection.exchange("GET", HEALTH).status(), 200);
    }
    connection.send("GET / HTTP/1.1\r\nnot a header\r\n\r\n");
    connection.send([b'a'; 10_000]);
    let response = connection.read_response("GET");
    assert_eq!(response.status(), 400);
    assert!(response.announces_close(), "{response:?}");
    assert_between(connection.wait_for_end(), 0, 20);
}

fn live_updates(app: &App, visitor: &Visitor) {
    let mut stream = EventStream::open(app, visitor, "/live?of=feedback");
    assert_eq!(stream.status, 200);
    sleep(Duration::from_secs(64));
    app.api().create_feedback("shop", "Hello");
    stream.next_change();
}

/// Reads an export so slowly that the server can't continue to send within the write timeout, and
/// then as fast as possible. Checks that the server has reset the connection before the end of the
/// export.
fn slow_reader(app: &App, visitor: &Visitor, version: &str) {
    let mut connection = RawConnection::open(app);
    let session = visitor.session_cookie().expect("find the session cookie");
    connection.send(format!(
        "GET /feedback/export.json HTTP/{version}\r\nHost: x\r\n\
        Cookie: miniback_session={session}\r\n\r\n"
    ));
    assert_eq!(connection.read_head().status(), 200);
    for _ in 0..66 {
        for _ in 0..256 {
            connection.read_byte().expect("read a byte");
        }
        sleep(Duration::from_secs(1));
    }
    let (rest, end) = connection.read_to_end();
    assert!(rest.len() < 4_000_000, "the whole export was sent");
    let error = end.expect_err("the export seems complete");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn every_phase_of_a_connection_has_a_deadline() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    // An export of this feedback is larger than the buffers of a connection.
    for _ in 0..200 {
        api.create_feedback("shop", &"\u{4e00}".repeat(9_900));
    }
    let (ada, other) = (app.signed_in(), app.signed_in());
    thread::scope(|scope| {
        scope.spawn(|| slow_head(&app, false));
        scope.spawn(|| slow_head(&app, true));
        scope.spawn(|| silent_connection(&app));
        scope.spawn(|| idle_connection(&app));
        scope.spawn(|| slow_body(&app));
        scope.spawn(|| slow_unread_body(&app, "Transfer-Encoding: chunked", b"1\r\na\r\n"));
        scope.spawn(|| slow_unread_body(&app, "Content-Length: 1000000", b"a"));
        scope.spawn(|| malformed_head(&app, false));
        scope.spawn(|| malformed_head(&app, true));
        scope.spawn(|| live_updates(&app, &ada));
        scope.spawn(|| slow_reader(&app, &ada, "1.1"));
        scope.spawn(|| slow_reader(&app, &other, "1.0"));
    });
}

#[test]
fn an_endless_body_is_cut_off() {
    let app = App::start();
    let mut connection = RawConnection::open(&app);
    connection.send("POST /nope HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"10000\r\n".as_slice(), &[b'a'; 65_536], b"\r\n"].concat();
    let mut sent = 0;
    while connection.try_send(&chunk).is_ok() {
        sent += chunk.len();
        // The kernel's buffers can hold several MB that the server hasn't read.
        assert!(sent < 32_000_000, "the server keeps reading");
    }
}

#[test]
fn a_client_that_sends_a_large_body_can_read_the_rejection() {
    let app = App::start();
    let body = vec![b'a'; 1_000_000];
    for (path, status) in [
        ("/nope", 404),
        ("/api/v1/webhooks", 401),
        ("/api/feedback", 413),
    ] {
        for framing in [
            format!("Content-Length: {}\r\n\r\n", body.len() + 7),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len()),
        ] {
            let mut connection = RawConnection::open(&app);
            connection.send(format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}"
            ));
            connection.send(&body);
            connection.send("\r\n0\r\n\r\n");
            let response = connection.read_response("POST");
            assert_eq!(response.status(), status, "{path} {framing}: {response:?}");
        }
    }
}

#[test]
fn a_stopping_server_announces_the_end_and_closes_idle_connections() {
    let mut app = App::start();
    let mut idle = RawConnection::open(&app);
    assert_eq!(idle.exchange("GET", HEALTH).status(), 200);
    let mut silent = RawConnection::open(&app);
    app.sigterm();
    assert_between(idle.wait_for_end(), 0, 5);
    assert_between(silent.wait_for_end(), 0, 5);
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn a_new_connection_replaces_the_longest_idle_connection_if_files_run_out() {
    // With this limit, Miniback keeps at most 64 connections open: half of the open files.
    let app = App::builder().open_file_limits("128:128").start();
    let mut connections: Vec<_> = (0..150)
        .map(|number| {
            let mut connection = RawConnection::open(&app);
            let response = connection.exchange("GET", HEALTH);
            assert_eq!(response.status(), 200, "connection {number}");
            connection
        })
        .collect();
    // The 20 newest connections still work, and the 20 oldest connections are closed.
    for connection in connections.iter_mut().rev().take(20) {
        assert_eq!(connection.exchange("GET", HEALTH).status(), 200);
    }
    for connection in &mut connections[..20] {
        assert_eq!(connection.read_byte(), None);
    }
}

/// Opens many connections that send `request` and read nothing. Checks that another client receives
/// a response before these connections reach a deadline.
#[track_caller]
fn another_client_isnt_shut_out(request: &str) {
    let app = App::builder().open_file_limits("128:128").start();
    let mut waiting: Vec<_> = (0..150).map(|_| RawConnection::open(&app)).collect();
    for connection in &mut waiting {
        // Ignore errors: the server may have closed this connection to accept another connection.
        let _ = connection.try_send(request);
    }
    let started = Instant::now();
    let response = RawConnection::open(&app).exchange("GET", HEALTH);
    assert_eq!(response.status(), 200);
    assert_between(started.elapsed(), 0, 9);
}

#[test]
fn incomplete_heads_are_replaced_if_files_run_out() {
    another_client_isnt_shut_out("GET / HTTP/1.1\r\n");
}

#[test]
fn incomplete_bodies_are_replaced_if_files_run_out() {
    another_client_isnt_shut_out(
        "POST /api/feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Content-Length: 50\r\n\r\n{",
    );
}

#[test]
fn unread_responses_are_replaced_if_files_run_out() {
    // The responses to these requests don't fit into the buffers of a connection.
    another_client_isnt_shut_out(&"GET /widget.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400));
}
