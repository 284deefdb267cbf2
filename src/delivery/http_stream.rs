//! The connection that awc uses: plain TCP or TLS, without interim responses, and with strict
//! framing (see [`response_head`](super::response_head)).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::chunked_body::{ChunkError, ChunkReader};
use super::exchange_progress::PROGRESS;
use super::response_head::{FinalHead, Framing, HeadReader};
use super::tls::FirstBytesRecorder;
use crate::domain::delivery::AttemptPhase;

/// The connection under an [`HttpStream`], with or without TLS.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<FirstBytesRecorder>>),
}

/// The connection that awc reads and writes. It drops interim responses, and rewrites heads and
/// chunks with the strict syntax that awc expects.
pub struct HttpStream {
    transport: Transport,
    /// Set from the first byte of a request to the end of its response head.
    head_reader: Option<HeadReader>,
    /// Set while a chunked body is read.
    chunk_reader: Option<ChunkReader>,
    /// Bytes that awc hasn't read yet.
    unread: Vec<u8>,
    /// The error in a chunked body. awc receives the error after the valid bytes.
    body_error: Option<ChunkError>,
    /// Bytes that arrived after a chunked body. They make awc drop the connection.
    surplus: Vec<u8>,
    /// Whether the endpoint closed the connection or responded before the whole request was sent.
    /// If so, the rest of the request is discarded, and awc doesn't reuse the connection.
    is_write_closed: bool,
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
            chunk_reader: None,
            unread: Vec::new(),
            body_error: None,
            surplus: Vec::new(),
            is_write_closed: false,
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
                return Poll::Ready(
                    reader
                        .eof_error()
                        .map_or(Ok(()), |e| Err(io::Error::other(e))),
                );
            }
            let _ = PROGRESS.try_with(|p| p.record_response_start());
            if let Some(response) = reader.push(buf.filled()).map_err(io::Error::other)? {
                self.head_reader = None;
                self.on_final_head(response);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn on_final_head(&mut self, response: FinalHead) {
        let FinalHead { mut head, rest } = response;
        head.keep_alive &= !self.is_write_closed;
        self.unread = head.for_awc();
        let _ = PROGRESS.try_with(|p| {
            p.end_phase();
            p.set_response_headers(head.headers);
        });
        self.chunk_reader = match head.framing {
            Framing::Chunked => Some(ChunkReader::default()),
            Framing::Empty | Framing::Length(_) | Framing::UntilClose => None,
        };
        self.push_body(&rest);
    }

    fn push_body(&mut self, bytes: &[u8]) {
        let Some(reader) = &mut self.chunk_reader else {
            self.unread.extend_from_slice(bytes);
            return;
        };
        match reader.decode(bytes, &mut self.unread) {
            Ok(used) if reader.is_done() => {
                self.chunk_reader = None;
                self.surplus = bytes[used..].to_vec();
            }
            Ok(_) => {}
            Err(error) => {
                self.chunk_reader = None;
                self.body_error = Some(error);
            }
        }
    }

    /// Reads a chunked body until there are bytes for awc. Returns immediately for other bodies.
    fn poll_chunks(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && self.chunk_reader.is_some() {
            let mut space = [0; 8192];
            let mut buf = ReadBuf::new(&mut space);
            ready!(self.poll_read_transport(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.push_body(buf.filled());
        }
        match self.body_error {
            Some(error) if self.unread.is_empty() => Poll::Ready(Err(io::Error::other(error))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_transport(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    /// Checks for a response that arrived before the whole request was written. Fails if the
    /// connection was closed without a response.
    fn poll_early_response(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        if self.head_reader.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
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
            // awc starts to read only after it has written the whole request.
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
        ready!(self.poll_chunks(cx))?;
        let this = &mut *self;
        let source = match (this.unread.is_empty(), this.surplus.is_empty()) {
            (false, _) => &mut this.unread,
            (true, false) => &mut this.surplus,
            (true, true) => return this.poll_read_transport(cx, buf),
        };
        let count = buf.remaining().min(source.len());
        buf.put_slice(&source[..count]);
        source.drain(..count);
        Poll::Ready(Ok(()))
    }
}

fn is_connection_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted
    )
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(buf.len()));
        }
        if self.head_reader.is_none() {
            self.head_reader = Some(HeadReader::default());
            let _ = PROGRESS.try_with(|p| p.begin_phase(AttemptPhase::Send));
        }
        match self.poll_write_transport(cx, buf) {
            // A closed connection isn't a failure yet. The response may have arrived before the
            // endpoint closed the connection.
            Poll::Ready(Err(error)) if is_connection_closed(&error) => self.is_write_closed = true,
            Poll::Pending => {
                // Set the flag before reading, because `on_final_head` uses it to make awc close
                // the connection.
                self.is_write_closed = true;
                let early = self.poll_early_response(cx);
                self.is_write_closed = early.is_ready();
                ready!(early)?;
            }
            written => return written,
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(()));
        }
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
            Transport::Tls(tls) => ActixStream::poll_read_ready(tls.get_ref().0.tcp_stream(), cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match &self.transport {
            Transport::Plain(tcp) => ActixStream::poll_write_ready(tcp, cx),
            Transport::Tls(tls) => ActixStream::poll_write_ready(tls.get_ref().0.tcp_stream(), cx),
        }
    }
}
