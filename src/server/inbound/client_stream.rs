//! A client's connection, with a deadline for every phase.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection_state::{ConnectionState, EndAction};
use super::socket::ClientSocket;
use super::{LINGER_TIMEOUT, UNREAD_BODY_MAX_BYTES};

/// The response to a head that doesn't arrive in time.
const REQUEST_TIMEOUT_RESPONSE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub struct ClientStream {
    socket: ClientSocket,
    state: Rc<ConnectionState>,
    timer: Pin<Box<Sleep>>,
    linger: Option<LingerLimits>,
}

/// The limits for discarding bytes that the client sends after the response. Closing the connection
/// immediately could prevent the response from arriving.
struct LingerLimits {
    until: Instant,
    left: usize,
}

impl ClientStream {
    pub(super) fn new(socket: ClientSocket, state: Rc<ConnectionState>) -> Self {
        Self {
            socket,
            state,
            timer: Box::pin(sleep_until(Instant::now())),
            linger: None,
        }
    }

    pub fn connection_state(&self) -> &Rc<ConnectionState> {
        &self.state
    }

    /// Returns whether `time` has passed. If not, wakes the task at `time`.
    fn poll_timer(&mut self, time: Instant, context: &mut Context<'_>) -> bool {
        if time <= Instant::now() {
            return true;
        }
        // If the timer fires before `time`, the loop extends the timer. Therefore, most requests
        // don't reset the timer.
        if self.timer.deadline() > time {
            self.timer.as_mut().reset(time);
        }
        while self.timer.as_mut().poll(context).is_ready() {
            if time <= Instant::now() {
                return true;
            }
            self.timer.as_mut().reset(time);
        }
        false
    }

    /// Returns the action that must end the connection, if the deadline has passed.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Option<EndAction> {
        let (deadline, end) = self.state.deadline()?;
        self.poll_timer(deadline, context).then_some(end)
    }

    /// Makes the kernel reset the connection when the stream is closed, without sending the
    /// remaining bytes. A Unix socket can't be reset: its client reads the bytes that the kernel
    /// has accepted, and then the end of the stream.
    fn reset_on_close(&self) {
        let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    fn reset_with_timeout_error(&self) -> io::Error {
        self.reset_on_close();
        io::ErrorKind::TimedOut.into()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.state.set_waker(context.waker());
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.state.record_read();
        }
        match self.poll_deadline(context) {
            None => read,
            Some(EndAction::Reset) => Poll::Ready(Err(self.reset_with_timeout_error())),
            // Return bytes that have just arrived, instead of closing the connection.
            Some(EndAction::Close) if buffer.filled().len() > before => read,
            Some(EndAction::Close) => {
                if self.state.has_only_partial_head() {
                    let _ = self.socket.try_write(REQUEST_TIMEOUT_RESPONSE);
                    self.state.record_write();
                }
                // Report the end of the stream, so that actix closes the connection.
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match self.with_connection_close_header(bytes) {
            Some(response) => self.poll_write_response(context, &response, bytes.len()),
            None => Pin::new(&mut self.socket).poll_write(context, bytes),
        };
        if written.is_ready() {
            self.state.record_write();
            return written;
        }
        self.state.record_blocked_write();
        match self.poll_deadline(context) {
            Some(EndAction::Reset) => Poll::Ready(Err(self.reset_with_timeout_error())),
            _ => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            self.linger = Some(LingerLimits {
                until: Instant::now() + LINGER_TIMEOUT,
                left: UNREAD_BODY_MAX_BYTES,
            });
        }
        if !self.state.should_linger() {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(context).map(Ok)
    }
}

impl ClientStream {
    /// Adds `Connection: close` to actix's response to a malformed head, because actix adds this
    /// header only for the first request of a connection. Returns `None` for other bytes, and for a
    /// response that already has the header.
    fn with_connection_close_header(&self, response: &[u8]) -> Option<Vec<u8>> {
        const CLIENT_ERROR_STATUS_PREFIX: &[u8] = b"HTTP/1.1 4";
        if !self.state.has_only_partial_head() || !response.starts_with(CLIENT_ERROR_STATUS_PREFIX)
        {
            return None;
        }
        let line_end = response.windows(2).position(|bytes| bytes == b"\r\n")? + 2;
        let (status, headers) = response.split_at(line_end);
        let has_field = headers.windows(11).any(|bytes| bytes == b"connection:");
        (!has_field).then(|| [status, b"connection: close\r\n", headers].concat())
    }

    /// Writes a short response with a single call. Returns `length`, the length of the original
    /// response, as the number of written bytes. Resets the connection if only part of the response
    /// can be written.
    fn poll_write_response(
        &mut self,
        context: &mut Context<'_>,
        response: &[u8],
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.socket).poll_write(context, response)) {
            Ok(written) if written < response.len() => {
                Poll::Ready(Err(self.reset_with_timeout_error()))
            }
            written => Poll::Ready(written.map(|_| length)),
        }
    }

    /// Waits until the client closes the connection, or until the deadline. Stops reading after
    /// [`UNREAD_BODY_MAX_BYTES`], so that the client must stop sending.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(LingerLimits { until, mut left }) = self.linger else {
            return Poll::Ready(());
        };
        let mut bytes = [0; 4096];
        while left > 0 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.linger = Some(LingerLimits { until, left });
        if self.poll_timer(until, context) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.state.is_response_incomplete() {
            self.reset_on_close();
        }
        self.state.close();
    }
}
