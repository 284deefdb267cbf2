//! A client that sends the exact bytes of a request and reads responses strictly according to RFC
//! 9112.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::app::App;

/// The time limit for a single read or write.
const IO_TIMEOUT: Duration = Duration::from_secs(60);

pub struct RawConnection {
    reader: BufReader<Box<dyn ByteStream>>,
}

trait ByteStream: Read + Write + Send {}

impl<S: Read + Write + Send> ByteStream for S {}

/// A response. `head` contains the status line and the headers, in lowercase.
#[derive(Debug)]
pub struct RawResponse {
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl RawResponse {
    pub fn status(&self) -> u16 {
        let status = self.head[0].split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.iter().find_map(|line| line.strip_prefix(&prefix))
    }

    /// Returns whether the server must close the connection after this response: the response
    /// contains `Connection: close`, or has version HTTP/1.0 without a `Connection` header.
    pub fn announces_close(&self) -> bool {
        match self.header("connection") {
            Some(value) => value == "close",
            None => self.head[0].starts_with("http/1.0"),
        }
    }
}

impl RawConnection {
    #[track_caller]
    pub fn open(app: &App) -> Self {
        Self::open_to_port(app.port())
    }

    #[track_caller]
    pub fn open_to_port(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
        Self {
            reader: BufReader::new(Box::new(stream)),
        }
    }

    /// Connects to a Unix socket.
    #[track_caller]
    pub fn open_to_path(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("connect");
        stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
        Self {
            reader: BufReader::new(Box::new(stream)),
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the head of a response.
    #[track_caller]
    pub fn read_head(&mut self) -> RawResponse {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line).expect("read a head");
            assert!(read > 0, "the connection ended in a head: {head:?}");
            match line
                .strip_suffix("\r\n")
                .expect("find CRLF at the end of a line")
            {
                "" => break,
                line => head.push(line.to_lowercase()),
            }
        }
        let body = Vec::new();
        RawResponse { head, body }
    }

    /// Reads the response to a request with this method.
    #[track_caller]
    pub fn read_response(&mut self, method: &str) -> RawResponse {
        let mut response = self.read_head();
        let length = response.header("content-length").map(str::to_owned);
        let chunked = response.header("transfer-encoding") == Some("chunked");
        assert!(!(chunked && length.is_some()), "two framings: {response:?}");
        if method == "HEAD" || matches!(response.status(), 100 | 204 | 304) {
            assert!(!chunked || method == "HEAD", "{response:?}");
        } else if chunked {
            response.body = self.read_chunks();
        } else if let Some(length) = length {
            response.body = self.read_exactly(length.parse().expect("parse the length"));
        } else {
            assert!(
                response.announces_close(),
                "the body has no end: {response:?}"
            );
            self.reader.read_to_end(&mut response.body).unwrap();
        }
        response
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, method: &str, request: &str) -> RawResponse {
        self.send(request);
        self.read_response(method)
    }

    fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).expect("read a body");
        bytes
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.reader.read_line(&mut size).expect("read a chunk size");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("parse a chunk size");
            body.extend(self.read_exactly(size));
            assert_eq!(self.read_exactly(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// Reads one byte. Returns `None` if the server has closed the connection, or after an error.
    pub fn read_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        matches!(self.reader.read(&mut byte), Ok(1)).then_some(byte[0])
    }

    /// Reads until the server closes the connection. Returns all bytes, and an error if the server
    /// resets the connection.
    pub fn read_to_end(&mut self) -> (Vec<u8>, std::io::Result<usize>) {
        let mut bytes = Vec::new();
        let result = self.reader.read_to_end(&mut bytes);
        (bytes, result)
    }

    /// Reads and discards all bytes until the server closes the connection, and returns the
    /// duration.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Duration {
        let started = Instant::now();
        match std::io::copy(&mut self.reader, &mut std::io::sink()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
            _ => started.elapsed(),
        }
    }
}
