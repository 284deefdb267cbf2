//! `miniback health`: exits with 0 if the server is healthy, otherwise with 1 and a sentence.

use std::net::TcpListener;
use std::thread;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{CommandOutput, miniback, run};
use crate::support::receiver::{Receiver, Reply};

#[track_caller]
fn health(listen: &str) -> CommandOutput {
    run(miniback(["health", "--listen", listen]), "")
}

/// Checks that `health` fails, and returns its line.
#[track_caller]
fn problem(listen: &str) -> String {
    let output = health(listen);
    assert_eq!(output.stdout, "");
    output.error_line(1)
}

#[test]
fn a_healthy_server_is_reported_at_every_kind_of_socket() {
    let dir = TempDir::new().unwrap();
    let socket = format!("unix:{}", dir.path().join("miniback.sock").display());
    let app = App::builder()
        .listen(&format!("0.0.0.0:0,{socket}"))
        .option("--base-url", "https://feedback.example/miniback")
        .start();
    let port = app.port();
    for listen in [
        format!("0.0.0.0:{port}"),
        format!("127.0.0.1:{port},unix:/not/used"),
        format!("localhost:{port}"),
        format!(":{port}"),
        socket,
    ] {
        let printed = health(&listen).success();
        assert!(printed.stdout.ends_with(" is healthy.\n"), "{printed:?}");
        assert_eq!(printed.stderr, "", "{listen}");
    }
    let mut command = miniback(["health"]);
    command.env("MINIBACK_LISTEN", format!("127.0.0.1:{port}"));
    command.env("MINIBACK_BASE_URL", "https://feedback.example/miniback");
    run(command, "").success();
}

#[test]
fn a_server_that_listens_on_ipv6_is_reported() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let app = App::builder().listen("[::]:0").start();
    health(&format!("[::]:{}", app.port())).success();
    health(&format!("[::1]:{}", app.port())).success();
}

#[test]
fn an_unhealthy_server_is_a_failure() {
    let app = App::start();
    let address = format!("127.0.0.1:{}", app.port());
    health(&address).success();
    std::fs::rename(app.database(), app.dir.join("moved.db")).unwrap();
    // The server checks its files before each write, and `/healthz` writes.
    let line = problem(&address);
    assert!(line.contains("is unhealthy"), "{line}");
}

#[test]
fn a_missing_server_is_a_failure() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let dir = TempDir::new().unwrap();
    let socket = format!("unix:{}", dir.path().join("miniback.sock").display());
    for listen in [address, socket] {
        let line = problem(&listen);
        assert!(
            line.contains(&format!("no server is listening on {listen}")),
            "{line}"
        );
    }
    let line = problem("127.0.0.1:0");
    assert!(line.contains("--listen") && line.contains("port"), "{line}");
}

#[test]
fn another_server_is_a_failure() {
    for reply in [200, 404, 503] {
        let receiver = Receiver::script(move |_| Reply::status(reply));
        let line = problem(&receiver.address().to_string());
        assert!(line.contains("isn’t Miniback"), "{line}");
    }
}

#[test]
fn a_server_that_does_not_respond_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepted = thread::spawn(move || listener.accept().map(|(stream, _)| stream));
    let line = problem(&address);
    assert!(line.contains("didn’t respond within 5 s"), "{line}");
    drop(accepted.join());
}

#[test]
fn an_invalid_value_is_bad_configuration() {
    let line = health("8080").error_line(2);
    assert!(
        line.contains("--listen") && line.contains(":8080"),
        "{line}"
    );
}
