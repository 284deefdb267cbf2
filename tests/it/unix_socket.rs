//! `--listen unix:PATH`: the socket's file, its peers, and the deadlines of its connections.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::app::{App, AppBuilder};
use crate::support::command::{miniback, run};
use crate::support::raw_http::RawConnection;
use crate::support::wait::wait_until;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A directory with the path of a socket.
fn socket_path() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("miniback.sock");
    (dir, path)
}

fn listen_on(path: &Path) -> AppBuilder {
    App::builder().listen(&format!("unix:{}", path.display()))
}

#[track_caller]
fn assert_healthy(path: &Path) {
    let response = RawConnection::open_to_path(path).exchange("GET", HEALTH);
    assert_eq!(response.status(), 200);
}

/// Runs `serve` with a new data directory, and returns the error.
#[track_caller]
fn error_line(listen: &str, code: i32) -> String {
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", listen, "--data-dir"]);
    command.arg(dir.path().join("data"));
    run(command, "").error_line(code)
}

/// Submits feedback as a visitor with this IP address, through a proxy, and returns the status.
fn submit_feedback(path: &Path, visitor: &str) -> u16 {
    let body = r#"{"projectSlug":"shop","message":"Hello"}"#;
    let request = format!(
        "POST /api/feedback HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {visitor}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    RawConnection::open_to_path(path)
        .exchange("POST", &request)
        .status()
}

#[test]
fn serves_requests_and_logs_the_path() {
    let (_dir, path) = socket_path();
    let app = listen_on(&path).start();
    assert_eq!(app.url, format!("unix:{}", path.display()));
    assert_healthy(&path);
    let setup = listen_on(&path.with_extension("2")).without_admin().start();
    let line = setup.log.wait_for_message("no users yet");
    let url = line["url"].as_str().unwrap_or_default();
    assert!(url.starts_with("http://localhost/setup?token="), "{line}");
}

#[test]
fn every_user_can_connect_even_with_a_strict_umask() {
    let (_dir, path) = socket_path();
    let app = listen_on(&path).umask("077").start();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    assert_healthy(&path);
    let database = fs::metadata(app.database()).unwrap().permissions().mode();
    assert_eq!(database & 0o777, 0o600);
}

#[test]
fn the_socket_is_removed_at_the_end() {
    let (_dir, path) = socket_path();
    let app = listen_on(&path).start();
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let (status, _) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_file_that_replaced_the_socket_is_not_removed() {
    let (_dir, path) = socket_path();
    let app = listen_on(&path).start();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "other").unwrap();
    app.sigterm_and_wait();
    assert_eq!(fs::read_to_string(&path).unwrap(), "other");
}

#[test]
fn replaces_the_socket_of_a_killed_server() {
    let (_dir, path) = socket_path();
    let data = listen_on(&path).start().sigkill();
    assert!(path.exists());
    assert!(UnixStream::connect(&path).is_err());
    let _app = listen_on(&path).with_data_dir(data).start();
    assert_healthy(&path);
}

#[test]
fn does_not_replace_the_socket_of_a_running_server() {
    let (_dir, path) = socket_path();
    let _app = listen_on(&path).start();
    let line = error_line(&format!("unix:{}", path.display()), 1);
    assert!(line.contains("another program is listening on"), "{line}");
    assert_healthy(&path);
}

#[test]
fn does_not_replace_a_file_that_is_not_a_socket() {
    let (_dir, path) = socket_path();
    fs::write(&path, "important").unwrap();
    let line = error_line(&format!("unix:{}", path.display()), 2);
    assert!(line.contains("isn’t a socket"), "{line}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "important");
}

#[test]
fn a_failed_start_leaves_no_socket() {
    let (dir, path) = socket_path();
    let missing = dir.path().join("missing/miniback.sock");
    let listen = format!("unix:{},unix:{}", path.display(), missing.display());
    let line = error_line(&listen, 1);
    assert!(line.contains("its directory doesn’t exist"), "{line}");
    assert!(!path.exists());
    let listen = format!("unix:{0},unix:{0}", path.display());
    let line = error_line(&listen, 2);
    assert!(line.contains("overlaps"), "{line}");
    assert!(!path.exists());
}

#[test]
fn peers_count_as_loopback_for_trusted_proxies() {
    let (_dir, path) = socket_path();
    let start = |trusted: &str| {
        let app = App::builder()
            .option("--listen", &format!("unix:{}", path.display()))
            .option("--trusted-proxy", trusted)
            .option("--limit-address", "1/1h")
            .start();
        app.api().create_project("Shop");
        app
    };
    let app = start("127.0.0.0/8");
    assert_eq!(submit_feedback(&path, "203.0.113.1"), 201);
    assert_eq!(submit_feedback(&path, "203.0.113.1"), 429);
    assert_eq!(submit_feedback(&path, "203.0.113.2"), 201);
    app.sigterm_and_wait();
    let _app = start("none");
    assert_eq!(submit_feedback(&path, "203.0.113.1"), 201);
    assert_eq!(submit_feedback(&path, "203.0.113.2"), 429);
}

#[test]
fn connections_have_deadlines() {
    let (_dir, path) = socket_path();
    let _app = listen_on(&path).start();
    let mut slow = RawConnection::open_to_path(&path);
    slow.send("GET /healthz HTTP/1.1\r\nX: a");
    let response = slow.read_response("GET");
    assert_eq!(response.status(), 408);
    assert!(response.announces_close(), "{response:?}");
    let mut silent = RawConnection::open_to_path(&path);
    assert!(silent.wait_for_end() < Duration::from_secs(60));
}

#[test]
fn idle_connections_are_evicted_across_all_sockets() {
    let (_dir, path) = socket_path();
    let app = App::builder()
        .option("--listen", &format!("unix:{}", path.display()))
        .open_file_limits("128:128")
        .start();
    let _waiting: Vec<_> = (0..75)
        .flat_map(|_| {
            [
                RawConnection::open(&app),
                RawConnection::open_to_path(&path),
            ]
        })
        .collect();
    assert_healthy(&path);
    let response = RawConnection::open(&app).exchange("GET", HEALTH);
    assert_eq!(response.status(), 200);
}

#[test]
fn a_stopping_server_accepts_no_new_connections() {
    let (_dir, path) = socket_path();
    let mut app = listen_on(&path).start();
    let mut open = RawConnection::open_to_path(&path);
    assert_eq!(open.exchange("GET", HEALTH).status(), 200);
    app.sigterm();
    wait_until("new connections are refused", || {
        UnixStream::connect(&path).err()
    });
    assert_eq!(app.wait().code(), Some(0));
}
