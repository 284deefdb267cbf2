//! Shutdown: deliveries in flight finish and are recorded, and the program exits with 0.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Stdio;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::command::{miniback, signal, wait_for_exit};
use crate::support::load_generator::LoadGenerator;
use crate::support::lost_events::missing_changes;
use crate::support::receiver::{Gate, Receiver, Reply};
use crate::support::wait::wait_until;

/// Creates a webhook, a project, and feedback, and waits until the delivery is in flight. Returns
/// the delivery's id.
fn start_delivery(app: &App, receiver: &Receiver) -> String {
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    receiver.first().delivery().to_owned()
}

/// Sends SIGTERM and waits until the program refuses new connections.
#[track_caller]
fn start_shutdown(app: &App) {
    app.sigterm();
    let port = app.port();
    wait_until("new connections are refused", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).err()
    });
}

#[test]
fn sigterm_waits_for_and_records_the_delivery_in_flight() {
    let mut app = App::builder().option("--timeout", "60s").start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let id = start_delivery(&app, &receiver);
    start_shutdown(&app);
    gate.open();
    assert_eq!(app.wait().code(), Some(0));

    let app = App::builder().with_data_dir(app.sigkill()).start();
    let delivery = app.api().delivery(&id);
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(attempts(&delivery).len(), 1);
    assert_eq!(receiver.received().len(), 1, "the delivery was sent again");
}

#[test]
fn sigterm_waits_at_most_the_timeout_for_a_hanging_endpoint() {
    let app = App::builder().option("--timeout", "1s").start();
    let receiver = Receiver::script(|_| Reply::Hang);
    let id = start_delivery(&app, &receiver);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    receiver.set_script(|_| Reply::status(200));
    let app = App::builder().with_data_dir(data).start();
    app.api().wait_for_state(&id, "delivered");
}

#[test]
fn sigint_works_like_sigterm() {
    let mut app = App::start();
    signal(app.pid(), "INT");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn sigterm_keeps_pending_deliveries_and_starts_none() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let id = start_delivery(&app, &receiver);
    app.api().wait_for_attempts(&id, 1);
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    let app = App::builder().with_data_dir(data).start();
    let pending = app.api().delivery(&id);
    assert_eq!(text(&pending, "state"), "pending");
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn sigterm_under_load_loses_and_repeats_nothing() {
    // A shutdown that waited for this timeout would fail the test.
    let mut app = App::builder().option("--timeout", "60s").start();
    let (fast, gate) = (Receiver::ok(), Gate::new());
    let slow = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(200).when(&gate)
    });
    let api = app.api();
    api.create_project("Shop");
    let webhooks = [
        api.create_webhook(&fast.url("/")),
        api.create_webhook(&slow.url("/")),
    ];
    let load = LoadGenerator::start(&app, 4, |_| "shop");
    // At first, Miniback sends a new webhook only two deliveries at a time.
    slow.wait_for(2);
    load.wait_for_more_changes(100);
    start_shutdown(&app);
    gate.open();
    assert_eq!(app.wait().code(), Some(0));
    let (acknowledged, _) = load.stop();
    let slow_requests = slow.received().len();
    let wal = app.dir.join("miniback.db-wal");
    let wal_size = std::fs::metadata(wal).map_or(0, |file| file.len());
    assert_eq!(wal_size, 0, "the WAL wasn't merged into the database");

    let app = App::builder().with_data_dir(app.sigkill()).start();
    let api = app.api();
    for webhook in &webhooks {
        api.wait_until_none_pending(webhook);
    }
    for receiver in [&fast, &slow] {
        let received = receiver.received();
        let ids: BTreeSet<&str> = received.iter().map(|request| request.delivery()).collect();
        assert_eq!(
            received.len(),
            ids.len(),
            "a delivery in flight wasn't recorded and was sent again"
        );
        let missing = missing_changes(&received, &acknowledged);
        assert!(missing.is_empty(), "lost events: {missing:?}");
    }
    assert!(slow_requests >= 2);
}

#[test]
fn open_connections_do_not_delay_the_shutdown() {
    let app = App::start();
    let mut ada = app.signed_in();
    ada.get("/feedback").expect(200);
    // One connection is idle, and another connection is in the middle of a request.
    let idle = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let mut partial = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    std::io::Write::write_all(&mut partial, b"GET /feedback HTTP/1.1\r\nHost: ").unwrap();
    let (status, _) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    drop((idle, partial));
}

/// Returns whether the process handles SIGTERM (signal 15).
fn handles_sigterm(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    caught & (1 << 14) != 0
}

#[test]
fn a_signal_during_the_start_stops_the_program() {
    let app = App::start();
    app.api().create_project("Shop");
    let dir = app.dir.clone();
    let (_, data) = app.sigterm_and_wait();
    for name in ["TERM", "INT"] {
        // The lock delays the start until the signal.
        let database = rusqlite::Connection::open(dir.join("miniback.db")).unwrap();
        let sql = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE";
        database.execute_batch(sql).unwrap();
        let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(&dir).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap();
        wait_until("the program handles signals", || {
            handles_sigterm(server.id()).then_some(())
        });
        signal(server.id(), name);
        let status = wait_for_exit(&mut server, "the program stops");
        let mut log = String::new();
        server.stderr.unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(status.code(), Some(0), "SIG{name}: {log}");
        assert!(log.contains(r#""message":"stopped""#), "SIG{name}: {log}");
        assert!(!log.contains("listening"), "SIG{name}: {log}");
    }
    // The database is intact.
    let app = App::builder().with_data_dir(data).start();
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(projects["data"][0]["name"], "Shop", "{projects}");
}
