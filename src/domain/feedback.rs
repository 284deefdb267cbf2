//! Feedback: one message in a project, and its status.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::email;
use super::id::{FeedbackId, ProjectId};
use super::text::has_visible_char;
use super::validation::{ValidationErrors, check_all_fields, check_field};
use crate::clock::Timestamp;

/// The maximum length of a message, in Unicode scalar values.
pub const MESSAGE_MAX_CHARS: usize = 10_000;
/// The maximum length of a page URL, in bytes.
pub const PAGE_URL_MAX_BYTES: usize = 2048;
/// The maximum size of metadata, in bytes of compact JSON.
pub const METADATA_MAX_BYTES: usize = 4096;

/// The status of feedback. Every change between statuses is allowed.
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

    /// Returns the label shown on pages.
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

/// The error for a string that isn't a feedback status.
#[derive(Debug, thiserror::Error)]
#[error("The status must be NEW, REVIEWED, or RESOLVED.")]
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

// The API and the exports serialize this type, so the order of its fields is part of the API.
/// Feedback that people or programs submitted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    pub id: FeedbackId,
    #[schema(example = "The submit button does nothing on my phone")]
    pub message: String,
    pub status: FeedbackStatus,
    pub created_at: Timestamp,
    #[schema(required = true, example = "sam@example.com")]
    pub email: Option<String>,
    #[schema(required = true, example = "https://example.com/checkout")]
    pub url: Option<String>,
    #[schema(schema_with = metadata_schema, required = true)]
    pub metadata: Option<Map<String, Value>>,
    pub project: ProjectSummary,
}

impl Feedback {
    /// Returns the approximate size of the message, email, page URL, and metadata, in bytes.
    /// Metadata counts as 1 KiB, regardless of its size.
    pub fn approximate_bytes(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let metadata = self.metadata.as_ref().map_or(0, |_| METADATA_MAX_BYTES / 4);
        self.message.len() + of(&self.email) + of(&self.url) + metadata
    }
}

/// Returns the OpenAPI schema of metadata.
pub fn metadata_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Additional data about the feedback. At most 4 KiB of JSON.",
        ))
        .examples([json!({"plan": "pro"})])
        .build()
}

/// The project's data that is displayed and sent with feedback.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectSummary {
    pub id: ProjectId,
    #[schema(example = "My Website")]
    pub name: String,
    #[schema(example = "my-website")]
    pub slug: String,
}

/// Feedback from a client, before validation.
pub struct RawFeedback {
    /// The project's id or slug.
    pub project: String,
    pub message: String,
    pub email: Option<String>,
    pub url: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

/// Validated feedback that isn't stored yet.
#[derive(Clone, Debug, Serialize)]
pub struct NewFeedback {
    /// The project's id or slug. The project might not exist.
    pub project: String,
    pub message: String,
    pub email: Option<String>,
    pub url: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

impl NewFeedback {
    /// Validates all fields except `project`. `metadata_field` is the name of the metadata field in
    /// the request, for errors.
    pub fn validate(raw: RawFeedback, metadata_field: &str) -> Result<Self, ValidationErrors> {
        let (message, email, url, metadata) = check_all_fields((
            check_field("message", check_message(raw.message)),
            check_field(
                "email",
                raw.email.as_deref().map(email::check_email).transpose(),
            ),
            check_field("url", raw.url.map(check_page_url).transpose()),
            check_field(metadata_field, raw.metadata.map(check_metadata).transpose()),
        ))?;
        Ok(Self {
            project: raw.project,
            message,
            email,
            url,
            metadata,
        })
    }
}

/// The user who changes a status, and the API token if the change was made through the API.
#[derive(Clone, Debug)]
pub struct Actor {
    pub email: String,
    /// The name of the API token that made the change; `None` for a change on a page.
    pub token: Option<String>,
}

/// The reason a field of new feedback is invalid. The error message is for the person who submits
/// the feedback.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    #[error("Enter a message.")]
    MessageEmpty,
    #[error("The message is too long: {0} characters, maximum 10,000.")]
    MessageTooLong(usize),
    #[error("The message contains a NUL character, which can’t be stored.")]
    MessageNul,
    #[error("Enter a URL that starts with http:// or https://.")]
    InvalidUrl,
    #[error("The URL is too long: maximum 2,048 bytes.")]
    UrlTooLong,
    #[error("The metadata is too large: {0} bytes as JSON, maximum 4,096.")]
    MetadataTooLarge(usize),
}

/// Checks a message: 1 to 10,000 characters, at least one of them visible, no NUL. Leaves the text
/// unchanged.
pub fn check_message(text: String) -> Result<String, FeedbackError> {
    if text.contains('\0') {
        return Err(FeedbackError::MessageNul);
    }
    if !has_visible_char(&text) {
        return Err(FeedbackError::MessageEmpty);
    }
    match text.chars().count() {
        0..=MESSAGE_MAX_CHARS => Ok(text),
        chars => Err(FeedbackError::MessageTooLong(chars)),
    }
}

/// Checks a page URL: `http` or `https`, at most 2,048 bytes, no spaces or control characters.
/// Leaves the text unchanged.
pub fn check_page_url(text: String) -> Result<String, FeedbackError> {
    if text.len() > PAGE_URL_MAX_BYTES {
        return Err(FeedbackError::UrlTooLong);
    }
    let has_web_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let is_clean = !text.chars().any(|c| c.is_control() || c == ' ');
    match Url::parse(&text) {
        Ok(_) if has_web_scheme && is_clean => Ok(text),
        _ => Err(FeedbackError::InvalidUrl),
    }
}

/// Checks metadata: at most 4 KiB as compact JSON.
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
    fn counts_characters_and_leaves_the_message_unchanged() {
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
            check_message("\u{200b}\u{2060} \u{feff}".into()),
            Err(FeedbackError::MessageEmpty)
        ));
        assert!(matches!(
            check_message("a\0b".into()),
            Err(FeedbackError::MessageNul)
        ));
    }

    #[test]
    fn accepts_only_http_and_https_page_urls() {
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
