//! Strangers can't fill the log, security events are logged at any log level, and the limit of open
//! files is raised.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command;
use crate::support::pages::same_origin_headers;
use crate::support::wait::wait_until;

/// Sends bytes on a new connection, and reads until the server closes it.
fn send(app: &App, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    // Ignore errors: the server can close the connection before it has read all bytes.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn strangers_cannot_fill_the_log() {
    let app = App::start();
    let before = app.log.lines().len();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03rest";
    let requests: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        tls_hello,
        b"POST /api/feedback HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{",
        b"POST /api/feedback HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/v1/projects HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST /setup HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nConnection: close\r\n\r\n",
        b"GET /sign-in?token=x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ];
    for request in requests.iter().cycle().take(30 * requests.len()) {
        send(&app, request);
    }
    app.run(&["token", "list"], "").success();
    let added = app.log.lines().split_off(before);
    // At most one request is logged: the rejected form from another origin.
    assert!(added.len() <= 1, "{} lines: {added:#?}", added.len());
}

#[test]
fn logs_security_events_at_every_level() {
    let app = App::builder().env("MINIBACK_LOG", "error").start();
    let mut visitor = app.visitor();
    let wrong = [("email", ADMIN), ("password", "not the password at all")];
    let wrong = wrong.map(|(name, value)| (name.to_owned(), value.to_owned()));
    visitor
        .post_from("/login", &wrong, &same_origin_headers(&app.url))
        .expect(401);
    visitor.sign_in(ADMIN, PASSWORD);
    for event in ["sign_in_failed", "sign_in"] {
        wait_until(&format!("the log has {event}"), || {
            app.log.find(|line| line["security_event"] == event)
        });
    }
}

#[test]
fn raises_the_limit_of_open_files() {
    let app = App::builder().open_file_limits("300:2000").start();
    let limits = app.log.find(|line| line["open_files"] != Value::Null);
    let limits = limits.expect("find the line with the limits");
    assert_eq!(limits["open_files"], 2000);
    assert_eq!(limits["connections"], 2000 - 256);
    let raised = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).unwrap();
    let line = raised
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3);
    assert_eq!(soft, Some("2000"));
}

#[test]
fn runs_with_128_open_files() {
    let app = App::builder().open_file_limits("128:128").start();
    app.signed_in().get("/feedback").expect(200);
}

#[test]
fn explains_a_limit_of_open_files_that_is_too_low() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for arguments in [
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data.to_str().unwrap(),
        ][..],
        &["demo"],
    ] {
        let command = command::miniback(arguments);
        let command = command::wrapped_by(&command, "prlimit", &["--nofile=64:64"]);
        let line = command::run(command, "").error_line(2);
        assert_eq!(
            line,
            "miniback: this process can open only 64 files, but Miniback needs at least 128; \
             raise the limit, for example with “ulimit -n 4096” or with LimitNOFILE=4096 in the \
             systemd unit"
        );
    }
    assert!(!data.exists());
}
