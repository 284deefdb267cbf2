//! A minimal implementation of HTTP/1.1 for the generator and the receiver. It uses little CPU
//! time, because both compete with the program for the CPU. It doesn't support chunked bodies.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// A reused buffer of 32 KiB for bytes that were read but not yet consumed.
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// A complete message at the start of a buffer.
pub struct Message<'a> {
    pub head: &'a [u8],
    pub body: &'a [u8],
    pub len: usize,
}

impl Buffer {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; 32 * 1024],
            filled: 0,
        }
    }

    /// Reads from the stream once. Returns `false` if the peer has closed the connection.
    pub async fn read(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        if self.filled == self.bytes.len() {
            return Err(io::Error::other("the message is too long"));
        }
        // Use `poll_read` instead of `try_read`: after a short read, tokio then knows that the
        // socket is empty. This saves another read.
        let mut space = ReadBuf::new(&mut self.bytes[self.filled..]);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut space)).await?;
        let read = space.filled().len();
        self.filled += read;
        Ok(read > 0)
    }

    /// Returns the first message if all its bytes were read. Without `Content-Length`, its body is
    /// empty.
    pub fn message(&self) -> Option<Message<'_>> {
        let bytes = &self.bytes[..self.filled];
        let head_len = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = &bytes[..head_len];
        let body_len = header_value(head, b"content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
            .unwrap_or(0);
        let body = bytes.get(head_len..head_len + body_len)?;
        Some(Message {
            head,
            body,
            len: head_len + body_len,
        })
    }

    /// Removes the first `len` bytes.
    pub fn consume(&mut self, len: usize) {
        self.bytes.copy_within(len..self.filled, 0);
        self.filled -= len;
    }
}

/// Returns the value of a header. The name isn't case-sensitive.
pub fn header_value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Returns the `len` bytes after the first occurrence of `prefix`.
pub fn bytes_after_prefix<'a>(bytes: &'a [u8], prefix: &[u8], len: usize) -> Option<&'a [u8]> {
    let at = bytes
        .windows(prefix.len())
        .position(|part| part == prefix)?
        + prefix.len();
    bytes.get(at..at + len)
}

pub async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
