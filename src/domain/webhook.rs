//! Webhooks: configured endpoints, and what their parts may be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoint_url::EndpointUrl;
use super::id::{ProjectId, WebhookId};
use super::secret::Secret;
use crate::clock::Timestamp;

/// The most webhooks an installation holds.
pub const WEBHOOKS_MAX: usize = 100;
/// The longest description, in Unicode scalar values.
pub const DESCRIPTION_MAX_CHARS: usize = 200;
/// The most request headers of its own that a webhook has.
pub const HEADERS_MAX: usize = 10;
/// The longest value of such a header, in bytes.
pub const HEADER_VALUE_MAX_BYTES: usize = 1024;
/// The longest overlap of a rotation, in hours: one week.
pub const OVERLAP_MAX_HOURS: u32 = 168;

/// An event type that a webhook can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Topic {
    #[serde(rename = "feedback.created")]
    FeedbackCreated,
    #[serde(rename = "feedback.updated")]
    FeedbackUpdated,
}

impl Topic {
    pub const ALL: [Self; 2] = [Self::FeedbackCreated, Self::FeedbackUpdated];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FeedbackCreated => "feedback.created",
            Self::FeedbackUpdated => "feedback.updated",
        }
    }

    /// As a person reads it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FeedbackCreated => "New Feedback",
            Self::FeedbackUpdated => "Status Changed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// How long a failed delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Retries)]
pub enum RetryPolicy {
    /// The delays of `--retry-delays`, then it is given up.
    Standard,
    /// After those, for more than a day.
    Patient,
}

impl RetryPolicy {
    pub const ALL: [Self; 2] = [Self::Standard, Self::Patient];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Patient => "patient",
        }
    }
}

/// Request headers of a webhook's own: name as given → value. Values are never shown again.
pub type CustomHeaders = BTreeMap<String, String>;

/// A webhook as it is stored, without its secrets (see [`Secrets`]).
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: EndpointUrl,
    pub description: String,
    pub topics: Vec<Topic>,
    /// Empty = all projects.
    pub projects: Vec<ProjectId>,
    pub enabled: bool,
    pub retries: RetryPolicy,
    pub headers: CustomHeaders,
    /// When the first failed attempt since the last success began.
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before this: the endpoint asked for it with `Retry-After`.
    pub held_until: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A webhook's secrets: the one in force and, during the overlap of a rotation, the one that follows it.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub current: Secret,
    pub next: Option<NextSecret>,
}

#[derive(Clone, Debug)]
pub struct NextSecret {
    pub secret: Secret,
    pub overlap_ends_at: Timestamp,
}

impl Secrets {
    /// The secrets in force at `now`: an overlap that has ended makes the next secret the current one.
    pub fn active_at(self, now: Timestamp) -> Self {
        match self.next {
            Some(next) if next.overlap_ends_at <= now => Self {
                current: next.secret,
                next: None,
            },
            _ => self,
        }
    }
}

/// A webhook about to be stored; every value has passed its check.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub url: EndpointUrl,
    pub description: String,
    pub topics: Vec<Topic>,
    pub projects: Vec<String>,
    pub enabled: bool,
    pub retries: RetryPolicy,
    pub headers: CustomHeaders,
    pub secret: Secret,
}

/// A change of a webhook: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    pub url: Option<EndpointUrl>,
    pub description: Option<String>,
    pub topics: Option<Vec<Topic>>,
    /// Ids or slugs.
    pub projects: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub retries: Option<RetryPolicy>,
    /// Replaces all headers; `None` as a value keeps the stored one.
    pub headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WebhookError {
    #[error("A description has at most {DESCRIPTION_MAX_CHARS} characters; this one has {0}.")]
    DescriptionTooLong(usize),
    #[error("The description holds a control character.")]
    DescriptionControl,
    #[error("At most {HEADERS_MAX} headers can be added.")]
    TooManyHeaders,
    #[error("“{0}” is not a header name: use letters, digits and -, at most 64 of them.")]
    HeaderName(String),
    #[error("The header “{0}” is set by Miniback or by HTTP itself and cannot be changed.")]
    HeaderReserved(String),
    #[error("The header “{0}” is named twice.")]
    HeaderTwice(String),
    #[error(
        "The value of “{0}” must be printable ASCII of at most {HEADER_VALUE_MAX_BYTES} characters, not blank at its ends."
    )]
    HeaderValue(String),
    #[error("No value is stored for “{0}” that could be kept: give one.")]
    HeaderNotStored(String),
    #[error("An overlap is 1 to {OVERLAP_MAX_HOURS} hours; 0 switches at once.")]
    Overlap,
}

/// A description: at most 200 characters, trimmed, without control characters.
pub fn check_description(text: &str) -> Result<String, WebhookError> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(WebhookError::DescriptionControl);
    }
    match text.chars().count() {
        0..=DESCRIPTION_MAX_CHARS => Ok(text.to_owned()),
        chars => Err(WebhookError::DescriptionTooLong(chars)),
    }
}

/// Topics without repetition, in their fixed order.
pub fn normalize_topics(list: &[Topic]) -> Vec<Topic> {
    Topic::ALL
        .into_iter()
        .filter(|t| list.contains(t))
        .collect()
}

/// Checks the names of all headers and the values of those that have one (`None` stands for a kept value).
pub fn check_headers(given: &BTreeMap<String, Option<String>>) -> Result<(), WebhookError> {
    if given.len() > HEADERS_MAX {
        return Err(WebhookError::TooManyHeaders);
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in given {
        let lower = name.to_ascii_lowercase();
        if name.is_empty()
            || name.len() > 64
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(WebhookError::HeaderName(name.clone()));
        }
        if is_reserved(&lower) {
            return Err(WebhookError::HeaderReserved(name.clone()));
        }
        if seen.contains(&lower) {
            return Err(WebhookError::HeaderTwice(name.clone()));
        }
        let printable = |v: &String| {
            v.len() <= HEADER_VALUE_MAX_BYTES
                && v.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
                && v.trim() == v
        };
        if value.as_ref().is_some_and(|v| !printable(v)) {
            return Err(WebhookError::HeaderValue(name.clone()));
        }
        seen.push(lower);
    }
    Ok(())
}

/// Headers that a delivery sets itself, or that HTTP needs for framing and routing (RFC 9110, RFC 9112).
fn is_reserved(lower: &str) -> bool {
    const FIXED: [&str; 15] = [
        "host",
        "date",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "http2-settings",
        "proxy-authorization",
        "forwarded",
    ];
    FIXED.contains(&lower)
        || lower.starts_with("content-")
        || lower.starts_with("x-miniback-")
        || lower.starts_with("x-forwarded-")
        || lower.starts_with("webhook-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> BTreeMap<String, Option<String>> {
        BTreeMap::from([(name.to_owned(), Some(value.to_owned()))])
    }

    #[test]
    fn headers_of_ones_own_cannot_forge_those_of_the_delivery() {
        for name in [
            "X-Miniback-Event",
            "webhook-id",
            "User-Agent",
            "Content-Type",
            "content-length",
            "HOST",
            "Connection",
            "Transfer-Encoding",
        ] {
            assert_eq!(
                check_headers(&one(name, "x")),
                Err(WebhookError::HeaderReserved(name.to_owned()))
            );
        }
        assert_eq!(check_headers(&one("Authorization", "Bearer abc")), Ok(()));
        for name in ["", "a b", "a:b", "a\r\nb", "ü"] {
            assert!(check_headers(&one(name, "x")).is_err(), "{name:?}");
        }
        for value in ["a\r\nX: b", "a\0", " a", "ü", &"a".repeat(1025)] {
            assert!(check_headers(&one("X-Key", value)).is_err(), "{value:?}");
        }
        let twice = BTreeMap::from([("X-Key".to_owned(), None), ("x-key".to_owned(), None)]);
        assert!(matches!(
            check_headers(&twice),
            Err(WebhookError::HeaderTwice(_))
        ));
        let eleven = (0..11).map(|i| (format!("X-{i}"), None)).collect();
        assert_eq!(check_headers(&eleven), Err(WebhookError::TooManyHeaders));
    }
}
