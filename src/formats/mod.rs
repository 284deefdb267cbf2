//! Renders events as the bodies that webhooks receive, with one file for each format.
//!
//! Rendering is pure. A body is rendered once, in the transaction that stores the event, and every
//! attempt sends these bytes.

mod alert_email;
mod chat;
mod discord;
pub mod email;
mod example;
mod google_chat;
mod mattermost;
mod message;
mod ntfy;
mod schema;
mod slack;
mod standard;
mod teams;

pub use alert_email::render_alert_email;
pub use chat::{Position, Safeguard, cut_message, render_message, safeguards};
pub use example::example_feedback;
pub use message::{Field, LINK_LABEL, Message, Part};
pub use schema::{EventSchema, event_schemas};

use crate::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::domain::format::{Format, ntfy_topic};
use crate::domain::webhook::Topic;
use crate::domain::webhook_url::WebhookUrl;

/// Everything that a format can show of an event.
#[derive(Clone, Debug)]
pub struct EventContent<'a> {
    pub event: Event<'a>,
    /// The time of the event. For new feedback, this is the feedback's `created_at`.
    pub at: Timestamp,
    /// The URL of the feedback's page in Miniback; `None` without `--base-url`, and for a test.
    pub link: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    Created(&'a Feedback),
    /// `feedback` has the new status.
    Updated {
        feedback: &'a Feedback,
        previous_status: FeedbackStatus,
    },
    /// `user` is the email of the user who started the test.
    Test {
        user: &'a str,
    },
}

impl Event<'_> {
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Created(_) => EventType::Topic(Topic::FeedbackCreated),
            Self::Updated { .. } => EventType::Topic(Topic::FeedbackUpdated),
            Self::Test { .. } => EventType::Test,
        }
    }
}

/// The message of a test.
pub const TEST_MESSAGE: &str = "Test webhook notification from Miniback";

/// Renders the body of an event. `details` adds the email and the metadata, and in the standard
/// format also the page URL and the link.
pub fn render(format: Format, details: bool, content: &EventContent<'_>) -> Vec<u8> {
    match format {
        Format::Standard => standard::render(details, content),
        Format::Email => email::render(details, content),
        Format::Slack
        | Format::Discord
        | Format::Teams
        | Format::GoogleChat
        | Format::Mattermost
        | Format::Ntfy => {
            render_message(format, &Message::new(details, content), safeguards(format))
        }
    }
}

/// Adds the topic to an ntfy message. The topic comes from the webhook's URL. Messages in other
/// formats don't depend on the URL, and stay unchanged.
pub fn add_ntfy_topic(format: Format, url: &WebhookUrl, body: Vec<u8>) -> Vec<u8> {
    let url = url.endpoint().filter(|_| format == Format::Ntfy);
    match url.and_then(ntfy_topic) {
        Some(topic) => ntfy::add_topic(topic, &body),
        None => body,
    }
}

/// Returns the message of an event, cut to the limits of a chat service, for a preview; `None` for
/// `standard` and `email`.
pub fn preview(format: Format, details: bool, content: &EventContent<'_>) -> Option<Message> {
    cut_message(format, &Message::new(details, content), safeguards(format))
}
