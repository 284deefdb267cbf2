//! The example payloads of the guide, rendered by the same code as real events.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use crate::domain::format::Format;
use crate::domain::id::{FeedbackId, Id, ProjectId};
use crate::domain::webhook::Topic;
use crate::formats::{self, Event, EventContent};

/// An example of an event: its type, a description, and its body as formatted JSON.
pub(super) struct ExamplePayload {
    pub(super) event: &'static str,
    pub(super) description: &'static str,
    pub(super) json: String,
}

/// Time when the example feedback was created: 2025-10-31T12:34:56.789Z.
const EXAMPLE_CREATED_AT: Timestamp = Timestamp::from_millis(1_761_914_096_789);

/// Feedback with all members that details add.
fn example_feedback() -> Feedback {
    let metadata = [("browser", "Firefox 131"), ("system", "Android")]
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    Feedback {
        id: FeedbackId::parse_or_nil("fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF"),
        project: ProjectSummary {
            id: ProjectId::parse_or_nil("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"),
            name: "My Website".into(),
            slug: "my-website".into(),
        },
        message: "The submit button does nothing on my phone".into(),
        status: FeedbackStatus::New,
        created_at: EXAMPLE_CREATED_AT,
        email: Some("sam@example.com".into()),
        url: Some("https://example.com/checkout".into()),
        metadata: Some(Map::from_iter(metadata)),
    }
}

/// Returns the example of `feedback.created` with details.
pub(super) fn example_with_details() -> String {
    let feedback = example_feedback();
    let link = format!("https://feedback.example.com/feedback/{}", feedback.id);
    let content = EventContent {
        event: Event::Created(&feedback),
        at: EXAMPLE_CREATED_AT,
        link: Some(link),
    };
    pretty_print_json(&formats::render(Format::Standard, true, &content))
}

pub(super) fn example_payloads() -> Vec<ExamplePayload> {
    let mut feedback = example_feedback();
    let created = render(Event::Created(&feedback), EXAMPLE_CREATED_AT);
    feedback.status = FeedbackStatus::Reviewed;
    let later = Timestamp::from_millis(EXAMPLE_CREATED_AT.millis() + 3_600_000);
    let updated = Event::Updated {
        feedback: &feedback,
        previous_status: FeedbackStatus::New,
    };
    let updated = render(updated, later);
    let user = "ada@example.com";
    let test = render(Event::Test { user }, later);
    let topic_payload = |topic: Topic| ExamplePayload {
        event: topic.as_str(),
        description: topic.description(),
        json: pretty_print_json(match topic {
            Topic::FeedbackCreated => &created,
            Topic::FeedbackUpdated => &updated,
        }),
    };
    let test_payload = ExamplePayload {
        event: EventType::Test.as_str(),
        description: "A user pressed “Test”. This event contains no feedback. Check “event” first, and return a 2xx.",
        json: pretty_print_json(&test),
    };
    let topics = Topic::ALL.into_iter().map(topic_payload);
    topics.chain([test_payload]).collect()
}

fn render(event: Event<'_>, at: Timestamp) -> Vec<u8> {
    let link = None;
    formats::render(Format::Standard, false, &EventContent { event, at, link })
}

fn pretty_print_json(body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_default()
}
