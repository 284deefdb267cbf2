//! The connection that awc speaks HTTP over: plain TCP or TLS, with interim answers dropped (see [`response_head`]).
//!
//! What passes by is told to the exchange that is under way, through [`PROGRESS`]: awc itself tells neither whether a
//! connection was reused nor whether any of an answer came.
//!
//! [`response_head`]: super::response_head

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::response_head::HeadReader;
use crate::domain::delivery::Timings;

tokio::task_local! {
    /// The exchange that is under way in this task.
    pub static PROGRESS: Rc<ExchangeProgress>;
}

/// What the connection tells of one exchange: a request and its answer.
#[derive(Debug)]
pub struct ExchangeProgress {
    deadline: Instant,
    fresh: Cell<bool>,
    connected: Cell<bool>,
    response_started: Cell<bool>,
    sent_at: Cell<Option<Instant>>,
    timings: Cell<Timings>,
    headers: RefCell<Vec<(String, String)>>,
}

impl ExchangeProgress {
    pub fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            fresh: Cell::default(),
            connected: Cell::default(),
            response_started: Cell::default(),
            sent_at: Cell::default(),
            timings: Cell::default(),
            headers: RefCell::default(),
        }
    }

    /// The connection had served an exchange before this one.
    pub fn is_reused(&self) -> bool {
        !self.fresh.get()
    }

    /// There was a connection, with TLS where that is spoken.
    pub fn is_connected(&self) -> bool {
        self.is_reused() || self.connected.get()
    }

    /// Any byte of an answer came, be it an interim one.
    pub fn response_started(&self) -> bool {
        self.response_started.get()
    }

    pub fn timings(&self) -> Timings {
        self.timings.get()
    }

    /// The headers of the final head, in the order and the case in which they came.
    pub fn take_headers(&self) -> Vec<(String, String)> {
        self.headers.take()
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A connection of its own is being made for this exchange.
    pub fn start_connection(&self) {
        self.fresh.set(true);
    }

    pub fn set_connected(&self) {
        self.connected.set(true);
    }

    pub fn record_timing(&self, set: impl FnOnce(&mut Timings)) {
        let mut timings = self.timings.get();
        set(&mut timings);
        self.timings.set(timings);
    }
}

/// What the bytes go through.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection, as awc reads and writes it.
pub struct HttpStream {
    transport: Transport,
    /// Some between a request's first byte and the end of its answer's head.
    head: Option<HeadReader>,
    /// Came already, and was not read yet.
    ready: Vec<u8>,
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpStream")
    }
}

impl HttpStream {
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            head: None,
            ready: Vec::new(),
        }
    }

    fn poll_read_transport(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }

    /// Reads on until the final head is complete, or the peer closes.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.head.is_some() {
            let mut space = [0; 8192];
            let mut buf = ReadBuf::new(&mut space);
            ready!(self.poll_read_transport(cx, &mut buf))?;
            let Some(head) = &mut self.head else { break };
            if buf.filled().is_empty() {
                return Poll::Ready(head.on_eof().map_or(Ok(()), |e| Err(io::Error::other(e))));
            }
            let _ = PROGRESS.try_with(|p| p.response_started.set(true));
            if let Some(head) = head.push(buf.filled()).map_err(io::Error::other)? {
                let _ = PROGRESS.try_with(|p| {
                    p.record_timing(|t| t.waiting = p.sent_at.get().map(|sent| sent.elapsed()));
                    p.headers.replace(head.headers);
                });
                self.ready = head.bytes;
                self.head = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_some() {
            ready!(self.poll_head(cx))?;
            if self.head.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        if self.ready.is_empty() {
            return self.poll_read_transport(cx, buf);
        }
        let count = buf.remaining().min(self.ready.len());
        buf.put_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // awc reads nothing of an answer before it has written all of the request.
        if self.head.is_none() {
            self.head = Some(HeadReader::default());
            let _ = PROGRESS.try_with(|p| p.sent_at.set(Some(Instant::now())));
        }
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl ActixStream for HttpStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match &self.transport {
            Transport::Plain(tcp) => ActixStream::poll_read_ready(tcp, cx),
            Transport::Tls(tls) => ActixStream::poll_read_ready(tls.get_ref().0, cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match &self.transport {
            Transport::Plain(tcp) => ActixStream::poll_write_ready(tcp, cx),
            Transport::Tls(tls) => ActixStream::poll_write_ready(tls.get_ref().0, cx),
        }
    }
}
