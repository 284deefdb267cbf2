//! What systemd sees: notifications, passed sockets, priorities of log lines, and signals.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{App, Log};
use crate::support::command::{self, miniback, run, wrapped_by};
use crate::support::http;
use crate::support::raw_http::RawConnection;
use crate::support::wait::{DEADLINE, wait_until};

/// A socket that receives the notifications for systemd.
struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: TempDir,
}

impl NotifySocket {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            path,
            _dir: dir,
        }
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("read the path as UTF-8")
    }

    /// Waits for a notification with this line, and returns the whole notification.
    #[track_caller]
    fn wait_for(&self, line: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("waiting for {line}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|found| found == line) {
                return text;
            }
        }
    }
}

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
    notify.socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = notify.socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert!(!text.contains("READY=1"), "{text}");
    }
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
    notify.socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = notify.socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert!(!text.contains("WATCHDOG=1"), "{text}");
    }
}

/// A server that systemd has started: with passed sockets.
struct ActivatedServer {
    child: Child,
    log: Log,
    _dir: TempDir,
}

impl ActivatedServer {
    /// Passes `first` and `second` as file descriptors 3 and 4.
    fn start(first: OwnedFd, second: OwnedFd) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = activated(first, second, &dir);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::collect(child.stderr.take().unwrap());
        Self {
            child,
            log,
            _dir: dir,
        }
    }
}

impl Drop for ActivatedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn activated(first: OwnedFd, second: OwnedFd, dir: &TempDir) -> Command {
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\" 3<&0 4<&1 0</dev/null 1>&2";
    let mut command = miniback(["serve", "--listen", "127.0.0.1:1", "--data-dir"]);
    command.arg(dir.path().join("data"));
    let mut command = wrapped_by(&command, "sh", &["-c", script]);
    command.stdin(first).stdout(second);
    command
}

#[test]
fn uses_passed_sockets_instead_of_listen() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("miniback.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let mut server = ActivatedServer::start(tcp.into(), unix.into());
    let line = server.log.wait_for_message("listening");
    assert_eq!(line["url"], format!("http://{address}"));
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for mut connection in [
        RawConnection::open_to_port(address.port()),
        RawConnection::open_to_path(&path),
    ] {
        assert_eq!(connection.exchange("GET", request).status(), 200);
    }
    command::signal(server.child.id(), "TERM");
    let status = command::wait_for_exit(&mut server.child, "the program exits");
    assert_eq!(status.code(), Some(0));
    assert!(path.exists(), "systemd's socket was removed");
}

#[test]
fn rejects_a_passed_file_that_is_not_a_listening_socket() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = File::open("/dev/null").unwrap();
    let dir = TempDir::new().unwrap();
    let mut command = activated(tcp.into(), file.into(), &dir);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::collect(child.stderr.take().unwrap());
    let status = command::wait_for_exit(&mut child, "the command exits");
    assert_eq!(status.code(), Some(2));
    log.wait_for_message("file descriptor 4, passed in LISTEN_FDS");
}

/// Runs a command whose standard error is the journal, and returns the lines.
fn journal_lines(mut command: Command) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let file = File::create(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut child = command
        .env("JOURNAL_STREAM", stream)
        .stderr(file)
        .spawn()
        .unwrap();
    command::wait_for_exit(&mut child, "the command exits");
    let text = fs::read_to_string(&path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn lines_in_the_journal_begin_with_their_priority() {
    let notify = NotifySocket::new();
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut serve = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    serve
        .arg(&data)
        .env("MINIBACK_LOG", "debug")
        .env("MINIBACK_UNKNOWN", "1")
        .env("NOTIFY_SOCKET", notify.path())
        .stdout(Stdio::null());
    // Stop the server as soon as it is ready.
    let lines = std::thread::scope(|scope| {
        let lines = scope.spawn(|| journal_lines(serve));
        notify.wait_for("READY=1");
        let lock = fs::read_to_string(data.join("miniback.lock")).unwrap();
        let pid = lock.split_whitespace().nth(1).unwrap();
        command::signal(pid.parse().unwrap(), "TERM");
        lines.join().unwrap()
    });
    let mut priorities = std::collections::BTreeSet::new();
    for line in &lines {
        let (priority, json) = line.split_at(3);
        let json: Value = serde_json::from_str(json).expect(line);
        let expected = match json["level"].as_str() {
            Some("ERROR") => "<3>",
            Some("WARN") => "<4>",
            Some("INFO") => "<6>",
            _ => "<7>",
        };
        assert_eq!(priority, expected, "{line}");
        priorities.insert(expected);
    }
    assert!(
        priorities.contains("<4>") && priorities.contains("<6>"),
        "{lines:#?}"
    );
}

#[test]
fn refusals_in_the_journal_have_the_priority_of_errors() {
    let lines = journal_lines(miniback(["serve", "--listen", "8080"]));
    let [line] = &lines[..] else {
        panic!("expected one line: {lines:?}")
    };
    let json: Value = serde_json::from_str(line.strip_prefix("<3>").expect(line)).unwrap();
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("--listen"), "{line}");
    let dir = TempDir::new().unwrap();
    let mut list = miniback(["user", "list", "--data-dir"]);
    list.arg(dir.path()).env("MINIBACK_UNKNOWN", "1");
    let lines = journal_lines(list);
    assert!(lines[0].starts_with("<4>miniback: warning: "), "{lines:?}");
    assert!(
        lines[1].starts_with("<3>miniback: --data-dir: "),
        "{lines:?}"
    );
}

#[test]
fn lines_outside_the_journal_have_no_priority() {
    let mut command = miniback(["serve", "--listen", "8080", "--log-format", "text"]);
    command.env("JOURNAL_STREAM", "1:1");
    let line = run(command, "").error_line(2);
    assert!(line.starts_with("miniback: "), "{line}");
}

#[test]
fn refusals_have_the_format_of_the_log() {
    for (args, is_json) in [
        (&["--listen", "8080"][..], true),
        (&["--listen", "8080", "--log-format", "json"], true),
        (&["--listen", "8080", "--log-format=text"], false),
        (&["--data-dir", "/dev/null"], true),
        (&["--data-dir", "/dev/null", "--log-format", "text"], false),
    ] {
        let stderr = run(miniback(["serve"].iter().chain(args)), "").stderr;
        let message = if is_json {
            let json: Value = serde_json::from_str(&stderr).expect(&stderr);
            assert_eq!(json["level"], "ERROR", "{stderr}");
            json["message"].as_str().unwrap_or_default().to_owned()
        } else {
            assert!(stderr.starts_with("miniback: "), "{stderr}");
            stderr
        };
        assert!(message.contains(args[0]), "{message}");
    }
    let mut command = miniback(["serve", "--listen", "8080"]);
    command.env("MINIBACK_LOG_FORMAT", "text");
    let stderr = run(command, "").stderr;
    assert!(stderr.starts_with("miniback: "), "{stderr}");
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
