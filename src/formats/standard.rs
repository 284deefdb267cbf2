//! The standard format: the JSON that the webhook guide describes. The members and their order are
//! fixed.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Event, EventContent, TEST_MESSAGE};
use crate::clock::Timestamp;
use crate::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary, metadata_schema};
use crate::domain::id::FeedbackId;

// `schema.rs` generates the published JSON Schemas from these types.

#[derive(Serialize, ToSchema)]
pub(super) struct Payload<'a, T> {
    event: &'a str,
    timestamp: Timestamp,
    data: T,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CreatedData<'a> {
    feedback: FeedbackObject<'a>,
    project: &'a ProjectSummary,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdatedData<'a> {
    feedback: FeedbackObject<'a>,
    project: &'a ProjectSummary,
    previous_status: FeedbackStatus,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TestData<'a> {
    message: &'a str,
    /// The email of the user who started the test.
    user: &'a str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeedbackObject<'a> {
    id: FeedbackId,
    message: &'a str,
    status: FeedbackStatus,
    created_at: Timestamp,
    #[schema(ignore)]
    #[serde(flatten)]
    details: Option<FeedbackDetails<'a>>,
}

/// The members that only a webhook with `details` receives.
#[derive(Serialize, ToSchema)]
pub(super) struct FeedbackDetails<'a> {
    /// The email of the person who wrote the feedback.
    email: Option<&'a str>,
    /// The URL of the page that the feedback is about.
    url: Option<&'a str>,
    #[schema(schema_with = metadata_schema)]
    metadata: Option<&'a Map<String, Value>>,
    /// The URL of the feedback in Miniback. Null without `--base-url`.
    link: Option<&'a str>,
}

pub(super) fn render(details: bool, content: &EventContent<'_>) -> Vec<u8> {
    match content.event {
        Event::Created(feedback) => render_payload(
            content,
            CreatedData {
                feedback: feedback_object(feedback, details, content),
                project: &feedback.project,
            },
        ),
        Event::Updated {
            feedback,
            previous_status,
        } => render_payload(
            content,
            UpdatedData {
                feedback: feedback_object(feedback, details, content),
                project: &feedback.project,
                previous_status,
            },
        ),
        Event::Test { user } => {
            let message = TEST_MESSAGE;
            render_payload(content, TestData { message, user })
        }
    }
}

fn render_payload(content: &EventContent<'_>, data: impl Serialize) -> Vec<u8> {
    let payload = Payload {
        event: content.event.event_type().as_str(),
        timestamp: content.at,
        data,
    };
    // Can't fail: the payload contains only strings, structs, and maps with strings as keys.
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn feedback_object<'a>(
    feedback: &'a Feedback,
    details: bool,
    content: &'a EventContent<'_>,
) -> FeedbackObject<'a> {
    FeedbackObject {
        id: feedback.id,
        message: &feedback.message,
        status: feedback.status,
        created_at: feedback.created_at,
        details: details.then_some(FeedbackDetails {
            email: feedback.email.as_deref(),
            url: feedback.url.as_deref(),
            metadata: feedback.metadata.as_ref(),
            link: content.link.as_deref(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::{Id, ProjectId};

    const AT: Timestamp = Timestamp::from_millis(1_761_914_096_789);

    fn feedback() -> Feedback {
        Feedback {
            id: FeedbackId::parse_or_nil("fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF"),
            project: ProjectSummary {
                id: ProjectId::parse_or_nil("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"),
                name: "My “Website”".into(),
                slug: "my-website".into(),
            },
            message: "It's <b>bröken</b>\n\"now\" \u{2028}".into(),
            status: FeedbackStatus::New,
            created_at: AT,
            email: Some("sam@example.com".into()),
            url: None,
            metadata: None,
        }
    }

    fn body(details: bool, event: Event<'_>, at: Timestamp, link: Option<&str>) -> String {
        let link = link.map(str::to_owned);
        let content = EventContent { event, at, link };
        String::from_utf8(render(details, &content)).unwrap()
    }

    #[test]
    fn payloads_have_fixed_members_in_a_fixed_order() {
        let mut feedback = feedback();
        assert_eq!(
            body(
                false,
                Event::Created(&feedback),
                AT,
                Some("https://feedback.example.com/")
            ),
            "{\"event\":\"feedback.created\",\"timestamp\":\"2025-10-31T12:34:56.789Z\",\"data\":{\"feedback\":{\"id\":\"fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF\",\"message\":\"It's <b>bröken</b>\\n\\\"now\\\" \u{2028}\",\"status\":\"NEW\",\"createdAt\":\"2025-10-31T12:34:56.789Z\"},\"project\":{\"id\":\"prj_01K8X5A0G7H2J4K6M8N0P2Q4R6\",\"name\":\"My “Website”\",\"slug\":\"my-website\"}}}"
        );
        feedback.status = FeedbackStatus::Reviewed;
        feedback.message = "m".into();
        let later = Timestamp::from_millis(1_761_914_097_000);
        let updated = Event::Updated {
            feedback: &feedback,
            previous_status: FeedbackStatus::New,
        };
        assert_eq!(
            body(false, updated, later, None),
            r#"{"event":"feedback.updated","timestamp":"2025-10-31T12:34:57.000Z","data":{"feedback":{"id":"fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF","message":"m","status":"REVIEWED","createdAt":"2025-10-31T12:34:56.789Z"},"project":{"id":"prj_01K8X5A0G7H2J4K6M8N0P2Q4R6","name":"My “Website”","slug":"my-website"},"previousStatus":"NEW"}}"#
        );
        let test = Event::Test {
            user: "ada@example.com",
        };
        for details in [false, true] {
            assert_eq!(
                body(details, test, later, None),
                r#"{"event":"test","timestamp":"2025-10-31T12:34:57.000Z","data":{"message":"Test webhook notification from Miniback","user":"ada@example.com"}}"#
            );
        }
    }

    #[test]
    fn details_are_four_more_members_at_the_end_of_the_feedback() {
        let mut feedback = feedback();
        let message = "It's <b>bröken</b>\\n\\\"now\\\" \u{2028}";
        let id = "fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF";
        let expected = |details: &str| {
            format!(
                r#"{{"event":"feedback.created","timestamp":"2025-10-31T12:34:56.789Z","data":{{"feedback":{{"id":"{id}","message":"{message}","status":"NEW","createdAt":"2025-10-31T12:34:56.789Z",{details}}},"project":{{"id":"prj_01K8X5A0G7H2J4K6M8N0P2Q4R6","name":"My “Website”","slug":"my-website"}}}}}}"#
            )
        };
        assert_eq!(
            body(true, Event::Created(&feedback), AT, None),
            expected(r#""email":"sam@example.com","url":null,"metadata":null,"link":null"#)
        );
        feedback.email = None;
        feedback.url = Some("https://example.com/checkout".into());
        feedback.metadata = json!({"plan": "pro", "seats": 1.50}).as_object().cloned();
        let link = "https://feedback.example.com/feedback/fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF";
        assert_eq!(
            body(true, Event::Created(&feedback), AT, Some(link)),
            expected(&format!(
                r#""email":null,"url":"https://example.com/checkout","metadata":{{"plan":"pro","seats":1.5}},"link":"{link}""#
            ))
        );
    }
}
