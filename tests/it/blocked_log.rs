//! While nobody reads its log, Miniback still serves requests and can be stopped.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use tempfile::TempDir;

use crate::support::command::{miniback, signal};
use crate::support::raw_http::RawConnection;
use crate::support::wait::{DEADLINE, poll};

struct Server {
    child: Child,
    port: u16,
    log: BufReader<ChildStderr>,
    _data: TempDir,
}

impl Server {
    /// Starts a server that logs each request. Reads the log only until the server listens.
    fn start() -> Self {
        let data = TempDir::new().unwrap();
        let mut child = miniback(["serve", "--listen", "127.0.0.1:0", "--log-format", "text"])
            .env("MINIBACK_LOG", "debug")
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            let read = log.read_line(&mut line).expect("read the log");
            assert!(read > 0, "the server exited");
        }
        let port = line.trim_end().rsplit(':').next().unwrap();
        Self {
            port: port.parse().expect("parse the port"),
            child,
            log,
            _data: data,
        }
    }

    /// Sends requests that cause more log lines than a pipe and the program's log queue together
    /// can hold.
    fn fill_the_log(&self) {
        let mut connection = RawConnection::open_to_port(self.port);
        for _ in 0..4_000 {
            let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            assert_eq!(connection.exchange("GET", request).status(), 200);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serves_and_stops_although_nobody_reads_the_log() {
    let mut server = Server::start();
    server.fill_the_log();
    signal(server.child.id(), "TERM");
    let status = poll(DEADLINE, || server.child.try_wait().unwrap());
    assert_eq!(status.expect("the server doesn't stop").code(), Some(0));
}

#[test]
fn logs_how_many_lines_were_dropped() {
    let mut server = Server::start();
    server.fill_the_log();
    signal(server.child.id(), "TERM");
    let mut log = String::new();
    server.log.read_to_string(&mut log).unwrap();
    assert!(log.contains("log lines dropped"), "{log}");
}
