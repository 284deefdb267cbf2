//! The headers of a delivery's request. The same function renders them for sending and, from the
//! data in the delivery log, for people.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

const USER_AGENT: &str = "Miniback-Webhook/1.0";
/// The replacement for secrets in the delivery log, and for the values of custom headers, which can
/// be secrets.
pub(super) const MASKED_VALUE: &str = "••••••";

/// The delivery, the event, and the time that the headers of a request contain.
#[derive(Clone, Copy, Debug)]
pub struct RequestSubject<'a> {
    pub delivery_id: &'a str,
    pub event: &'a str,
    pub event_at: Timestamp,
    /// The start of the attempt.
    pub sent_at: Timestamp,
}

/// The signatures of a request, as header values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSignatures {
    /// `X-Miniback-Signature`.
    pub current: String,
    /// `X-Miniback-Signature-Next`; only during an overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// `webhook-signature`; `None` if no secret is in the format of Standard Webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<String>,
}

/// The headers of a delivery's request or email, as the delivery log stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoggedHeaders {
    /// The headers that were put before the stored body of an email.
    Email {
        email: Vec<(String, String)>,
    },
    Request(LoggedRequestHeaders),
}

impl LoggedHeaders {
    /// Renders all headers. Masks the values of custom headers.
    pub fn render(&self, subject: RequestSubject<'_>, body_len: usize) -> Vec<(String, String)> {
        match self {
            Self::Email { email } => email.clone(),
            Self::Request(headers) => headers.render(subject, body_len),
        }
    }
}

/// The part of a request's headers that isn't stored elsewhere. The delivery log stores only this
/// part, because it is a third as long as all headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRequestHeaders {
    pub host: String,
    /// `None` if the format isn't signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<RequestSignatures>,
    /// The names of the custom headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<String>,
}

impl LoggedRequestHeaders {
    /// Renders all headers of the request, including `Host` and `Content-Length`, which the client
    /// adds. Masks the values of custom headers.
    fn render(&self, subject: RequestSubject<'_>, body_len: usize) -> Vec<(String, String)> {
        let client_headers = [
            ("Host".to_owned(), self.host.clone()),
            ("Content-Length".to_owned(), body_len.to_string()),
        ];
        let masked = |name: &String| (name.clone(), MASKED_VALUE.to_owned());
        client_headers
            .into_iter()
            .chain(render_headers(subject, self.signatures.as_ref()))
            .chain(self.custom.iter().map(masked))
            .collect()
    }
}

/// Renders the headers of a request, except custom headers and the headers that the client adds:
/// `Host`, `Date`, and `Content-Length`. The headers of Standard Webhooks are part of a signature,
/// so a request without signatures doesn't contain them.
pub fn render_headers(
    subject: RequestSubject<'_>,
    signatures: Option<&RequestSignatures>,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(12);
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add("Content-Type", "application/json".into());
    add("User-Agent", USER_AGENT.into());
    add("X-Miniback-Event", subject.event.into());
    add("X-Miniback-Delivery", subject.delivery_id.into());
    add("X-Miniback-Timestamp", subject.event_at.to_string());
    let Some(signatures) = signatures else {
        return headers;
    };
    add("X-Miniback-Signature", signatures.current.clone());
    if let Some(next) = &signatures.next {
        add("X-Miniback-Signature-Next", next.clone());
    }
    if let Some(standard) = &signatures.standard {
        add("webhook-id", subject.delivery_id.into());
        add("webhook-timestamp", subject.sent_at.seconds().to_string());
        add("webhook-signature", standard.clone());
    }
    headers
}
