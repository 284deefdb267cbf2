//! Deliveries: their states, and the outcomes of attempts.
//!
//! An outcome is data, not an error. Its code is stored, and [`explanation`](super::explanation)
//! describes the outcome for pages and the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::egress_policy::EgressDenied;
use super::mail_failure::MailFailure;
use super::tls_problem::{CertificateProblem, TlsProblem};

/// Maximum number of bytes of a response body that are read and stored.
pub const RESPONSE_BODY_MAX_BYTES: usize = 16 * 1024;

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Pending,
    Delivered,
    /// The last attempt failed, and there are no retries left.
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

/// The reason a delivery was canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// A user canceled the delivery on its page or with the API.
    User,
    WebhookDisabled,
    WebhookDeleted,
    /// The webhook's URL changed from an email to HTTP, or from HTTP to an email.
    WebhookChanged,
    FeedbackDeleted,
}

impl CancelReason {
    const ALL: [Self; 5] = [
        Self::User,
        Self::WebhookDisabled,
        Self::WebhookDeleted,
        Self::WebhookChanged,
        Self::FeedbackDeleted,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::WebhookDisabled => "webhook_disabled",
            Self::WebhookDeleted => "webhook_deleted",
            Self::WebhookChanged => "webhook_changed",
            Self::FeedbackDeleted => "feedback_deleted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete 2xx response head arrived within the time limit.
    Delivered,
    /// A response with another status arrived. `location` is the target of a redirect, if the
    /// response contains it.
    Status {
        status: u16,
        location: Option<String>,
    },
    Timeout(Timeout),
    /// The host name doesn't exist.
    NameNotFound,
    /// The host name exists, but has no IP address.
    NameWithoutAddress,
    /// The DNS lookup failed.
    LookupFailed(DnsProblem),
    ConnectionRefused,
    Unreachable(UnreachableCause),
    /// The connection was closed or reset before the response head was complete.
    ConnectionClosed,
    Certificate(CertificateProblem),
    /// A TLS failure other than a rejected certificate.
    Tls(TlsProblem),
    /// The port responded to plain HTTP with TLS.
    TlsExpected,
    /// The response isn't valid HTTP/1.x, or its head is too large. Contains the reason.
    InvalidResponse(String),
    /// Miniback couldn't send the request. The details are in the log.
    Internal,
    TargetNotAllowed(EgressDenied),
    /// The mail server didn't accept an email.
    Mail(MailFailure),
    /// The webhook was changed between email and HTTP after the event was rendered.
    FormatChanged,
}

/// The reason a connection couldn't be established, other than a refused connection or a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableCause {
    NoRoute,
    /// There is no route to the host's IPv6 address, and no other IP address of the host is
    /// reachable.
    NoIpv6,
    /// A firewall or security rule of this machine forbids the connection.
    Forbidden,
    /// This machine has no free local port, or no suitable local IP address.
    NoLocalPort,
    /// Miniback has reached its open-file limit.
    TooManyFiles,
    /// Any other failure. The details are in the log.
    Other,
}

/// The reason a DNS lookup failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsProblem {
    /// The DNS server didn't respond, or reported a temporary error (SERVFAIL).
    Temporary,
    /// The DNS server rejected the query or reported a permanent failure.
    Permanent,
    /// Any other failure. The details are in the log.
    Other,
}

impl Outcome {
    /// All values of [`error_code`](Self::error_code).
    pub const ERROR_CODES: [&str; 63] = [
        "broken_answer",
        "certificate",
        "certificate_expired",
        "certificate_is_ca",
        "certificate_issuer_key",
        "certificate_issuer_not_ca",
        "certificate_key",
        "certificate_no_alternative_name",
        "certificate_not_permitted",
        "certificate_not_yet_valid",
        "certificate_purpose",
        "certificate_self_signed",
        "certificate_short_key",
        "certificate_signature",
        "certificate_unknown_issuer",
        "certificate_version",
        "certificate_wrong_name",
        "connect_timeout",
        "connection_closed",
        "connection_forbidden",
        "connection_refused",
        "format_changed",
        "internal",
        "mail_closed",
        "mail_deferred",
        "mail_no_international_email",
        "mail_no_sign_in",
        "mail_no_starttls",
        "mail_not_configured",
        "mail_not_smtp",
        "mail_recipient",
        "mail_refused",
        "mail_rejected",
        "mail_sender",
        "mail_sign_in",
        "mail_sign_in_required",
        "mail_timeout",
        "mail_tls",
        "mail_too_large",
        "name_lookup",
        "name_lookup_timeout",
        "name_not_found",
        "name_without_address",
        "no_ipv6",
        "no_local_port",
        "redirect",
        "send_timeout",
        "status",
        "target_not_allowed",
        "timeout",
        "tls",
        "tls_alert",
        "tls_client_certificate",
        "tls_closed",
        "tls_expected",
        "tls_no_common_algorithm",
        "tls_not_spoken",
        "tls_plain_http",
        "tls_timeout",
        "tls_unknown_name",
        "tls_version",
        "too_many_files",
        "unreachable",
    ];

    pub fn is_success(&self) -> bool {
        matches!(self, Self::Delivered)
    }

    /// Returns whether the attempt reached its time limit.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Mail(failure) => failure.is_timeout(),
            _ => false,
        }
    }

    /// Returns whether a retry would fail too.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::FormatChanged => true,
            Self::Mail(failure) => failure.is_permanent(),
            _ => false,
        }
    }

    /// Returns a stable code for the failure; `None` for a success.
    pub fn error_code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Delivered => return None,
            Self::Status {
                status: 300..=399, ..
            } => "redirect",
            Self::Status { .. } => "status",
            Self::Timeout(timeout) => timeout.slowest_phase().timeout_code(),
            Self::NameNotFound => "name_not_found",
            Self::NameWithoutAddress => "name_without_address",
            Self::LookupFailed(_) => "name_lookup",
            Self::ConnectionRefused => "connection_refused",
            Self::Unreachable(cause) => match cause {
                UnreachableCause::NoRoute | UnreachableCause::Other => "unreachable",
                UnreachableCause::NoIpv6 => "no_ipv6",
                UnreachableCause::Forbidden => "connection_forbidden",
                UnreachableCause::NoLocalPort => "no_local_port",
                UnreachableCause::TooManyFiles => "too_many_files",
            },
            Self::ConnectionClosed => "connection_closed",
            Self::Certificate(problem) => problem.error_code(),
            Self::Tls(problem) => problem.error_code(),
            Self::TlsExpected => "tls_expected",
            Self::InvalidResponse(_) => "broken_answer",
            Self::Internal => "internal",
            Self::TargetNotAllowed(_) => "target_not_allowed",
            Self::Mail(failure) => failure.error_code(),
            Self::FormatChanged => "format_changed",
        })
    }
}

/// The timeout of an attempt that received no complete response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// The time after which the attempt ended: the time limit, or less if the kernel reported a
    /// timeout (`ETIMEDOUT`) earlier.
    pub after: Duration,
    /// The phase during which the attempt ended.
    pub phase: AttemptPhase,
    /// The durations of all phases, including the phase during which the attempt ended.
    pub timings: AttemptTimings,
}

impl Timeout {
    /// Returns the phase that used the most time. Timeouts are attributed to this phase, even if
    /// the time limit expired in a later phase.
    pub fn slowest_phase(&self) -> AttemptPhase {
        let duration = |phase: AttemptPhase| phase.duration(&self.timings).unwrap_or_default();
        [
            AttemptPhase::Lookup,
            AttemptPhase::Connect,
            AttemptPhase::Tls,
        ]
        .into_iter()
        .fold(self.phase, |slowest, phase| {
            if duration(phase) > duration(slowest) {
                phase
            } else {
                slowest
            }
        })
    }
}

/// A phase of an attempt, up to the end of the response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptPhase {
    Lookup,
    Connect,
    Tls,
    /// Writing the request.
    Send,
    /// Waiting for the response head.
    Wait,
}

impl AttemptPhase {
    /// Returns the code of a timeout that this phase caused.
    pub const fn timeout_code(self) -> &'static str {
        match self {
            Self::Lookup => "name_lookup_timeout",
            Self::Connect => "connect_timeout",
            Self::Tls => "tls_timeout",
            Self::Send => "send_timeout",
            Self::Wait => "timeout",
        }
    }

    fn duration(self, timings: &AttemptTimings) -> Option<Duration> {
        match self {
            Self::Lookup => timings.dns,
            Self::Connect => timings.connect,
            Self::Tls => timings.tls,
            Self::Send | Self::Wait => timings.waiting,
        }
    }
}

/// The duration of each phase of an attempt; `None` for a phase that didn't occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptTimings {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// The time from the first byte of the request to the end of the response head.
    pub waiting: Option<Duration>,
}

/// The response of an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// At most the first 16 KiB of the body.
    pub body: Vec<u8>,
    /// Whether `body` is incomplete: the body was longer, ended early, or didn't end in time.
    pub truncated: bool,
    /// The error that ended the body early. It doesn't affect the outcome.
    pub body_error: Option<String>,
}

/// The result of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptResult {
    pub outcome: Outcome,
    pub duration: Duration,
    pub timings: AttemptTimings,
    pub response: Option<EndpointResponse>,
}

impl AttemptResult {
    /// Returns the error for the delivery log: the failure or, after a success, the error of the
    /// response body.
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

/// A request that is ready to be sent to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRequest {
    /// All headers except `Host`, `Content-Length`, and `Date`. When sent, each word of a name is
    /// capitalized, and the order can differ.
    pub headers: Vec<(String, String)>,
    /// Replaces the path and query of the URL.
    pub path_and_query: Option<String>,
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests;
