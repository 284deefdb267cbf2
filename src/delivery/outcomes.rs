//! Maps responses and transport errors to outcomes.
//!
//! In this module, `timeout` is the time limit of an attempt. [`Outcome::Timeout`] contains it.

use std::io;
use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError as AwcConnectError, SendRequestError};
use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use tokio::time::Instant;

use super::connector::ConnectError;
use super::http_stream::ExchangeProgress;
use super::response_head::HeadError;
use crate::clock::Timestamp;
use crate::domain::delivery::{
    AttemptPhase, CertificateProblem, EndpointResponse, Outcome, Timeout,
};

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

/// Returns the first header with this name, in any case.
pub(super) fn header_value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

pub(super) fn from_timeout(timeout: Duration, progress: &ExchangeProgress) -> Outcome {
    let phase = progress.end_phase().unwrap_or(AttemptPhase::Wait);
    // The kernel may give up before the time limit.
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
        SendRequestError::Response(error) => Outcome::InvalidResponse(match error {
            ParseError::Status | ParseError::Version => "the status line is invalid".to_owned(),
            ParseError::Header => "a header is invalid".to_owned(),
            other => other.to_string(),
        }),
        // The other errors mean that awc can't write the request. Validation prevents them.
        other => Outcome::Unreachable(other.to_string()),
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
        ConnectError::LookupFailed(detail) => Outcome::LookupFailed(detail),
        ConnectError::Tcp(error) => from_io_error(&error, timeout, progress),
        ConnectError::Tls(error) => match from_tls_error(&error) {
            Some(outcome) => outcome,
            None if is_connection_closed(&error) => {
                Outcome::Tls("the connection was closed during the handshake".to_owned())
            }
            None => from_io_error(&error, timeout, progress),
        },
    }
}

fn from_io_error(error: &io::Error, timeout: Duration, progress: &ExchangeProgress) -> Outcome {
    if let Some(error) = inner_error::<HeadError>(error) {
        return Outcome::InvalidResponse(error.to_string());
    }
    if let Some(outcome) = from_tls_error(error) {
        return outcome;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
        io::ErrorKind::TimedOut => from_timeout(timeout, progress),
        _ if is_connection_closed(error) => Outcome::ConnectionClosed,
        _ => Outcome::Unreachable(without_os_code(error)),
    }
}

/// Returns `None` if `error` doesn't come from TLS.
fn from_tls_error(error: &io::Error) -> Option<Outcome> {
    let rustls::Error::InvalidCertificate(problem) = inner_error::<rustls::Error>(error)? else {
        return inner_error::<rustls::Error>(error).map(|e| Outcome::Tls(e.to_string()));
    };
    let timestamp = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok();
        seconds
            .and_then(|s| s.checked_mul(1000))
            .map(Timestamp::from_millis)
    };
    Some(Outcome::Certificate(match problem {
        CertificateError::Expired => CertificateProblem::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => {
            CertificateProblem::Expired(timestamp(not_after))
        }
        CertificateError::NotValidYet => CertificateProblem::NotYetValid(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            CertificateProblem::NotYetValid(timestamp(not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::NameMismatch
        }
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        // Many tools create self-signed certificates that are marked as a CA.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            CertificateProblem::Other("it is a CA certificate, not a server certificate".into())
        }
        other => CertificateProblem::Other(other.to_string()),
    }))
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

/// Formats the error without the numeric code that the standard library appends.
pub(super) fn without_os_code(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
