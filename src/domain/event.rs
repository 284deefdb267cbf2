//! Event types and the JSON payloads that endpoints receive. The members and their order are fixed.
//!
//! The body is rendered and stored once, when the event occurs. Every attempt sends these bytes.

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use super::id::FeedbackId;
use super::webhook::Topic;
use crate::clock::Timestamp;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Topic(Topic),
    Test,
}

impl EventType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Test => "test",
        }
    }

    /// Returns all event types: the topics, then `test`.
    pub fn all() -> impl Iterator<Item = Self> {
        Topic::ALL.into_iter().map(Self::Topic).chain([Self::Test])
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|event| event.as_str() == text)
    }
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::all().map(Self::as_str)))
            .into()
    }
}

impl ToSchema for EventType {}

#[derive(Serialize)]
struct EventPayload<'a, D> {
    event: &'a str,
    timestamp: Timestamp,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedbackData<'a> {
    feedback: FeedbackObject<'a>,
    project: &'a ProjectSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_status: Option<FeedbackStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedbackObject<'a> {
    id: FeedbackId,
    message: &'a str,
    status: FeedbackStatus,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct TestData<'a> {
    message: &'static str,
    user: &'a str,
}

/// Renders the body of `feedback.created`. The timestamp is the feedback's `createdAt`.
pub fn feedback_created_body(feedback: &Feedback) -> Vec<u8> {
    feedback_body(Topic::FeedbackCreated, feedback, None, feedback.created_at)
}

/// Renders the body of `feedback.updated`. `feedback` has the new status, and `previous` is the old
/// status.
pub fn feedback_updated_body(
    feedback: &Feedback,
    previous: FeedbackStatus,
    at: Timestamp,
) -> Vec<u8> {
    feedback_body(Topic::FeedbackUpdated, feedback, Some(previous), at)
}

/// Renders the body of `test`. `user` is the email of the user who started the test.
pub fn test_body(user: &str, at: Timestamp) -> Vec<u8> {
    render_payload(
        EventType::Test,
        at,
        TestData {
            message: "Test webhook notification from Miniback",
            user,
        },
    )
}

fn feedback_body(
    topic: Topic,
    feedback: &Feedback,
    previous_status: Option<FeedbackStatus>,
    at: Timestamp,
) -> Vec<u8> {
    let data = FeedbackData {
        feedback: FeedbackObject {
            id: feedback.id,
            message: &feedback.message,
            status: feedback.status,
            created_at: feedback.created_at,
        },
        project: &feedback.project,
        previous_status,
    };
    render_payload(EventType::Topic(topic), at, data)
}

fn render_payload(event: EventType, timestamp: Timestamp, data: impl Serialize) -> Vec<u8> {
    // Can't fail: the payload contains only strings and structs.
    serde_json::to_vec(&EventPayload {
        event: event.as_str(),
        timestamp,
        data,
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{Id, ProjectId};

    #[test]
    fn payloads_have_fixed_members_in_a_fixed_order() {
        let at = Timestamp::from_millis(1_761_914_096_789);
        let mut feedback = Feedback {
            id: FeedbackId::parse_or_nil("fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF"),
            project: ProjectSummary {
                id: ProjectId::parse_or_nil("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"),
                name: "My “Website”".into(),
                slug: "my-website".into(),
            },
            message: "It's <b>bröken</b>\n\"now\" \u{2028}".into(),
            status: FeedbackStatus::New,
            created_at: at,
            email: Some("sam@example.com".into()),
            url: None,
            metadata: None,
        };
        assert_eq!(
            String::from_utf8(feedback_created_body(&feedback)).unwrap(),
            "{\"event\":\"feedback.created\",\"timestamp\":\"2025-10-31T12:34:56.789Z\",\"data\":{\"feedback\":{\"id\":\"fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF\",\"message\":\"It's <b>bröken</b>\\n\\\"now\\\" \u{2028}\",\"status\":\"NEW\",\"createdAt\":\"2025-10-31T12:34:56.789Z\"},\"project\":{\"id\":\"prj_01K8X5A0G7H2J4K6M8N0P2Q4R6\",\"name\":\"My “Website”\",\"slug\":\"my-website\"}}}"
        );
        feedback.status = FeedbackStatus::Reviewed;
        feedback.message = "m".into();
        let later = Timestamp::from_millis(1_761_914_097_000);
        assert_eq!(
            String::from_utf8(feedback_updated_body(&feedback, FeedbackStatus::New, later))
                .unwrap(),
            r#"{"event":"feedback.updated","timestamp":"2025-10-31T12:34:57.000Z","data":{"feedback":{"id":"fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF","message":"m","status":"REVIEWED","createdAt":"2025-10-31T12:34:56.789Z"},"project":{"id":"prj_01K8X5A0G7H2J4K6M8N0P2Q4R6","name":"My “Website”","slug":"my-website"},"previousStatus":"NEW"}}"#
        );
        assert_eq!(
            String::from_utf8(test_body("ada@example.com", later)).unwrap(),
            r#"{"event":"test","timestamp":"2025-10-31T12:34:57.000Z","data":{"message":"Test webhook notification from Miniback","user":"ada@example.com"}}"#
        );
    }
}
