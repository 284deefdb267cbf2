//! What systemd receives from the server (`Type=notify`), and the reactions to its signals.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{self, miniback, run, wrapped_by};
use crate::support::http;
use crate::support::notify_socket::NotifySocket;
use crate::support::wait::wait_until;

/// Returns the value of an assignment in a notification.
fn value<'a>(notification: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = notification.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn reports_the_start_readiness_and_the_stop() {
    let notify = NotifySocket::new();
    let app = App::builder()
        .env("NOTIFY_SOCKET", notify.path())
        .option("--timeout", "10m")
        .start();
    let starting = notify.wait_for("STATUS=Starting");
    let extension: u64 = value(&starting, "EXTEND_TIMEOUT_USEC")
        .unwrap()
        .parse()
        .unwrap();
    assert!(extension >= 30_000_000, "{starting}");
    let ready = notify.wait_for("READY=1");
    assert_eq!(
        value(&ready, "STATUS"),
        Some(&*format!("Listening on {}", app.url))
    );
    assert_eq!(app.sigterm_and_wait().0.code(), Some(0));
    let stopping = notify.wait_for("STOPPING=1");
    let extension: u64 = value(&stopping, "EXTEND_TIMEOUT_USEC")
        .unwrap()
        .parse()
        .unwrap();
    assert!(extension > 601_000_000, "{stopping}");
}

#[test]
fn a_failed_start_is_not_ready() {
    let notify = NotifySocket::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", &listen, "--data-dir"]);
    command
        .arg(dir.path().join("data"))
        .env("NOTIFY_SOCKET", notify.path());
    run(command, "").error_line(1);
    let received = notify.received();
    assert!(!received.concat().contains("READY=1"), "{received:?}");
}

#[test]
fn the_watchdog_is_notified_even_if_only_a_person_can_fix_the_database() {
    let notify = NotifySocket::new();
    let app = App::builder()
        .env("NOTIFY_SOCKET", notify.path())
        .env("WATCHDOG_USEC", "400000")
        .writes_can_fail()
        .start();
    notify.wait_for("READY=1");
    notify.wait_for("WATCHDOG=1");

    let api = app.api();
    api.create_project("Shop");
    app.limit_file_size(Some(4_096));
    let feedback = json!({"project": "shop", "message": "Hello"});
    wait_until("the disk is full", || {
        let response = api.post("/api/v1/feedback", feedback.clone());
        (response.status == 507).then_some(())
    });
    for _ in 0..3 {
        notify.wait_for("WATCHDOG=1");
    }
    app.limit_file_size(None);

    fs::rename(app.database(), app.dir.join("moved.db")).unwrap();
    wait_until("the server is unhealthy", || {
        let health = http::send("GET", &format!("{}/healthz", app.url), &[], None);
        (health.status == 503).then_some(())
    });
    for _ in 0..3 {
        notify.wait_for("WATCHDOG=1");
    }
}

#[test]
fn the_watchdog_of_another_process_is_not_notified() {
    let notify = NotifySocket::new();
    let app = App::builder()
        .env("NOTIFY_SOCKET", notify.path())
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1")
        .start();
    app.sigterm_and_wait();
    let received = notify.received();
    assert!(!received.concat().contains("WATCHDOG=1"), "{received:?}");
}

/// A thread of another process that doesn't run, as if it hung. It continues on drop.
struct StoppedThread(Child);

impl StoppedThread {
    /// Stops the first thread whose name starts with `name`.
    #[track_caller]
    fn stop(pid: u32, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let thread = threads.flatten().find(|thread| {
            let found = fs::read_to_string(thread.path().join("comm"));
            found.is_ok_and(|found| found.starts_with(name))
        });
        let thread = thread.expect(name).file_name();
        let mut tracer = Command::new("python3");
        tracer.args(["-c", STOP_THREAD]).arg(&thread);
        let mut child = tracer
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        assert_eq!(line, "stopped\n", "{name}");
        Self(child)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attaches to a thread like a debugger, and stops only this thread.
const STOP_THREAD: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
thread = int(sys.argv[1])
assert libc.ptrace(0x4206, thread, None, None) == 0, os.strerror(ctypes.get_errno())
assert libc.ptrace(0x4207, thread, None, None) == 0, os.strerror(ctypes.get_errno())
os.waitpid(thread, 0x40000000)
print("stopped", flush=True)
sys.stdin.read()
"#;

#[test]
fn the_watchdog_is_not_notified_while_a_thread_hangs() {
    let notify = NotifySocket::new();
    let app = App::builder()
        .env("NOTIFY_SOCKET", notify.path())
        .env("WATCHDOG_USEC", "2000000")
        .start();
    notify.wait_for("READY=1");
    for (thread, part) in [
        ("writer", "database"),
        ("delivery", "dispatcher"),
        ("actix-rt", "HTTP server"),
    ] {
        let reports = || {
            let lines = app.log.lines();
            let lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.filter(|line: &Value| line["part"] == part).count()
        };
        let before = reports();
        let stopped = StoppedThread::stop(app.pid(), thread);
        wait_until("the log says which part hangs", || {
            (reports() > before).then_some(())
        });
        notify.received();
        wait_until("the log says it again", || {
            (reports() > before + 1).then_some(())
        });
        assert_eq!(notify.received(), Vec::<String>::new(), "{part}");
        drop(stopped);
        notify.wait_for("WATCHDOG=1");
    }
}

#[test]
fn sighup_is_logged_and_ignored() {
    let app = App::start();
    command::signal(app.pid(), "HUP");
    app.log.wait_for_message("SIGHUP ignored");
    let health = http::send("GET", &format!("{}/healthz", app.url), &[], None);
    assert_eq!(health.status, 200);
    assert_eq!(app.sigterm_and_wait().0.code(), Some(0));
}

#[test]
fn a_closed_terminal_stops_the_server() {
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path().join("data"));
    let command = wrapped_by(&command, "python3", &["-c", CLOSED_TERMINAL]);
    let output = run(command, "").success();
    assert_eq!(output.stdout, "0\n", "{output:?}");
}

/// Runs a program in a terminal, closes the terminal when the program listens, and prints the exit
/// code of the program, or the negative number of the signal that ended it.
const CLOSED_TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
output = b""
while b"listening on" not in output:
    output += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_start_without_netlink_sockets_fails_with_the_fix() {
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path().join("data"));
    let command = wrapped_by(&command, "python3", &["-c", WITHOUT_NETLINK]);
    let line = run(command, "").error_line(2);
    assert!(line.contains("AF_NETLINK"), "{line}");
}

/// Runs a program that can't create Netlink sockets, as under systemd's `RestrictAddressFamilies`.
const WITHOUT_NETLINK: &str = r#"
import ctypes, os, platform, struct, sys
socket = {"x86_64": 41, "aarch64": 198}[platform.machine()]
program = b"".join(struct.pack("HBBI", *line) for line in [
    (0x20, 0, 0, 0),             # load the number of the system call
    (0x15, 0, 3, socket),        # another system call: allow
    (0x20, 0, 0, 16),            # load the first argument
    (0x15, 0, 1, 16),            # another family than AF_NETLINK: allow
    (0x06, 0, 0, 0x00050000 | 97),
    (0x06, 0, 0, 0x7FFF0000),
])
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(program)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
filter = Program(len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;
