//! Feedback: one message in a project, and its status.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;

use super::id::{FeedbackId, ProjectId};
use crate::clock::Timestamp;

/// The longest message, in Unicode scalar values.
pub const MESSAGE_MAX_CHARS: usize = 10_000;
/// The longest page address, in bytes.
pub const URL_MAX_BYTES: usize = 2048;
/// The largest metadata, in bytes of compact JSON.
pub const METADATA_MAX_BYTES: usize = 4096;
/// The longest e-mail address, in bytes (RFC 5321's limit of a path, less its brackets).
pub const EMAIL_MAX_BYTES: usize = 254;

/// Where a feedback stands. Any status may follow any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = Status)]
pub enum FeedbackStatus {
    New,
    Reviewed,
    Resolved,
}

impl FeedbackStatus {
    pub const ALL: [Self; 3] = [Self::New, Self::Reviewed, Self::Resolved];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Reviewed => "REVIEWED",
            Self::Resolved => "RESOLVED",
        }
    }

    /// As a person reads it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Reviewed => "Reviewed",
            Self::Resolved => "Resolved",
        }
    }
}

impl fmt::Display for FeedbackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("The status is one of NEW, REVIEWED and RESOLVED.")]
pub struct ParseStatusError;

impl FromStr for FeedbackStatus {
    type Err = ParseStatusError;

    fn from_str(text: &str) -> Result<Self, ParseStatusError> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or(ParseStatusError)
    }
}

/// A feedback as it is stored.
#[derive(Clone, Debug)]
pub struct Feedback {
    pub id: FeedbackId,
    pub project: ProjectSummary,
    pub message: String,
    pub status: FeedbackStatus,
    pub created_at: Timestamp,
    pub email: Option<String>,
    pub url: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

/// What is told of a project wherever a feedback is shown or sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectSummary {
    pub id: ProjectId,
    #[schema(example = "My Website")]
    pub name: String,
    #[schema(example = "my-website")]
    pub slug: String,
}

/// A feedback about to be stored; every value has passed its check.
#[derive(Clone, Debug, Serialize)]
pub struct NewFeedback {
    /// The project's id or slug, as it was sent.
    pub project: String,
    pub message: String,
    pub email: Option<String>,
    pub url: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

/// Who changes a status.
#[derive(Clone, Debug)]
pub struct Actor {
    pub email: String,
    /// The name of the token by which it is done; `None`: by the page.
    pub token: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    #[error("Write a message: it is empty.")]
    MessageEmpty,
    #[error("The message has {0} characters; at most {MESSAGE_MAX_CHARS} are taken.")]
    MessageTooLong(usize),
    #[error("The message holds a NUL character, which cannot be stored.")]
    MessageNul,
    #[error("This is not one e-mail address.")]
    Email,
    #[error("An e-mail address has at most {EMAIL_MAX_BYTES} characters.")]
    EmailTooLong,
    #[error("This is not a web address; it begins with http:// or https://.")]
    Url,
    #[error("A web address has at most {URL_MAX_BYTES} characters.")]
    UrlTooLong,
    #[error("The metadata has {0} bytes as JSON; at most {METADATA_MAX_BYTES} are taken.")]
    MetadataTooLarge(usize),
}

/// A message: 1 to 10,000 characters, of which one is not white space; kept as it was sent.
pub fn check_message(text: String) -> Result<String, FeedbackError> {
    if text.contains('\0') {
        return Err(FeedbackError::MessageNul);
    }
    if text.trim().is_empty() {
        return Err(FeedbackError::MessageEmpty);
    }
    match text.chars().count() {
        0..=MESSAGE_MAX_CHARS => Ok(text),
        chars => Err(FeedbackError::MessageTooLong(chars)),
    }
}

/// One e-mail address of at most 254 bytes, without a display name (RFC 5322 syntax).
pub fn check_email(text: String) -> Result<String, FeedbackError> {
    if text.len() > EMAIL_MAX_BYTES {
        return Err(FeedbackError::EmailTooLong);
    }
    let options = Options::default()
        .without_display_text()
        .without_domain_literal();
    EmailAddress::parse_with_options(&text, options).map_err(|_| FeedbackError::Email)?;
    Ok(text)
}

/// The page that a feedback is about: http(s), at most 2,048 bytes, kept as it was sent.
pub fn check_page_url(text: String) -> Result<String, FeedbackError> {
    if text.len() > URL_MAX_BYTES {
        return Err(FeedbackError::UrlTooLong);
    }
    let written_out = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let clean = !text.chars().any(|c| c.is_control() || c == ' ');
    match Url::parse(&text) {
        Ok(_) if written_out && clean => Ok(text),
        _ => Err(FeedbackError::Url),
    }
}

/// A JSON object of at most 4 KiB.
pub fn check_metadata(object: Map<String, Value>) -> Result<Map<String, Value>, FeedbackError> {
    match serde_json::to_string(&object).map_or(usize::MAX, |json| json.len()) {
        0..=METADATA_MAX_BYTES => Ok(object),
        bytes => Err(FeedbackError::MetadataTooLarge(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_counted_in_characters_and_kept_as_sent() {
        assert_eq!(check_message("  héllo\n".into()).unwrap(), "  héllo\n");
        assert!(check_message("ü".repeat(MESSAGE_MAX_CHARS)).is_ok());
        assert!(matches!(
            check_message("ü".repeat(MESSAGE_MAX_CHARS + 1)),
            Err(FeedbackError::MessageTooLong(10_001))
        ));
        assert!(matches!(
            check_message(" \u{a0}\n\t".into()),
            Err(FeedbackError::MessageEmpty)
        ));
        assert!(matches!(
            check_message("a\0b".into()),
            Err(FeedbackError::MessageNul)
        ));
    }

    #[test]
    fn an_email_is_one_plain_address() {
        for good in ["sam@example.com", "a+b@example.co.uk", "ünï@exämple.de"] {
            assert!(check_email(good.into()).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "sam",
            "sam@",
            "@example.com",
            "Sam <sam@example.com>",
            "a@b.c, d@e.f",
            "a b@c.d",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert!(check_email(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_is_http_or_https() {
        assert!(check_page_url("https://example.com/a?b#c".into()).is_ok());
        for bad in [
            "javascript:alert(1)",
            "/checkout",
            "",
            "ftp://example.com",
            "https://",
            "http:example.com",
            "https://exa\nmple.com/",
            "https://example.com/\u{1b}[31m",
        ] {
            assert!(check_page_url(bad.into()).is_err(), "{bad}");
        }
    }
}
