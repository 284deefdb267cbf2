//! The example payloads of the guide, rendered by the same code as real events, and the files of
//! `examples/`.

use crate::clock::Timestamp;
use crate::domain::event::{self, EventType};
use crate::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use crate::domain::id::{FeedbackId, ProjectId};
use crate::domain::webhook::Topic;

/// The body of an event, formatted for readability.
pub(super) struct ExamplePayload {
    pub(super) event: &'static str,
    pub(super) description: &'static str,
    pub(super) json: String,
}

/// A code example in the guide.
pub(super) struct CodeExample {
    pub(super) anchor: &'static str,
    pub(super) name: &'static str,
    /// Introduction, shown above the code.
    pub(super) description: &'static str,
    pub(super) file: &'static str,
    pub(super) text: &'static str,
}

/// Time of the example events: 2025-10-31T12:34:56.789Z.
const AT: Timestamp = Timestamp::from_millis(1_761_914_096_789);

pub(super) fn payloads() -> Vec<ExamplePayload> {
    let mut feedback = Feedback {
        id: FeedbackId::new("fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF"),
        project: ProjectSummary {
            id: ProjectId::new("prj_01K8X5A0G7H2J4K6M8N0P2Q4R6"),
            name: "My Website".into(),
            slug: "my-website".into(),
        },
        message: "The submit button does nothing on my phone".into(),
        status: FeedbackStatus::New,
        created_at: AT,
        email: None,
        url: None,
        metadata: None,
    };
    let created = event::feedback_created_body(&feedback);
    feedback.status = FeedbackStatus::Reviewed;
    let later = Timestamp::from_millis(AT.millis() + 3_600_000);
    let updated = event::feedback_updated_body(&feedback, FeedbackStatus::New, later);
    let test = event::test_body("ada@example.com", later);
    let topic_payload = |topic: Topic| ExamplePayload {
        event: topic.as_str(),
        description: topic.description(),
        json: pretty_print(match topic {
            Topic::FeedbackCreated => &created,
            Topic::FeedbackUpdated => &updated,
        }),
    };
    let test_payload = ExamplePayload {
        event: EventType::Test.as_str(),
        description: "A user pressed “Test”. This event contains no feedback. Check “event” first, and return a 2xx.",
        json: pretty_print(&test),
    };
    let topics = Topic::ALL.into_iter().map(topic_payload);
    topics.chain([test_payload]).collect()
}

fn pretty_print(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_default()
}

pub(super) const LANGUAGES: [CodeExample; 7] = [
    CodeExample {
        anchor: "node",
        name: "Node",
        description: "A complete Express endpoint. Install with “npm install express”.",
        file: "express/server.mjs",
        text: include_str!("../../../examples/receivers/express/server.mjs"),
    },
    CodeExample {
        anchor: "python",
        name: "Python",
        description: "A complete Flask endpoint. Install with “pip install flask”.",
        file: "flask/app.py",
        text: include_str!("../../../examples/receivers/flask/app.py"),
    },
    CodeExample {
        anchor: "nextjs",
        name: "Next.js",
        description: "A route handler for the App Router.",
        file: "app/webhooks/miniback/route.js",
        text: include_str!("../../../examples/receivers/nextjs/app/webhooks/miniback/route.js"),
    },
    CodeExample {
        anchor: "go",
        name: "Go",
        description: "A function for your handler. Uses only the standard library.",
        file: "verify.go",
        text: include_str!("../../../examples/verify/verify.go"),
    },
    CodeExample {
        anchor: "php",
        name: "PHP",
        description: "A function for your script. Needs PHP 8, no extensions.",
        file: "verify.php",
        text: include_str!("../../../examples/verify/verify.php"),
    },
    CodeExample {
        anchor: "ruby",
        name: "Ruby",
        description: "A function for your Rack or Rails action. Uses only the standard library.",
        file: "verify.rb",
        text: include_str!("../../../examples/verify/verify.rb"),
    },
    CodeExample {
        anchor: "rust",
        name: "Rust",
        description: "A function for any framework.",
        file: "verify.rs",
        text: include_str!("../../../examples/verify/verify.rs"),
    },
];

pub(super) const USES: [CodeExample; 4] = [
    CodeExample {
        anchor: "use-discord",
        name: "Post to a Discord channel",
        description: "Node. Slack and other services with incoming webhooks work the same way.",
        file: "discord/server.mjs",
        text: include_str!("../../../examples/receivers/discord/server.mjs"),
    },
    CodeExample {
        anchor: "use-database",
        name: "Write to a database",
        description: "Python and SQLite. Processed deliveries are stored in the database too, so duplicates are detected after a restart.",
        file: "database/app.py",
        text: include_str!("../../../examples/receivers/database/app.py"),
    },
    CodeExample {
        anchor: "use-sms",
        name: "Send an SMS for urgent feedback",
        description: "Python and Twilio.",
        file: "sms/app.py",
        text: include_str!("../../../examples/receivers/sms/app.py"),
    },
    CodeExample {
        anchor: "use-ticket",
        name: "Open a ticket",
        description: "Node and GitHub issues.",
        file: "ticket/server.mjs",
        text: include_str!("../../../examples/receivers/ticket/server.mjs"),
    },
];
