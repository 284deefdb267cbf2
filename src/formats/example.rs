//! Example feedback, for tests of a webhook and for previews.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use crate::domain::id::{FeedbackId, Id, ProjectId};

/// Returns feedback that isn't stored. Its message says that it is a test, and its ids exist
/// nowhere.
pub fn example_feedback(created_at: Timestamp) -> Feedback {
    let metadata = [("browser", "Firefox 131"), ("system", "Android")]
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    Feedback {
        id: FeedbackId::parse_or_nil("fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF"),
        message: "This is a test from Miniback, not real feedback: \
                  the submit button does nothing on my phone."
            .into(),
        status: FeedbackStatus::New,
        created_at,
        email: Some("sam@example.com".into()),
        url: Some("https://example.com/checkout".into()),
        metadata: Some(Map::from_iter(metadata)),
        project: ProjectSummary {
            id: ProjectId::parse_or_nil("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"),
            name: "My Website".into(),
            slug: "my-website".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feedback::{check_message, check_metadata, check_page_url};

    #[test]
    fn the_example_is_valid_feedback() {
        let feedback = example_feedback(Timestamp::from_millis(0));
        assert!(check_message(feedback.message).is_ok());
        assert!(check_page_url(feedback.url.unwrap()).is_ok());
        assert!(check_metadata(feedback.metadata.unwrap()).is_ok());
        assert_ne!(feedback.id, FeedbackId::parse_or_nil(""));
        assert_ne!(feedback.project.id, ProjectId::parse_or_nil(""));
    }
}
