//! A minimal reverse proxy: it forwards or strips a path prefix and sets the usual headers, unless
//! it is misconfigured.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether the proxy forwards or strips the path prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Forwarded,
    Stripped,
}

/// What the proxy does with `X-Forwarded-For`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ForwardedFor {
    /// Adds a header with the client's IP address.
    Added,
    /// Passes on the client's header.
    PassedOn,
    /// Removes the client's header.
    Removed,
    /// Replaces the client's header with this value.
    ReplacedBy(&'static str),
}

/// A proxy that listens before the program starts, so that the proxy's URL can be the program's
/// `--base-url`.
pub struct Proxy {
    listener: Arc<TcpListener>,
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    pub fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port on loopback");
        let address = listener.local_addr();
        let port = address.expect("read the proxy's socket address").port();
        Self {
            listener: Arc::new(listener),
            port,
            stopped: Arc::default(),
        }
    }

    /// Returns the proxy's scheme, host, and port.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Forwards requests under `path` to a port on loopback. Responds to other requests with 404.
    pub fn forward(&self, path: &'static str, to: u16, prefix: Prefix) {
        self.forward_with(path, to, prefix, ForwardedFor::Added);
    }

    /// Like [`forward`](Self::forward), for a proxy that can be misconfigured.
    pub fn forward_with(
        &self,
        path: &'static str,
        to: u16,
        prefix: Prefix,
        forwarded_for: ForwardedFor,
    ) {
        let listener = Arc::clone(&self.listener);
        let stopped = Arc::clone(&self.stopped);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    thread::spawn(move || {
                        forward_request(stream, path, to, (prefix, forwarded_for))
                    });
                }
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Forwards the only request of a connection: rewrites its head and copies the rest. Responds with
/// 404 if the target isn't under `path`.
fn forward_request(
    mut from: TcpStream,
    path: &str,
    to: u16,
    (prefix, forwarded_for): (Prefix, ForwardedFor),
) -> Option<()> {
    let head = read_head(&mut from)?;
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next()?.splitn(3, ' ');
    let (method, target) = (request_line.next()?, request_line.next()?);
    let rest = target.strip_prefix(path);
    let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) else {
        let body = "the path isn't under the prefix";
        let length = body.len();
        let response = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        return from.write_all(response.as_bytes()).ok();
    };
    let target = match prefix {
        Prefix::Forwarded => target.to_owned(),
        Prefix::Stripped if rest.starts_with('/') => rest.to_owned(),
        Prefix::Stripped => format!("/{rest}"),
    };
    let mut upstream = TcpStream::connect(("127.0.0.1", to)).ok()?;
    let mut sent = format!("{method} {target} HTTP/1.1\r\n");
    for line in lines {
        let name = line.to_ascii_lowercase();
        let is_removed = matches!(
            forwarded_for,
            ForwardedFor::Removed | ForwardedFor::ReplacedBy(_)
        );
        if name.starts_with("connection:") || is_removed && name.starts_with("x-forwarded-for:") {
            continue;
        }
        sent.push_str(line);
        sent.push_str("\r\n");
    }
    let added = match forwarded_for {
        ForwardedFor::Added => Some("127.0.0.1"),
        ForwardedFor::ReplacedBy(value) => Some(value),
        ForwardedFor::PassedOn | ForwardedFor::Removed => None,
    };
    if let Some(value) = added {
        sent.push_str(&format!("X-Forwarded-For: {value}\r\n"));
    }
    sent.push_str("X-Forwarded-Proto: http\r\n");
    sent.push_str("Connection: close\r\n\r\n");
    upstream.write_all(sent.as_bytes()).ok()?;

    let mut request_sink = upstream.try_clone().ok()?;
    let mut request_source = from.try_clone().ok()?;
    thread::spawn(move || std::io::copy(&mut request_source, &mut request_sink));
    let _ = std::io::copy(&mut upstream, &mut from);
    let _ = from.shutdown(Shutdown::Both);
    Some(())
}

fn read_head(from: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    head.truncate(head.len() - 4);
    String::from_utf8(head).ok()
}
