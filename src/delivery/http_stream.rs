//! The connection that awc uses: plain TCP or TLS, without interim responses (see
//! [`response_head`](super::response_head)).
//!
//! It reports to the current exchange through [`PROGRESS`], because awc reports neither whether a
//! connection was reused nor whether any byte of a response arrived.

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
use crate::domain::delivery::{AttemptPhase, AttemptTimings};

tokio::task_local! {
    /// The current exchange of this task.
    pub static PROGRESS: Rc<ExchangeProgress>;
}

/// The state of one exchange (a request and its response), as reported by the connection.
#[derive(Debug)]
pub struct ExchangeProgress {
    deadline: Instant,
    is_new: Cell<bool>,
    response_started: Cell<bool>,
    /// The current phase and its start.
    phase: Cell<Option<(AttemptPhase, Instant)>>,
    timings: Cell<AttemptTimings>,
    headers: RefCell<Vec<(String, String)>>,
}

impl ExchangeProgress {
    pub fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            is_new: Cell::default(),
            response_started: Cell::default(),
            phase: Cell::default(),
            timings: Cell::default(),
            headers: RefCell::default(),
        }
    }

    /// Whether the connection served an earlier exchange.
    pub fn is_reused(&self) -> bool {
        !self.is_new.get()
    }

    /// Whether any byte of a response arrived, including an interim response.
    pub fn response_started(&self) -> bool {
        self.response_started.get()
    }

    pub fn timings(&self) -> AttemptTimings {
        self.timings.get()
    }

    /// Takes the headers of the final head, in their original order and case.
    pub fn take_headers(&self) -> Vec<(String, String)> {
        self.headers.take()
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Records that this exchange opens a new connection.
    pub fn start_connection(&self) {
        self.is_new.set(true);
    }

    /// Ends the current phase and begins the next one.
    pub fn begin_phase(&self, phase: AttemptPhase) {
        self.end_phase();
        self.phase.set(Some((phase, Instant::now())));
    }

    /// Ends the current phase, records its duration, and returns it.
    pub fn end_phase(&self) -> Option<AttemptPhase> {
        let (phase, started) = self.phase.take()?;
        let mut timings = self.timings.get();
        let duration = match phase {
            AttemptPhase::Lookup => &mut timings.dns,
            AttemptPhase::Connect => &mut timings.connect,
            AttemptPhase::Tls => &mut timings.tls,
            AttemptPhase::Send | AttemptPhase::Wait => &mut timings.waiting,
        };
        *duration = Some(duration.unwrap_or_default() + started.elapsed());
        self.timings.set(timings);
        Some(phase)
    }

    fn is_in_phase(&self, phase: AttemptPhase) -> bool {
        self.phase
            .get()
            .is_some_and(|(current, _)| current == phase)
    }
}

/// The underlying connection.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection as awc sees it: without interim responses.
pub struct HttpStream {
    transport: Transport,
    /// Set from the first byte of a request to the end of its response head.
    head_reader: Option<HeadReader>,
    /// Received bytes that awc hasn't read yet.
    unread: Vec<u8>,
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
            head_reader: None,
            unread: Vec::new(),
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

    /// Reads until the final head is complete or the peer closes the connection.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.head_reader.is_some() {
            let mut space = [0; 8192];
            let mut buf = ReadBuf::new(&mut space);
            ready!(self.poll_read_transport(cx, &mut buf))?;
            let Some(reader) = &mut self.head_reader else {
                break;
            };
            if buf.filled().is_empty() {
                return Poll::Ready(reader.on_eof().map_or(Ok(()), |e| Err(io::Error::other(e))));
            }
            let _ = PROGRESS.try_with(|p| p.response_started.set(true));
            if let Some(head) = reader.push(buf.filled()).map_err(io::Error::other)? {
                let _ = PROGRESS.try_with(|p| {
                    p.end_phase();
                    p.headers.replace(head.headers);
                });
                self.unread = head.bytes;
                self.head_reader = None;
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
        if self.head_reader.is_some() {
            // awc reads no response before it has written the whole request.
            let _ = PROGRESS.try_with(|p| {
                if p.is_in_phase(AttemptPhase::Send) {
                    p.begin_phase(AttemptPhase::Wait);
                }
            });
            ready!(self.poll_head(cx))?;
            if self.head_reader.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        if self.unread.is_empty() {
            return self.poll_read_transport(cx, buf);
        }
        let count = buf.remaining().min(self.unread.len());
        buf.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.head_reader.is_none() {
            self.head_reader = Some(HeadReader::default());
            let _ = PROGRESS.try_with(|p| p.begin_phase(AttemptPhase::Send));
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
