//! The connections that lettre reads and writes.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The greeting that lettre reads after STARTTLS. The mail server sends no second greeting.
const GREETING_AFTER_STARTTLS: &[u8] = b"220 TLS\r\n";
/// The maximum number of bytes read at once.
const READ_MAX_BYTES: usize = 4096;
/// The length of a reply code.
const CODE_LEN: usize = 3;

/// A connection before STARTTLS. Another handle can take the connection back, to start TLS.
#[derive(Clone)]
pub(super) struct PlainStream(Arc<Mutex<Option<TcpStream>>>);

impl PlainStream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Some(tcp))))
    }

    pub(super) fn take(&self) -> Option<TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut tcp = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *tcp {
            Some(tcp) => poll(Pin::new(tcp)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|tcp| tcp.poll_read(cx, buf))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|tcp| tcp.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tcp| tcp.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tcp| tcp.poll_shutdown(cx))
    }
}

/// A connection whose replies have the form that lettre requires (see [`ReplyNormalizer`]).
pub(super) struct SmtpStream<S> {
    inner: S,
    /// Set when something is sent.
    has_sent: Arc<AtomicBool>,
    replies: ReplyNormalizer,
}

impl<S> SmtpStream<S> {
    /// Wraps a connection on which the mail server sends its greeting.
    pub(super) fn new(inner: S, has_sent: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            has_sent,
            replies: ReplyNormalizer::default(),
        }
    }

    /// Wraps a connection on which TLS has started after STARTTLS.
    pub(super) fn after_starttls(inner: S, has_sent: Arc<AtomicBool>) -> Self {
        let mut stream = Self::new(inner, has_sent);
        stream.replies.push(GREETING_AFTER_STARTTLS);
        stream
    }
}

impl<S> fmt::Debug for SmtpStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpStream")
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SmtpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.replies.ready.is_empty() {
            let mut bytes = [0; READ_MAX_BYTES];
            let mut received = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut received))?;
            self.replies.push(received.filled());
        }
        self.replies.read(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SmtpStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_sent.store(true, Ordering::Relaxed);
        self.replies.is_ehlo = bytes.starts_with(b"EHLO ");
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for SmtpStream<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        // lettre never asks for the IP address.
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Converts replies that RFC 5321 allows, but lettre doesn't accept:
///
/// - A code without a space and text (section 4.2) gets a space. In a positive reply to `EHLO`, it
///   also gets a text.
/// - The keywords in a positive reply to `EHLO` become upper case (section 2.4).
#[derive(Default)]
struct ReplyNormalizer {
    /// The converted bytes that lettre hasn't read.
    ready: VecDeque<u8>,
    /// The number of bytes of the current line.
    column: usize,
    /// Whether the last command is `EHLO`.
    is_ehlo: bool,
    /// Whether the current line belongs to a positive reply to `EHLO`.
    is_ehlo_ok: bool,
}

impl ReplyNormalizer {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let is_end = matches!(byte, b'\r' | b'\n');
            if self.column == 0 {
                self.is_ehlo_ok = self.is_ehlo && byte == b'2';
            }
            if is_end && self.column == CODE_LEN {
                self.ready.push_back(b' ');
                self.column += 1;
            }
            if is_end && self.is_ehlo_ok && self.column == CODE_LEN + 1 {
                self.ready.extend(b"UNKNOWN");
            }
            self.ready.push_back(match self.is_ehlo_ok {
                true => byte.to_ascii_uppercase(),
                false => byte,
            });
            self.column = if is_end { 0 } else { self.column + 1 };
        }
    }

    fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let (ready, _) = self.ready.as_slices();
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        self.ready.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the normalized form of `replies`, which arrive in pieces of `size` bytes.
    fn normalize(replies: &str, size: usize, is_ehlo: bool) -> String {
        let mut normalizer = ReplyNormalizer {
            is_ehlo,
            ..ReplyNormalizer::default()
        };
        let mut bytes = vec![];
        for piece in replies.as_bytes().chunks(size) {
            normalizer.push(piece);
            while !normalizer.ready.is_empty() {
                let mut buf = [0; 5];
                let mut buf = ReadBuf::new(&mut buf);
                normalizer.read(&mut buf);
                bytes.extend_from_slice(buf.filled());
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn adds_a_space_after_a_code_without_text() {
        for (replies, expected) in [
            ("250\r\n", "250 \r\n"),
            ("250-a\r\n250\r\n354\r\n", "250-a\r\n250 \r\n354 \r\n"),
            ("250 ok\r\n", "250 ok\r\n"),
            ("250 \r\n250-\r\n", "250 \r\n250-\r\n"),
            ("25\r\n\r\n2500\r\n", "25\r\n\r\n2500\r\n"),
        ] {
            for size in 1..=replies.len() {
                assert_eq!(normalize(replies, size, false), expected, "{replies:?}");
            }
        }
    }

    #[test]
    fn adds_a_text_and_ignores_case_after_ehlo() {
        for (replies, expected) in [
            ("250\r\n", "250 UNKNOWN\r\n"),
            ("250 \r\n", "250 UNKNOWN\r\n"),
            ("550\r\n", "550 \r\n"),
            ("550 No\r\n", "550 No\r\n"),
            ("250-a\r\n250 auth Plain\r\n", "250-A\r\n250 AUTH PLAIN\r\n"),
            (
                "250-\r\n250 AUTH PLAIN\r\n",
                "250-UNKNOWN\r\n250 AUTH PLAIN\r\n",
            ),
        ] {
            for size in 1..=replies.len() {
                assert_eq!(normalize(replies, size, true), expected, "{replies:?}");
            }
        }
    }
}
