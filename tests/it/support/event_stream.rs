//! A client for server-sent events, like a browser's `EventSource`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::app::App;
use super::pages::Visitor;

/// The time limit for one event.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct EventStream {
    pub status: u16,
    /// The lines of the response head, in lowercase.
    pub head: Vec<String>,
    lines: BufReader<TcpStream>,
}

impl EventStream {
    /// Requests an absolute path with the visitor's cookies, and reads the response head.
    #[track_caller]
    pub fn open(app: &App, visitor: &Visitor, path: &str) -> Self {
        let mut stream =
            TcpStream::connect(("127.0.0.1", app.port())).expect("connect to the program");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("set the read timeout");
        let cookies: Vec<String> = visitor
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\nCookie: {}\r\n\r\n",
            app.port(),
            cookies.join("; ")
        )
        .expect("send the request");
        let mut events = Self {
            status: 0,
            head: Vec::new(),
            lines: BufReader::new(stream),
        };
        while let Some(line) = events.read_line().filter(|line| !line.is_empty()) {
            events.head.push(line.to_lowercase());
        }
        events.status = events.head[0]
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("parse the status");
        events
    }

    /// Reads the next line. Returns `None` at the end of the stream.
    #[track_caller]
    fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self
            .lines
            .read_line(&mut line)
            .expect("read the next line before the timeout");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads the name and data of the next event. Returns `None` if the stream ends first.
    #[track_caller]
    pub fn next(&mut self) -> Option<(String, String)> {
        let (mut name, started) = (String::new(), Instant::now());
        loop {
            let line = self.read_line()?;
            // Heartbeats keep the read timeout from firing, so check the deadline here.
            assert!(
                started.elapsed() < DEADLINE,
                "timed out waiting for an event"
            );
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => return Some((name, value.to_owned())),
                // An empty chunk ends the response, even if the connection stays open.
                None if line == "0" => return None,
                _ => {}
            }
        }
    }

    /// Reads the next event, which must be `changed`, and returns its data.
    #[track_caller]
    pub fn next_change(&mut self) -> String {
        let (name, data) = self.next().expect("read another event");
        assert_eq!(name, "changed", "{data}");
        data
    }
}
