//! An endpoint on loopback that does exactly what a test tells it, down to the bytes, and remembers all it got.
//!
//! One thread a connection; connections are kept alive unless a reply says otherwise. Nothing here waits for luck:
//! a test that needs an answer late holds it back with a `Gate`.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::wait::DEADLINE;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// All bytes, head and body.
    pub raw: Vec<u8>,
    pub request_line: String,
    /// In the order and the case in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
    /// The connection's number, from 0, and the request's place on it, from 0.
    pub connection: usize,
    pub index: usize,
}

impl Received {
    /// The value of a header, whatever its case; panics when it is missing or there twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let all = self.all_headers(name);
        assert_eq!(all.len(), 1, "one {name}: {:#?}", self.headers);
        all[0]
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
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    /// The message of the feedback that it tells of.
    #[track_caller]
    pub fn message(&self) -> String {
        let json = self.json();
        let message = json["data"]["feedback"]["message"].as_str();
        message.expect("a feedback's message").to_owned()
    }

    pub fn path(&self) -> &str {
        self.request_line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn delivery(&self) -> &str {
        self.header("X-Miniback-Delivery")
    }
}

/// Opened by the test, once; what waits for it goes on then.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().expect("the gate is whole") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let guard = self.0.0.lock().expect("the gate is whole");
        let _open = self.0.1.wait_while(guard, |open| !*open);
    }
}

/// What to do with one request.
pub enum Reply {
    /// A whole answer; the connection stays open.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Another reply, once the gate is open.
    When(Gate, Box<Reply>),
    /// Another reply, after this long.
    Late(Duration, Box<Reply>),
    /// These bytes, then another reply on the same connection.
    First(Vec<u8>, Box<Reply>),
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// A head that promises a long body, which then comes a byte at a time and never ends.
    Drip(Duration),
    /// A 200 whose body goes on as fast as it is read.
    Endless,
    /// No answer, until the receiver is gone.
    Hang,
    /// The connection is closed without a byte.
    Close,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::body(status, "")
    }

    pub fn body(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Answer {
                status,
                mut headers,
                body,
            } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Answer {
                    status,
                    headers,
                    body,
                }
            }
            other => other,
        }
    }

    pub fn when(self, gate: &Gate) -> Self {
        Self::When(gate.clone(), Box::new(self))
    }

    pub fn late(self, after: Duration) -> Self {
        Self::Late(after, Box::new(self))
    }

    pub fn after(self, bytes: &str) -> Self {
        Self::First(bytes.as_bytes().to_vec(), Box::new(self))
    }
}

type Script = Box<dyn FnMut(&Received) -> Reply + Send>;

struct Shared {
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    script: Mutex<Script>,
    /// Every connection, to be shut when the receiver goes; `None` once it is gone.
    connections: Mutex<Option<Vec<TcpStream>>>,
    gone: Gate,
}

pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Answers every request with an empty 200.
    pub fn ok() -> Self {
        Self::script(|_| Reply::status(200))
    }

    /// Answers every request with this status.
    pub fn status(status: u16) -> Self {
        Self::script(move |_| Reply::status(status))
    }

    /// Answers with these, in order, and then with empty 200s.
    pub fn queue(replies: Vec<Reply>) -> Self {
        let mut replies = VecDeque::from(replies);
        Self::script(move |_| replies.pop_front().unwrap_or_else(|| Reply::status(200)))
    }

    pub fn script(script: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Condvar::new(),
            script: Mutex::new(Box::new(script)),
            connections: Mutex::new(Some(Vec::new())),
            gone: Gate::new(),
        });
        let address = listener.local_addr().expect("the listener has an address");
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Where it listens, with a path: `url("/hook")`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves otherwise from the next request on.
    pub fn set_script(&self, script: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.shared.script.lock().expect("the script is whole") = Box::new(script);
    }

    pub fn received(&self) -> Vec<Received> {
        let received = self.shared.received.lock();
        received.expect("the list is whole").clone()
    }

    /// Waits until at least `count` requests have come, and returns all that have.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let received = self.shared.received.lock().expect("the list is whole");
        let (received, _) = self
            .shared
            .arrived
            .wait_timeout_while(received, DEADLINE, |received| received.len() < count)
            .expect("the list is whole");
        let got = received.clone();
        drop(received);
        assert!(
            got.len() >= count,
            "waited {DEADLINE:?} for {count} requests, got {}: {:#?}",
            got.len(),
            got.iter().map(|r| &r.request_line).collect::<Vec<_>>()
        );
        got
    }

    /// The first request, once it has come.
    #[track_caller]
    pub fn first(&self) -> Received {
        self.wait_for(1).remove(0)
    }

    /// Ends all connections that are open now; new ones are taken.
    pub fn close_connections(&self) {
        let mut open = self.shared.connections.lock().expect("the list is whole");
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
        self.shared.gone.open();
        // The listening thread looks up once more, and sees that nobody wants it.
        let _ = TcpStream::connect(self.address);
    }
}

/// An address on loopback where nothing listens.
pub fn refused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("the listener has an address")
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        {
            let mut open = shared.connections.lock().expect("the list is whole");
            let Some(open) = open.as_mut() else { return };
            let Ok(other_end) = stream.try_clone() else {
                continue;
            };
            open.push(other_end);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(stream, number, &shared));
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut reading = BufReader::new(reading);
    for index in 0.. {
        let Some(received) = read_request(&mut reading, connection, index) else {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        };
        // The script is asked before the request is in the list, so a test that sees it knows that it was asked.
        let reply = (shared.script.lock().expect("the script is whole"))(&received);
        let mut list = shared.received.lock().expect("the list is whole");
        list.push(received);
        drop(list);
        shared.arrived.notify_all();
        let keep = answer(&mut stream, reply, shared);
        if !matches!(keep, Ok(true)) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Does what the reply says; true where the connection stays open.
fn answer(stream: &mut TcpStream, reply: Reply, shared: &Shared) -> std::io::Result<bool> {
    match reply {
        Reply::Answer {
            status,
            headers,
            body,
        } => {
            let mut bytes = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
            for (name, value) in headers {
                bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
            stream.write_all(&bytes)?;
            Ok(true)
        }
        Reply::When(gate, then) => {
            gate.wait();
            answer(stream, *then, shared)
        }
        Reply::Late(after, then) => {
            thread::sleep(after);
            answer(stream, *then, shared)
        }
        Reply::First(bytes, then) => {
            stream.write_all(&bytes)?;
            answer(stream, *then, shared)
        }
        Reply::Bytes(bytes) => stream.write_all(&bytes).map(|()| false),
        Reply::Drip(every) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b".")?;
                thread::sleep(every);
            }
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Reply::Hang => {
            shared.gone.wait();
            Ok(false)
        }
        Reply::Close => Ok(false),
    }
}

/// Reads one request with a `Content-Length` (or none, and no body).
fn read_request(
    stream: &mut BufReader<TcpStream>,
    connection: usize,
    index: usize,
) -> Option<Received> {
    let mut raw = Vec::new();
    let head_end = loop {
        if raw.ends_with(b"\r\n\r\n") {
            break raw.len();
        }
        // A TLS handshake: real servers of plain HTTP answer it with an error, and do not wait for the end of a head.
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
    Some(Received {
        raw,
        request_line,
        headers,
        body,
        at,
        connection,
        index,
    })
}
