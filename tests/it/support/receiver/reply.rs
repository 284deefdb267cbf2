//! The replies of a [`Receiver`](super::Receiver): normal responses, and many kinds of failures.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Holds responses back until the test opens the gate. The gate can't be closed again.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().expect("lock the gate") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let guard = self.0.0.lock().expect("lock the gate");
        let _open = self.0.1.wait_while(guard, |open| !*open);
    }
}

/// The reaction of a receiver to a request: a response, a delay, or a failure.
pub enum Reply {
    /// Sends a complete response and keeps the connection open.
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Waits until the gate is open, then sends another reply.
    When(Gate, Box<Reply>),
    /// Waits this long, then sends another reply.
    Delayed(Duration, Box<Reply>),
    /// Sends these bytes, then another reply on the same connection.
    Preceded(Vec<u8>, Box<Reply>),
    /// Sends these bytes, then closes the connection.
    Bytes(Vec<u8>),
    /// Sends a head with a large `Content-Length`, then one byte of the body per interval.
    Drip(Duration),
    /// Sends a 200 with a body that never ends.
    Endless,
    /// Sends nothing until the receiver is dropped.
    Hang,
    /// Closes the connection without sending a byte.
    Close,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::body(status, "")
    }

    pub fn body(status: u16, body: &str) -> Self {
        Self::Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Response {
                status,
                mut headers,
                body,
            } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Response {
                    status,
                    headers,
                    body,
                }
            }
            other => other,
        }
    }

    /// Holds this reply back until the gate is open.
    pub fn when(self, gate: &Gate) -> Self {
        Self::When(gate.clone(), Box::new(self))
    }

    pub fn delayed(self, by: Duration) -> Self {
        Self::Delayed(by, Box::new(self))
    }

    /// Sends `bytes` first, for example an interim response.
    pub fn preceded_by(self, bytes: &str) -> Self {
        Self::Preceded(bytes.as_bytes().to_vec(), Box::new(self))
    }

    /// Sends this reply. Returns whether the connection stays open. `dropped` opens when the
    /// receiver is dropped.
    pub(super) fn send(self, stream: &mut TcpStream, dropped: &Gate) -> std::io::Result<bool> {
        match self {
            Self::Response {
                status,
                headers,
                body,
            } => {
                let mut bytes = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
                for (name, value) in headers {
                    bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                }
                let length = format!("Content-Length: {}\r\n\r\n", body.len());
                bytes.extend_from_slice(length.as_bytes());
                bytes.extend_from_slice(&body);
                stream.write_all(&bytes)?;
                Ok(true)
            }
            Self::When(gate, then) => {
                gate.wait();
                then.send(stream, dropped)
            }
            Self::Delayed(by, then) => {
                thread::sleep(by);
                then.send(stream, dropped)
            }
            Self::Preceded(bytes, then) => {
                stream.write_all(&bytes)?;
                then.send(stream, dropped)
            }
            Self::Bytes(bytes) => stream.write_all(&bytes).map(|()| false),
            Self::Drip(interval) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
                loop {
                    stream.write_all(b".")?;
                    thread::sleep(interval);
                }
            }
            Self::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
                loop {
                    stream.write_all(&[b'x'; 4096])?;
                }
            }
            Self::Hang => {
                dropped.wait();
                Ok(false)
            }
            Self::Close => Ok(false),
        }
    }
}
