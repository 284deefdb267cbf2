//! A reader of a stream of server-sent events, as a browser's `EventSource` is one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::app::App;
use super::pages::Visitor;

/// Longer than any event takes to come: one that waits so long waits in vain.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct Events {
    pub status: u16,
    /// The lines of the head, in lower case.
    pub head: Vec<String>,
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Asks for an absolute path with the visitor's cookies.
    #[track_caller]
    pub fn open(app: &App, visitor: &Visitor, at: &str) -> Self {
        let mut stream =
            TcpStream::connect(("127.0.0.1", app.port())).expect("the program listens");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a deadline can be set");
        let cookies: Vec<String> = visitor
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(
            stream,
            "GET {at} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\nCookie: {}\r\n\r\n",
            app.port(),
            cookies.join("; ")
        )
        .expect("the request can be sent");
        let mut events = Self {
            status: 0,
            head: Vec::new(),
            lines: BufReader::new(stream),
        };
        while let Some(line) = events.line().filter(|line| !line.is_empty()) {
            events.head.push(line.to_lowercase());
        }
        events.status = events.head[0]
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        events
    }

    /// The next line that comes, without the framing of chunks; `None` at the end of the stream.
    #[track_caller]
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self
            .lines
            .read_line(&mut line)
            .expect("something comes in time");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Name and data of the next event; `None` when the stream ends without one.
    #[track_caller]
    pub fn next(&mut self) -> Option<(String, String)> {
        let (mut name, began) = (String::new(), Instant::now());
        loop {
            let line = self.line()?;
            // Signs of life come for as long as the stream is open.
            assert!(began.elapsed() < DEADLINE, "waited in vain for an event");
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => return Some((name, value.to_owned())),
                // The last chunk: the answer is over, whether or not the connection is.
                None if line == "0" => return None,
                _ => {}
            }
        }
    }

    /// The data of the next event, which tells of a change.
    #[track_caller]
    pub fn changed(&mut self) -> String {
        let (name, data) = self.next().expect("the stream goes on");
        assert_eq!(name, "changed", "{data}");
        data
    }
}
