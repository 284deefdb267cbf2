//! The connections that lettre reads and writes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::super::tls::FirstBytesRecorder;

/// The greeting that lettre reads after STARTTLS. The mail server sends no second greeting.
const GREETING_AFTER_STARTTLS: &[u8] = b"220 TLS\r\n";

/// A connection without TLS. Another handle can take the connection back, to start TLS.
#[derive(Clone)]
pub(super) struct PlainStream {
    tcp: Arc<Mutex<Option<TcpStream>>>,
    /// Set when something is sent.
    has_sent: Arc<AtomicBool>,
}

impl PlainStream {
    pub(super) fn new(tcp: TcpStream, has_sent: Arc<AtomicBool>) -> Self {
        Self {
            tcp: Arc::new(Mutex::new(Some(tcp))),
            has_sent,
        }
    }

    pub(super) fn take(&self) -> Option<TcpStream> {
        self.tcp
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *tcp {
            Some(tcp) => poll(Pin::new(tcp)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl fmt::Debug for PlainStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainStream")
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
        self.has_sent.store(true, Ordering::Relaxed);
        self.with(|tcp| tcp.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tcp| tcp.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tcp| tcp.poll_shutdown(cx))
    }
}

impl AsyncTokioStream for PlainStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        tcp.as_ref().map_or_else(
            || Err(io::ErrorKind::NotConnected.into()),
            TcpStream::peer_addr,
        )
    }
}

/// A connection with TLS.
pub(super) struct EncryptedStream {
    tls: TlsStream<FirstBytesRecorder>,
    /// What lettre reads before the first bytes from the connection.
    greeting: &'static [u8],
    has_sent: Arc<AtomicBool>,
}

impl EncryptedStream {
    /// Wraps a connection that starts with TLS.
    pub(super) fn new(tls: TlsStream<FirstBytesRecorder>, has_sent: Arc<AtomicBool>) -> Self {
        Self {
            tls,
            greeting: &[],
            has_sent,
        }
    }

    /// Wraps a connection on which TLS has started after STARTTLS.
    pub(super) fn after_starttls(
        tls: TlsStream<FirstBytesRecorder>,
        has_sent: Arc<AtomicBool>,
    ) -> Self {
        Self {
            greeting: GREETING_AFTER_STARTTLS,
            ..Self::new(tls, has_sent)
        }
    }
}

impl fmt::Debug for EncryptedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedStream")
    }
}

impl AsyncRead for EncryptedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self
                .greeting
                .split_at(buf.remaining().min(self.greeting.len()));
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for EncryptedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_sent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for EncryptedStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tls.get_ref().0.tcp_stream().peer_addr()
    }
}
