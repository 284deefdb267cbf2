//! Maps responses and transport errors to outcomes.
//!
//! In this module, `timeout` is the time limit of an attempt.

use std::io;
use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError as AwcConnectError, SendRequestError};
use tokio::time::Instant;

use super::chunked_body::ChunkError;
use super::connector::ConnectError;
use super::exchange_progress::ExchangeProgress;
use super::response_head::HeadError;
use super::tcp::TcpError;
use super::tls_errors;
use crate::domain::delivery::{AttemptPhase, EndpointResponse, Outcome, Timeout, UnreachableCause};
use crate::io_errors;

pub(super) fn from_response(response: &EndpointResponse) -> Outcome {
    match response.status {
        200..=299 => Outcome::Delivered,
        status => Outcome::Status {
            status,
            location: header_value(&response.headers, "location")
                .filter(|_| (300..=399).contains(&status))
                .map(str::to_owned),
        },
    }
}

/// Returns the value of the first header with this name, ignoring case.
pub(super) fn header_value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

pub(super) fn from_timeout(timeout: Duration, progress: &ExchangeProgress) -> Outcome {
    let phase = progress.end_phase().unwrap_or(AttemptPhase::Wait);
    // The kernel can report a timeout (`ETIMEDOUT`) before the attempt's time limit, so subtract
    // the remaining time.
    let left = progress
        .deadline()
        .saturating_duration_since(Instant::now());
    Outcome::Timeout(Timeout {
        after: timeout.saturating_sub(left),
        phase,
        timings: progress.timings(),
    })
}

pub(super) fn from_send_error(
    error: SendRequestError,
    timeout: Duration,
    progress: &ExchangeProgress,
) -> Outcome {
    match error {
        SendRequestError::Connect(AwcConnectError::Io(error))
        | SendRequestError::Send(error)
        | SendRequestError::Response(ParseError::Io(error)) => {
            match error.downcast::<ConnectError>() {
                Ok(error) => from_connect_error(error, timeout, progress),
                Err(error) => from_io_error(&error, timeout, progress),
            }
        }
        SendRequestError::Connect(AwcConnectError::Disconnected) => Outcome::ConnectionClosed,
        SendRequestError::Connect(AwcConnectError::Timeout) | SendRequestError::Timeout => {
            from_timeout(timeout, progress)
        }
        SendRequestError::Response(error) => {
            tracing::warn!(%error, "unexpected response head");
            Outcome::InvalidResponse("the head isn’t valid".to_owned())
        }
        // The other errors mean that awc can't write the request. The validation of webhooks should
        // prevent these errors.
        error => {
            tracing::error!(%error, "sending a request failed");
            Outcome::Internal
        }
    }
}

pub(super) fn from_connect_error(
    error: ConnectError,
    timeout: Duration,
    progress: &ExchangeProgress,
) -> Outcome {
    match error {
        ConnectError::NotAllowed(denied) => Outcome::TargetNotAllowed(denied),
        ConnectError::NameNotFound => Outcome::NameNotFound,
        ConnectError::NameWithoutAddress => Outcome::NameWithoutAddress,
        ConnectError::LookupFailed(problem) => Outcome::LookupFailed(problem),
        ConnectError::Tcp(failure) => from_tcp_error(&failure, timeout, progress),
        ConnectError::Tls { error, received } => match tls_errors::inner_tls_error(&error) {
            Some(error) => tls_errors::tls_error_outcome(
                error,
                &received,
                progress.is_client_certificate_requested(),
            ),
            None if is_connection_closed(&error) => {
                tls_errors::closed_connection_outcome(&received)
            }
            None => from_io_error(&error, timeout, progress),
        },
    }
}

fn from_tcp_error(failure: &TcpError, timeout: Duration, progress: &ExchangeProgress) -> Outcome {
    use io::ErrorKind as Kind;
    // On Linux, ENFILE is 23 and EMFILE is 24.
    if matches!(failure.error.raw_os_error(), Some(23 | 24)) {
        return Outcome::Unreachable(UnreachableCause::TooManyFiles);
    }
    Outcome::Unreachable(match failure.error.kind() {
        Kind::NetworkUnreachable | Kind::AddrNotAvailable if failure.address.is_ipv6() => {
            UnreachableCause::NoIpv6
        }
        Kind::NetworkUnreachable | Kind::HostUnreachable => UnreachableCause::NoRoute,
        Kind::AddrNotAvailable | Kind::AddrInUse => UnreachableCause::NoLocalPort,
        Kind::PermissionDenied => UnreachableCause::Forbidden,
        _ => return from_io_error(&failure.error, timeout, progress),
    })
}

/// Maps an I/O error to an outcome. The error occurred while connecting or on an open connection.
fn from_io_error(error: &io::Error, timeout: Duration, progress: &ExchangeProgress) -> Outcome {
    if let Some(error) = inner_error::<HeadError>(error) {
        return match error {
            HeadError::Tls => Outcome::TlsExpected,
            other => Outcome::InvalidResponse(other.to_string()),
        };
    }
    if let Some(error) = tls_errors::inner_tls_error(error) {
        return tls_errors::tls_error_outcome(
            error,
            &[],
            progress.is_client_certificate_requested(),
        );
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
        io::ErrorKind::TimedOut => from_timeout(timeout, progress),
        _ if is_connection_closed(error) => Outcome::ConnectionClosed,
        _ => {
            tracing::warn!(%error, "unexpected connection error");
            Outcome::Unreachable(UnreachableCause::Other)
        }
    }
}

/// Describes an error that ended a response body early. The description is part of a sentence.
pub(super) fn describe_body_error(error: &io::Error) -> String {
    if tls_errors::inner_tls_error(error).is_some() {
        return "the TLS connection failed".to_owned();
    }
    if let Some(error) = inner_error::<ChunkError>(error) {
        return error.to_string();
    }
    if is_connection_closed(error) {
        return "the connection was closed".to_owned();
    }
    io_errors::describe(error)
}

fn inner_error<E: std::error::Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref()?.downcast_ref()
}

fn is_connection_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof
            | Kind::WriteZero
    )
}
