//! Explains outcomes of attempts: what happened, which side caused it, and what to do.
//!
//! The summary is stored in the delivery log. Pages that show a test or a delivery add the advice.

use std::time::Duration;

use http::StatusCode;

use super::delivery::{AttemptPhase, CertificateProblem, Outcome, Timeout};

impl Outcome {
    /// Returns what happened, in one sentence.
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
            Self::LookupFailed(_) => "The DNS lookup failed.".into(),
            Self::ConnectionRefused => "The connection was refused.".into(),
            Self::Unreachable(_) => "The endpoint’s IP address can’t be reached.".into(),
            Self::ConnectionClosed => {
                "The endpoint closed the connection without responding.".into()
            }
            Self::Certificate(problem) => problem.summary(),
            Self::Tls(text) => format!("TLS connection failed: {text}."),
            Self::InvalidResponse(text) => format!("Invalid HTTP response: {text}."),
            Self::TargetNotAllowed(denied) => denied.to_string(),
        }
    }

    /// Returns which side caused the failure and what to do; empty for a success.
    pub fn advice(&self) -> &'static str {
        let status = match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        };
        self.code().map_or("", |code| advice(code, status))
    }

    /// Returns the summary and the advice as one text.
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

impl CertificateProblem {
    fn summary(&self) -> String {
        match self {
            Self::Expired(Some(at)) => {
                format!(
                    "The endpoint’s certificate expired on {}.",
                    at.format_date()
                )
            }
            Self::Expired(None) => "The endpoint’s certificate has expired.".into(),
            Self::NotYetValid(Some(at)) => {
                format!(
                    "The endpoint’s certificate isn’t valid until {}.",
                    at.format_date()
                )
            }
            Self::NotYetValid(None) => "The endpoint’s certificate isn’t valid yet.".into(),
            Self::NameMismatch => "The endpoint’s certificate doesn’t cover this host name.".into(),
            Self::UnknownIssuer => {
                "The endpoint’s certificate was issued by an unknown authority.".into()
            }
            Self::Other(text) => format!("The endpoint’s certificate was rejected: {text}."),
        }
    }
}

/// Returns which side caused a failure with this code (see [`Outcome::code`]), and what to do.
pub fn advice(code: &str, status: Option<u16>) -> &'static str {
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
        "name_lookup" => {
            "The problem is on Miniback’s machine or its DNS server. Check whether other names resolve."
        }
        "connection_refused" => {
            "Nothing is listening on this port. Check that your server is running and the port is right."
        }
        "unreachable" => "Check the URL, and the network between Miniback and the endpoint.",
        "connection_closed" => {
            "Check the endpoint’s log, and that the port speaks the protocol of the URL, HTTP or HTTPS."
        }
        "certificate_expired" => {
            "Nothing was sent. Renew the endpoint’s certificate; the next retry will then succeed."
        }
        "certificate_not_yet_valid" => {
            "Nothing was sent. Check the clocks of both machines, or install a certificate that is valid now."
        }
        "certificate_wrong_name" => {
            "Nothing was sent. Use a host name that the certificate covers, or get a certificate for this one."
        }
        "certificate_unknown_issuer" => {
            "Nothing was sent. The endpoint might not send its intermediate certificate. For a private CA, start Miniback with --ca-file."
        }
        "certificate" => "Nothing was sent. Fix the endpoint’s certificate.",
        "tls" => {
            "Check that the port supports HTTPS with TLS 1.2 or 1.3. For plain HTTP on localhost, use http://."
        }
        "broken_answer" => {
            "Check that the port speaks HTTP/1.1, with TLS if the URL starts with https://."
        }
        _ => "",
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
            "The server responded, but nothing handles this path. Check the path and that it accepts POST."
        }
        405 => "The path exists but doesn’t accept POST. Check the method of your route.",
        413 => "The endpoint rejects bodies of this size. Raise its limit.",
        429 => {
            "The endpoint limits the rate of requests. Raise its limit for requests from Miniback."
        }
        400..=499 => "The endpoint rejected the event. See its response.",
        502..=504 => "A proxy responded for the endpoint, which is down or too slow.",
        500..=599 => "The endpoint failed. See its log.",
        _ => "Respond with a status from 200 to 299.",
    }
}

/// A hint that an endpoint rejects tests because it expects `data.feedback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestHint {
    /// The response mentions the missing feedback.
    Certain,
    /// The response looks like an unhandled missing value.
    Likely,
}

impl TestHint {
    /// Derives the hint from the response to a test. `deliveries_fail` is true if ordinary
    /// deliveries to this endpoint fail too.
    pub fn from_response(status: u16, body: &[u8], deliveries_fail: bool) -> Option<Self> {
        // Other statuses have other causes, such as the path, the secret, the size, or a proxy.
        if !matches!(status, 400 | 409 | 422 | 500) {
            return None;
        }
        let body = String::from_utf8_lossy(body).to_lowercase();
        let contains_any = |terms: &[&str]| terms.iter().any(|term| body.contains(term));
        if body.contains("feedback") && contains_any(&MISSING_VALUE_TERMS) {
            return Some(Self::Certain);
        }
        if contains_any(&UNHANDLED_ERROR_TERMS) || (status == 500 && !deliveries_fail) {
            return Some(Self::Likely);
        }
        None
    }

    /// Returns what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Certain => {
                "Your handler reads data.feedback, which test events don’t have. Check “event” first, and respond to tests with a 2xx."
            }
            Self::Likely => {
                "If your handler reads data.feedback, note that test events don’t have it: check “event” first. Otherwise, see your server log."
            }
        }
    }
}

/// Phrases with which programs report a missing value, in lower case.
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
/// Terms that rarely mean anything other than a missing value, in lower case.
const UNHANDLED_ERROR_TERMS: [&str; 9] = [
    "cannot read propert",
    "is undefined",
    "keyerror",
    "typeerror",
    "attributeerror",
    "nonetype",
    "nomethoderror",
    "undefined index",
    "undefined array key",
];

/// Formats a status with its standard reason phrase: `404 Not Found`. An unknown status has none.
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
    fn detects_endpoints_that_expect_feedback_in_a_test() {
        use TestHint::{Certain, Likely};
        let hint = |status, body: &str, deliveries_fail| {
            TestHint::from_response(status, body.as_bytes(), deliveries_fail)
        };
        for body in [
            "TypeError: Cannot read properties of undefined (reading 'feedback')",
            "TypeError: Cannot destructure property 'feedback' of 'data' as it is undefined.",
            "KeyError: 'feedback'",
            "undefined method `[]' for nil:NilClass (NoMethodError) payload['data']['feedback']",
            "'NoneType' object is not subscriptable: feedback",
            r#"{"error":"data.feedback is required"}"#,
            "Undefined array key \"feedback\"",
        ] {
            assert_eq!(hint(500, body, true), Some(Certain), "{body}");
            assert_eq!(hint(422, body, false), Some(Certain), "{body}");
            assert_eq!(hint(401, body, false), None, "{body}");
        }
        for body in [
            "TypeError: Cannot read properties of undefined (reading 'message')",
            "KeyError: 'project'",
            "msg is undefined",
        ] {
            assert_eq!(hint(500, body, true), Some(Likely), "{body}");
            assert_eq!(hint(400, body, false), Some(Likely), "{body}");
        }
        assert_eq!(hint(500, "Internal Server Error", false), Some(Likely));
        assert_eq!(hint(500, "Internal Server Error", true), None);
        assert_eq!(hint(400, "Bad signature for this feedback", false), None);
        for status in [302, 403, 404, 405, 429, 502, 503] {
            assert_eq!(
                hint(status, "Cannot POST /feedback: not found", false),
                None,
                "{status}"
            );
        }
        assert!(Likely.advice().starts_with("If your handler"));
    }
}
