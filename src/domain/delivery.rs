//! Deliveries: their states, and what came of an attempt.
//!
//! An outcome is data, not an error: the retry rules are one `match` over it, it is stored by its code, and pages and
//! API say in words what happened, whose side it is on and what to do about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::egress_policy::EgressDenied;
use crate::clock::Timestamp;

/// The most of an answer's body that is read and kept, in bytes.
pub const RESPONSE_BODY_MAX_BYTES: usize = 16 * 1024;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Pending,
    Delivered,
    /// Retries used up: the event was dropped.
    Failed,
    Canceled,
}

impl DeliveryState {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Canceled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx head within the time.
    Delivered,
    /// An answer of another status; for a redirect, where to.
    Status {
        status: u16,
        location: Option<String>,
    },
    /// No complete head within the time; `connected` tells whether a connection was made.
    Timeout {
        after: Duration,
        connected: bool,
    },
    /// The name has no address.
    NameNotFound,
    /// Looking the name up failed.
    NameLookup(String),
    ConnectionRefused,
    /// The network or host is not reachable.
    Unreachable(String),
    /// Closed or reset before a complete answer head came.
    ConnectionClosed,
    Certificate(CertificateProblem),
    /// Any other TLS failure, in the library's words.
    Tls(String),
    /// What came is not an HTTP/1.1 answer, or its head is too large.
    InvalidResponse(String),
    TargetNotAllowed(EgressDenied),
}

/// Why a certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    Expired(Option<Timestamp>),
    NotYetValid(Option<Timestamp>),
    WrongName,
    UnknownIssuer,
    Other(String),
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Delivered)
    }

    /// A stable, machine-readable name of the failure; `None` for a success.
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Delivered => return None,
            Self::Status {
                status: 300..=399, ..
            } => "redirect",
            Self::Status { .. } => "status",
            Self::Timeout {
                connected: true, ..
            } => "timeout",
            Self::Timeout {
                connected: false, ..
            } => "connect_timeout",
            Self::NameNotFound => "name_not_found",
            Self::NameLookup(_) => "name_lookup",
            Self::ConnectionRefused => "connection_refused",
            Self::Unreachable(_) => "unreachable",
            Self::ConnectionClosed => "connection_closed",
            Self::Certificate(CertificateProblem::Expired(_)) => "certificate_expired",
            Self::Certificate(CertificateProblem::NotYetValid(_)) => "certificate_not_yet_valid",
            Self::Certificate(CertificateProblem::WrongName) => "certificate_wrong_name",
            Self::Certificate(CertificateProblem::UnknownIssuer) => "certificate_unknown_issuer",
            Self::Certificate(CertificateProblem::Other(_)) => "certificate",
            Self::Tls(_) => "tls",
            Self::InvalidResponse(_) => "broken_answer",
            Self::TargetNotAllowed(_) => "target_not_allowed",
        })
    }
}

/// Where the time of an attempt went; `None` where there was no such step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the request's first byte to the end of the answer's head.
    pub waiting: Option<Duration>,
}

/// What an endpoint answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The first 16 KiB.
    pub body: Vec<u8>,
    /// The body went on, ended early, or did not end in time.
    pub truncated: bool,
    /// What was wrong with the body of an answer whose head was fine.
    pub body_error: Option<String>,
}

/// One attempt, from its slot to its outcome.
#[derive(Clone, Debug)]
pub struct AttemptResult {
    pub outcome: Outcome,
    pub duration: Duration,
    pub timings: Timings,
    pub response: Option<EndpointResponse>,
}

impl AttemptResult {
    /// What the log says went wrong: the failure, or what was wrong with the body of an answer whose head was fine.
    pub fn error_message(&self) -> Option<String> {
        if self.outcome.is_success() {
            self.response
                .as_ref()
                .and_then(|response| response.body_error.clone())
        } else {
            Some(self.outcome.summary())
        }
    }
}

/// A request, ready to be sent: what is signed is what goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedRequest {
    /// All but `Host`, `Content-Length` and `Date`. On the wire each word of a name begins with a capital, whatever
    /// its case here, and the order is any.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}
