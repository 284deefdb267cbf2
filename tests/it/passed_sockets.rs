//! Sockets that systemd passes (`LISTEN_FDS`) are used instead of `--listen`.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::app::Log;
use crate::support::command::{self, miniback, wrapped_by};
use crate::support::raw_http::RawConnection;

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
