//! Outcomes of attempts in words: what happened, and whose side it is on and what to do about it.
//!
//! The first sentence is kept in the log; both stand where a person looks at a test or at a delivery.

use std::time::Duration;

use super::delivery::{CertificateProblem, Outcome};

impl Outcome {
    /// What happened, in one sentence.
    pub fn summary(&self) -> String {
        match self {
            Self::Delivered => "Delivered.".into(),
            Self::Status {
                status: status @ 300..=399,
                location: Some(location),
            } => {
                format!(
                    "The endpoint redirects ({status}) to {location}; redirects are not followed."
                )
            }
            Self::Status { status, .. } => {
                format!("The endpoint answered {}.", status_text(*status))
            }
            Self::Timeout {
                after,
                connected: true,
            } => format!(
                "The endpoint gave no answer within {}.",
                format_duration(*after)
            ),
            Self::Timeout {
                after,
                connected: false,
            } => {
                format!(
                    "No connection to the endpoint could be made within {}.",
                    format_duration(*after)
                )
            }
            Self::NameNotFound => "The name in the address was not found.".into(),
            Self::NameLookup(_) => "The name in the address could not be looked up.".into(),
            Self::ConnectionRefused => "The connection was refused.".into(),
            Self::Unreachable(_) => "The endpoint’s address cannot be reached.".into(),
            Self::ConnectionClosed => {
                "The endpoint closed the connection without an answer.".into()
            }
            Self::Certificate(problem) => match problem {
                CertificateProblem::Expired(Some(at)) => {
                    format!(
                        "The endpoint’s certificate expired on {}.",
                        at.format_date()
                    )
                }
                CertificateProblem::Expired(None) => {
                    "The endpoint’s certificate has expired.".into()
                }
                CertificateProblem::NotYetValid(Some(at)) => {
                    format!(
                        "The endpoint’s certificate is valid only from {} on.",
                        at.format_date()
                    )
                }
                CertificateProblem::NotYetValid(None) => {
                    "The endpoint’s certificate is not valid yet.".into()
                }
                CertificateProblem::WrongName => {
                    "The endpoint’s certificate is for another name.".into()
                }
                CertificateProblem::UnknownIssuer => {
                    "The endpoint’s certificate is by an unknown issuer.".into()
                }
                CertificateProblem::Other(text) => {
                    format!("The endpoint’s certificate was not accepted: {text}.")
                }
            },
            Self::Tls(text) => format!("No encrypted connection could be made: {text}."),
            Self::InvalidResponse(text) => {
                format!("The endpoint’s answer is not valid HTTP: {text}.")
            }
            Self::TargetNotAllowed(refusal) => refusal.to_string(),
        }
    }

    /// Whose side it is on, and what to do. Empty for a success.
    pub fn advice(&self) -> &'static str {
        let status = match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        };
        self.code().map_or("", |code| advice(code, status))
    }

    /// Both, as one text.
    pub fn explanation(&self) -> String {
        format!("{} {}", self.summary(), self.advice())
            .trim_end()
            .to_owned()
    }
}

/// Whose side a failure with this code (see [`Outcome::code`]) is on, and what to do.
pub fn advice(code: &str, status: Option<u16>) -> &'static str {
    match code {
        "status" | "redirect" => status.map_or("", status_advice),
        "timeout" => {
            "The endpoint is reached, but takes too long: answer first, with a 2xx, and do the work afterwards."
        }
        "connect_timeout" => {
            "Nothing comes back from there: check that the server runs, and that its firewall lets this machine in."
        }
        "name_not_found" => {
            "Check the spelling; a new name can take some time until it is known everywhere."
        }
        "name_lookup" => {
            "This is on the side of this machine or its name server: see whether other names are found."
        }
        "connection_refused" => {
            "The machine is there, but no program listens on this port: check that the endpoint runs, and its port."
        }
        "unreachable" => {
            "Check the address, and the network between this machine and the endpoint."
        }
        "connection_closed" => {
            "This is on the endpoint’s side: look into its log, and check that the port speaks HTTP as the address says (http or https)."
        }
        "certificate_expired" => {
            "Nothing was sent. Renew the certificate on the endpoint’s side; the next try then succeeds by itself."
        }
        "certificate_not_yet_valid" => {
            "Nothing was sent. Check the clocks of both machines, or install a certificate that is valid now."
        }
        "certificate_wrong_name" => {
            "Nothing was sent. Use the name that the certificate is for, or get one for this name."
        }
        "certificate_unknown_issuer" => {
            "Nothing was sent. The endpoint may not send its intermediate certificate; for an issuer of your own, start Miniback with --ca-file."
        }
        "certificate" => "Nothing was sent. Mend the certificate on the endpoint’s side.",
        "tls" => {
            "Check that the port speaks https with TLS 1.2 or 1.3; for plain http on localhost, write http://."
        }
        "broken_answer" => {
            "This is on the endpoint’s side: check that the port speaks HTTP/1.1, and https if the address says so."
        }
        _ => "",
    }
}

fn status_advice(status: u16) -> &'static str {
    match status {
        300..=399 => "Enter that address instead.",
        400 | 422 => {
            "The endpoint is reached, but does not take the event: see what it says, and check that it handles this event."
        }
        401 | 403 => {
            "The endpoint is reached, but refuses: check the secret there, and that no login or filter stands before this path."
        }
        404 | 410 => {
            "The server is reached, but has nothing at this path: check the path of your route, and that it takes POST."
        }
        405 => "The path is there, but does not take POST: check the method of your route.",
        413 => "The endpoint does not take a body of this size: raise its limit.",
        429 => "The endpoint asks for fewer requests: raise its limit for this machine.",
        400..=499 => "The endpoint is reached, but does not take the event: see what it says.",
        502..=504 => "A proxy answers for the endpoint, which is down or too slow: look there.",
        500..=599 => "The endpoint is reached, but fails: look into its log.",
        _ => "Answer with a status from 200 to 299.",
    }
}

/// Whether a test failed because the endpoint takes for granted what a test does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestHint {
    /// The answer speaks of it.
    Certain,
    /// It fails as a program does that comes upon something it does not know.
    Likely,
}

impl TestHint {
    /// What a failed test's answer tells; `others_fail`: what is not a test fails there too.
    pub fn from_response(status: u16, body: &[u8], others_fail: bool) -> Option<Self> {
        // Others have a reason of their own: the path, the secret, the size, a proxy.
        if !matches!(status, 400 | 409 | 422 | 500) {
            return None;
        }
        let body = String::from_utf8_lossy(body).to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| body.contains(word));
        if says(&["feedback"]) && says(&NOTHING_THERE) {
            return Some(Self::Certain);
        }
        if says(&STUMBLED) || (status == 500 && !others_fail) {
            return Some(Self::Likely);
        }
        None
    }

    /// What to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Certain => {
                "A test has no data.feedback, which the endpoint asks for: look at “event” first, and answer a test with a 2xx."
            }
            Self::Likely => {
                "Perhaps the endpoint asks for data.feedback, which a test does not have: look at “event” first; its log tells more."
            }
        }
    }
}

/// How programs say that something is not there, in lower case.
const NOTHING_THERE: [&str; 14] = [
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
/// The same in words that hardly mean anything else.
const STUMBLED: [&str; 9] = [
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

/// `404 Not Found`; a status that has no name stands alone.
pub fn status_text(status: u16) -> String {
    let name = match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        418 => "I’m a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => return status.to_string(),
    };
    format!("{status} {name}")
}

/// `5 s`, `1.5 s`, `300 ms`.
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
    fn an_outcome_says_what_happened_and_what_to_do() {
        let outcome = Outcome::Status {
            status: 302,
            location: Some("https://www.example.com/hook".into()),
        };
        assert_eq!(
            outcome.explanation(),
            "The endpoint redirects (302) to https://www.example.com/hook; redirects are not followed. Enter that address instead."
        );
        assert!(
            Outcome::Status {
                status: 404,
                location: None
            }
            .explanation()
            .contains("404 Not Found")
        );
        let timeout = Outcome::Timeout {
            after: Duration::from_secs(5),
            connected: true,
        };
        assert!(
            timeout
                .explanation()
                .starts_with("The endpoint gave no answer within 5 s.")
        );
        assert_eq!(format_duration(Duration::from_millis(1500)), "1.5 s");
    }

    #[test]
    fn a_test_over_which_an_endpoint_stumbles_is_known_by_its_answer() {
        use TestHint::{Certain, Likely};
        let hint = |status, body: &str, others_fail| {
            TestHint::from_response(status, body.as_bytes(), others_fail)
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
        assert!(Likely.advice().starts_with("Perhaps"));
    }
}
