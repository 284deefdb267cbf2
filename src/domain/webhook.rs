//! Webhooks: their settings, secrets, and validation.

mod custom_headers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::custom_headers::{check_custom_headers, merge_custom_headers};
use super::format::{Format, FormatMismatch};
use super::id::{ProjectId, WebhookId};
use super::secret::Secret;
use super::validation::{SingleLineError, check_single_line};
use super::webhook_url::WebhookUrl;
use crate::clock::Timestamp;

/// The maximum number of webhooks.
pub const WEBHOOKS_MAX: usize = 100;
/// The maximum length of a description, in Unicode scalar values.
pub const DESCRIPTION_MAX_CHARS: usize = 200;
/// The maximum number of custom headers of a webhook.
pub const CUSTOM_HEADERS_MAX: usize = 10;
/// The maximum length of a value of a custom header, in bytes.
pub const HEADER_VALUE_MAX_BYTES: usize = 1024;
/// The maximum overlap of a rotation, in hours (one week).
const OVERLAP_MAX_HOURS: u32 = 168;

/// Defines [`Topic`] from its variants' names, labels, and descriptions.
///
/// `$name` is a `tt`, because utoipa ignores a `literal` fragment in a serde attribute.
macro_rules! topics {
    ($($variant:ident: $name:tt, $label:literal, $description:literal;)+) => {
        /// An event type that a webhook can subscribe to.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
        )]
        pub enum Topic {
            $(#[serde(rename = $name)] $variant,)+
        }

        impl Topic {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the label shown on pages.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// Returns a description of when the event occurs.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)+
                }
            }
        }
    };
}

topics! {
    FeedbackCreated: "feedback.created", "New Feedback",
        "Feedback was submitted through the widget, the form, or the API.";
    FeedbackUpdated: "feedback.updated", "Status Changed",
        "The status of feedback changed. Undoing a status change sends this event too.";
}

impl Topic {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text)
    }

    /// Returns the labels of these topics, separated by commas.
    pub fn join_labels(topics: &[Self]) -> String {
        let labels: Vec<_> = topics.iter().map(|topic| topic.label()).collect();
        labels.join(", ")
    }
}

/// The retry policy of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Retries)]
pub enum RetryPolicy {
    /// Retries after the delays of `--retry-delays`.
    Standard,
    /// Continues after the standard delays for more than a day.
    Patient,
}

impl RetryPolicy {
    pub const ALL: [Self; 2] = [Self::Standard, Self::Patient];

    /// Returns the policy of a new webhook. Mail servers reject some emails at first (greylisting),
    /// and accept the same emails minutes later.
    pub fn default_for(format: Format) -> Self {
        if format.is_email() {
            Self::Patient
        } else {
            Self::Standard
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Patient => "patient",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

/// Custom request headers by name. The names keep the capitalization that the user entered. The
/// values aren't displayed after they are saved.
pub type CustomHeaders = BTreeMap<String, String>;

/// A stored webhook without its [`Secrets`].
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: WebhookUrl,
    pub format: Format,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    pub details: bool,
    pub description: String,
    pub topics: Vec<Topic>,
    /// The selected projects. If the list is empty, the webhook receives events from all projects.
    pub projects: Vec<ProjectId>,
    pub enabled: bool,
    pub retries: RetryPolicy,
    pub headers: CustomHeaders,
    /// Start of the first failed attempt after the last success.
    pub failing_since: Option<Timestamp>,
    /// End of the hold that the endpoint requested with `Retry-After`.
    pub held_until: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Webhook {
    /// Changes the URL and the format. Without a format, the format of a different URL is detected.
    /// A webhook that becomes an email webhook loses its headers, because emails have none.
    pub fn set_target(
        &mut self,
        url: Option<WebhookUrl>,
        format: Option<Format>,
    ) -> Result<(), WebhookError> {
        let is_other_target = url
            .as_ref()
            .is_some_and(|url| !url.is_equivalent(&self.url));
        if is_other_target {
            // A new endpoint starts without a hold. A different spelling of the same URL keeps the
            // hold.
            self.held_until = None;
        }
        self.url = url.unwrap_or_else(|| self.url.clone());
        self.format = match format {
            Some(format) => format,
            None if is_other_target => Format::detect(&self.url),
            None => self.format,
        };
        self.format.check_url(&self.url)?;
        if self.format.is_email() {
            self.headers.clear();
        }
        Ok(())
    }

    /// Returns the description or, if it is empty, the URL or the email.
    pub fn title(&self) -> &str {
        match self.description.as_str() {
            "" => self.url.display_text(),
            description => description,
        }
    }
}

/// The secrets of a webhook: the current secret and, during the overlap of a rotation, the next
/// secret.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub current: Secret,
    pub next: Option<NextSecret>,
}

/// The secret that becomes the current secret when the overlap ends.
#[derive(Clone, Debug)]
pub struct NextSecret {
    pub secret: Secret,
    pub overlap_ends_at: Timestamp,
}

impl Secrets {
    /// Returns the active secrets at `now`. If the overlap has ended, the next secret becomes the
    /// current secret.
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

/// A validated webhook that isn't stored yet.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub url: WebhookUrl,
    pub format: Format,
    pub details: bool,
    pub description: String,
    pub topics: Vec<Topic>,
    /// Ids or slugs of projects.
    pub projects: Vec<String>,
    pub enabled: bool,
    pub retries: RetryPolicy,
    pub headers: CustomHeaders,
    pub secret: Secret,
}

/// A partial update of a webhook; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    pub url: Option<WebhookUrl>,
    /// `None` also means that the format is detected again if the URL changes.
    pub format: Option<Format>,
    pub details: Option<bool>,
    pub description: Option<String>,
    pub topics: Option<Vec<Topic>>,
    /// Ids or slugs of projects.
    pub projects: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub retries: Option<RetryPolicy>,
    /// Replaces all headers. A header with the value `None` keeps its stored value.
    pub headers: Option<BTreeMap<String, Option<String>>>,
}

/// The reason a setting of a webhook is invalid. The message is for the person who entered the
/// setting.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WebhookError {
    #[error("A webhook can have at most {CUSTOM_HEADERS_MAX} headers.")]
    TooManyHeaders,
    #[error(
        "“{0}” isn’t a valid header name. Use at most 64 letters, digits, hyphens, and underscores."
    )]
    InvalidHeaderName(String),
    #[error("The header “{0}” is reserved for Miniback or for HTTP. Use a different name.")]
    ReservedHeader(String),
    #[error("The header “{0}” is listed twice.")]
    DuplicateHeader(String),
    #[error(
        "The value of “{0}” must be printable ASCII with at most 1,024 characters and no spaces at its start or end."
    )]
    InvalidHeaderValue(String),
    #[error("“{0}” has no stored value. Enter a value.")]
    NoStoredValue(String),
    #[error("An email webhook can’t have headers.")]
    EmailHeaders,
    #[error("Only the format “standard” has a secret.")]
    SecretWithoutSignature,
    #[error(transparent)]
    FormatMismatch(#[from] FormatMismatch),
    #[error("The overlap must be 1 to {OVERLAP_MAX_HOURS} hours, or 0 to rotate immediately.")]
    Overlap,
}

/// Checks and trims a description: at most 200 characters, no control characters or line
/// separators. A description that isn't empty must contain a visible character.
pub fn check_description(text: &str) -> Result<String, SingleLineError> {
    check_single_line("description", text, 0..=DESCRIPTION_MAX_CHARS)
}

/// Checks that a webhook has a secret only if its deliveries are signed.
pub fn check_secret_allowed(format: Format, has_secret: bool) -> Result<(), WebhookError> {
    if has_secret && !format.is_signed() {
        return Err(WebhookError::SecretWithoutSignature);
    }
    Ok(())
}

/// Checks that an email webhook has no custom headers.
pub fn check_headers_allowed<V>(
    format: Format,
    headers: &BTreeMap<String, V>,
) -> Result<(), WebhookError> {
    if format.is_email() && !headers.is_empty() {
        return Err(WebhookError::EmailHeaders);
    }
    Ok(())
}

/// Checks the length of an overlap: at most 168 hours. 0 means an immediate rotation.
pub fn check_overlap_hours(hours: u32) -> Result<u32, WebhookError> {
    if hours <= OVERLAP_MAX_HOURS {
        Ok(hours)
    } else {
        Err(WebhookError::Overlap)
    }
}

/// Removes duplicate topics and sorts the rest in the order of [`Topic::ALL`].
pub fn normalize_topics(list: &[Topic]) -> Vec<Topic> {
    Topic::ALL
        .into_iter()
        .filter(|t| list.contains(t))
        .collect()
}
