//! The message of an event: everything that a chat service shows, as plain text.

use serde_json::Value;

use super::{Event, EventContent, TEST_MESSAGE};
use crate::clock::Timestamp;
use crate::domain::feedback::{Feedback, FeedbackStatus};

/// The message of an event. Every text is plain text, possibly typed by a stranger.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub title: String,
    /// The message of the feedback; `None` for a test.
    pub text: Option<String>,
    pub fields: Vec<Field>,
    /// The status of the feedback; `None` for a test.
    pub status: Option<FeedbackStatus>,
    pub at: Timestamp,
    /// The URL of the feedback's page in Miniback.
    pub link: Option<String>,
}

/// A labeled line below the text of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub part: Part,
    pub value: String,
}

/// A part of a message. Services limit the size of each part, and of the whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Title,
    Text,
    Status,
    Page,
    Email,
    Metadata,
    StartedBy,
    WholeMessage,
}

impl Part {
    /// Returns the label of a field.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Title => "Title",
            Self::Text => "Message",
            Self::Status => "Status",
            Self::Page => "Page",
            Self::Email => "Email",
            Self::Metadata => "Metadata",
            Self::StartedBy => "Started by",
            Self::WholeMessage => "Whole message",
        }
    }
}

/// The label of the link to the feedback's page.
pub const LINK_LABEL: &str = "Open in Miniback";

impl Message {
    pub fn new(details: bool, content: &EventContent<'_>) -> Self {
        let (title, feedback, status) = match content.event {
            Event::Created(feedback) => (
                format!("New feedback in {}", feedback.project.name),
                feedback,
                feedback.status.label().to_owned(),
            ),
            Event::Updated {
                feedback,
                previous_status,
            } => (
                format!("Status changed in {}", feedback.project.name),
                feedback,
                format!("{} → {}", previous_status.label(), feedback.status.label()),
            ),
            Event::Test { user } => return Self::test(user, content.at),
        };
        let mut fields = vec![Field::new(Part::Status, status)];
        fields.extend(feedback.url.clone().map(|url| Field::new(Part::Page, url)));
        if details {
            fields.extend(detail_fields(feedback));
        }
        Self {
            title,
            text: Some(feedback.message.clone()),
            fields,
            status: Some(feedback.status),
            at: content.at,
            link: content.link.clone(),
        }
    }

    fn test(user: &str, at: Timestamp) -> Self {
        Self {
            title: TEST_MESSAGE.into(),
            text: None,
            fields: vec![Field::new(Part::StartedBy, user.into())],
            status: None,
            at,
            link: None,
        }
    }

    /// Returns the title and the text, for a notification on a phone or a desktop.
    pub(super) fn notification(&self) -> String {
        match &self.text {
            Some(text) => format!("{}: {text}", self.title),
            None => self.title.clone(),
        }
    }
}

impl Field {
    fn new(part: Part, value: String) -> Self {
        Self { part, value }
    }
}

fn detail_fields(feedback: &Feedback) -> impl Iterator<Item = Field> {
    let email = feedback.email.clone();
    let metadata = feedback
        .metadata
        .as_ref()
        .filter(|object| !object.is_empty());
    let lines = metadata.map(|object| {
        let lines: Vec<String> = object
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}: {text}"),
                other => format!("{name}: {other}"),
            })
            .collect();
        lines.join("\n")
    });
    let email = email.map(|email| Field::new(Part::Email, email));
    email
        .into_iter()
        .chain(lines.map(|lines| Field::new(Part::Metadata, lines)))
}
