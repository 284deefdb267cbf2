//! Explains outcomes of attempts: a summary of the failure, its likely cause, and how to fix it.
//!
//! The summary is stored in the delivery log. Pages that show a test or a delivery add the advice.

use std::time::Duration;

use http::StatusCode;

use super::delivery::{AttemptPhase, DnsProblem, Outcome, Timeout, UnreachableCause};
use super::format::Format;
use super::service_advice::service_advice;
use super::{mail_failure, tls_problem};

impl Outcome {
    /// Returns a short description of the outcome, without advice.
    pub fn summary(&self) -> String {
        match self {
            Self::Delivered => "Delivered.".into(),
            Self::Status {
                status: status @ 300..=399,
                location: Some(location),
            } => {
                format!(
                    "The endpoint redirects ({status}) to {location}. Redirects aren’t followed."
                )
            }
            Self::Status { status, .. } => {
                format!("The endpoint responded with {}.", status_text(*status))
            }
            Self::Timeout(timeout) => timeout.summary(),
            Self::NameNotFound => "The host name wasn’t found.".into(),
            Self::NameWithoutAddress => {
                "The host name exists, but it has no IP address (no A or AAAA record).".into()
            }
            Self::LookupFailed(problem) => match problem {
                DnsProblem::Temporary => {
                    "The DNS lookup failed: the DNS server didn’t respond or reported an error."
                }
                DnsProblem::Permanent => "The DNS lookup failed: the DNS server rejected it.",
                DnsProblem::Other => "The DNS lookup failed.",
            }
            .into(),
            Self::ConnectionRefused => "The connection was refused.".into(),
            Self::Unreachable(cause) => match cause {
                UnreachableCause::NoRoute => "There is no route to the endpoint’s IP address.",
                UnreachableCause::NoIpv6 => {
                    "Miniback’s machine has no route to the endpoint’s IPv6 address."
                }
                UnreachableCause::Forbidden => "Miniback’s machine doesn’t allow this connection.",
                UnreachableCause::NoLocalPort => {
                    "Miniback’s machine has no free port or IP address for the connection."
                }
                UnreachableCause::TooManyFiles => {
                    "Miniback couldn’t connect, because it has too many open files."
                }
                UnreachableCause::Other => "The connection failed.",
            }
            .into(),
            Self::ConnectionClosed => {
                "The endpoint closed the connection without responding.".into()
            }
            Self::Certificate(problem) => problem.summary(),
            Self::Tls(problem) => problem.summary(),
            Self::TlsExpected => "The port responded with TLS instead of plain HTTP.".into(),
            Self::Internal => "Miniback couldn’t send the request.".into(),
            Self::InvalidResponse(text) => format!("Invalid HTTP response: {text}."),
            Self::TargetNotAllowed(denied) => denied.to_string(),
            Self::Mail(failure) => failure.summary(),
            Self::FormatChanged => {
                "The webhook was changed between email and HTTP after this event.".into()
            }
        }
    }

    /// Returns the likely cause of the failure and how to fix it; empty for a success.
    pub fn advice(&self) -> &'static str {
        let status = match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        };
        self.error_code()
            .map_or("", |code| advice_for_code(code, status))
    }

    /// Returns the summary, followed by the advice.
    pub fn explanation(&self) -> String {
        format!("{} {}", self.summary(), self.advice())
            .trim_end()
            .to_owned()
    }
}

impl Timeout {
    fn summary(&self) -> String {
        let after = format_duration(self.after);
        let slowest = self.slowest_phase();
        if slowest != self.phase {
            let (slow, used) = match slowest {
                AttemptPhase::Lookup => ("The DNS lookup", self.timings.dns),
                AttemptPhase::Connect => ("Connecting", self.timings.connect),
                AttemptPhase::Tls => ("The TLS handshake", self.timings.tls),
                AttemptPhase::Send | AttemptPhase::Wait => ("The request", self.timings.waiting),
            };
            let missing = match self.phase {
                AttemptPhase::Lookup | AttemptPhase::Connect => "the connection",
                AttemptPhase::Tls => "the TLS handshake",
                AttemptPhase::Send => "the request",
                AttemptPhase::Wait => "the response",
            };
            let used = format_duration(used.unwrap_or_default());
            return format!(
                "{slow} took {used} of the time limit of {after}. The rest was too short for {missing}."
            );
        }
        match self.phase {
            AttemptPhase::Lookup => format!("The DNS lookup didn’t finish within {after}."),
            AttemptPhase::Connect => format!("Couldn’t connect to the endpoint within {after}."),
            AttemptPhase::Tls => {
                format!("The endpoint didn’t finish the TLS handshake within {after}.")
            }
            AttemptPhase::Send => {
                format!("The endpoint didn’t read the whole request within {after}.")
            }
            AttemptPhase::Wait => format!("The endpoint didn’t respond within {after}."),
        }
    }
}

/// Returns the likely cause of a failure with this code (see [`Outcome::error_code`]) and how to
/// fix it; empty for an unknown code.
pub fn advice_for_code(code: &str, status: Option<u16>) -> &'static str {
    match code {
        "status" | "redirect" => status.map_or("", status_advice),
        "timeout" => "Respond with a 2xx first, then process the event.",
        "name_lookup_timeout" => {
            "The DNS server of Miniback’s machine is slow or unreachable. Check whether other names resolve."
        }
        "tls_timeout" => {
            "The port accepts connections. Check that it speaks HTTPS, and that the server isn’t overloaded."
        }
        "send_timeout" => {
            "The endpoint accepts connections but doesn’t read from them. Check that the server isn’t stuck."
        }
        "connect_timeout" => {
            "Check that the server is running and that its firewall allows Miniback’s machine."
        }
        "name_not_found" => "Check the spelling. New DNS records can take a while to propagate.",
        "name_without_address" => {
            "Add an A or AAAA record. New DNS records can take a while to propagate."
        }
        "name_lookup" => {
            "The problem is on Miniback’s machine or its DNS server. Check whether other names resolve."
        }
        "connection_refused" => {
            "Nothing is listening on this port, or a firewall rejects connections. Check that your server is running and the port is right."
        }
        "unreachable" => "Check the URL, and the network between Miniback and the endpoint.",
        "no_ipv6" => {
            "Give Miniback’s machine an IPv6 connection, or the host an IPv4 address (an A record)."
        }
        "connection_forbidden" => {
            "Check the firewall of Miniback’s machine, and the sandbox of Miniback’s process, for example in its systemd unit."
        }
        "no_local_port" => {
            "Check the network settings of Miniback’s machine, and how many connections it has open."
        }
        "too_many_files" => {
            "Raise the open-file limit of the Miniback process (LimitNOFILE in a systemd unit, or ulimit -n)."
        }
        "connection_closed" => {
            "Check the endpoint’s log. Make sure that the port accepts the URL’s scheme (http or https)."
        }
        "broken_answer" => {
            "Check the port. Make sure that the program listening on it responds with HTTP/1.1."
        }
        "tls_expected" => "Use https:// in the URL.",
        "format_changed" => "New events are sent in the current format of the webhook.",
        "internal" => "The problem is on Miniback’s side. Miniback’s log contains the details.",
        other => tls_problem::advice_for_code(other)
            .or_else(|| mail_failure::advice_for_code(other))
            .unwrap_or_default(),
    }
}

fn status_advice(status: u16) -> &'static str {
    match status {
        300..=399 => "Use a URL that responds with a 2xx directly.",
        400 | 422 => {
            "The endpoint rejected the event. See its response, and check that it handles this event type."
        }
        401 | 403 => {
            "The endpoint rejected the request. Check its signing secret, and that this path isn’t behind a sign-in page or a firewall."
        }
        404 | 410 => {
            "The server responded that nothing is at this path. Check the path. Make sure that it accepts POST."
        }
        405 => "The path exists but doesn’t accept POST. Check the method of your route.",
        413 => "The endpoint rejects bodies of this size. Raise its limit.",
        429 => {
            "The endpoint limits the rate of requests. Raise its limit for requests from Miniback."
        }
        400..=499 => "The endpoint rejected the event. See its response.",
        // A program can also send these statuses itself, so the status isn't evidence of a proxy.
        502 | 504 => {
            "Proxies send this status if the program behind them is down or too slow. Check the program and its log."
        }
        503 => {
            "The endpoint is overloaded or down for maintenance, or the program behind a proxy is down. See its log."
        }
        500..=599 => "The endpoint failed. See its log.",
        _ => "Respond with a status from 200 to 299.",
    }
}

/// Returns advice for an attempt in the delivery log. `code` is the outcome's error code, or empty
/// after a success.
pub fn attempt_advice(
    format: Format,
    is_without_feedback: bool,
    code: &str,
    status: Option<u16>,
    response_body: &[u8],
) -> &'static str {
    status
        .and_then(|status| response_advice(format, is_without_feedback, status, response_body))
        .unwrap_or_else(|| advice_for_code(code, status))
}

/// Returns advice that depends on the response: the error of a chat service, or an endpoint that
/// can't handle a test.
pub fn response_advice(
    format: Format,
    is_without_feedback: bool,
    status: u16,
    response_body: &[u8],
) -> Option<&'static str> {
    match format {
        Format::Standard if is_without_feedback => test_advice(status, response_body),
        _ => service_advice(format, status, response_body),
    }
}

/// Returns advice if the response to a test suggests that the endpoint expects `data.feedback`.
fn test_advice(status: u16, body: &[u8]) -> Option<&'static str> {
    // Other statuses have other causes, such as the path, the secret, the size, or a proxy.
    if !matches!(status, 400 | 409 | 422 | 500) {
        return None;
    }
    let body = String::from_utf8_lossy(body).to_lowercase();
    let is_missing = MISSING_VALUE_TERMS.iter().any(|term| body.contains(term));
    (body.contains("feedback") && is_missing).then_some(
        "Your handler reads data.feedback, which test events don’t have. Check “event” first, and respond to tests with a 2xx.",
    )
}

/// Lowercase terms that programs use in error messages about missing values.
const MISSING_VALUE_TERMS: [&str; 14] = [
    "undefined",
    "null",
    "none",
    "nil",
    "keyerror",
    "typeerror",
    "attributeerror",
    "cannot read",
    "can't access",
    "nomethoderror",
    "no such",
    "missing",
    "required",
    "not found",
];
/// Formats a status with its standard reason phrase: `404 Not Found`. An unknown status has no
/// reason phrase.
pub fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// Formats a duration for people: `5 s`, `1.5 s`, or `300 ms`.
pub fn format_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        millis => format!("{:.1} s", millis as f64 / 1000.0),
    }
}

/// Returns whether a response has the status 401 or 403. These statuses often mean that the
/// endpoint uses a different secret.
pub fn is_auth_failure(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_what_happened_and_what_to_do() {
        let outcome = Outcome::Status {
            status: 302,
            location: Some("https://www.example.com/hook".into()),
        };
        assert_eq!(
            outcome.explanation(),
            "The endpoint redirects (302) to https://www.example.com/hook. Redirects aren’t followed. Use a URL that responds with a 2xx directly."
        );
        let without_location = Outcome::Status {
            status: 302,
            location: None,
        };
        assert_eq!(
            without_location.explanation(),
            "The endpoint responded with 302 Found. Use a URL that responds with a 2xx directly."
        );
        assert!(
            Outcome::Status {
                status: 404,
                location: None
            }
            .explanation()
            .contains("404 Not Found")
        );
        assert_eq!(format_duration(Duration::from_millis(1500)), "1.5 s");
    }

    #[test]
    fn claims_no_proxy_that_it_has_no_evidence_of() {
        for status in 500..=599 {
            let advice = advice_for_code("status", Some(status));
            assert!(!advice.contains("A proxy responded"), "{status}: {advice}");
            assert!(advice.contains(" log."), "{status}: {advice}");
        }
    }

    #[test]
    fn detects_endpoints_that_expect_feedback_in_a_test() {
        for body in [
            "TypeError: Cannot read properties of undefined (reading 'feedback')",
            "TypeError: Cannot destructure property 'feedback' of 'data' as it is undefined.",
            "KeyError: 'feedback'",
            "undefined method `[]' for nil:NilClass (NoMethodError) payload['data']['feedback']",
            "'NoneType' object is not subscriptable: feedback",
            r#"{"error":"data.feedback is required"}"#,
            "Undefined array key \"feedback\"",
        ] {
            assert!(test_advice(500, body.as_bytes()).is_some(), "{body}");
            assert!(test_advice(422, body.as_bytes()).is_some(), "{body}");
            assert_eq!(test_advice(401, body.as_bytes()), None, "{body}");
        }
        for body in [
            "Error: connect ECONNREFUSED 127.0.0.1:5432",
            "TypeError: Cannot read properties of undefined (reading 'message')",
            "KeyError: 'project'",
            "Internal Server Error",
            "Bad signature for this feedback",
            "",
        ] {
            assert_eq!(test_advice(500, body.as_bytes()), None, "{body}");
        }
        for status in [302, 403, 404, 405, 429, 502, 503] {
            let body = b"Cannot POST /feedback: not found";
            assert_eq!(test_advice(status, body), None, "{status}");
        }
    }
}
