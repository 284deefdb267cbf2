//! As much of HTTP/1.1 as the generator and the receiver need: heads with a `Content-Length`, over a buffer that is
//! used again. What they cost is taken from the program's share of the machine.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// What was read and not used yet.
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// A whole message at the beginning of a buffer.
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

    /// Reads once. `false`: the peer has closed the connection.
    pub async fn read(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        if self.filled == self.bytes.len() {
            return Err(io::Error::other("a message is too long"));
        }
        // Polled rather than waited for and tried: a short read then tells tokio that there is no more, and the read
        // that would find nothing is spared.
        let mut room = ReadBuf::new(&mut self.bytes[self.filled..]);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut room)).await?;
        let read = room.filled().len();
        self.filled += read;
        Ok(read > 0)
    }

    /// The first message, if all of it is there.
    pub fn message(&self) -> Option<Message<'_>> {
        let bytes = &self.bytes[..self.filled];
        let head_len = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = &bytes[..head_len];
        let body_len = header(head, b"content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
            .unwrap_or(0);
        let body = bytes.get(head_len..head_len + body_len)?;
        Some(Message {
            head,
            body,
            len: head_len + body_len,
        })
    }

    pub fn consume(&mut self, len: usize) {
        self.bytes.copy_within(len..self.filled, 0);
        self.filled -= len;
    }
}

/// The value of a header, whose name is given in lower case.
pub fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// What follows `before`, as many bytes as asked for.
pub fn after<'a>(bytes: &'a [u8], before: &[u8], len: usize) -> Option<&'a [u8]> {
    let at = bytes
        .windows(before.len())
        .position(|part| part == before)?
        + before.len();
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
