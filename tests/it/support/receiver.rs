//! An endpoint on loopback that records every request and responds with the replies of a test's
//! script.
//!
//! The endpoint runs one thread per connection and keeps connections open unless a reply closes
//! them. To hold a response back, most tests use a [`Gate`], so they don't depend on timing.
//!
//! The endpoint checks each delivery against the schema and the headers of its event. A test with
//! a delivery that breaks the contract fails.

mod event_contract;
mod reply;

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

pub use event_contract::{find_violation, is_valid_body};
pub use reply::{Gate, Reply};

use super::wait::DEADLINE;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// All bytes of the head and the body.
    pub raw: Vec<u8>,
    pub request_line: String,
    /// The headers in their original order and case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The time at which the head was complete.
    pub at: Instant,
    /// The number of the connection, counted from 0.
    pub connection: usize,
    /// The number of the request on its connection, counted from 0.
    pub index: usize,
}

impl ReceivedRequest {
    /// Returns the value of a header. Names are case-insensitive. Panics unless the header
    /// occurs exactly once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let values = self.all_headers(name);
        assert_eq!(
            values.len(),
            1,
            "expected one {name} header in {:#?}",
            self.headers
        );
        values[0]
    }

    pub fn all_headers(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("parse the request body as JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("read the request body as UTF-8")
    }

    /// Returns the message of the feedback in the payload.
    #[track_caller]
    pub fn message(&self) -> String {
        let json = self.json();
        let message = json["data"]["feedback"]["message"].as_str();
        message.expect("find a feedback message").to_owned()
    }

    pub fn path(&self) -> &str {
        self.request_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Returns the delivery id.
    pub fn delivery(&self) -> &str {
        self.header("X-Miniback-Delivery")
    }
}

type Script = Box<dyn FnMut(&ReceivedRequest) -> Reply + Send>;

struct Shared {
    received: Mutex<Vec<ReceivedRequest>>,
    arrived: Condvar,
    script: Mutex<Script>,
    /// Descriptions of the deliveries that broke the contract.
    violations: Mutex<Vec<String>>,
    /// All connections, so that they can be closed. `None` when the receiver has been dropped.
    connections: Mutex<Option<Vec<TcpStream>>>,
    dropped: Gate,
}

pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts a receiver that responds to every request with an empty 200.
    pub fn ok() -> Self {
        Self::script(|_| Reply::status(200))
    }

    /// Starts a receiver that responds to every request with this status.
    pub fn status(status: u16) -> Self {
        Self::script(move |_| Reply::status(status))
    }

    /// Starts a receiver that sends these replies in order, then empty 200s.
    pub fn queue(replies: Vec<Reply>) -> Self {
        let mut replies = VecDeque::from(replies);
        Self::script(move |_| replies.pop_front().unwrap_or_else(|| Reply::status(200)))
    }

    /// Starts a receiver that calls `script` for each request and sends the reply that `script`
    /// returns.
    pub fn script(script: impl FnMut(&ReceivedRequest) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port on loopback");
        Self::on_listener(listener, script)
    }

    /// Starts a receiver on a listener that the caller has bound.
    pub fn on_listener(
        listener: TcpListener,
        script: impl FnMut(&ReceivedRequest) -> Reply + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Condvar::new(),
            script: Mutex::new(Box::new(script)),
            violations: Mutex::default(),
            connections: Mutex::new(Some(Vec::new())),
            dropped: Gate::new(),
        });
        let address = listener
            .local_addr()
            .expect("read the listener's socket address");
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept_connections(&listener, &accepting));
        Self { address, shared }
    }

    /// Returns the receiver's URL with this path, such as `/hook`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the script, starting with the next request.
    pub fn set_script(&self, script: impl FnMut(&ReceivedRequest) -> Reply + Send + 'static) {
        *self.shared.script.lock().expect("lock the script") = Box::new(script);
    }

    /// Returns all requests received so far.
    #[track_caller]
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.assert_no_violations();
        let received = self.shared.received.lock();
        received.expect("lock the received requests").clone()
    }

    /// Waits for at least `count` requests, and returns all requests that have arrived.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<ReceivedRequest> {
        let received = self.shared.received.lock();
        let received = received.expect("lock the received requests");
        let (received, _) = self
            .shared
            .arrived
            .wait_timeout_while(received, DEADLINE, |received| received.len() < count)
            .expect("lock the received requests");
        let requests = received.clone();
        drop(received);
        self.assert_no_violations();
        let lines: Vec<_> = requests.iter().map(|r| &r.request_line).collect();
        assert!(
            requests.len() >= count,
            "expected {count} requests within {DEADLINE:?}, received {}: {lines:#?}",
            requests.len(),
        );
        requests
    }

    /// Waits for the first request and returns it.
    #[track_caller]
    pub fn first(&self) -> ReceivedRequest {
        self.wait_for(1).remove(0)
    }

    #[track_caller]
    fn assert_no_violations(&self) {
        let violations = self.shared.violations.lock().expect("lock the violations");
        assert!(
            violations.is_empty(),
            "deliveries broke the contract:\n{}",
            violations.join("\n")
        );
    }

    /// Closes all open connections. New connections are still accepted.
    pub fn close_connections(&self) {
        let open = self.shared.connections.lock();
        let mut open = open.expect("lock the connections");
        for connection in open.iter_mut().flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close_connections();
        if let Ok(mut open) = self.shared.connections.lock() {
            open.take();
        }
        self.shared.dropped.open();
        // Connect once, so that the accepting thread wakes up and ends.
        let _ = TcpStream::connect(self.address);
        if !thread::panicking() {
            self.assert_no_violations();
        }
    }
}

/// Returns a socket address on loopback that refuses connections, because nothing listens there.
pub fn closed_socket_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port on loopback");
    listener
        .local_addr()
        .expect("read the listener's socket address")
}

fn accept_connections(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        {
            let mut open = shared.connections.lock().expect("lock the connections");
            let Some(open) = open.as_mut() else { return };
            let Ok(clone) = stream.try_clone() else {
                continue;
            };
            open.push(clone);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve_connection(stream, number, &shared));
    }
}

fn serve_connection(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut reading = BufReader::new(reading);
    for index in 0.. {
        let Some(received) = read_request(&mut reading, connection, index) else {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        };
        // Run the script before recording the request, so that it has run when a test sees the
        // request.
        let reply = (shared.script.lock().expect("lock the script"))(&received);
        if let Some(violation) = find_violation(&received) {
            let mut violations = shared.violations.lock().expect("lock the violations");
            violations.push(violation);
        }
        let requests = shared.received.lock();
        let mut requests = requests.expect("lock the received requests");
        requests.push(received);
        drop(requests);
        shared.arrived.notify_all();
        let stays_open = reply.send(&mut stream, &shared.dropped);
        if !matches!(stays_open, Ok(true)) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Reads a request with a `Content-Length` or without a body. Returns `None` if the client closes
/// the connection first, or starts a TLS handshake.
fn read_request(
    stream: &mut BufReader<TcpStream>,
    connection: usize,
    index: usize,
) -> Option<ReceivedRequest> {
    let mut raw = Vec::new();
    let head_end = loop {
        if raw.ends_with(b"\r\n\r\n") {
            break raw.len();
        }
        // A TLS handshake starts with this byte. Like a real server, respond with an error
        // immediately instead of waiting for the end of the request head.
        if raw == [0x16] {
            let _ = stream
                .get_mut()
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            return None;
        }
        let mut byte = [0; 1];
        match stream.read(&mut byte) {
            Ok(1) => raw.push(byte[0]),
            _ => return None,
        }
    };
    let at = Instant::now();
    let head = String::from_utf8_lossy(&raw[..head_end - 4]).into_owned();
    let mut lines = head.split("\r\n");
    let request_line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    raw.extend_from_slice(&body);
    Some(ReceivedRequest {
        raw,
        request_line,
        headers,
        body,
        at,
        connection,
        index,
    })
}
