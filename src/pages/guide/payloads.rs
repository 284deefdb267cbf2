//! What the guide quotes: the three payloads, made by the code that makes what is sent, and the files of `examples/`.

use crate::clock::Timestamp;
use crate::domain::event::{self, EventType};
use crate::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use crate::domain::id::{FeedbackId, ProjectId};
use crate::domain::webhook::Topic;

/// A body as it is sent, laid out to be read.
pub(super) struct ExamplePayload {
    pub(super) event: &'static str,
    pub(super) when: &'static str,
    pub(super) json: String,
}

/// Code in the page.
pub(super) struct CodeExample {
    pub(super) anchor: &'static str,
    pub(super) name: &'static str,
    /// What is said before it.
    pub(super) about: &'static str,
    pub(super) file: &'static str,
    pub(super) text: &'static str,
}

/// When the events of the guide happened: 2025-10-31T12:34:56.789Z.
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
        when: topic.description(),
        json: pretty_print(match topic {
            Topic::FeedbackCreated => &created,
            Topic::FeedbackUpdated => &updated,
        }),
    };
    let test_payload = ExamplePayload {
        event: EventType::Test.as_str(),
        when: "Someone clicked Test. It contains no feedback: check “event” first, and respond with a 2xx.",
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
        about: "A whole endpoint with Express: npm install express.",
        file: "express/server.mjs",
        text: include_str!("../../../examples/receivers/express/server.mjs"),
    },
    CodeExample {
        anchor: "python",
        name: "Python",
        about: "A whole endpoint with Flask: pip install flask.",
        file: "flask/app.py",
        text: include_str!("../../../examples/receivers/flask/app.py"),
    },
    CodeExample {
        anchor: "nextjs",
        name: "Next.js",
        about: "A route of the App Router.",
        file: "app/webhooks/miniback/route.js",
        text: include_str!("../../../examples/receivers/nextjs/app/webhooks/miniback/route.js"),
    },
    CodeExample {
        anchor: "go",
        name: "Go",
        about: "A function for your handler, by the standard library.",
        file: "verify.go",
        text: include_str!("../../../examples/verify/verify.go"),
    },
    CodeExample {
        anchor: "php",
        name: "PHP",
        about: "A function for your script, PHP 8 without extensions.",
        file: "verify.php",
        text: include_str!("../../../examples/verify/verify.php"),
    },
    CodeExample {
        anchor: "ruby",
        name: "Ruby",
        about: "A function for your Rack or Rails action, by the standard library.",
        file: "verify.rb",
        text: include_str!("../../../examples/verify/verify.rb"),
    },
    CodeExample {
        anchor: "rust",
        name: "Rust",
        about: "A function for any framework.",
        file: "verify.rs",
        text: include_str!("../../../examples/verify/verify.rs"),
    },
];

pub(super) const USES: [CodeExample; 4] = [
    CodeExample {
        anchor: "use-discord",
        name: "Post to a Discord channel",
        about: "Node. Slack and others that take a message by a URL work the same way.",
        file: "discord/server.mjs",
        text: include_str!("../../../examples/receivers/discord/server.mjs"),
    },
    CodeExample {
        anchor: "use-database",
        name: "Keep a database",
        about: "Python and SQLite. It remembers deliveries in the database too, so a restart forgets none.",
        file: "database/app.py",
        text: include_str!("../../../examples/receivers/database/app.py"),
    },
    CodeExample {
        anchor: "use-sms",
        name: "Send an SMS for what is urgent",
        about: "Python and Twilio.",
        file: "sms/app.py",
        text: include_str!("../../../examples/receivers/sms/app.py"),
    },
    CodeExample {
        anchor: "use-ticket",
        name: "Open a ticket",
        about: "Node and the issues of GitHub.",
        file: "ticket/server.mjs",
        text: include_str!("../../../examples/receivers/ticket/server.mjs"),
    },
];
