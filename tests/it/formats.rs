//! The bodies of all formats, compared with the files in `tests/fixtures/formats`.
//!
//! `MINIBACK_UPDATE_FIXTURES=1 cargo test --test it formats` writes the files again. The tests then
//! fail, so that nobody updates the files without looking at the change.

use std::path::PathBuf;
use std::{env, fs};

use miniback::clock::Timestamp;
use miniback::domain::feedback::{Feedback, FeedbackStatus};
use miniback::domain::format::Format;
use miniback::domain::service_advice::service_advice;
use miniback::formats::{self, Event, EventContent, example_feedback};
use serde_json::{Value, json};

use crate::support::chat_services::{self, CHAT_FORMATS, HOSTILE_TEXTS};
use crate::support::source_files::repo_root;

const AT: Timestamp = Timestamp::from_millis(1_761_914_096_789);

struct Case {
    name: &'static str,
    feedback: Feedback,
    previous_status: Option<FeedbackStatus>,
    details: bool,
    has_link: bool,
}

impl Case {
    fn new(name: &'static str, feedback: Feedback) -> Self {
        Self {
            name,
            feedback,
            previous_status: None,
            details: false,
            has_link: true,
        }
    }

    fn render(&self, format: Format) -> Vec<u8> {
        let id = self.feedback.id;
        let event = match self.previous_status {
            _ if self.name == "test" => Event::Test {
                user: "ada@example.com",
            },
            Some(previous_status) => Event::Updated {
                feedback: &self.feedback,
                previous_status,
            },
            None => Event::Created(&self.feedback),
        };
        let has_link = self.has_link && self.name != "test";
        let content = EventContent {
            event,
            at: AT,
            link: has_link.then(|| format!("https://feedback.example.com/feedback/{id}")),
        };
        formats::render(format, self.details, &content)
    }
}

fn cases() -> Vec<Case> {
    let feedback = || example_feedback(AT);
    let resolved = Feedback {
        status: FeedbackStatus::Resolved,
        ..feedback()
    };
    let hostile = Feedback {
        message: HOSTILE_TEXTS.join("\n"),
        url: Some("https://evil.example/`<!channel>|*a*?q=1&b=%3E".into()),
        email: Some("\"@everyone\"@example.com".into()),
        metadata: json!({"<@U1>": "[link](https://evil.example)", "n": 1.50})
            .as_object()
            .cloned(),
        ..feedback()
    };
    let mut long = feedback();
    long.message = "👩‍💻 <b>&amp;</b> A long message.\n".repeat(300);
    long.url = Some(format!("https://example.com/?{}", "a=1&".repeat(500)));
    let value = "x".repeat(4_000);
    long.metadata = json!({"value": value}).as_object().cloned();
    let mut without_link = Case::new("without_base_url", feedback());
    without_link.has_link = false;
    vec![
        Case::new("created", feedback()),
        Case {
            previous_status: Some(FeedbackStatus::Reviewed),
            ..Case::new("updated", resolved)
        },
        Case::new("test", feedback()),
        Case {
            details: true,
            ..Case::new("details", feedback())
        },
        Case {
            details: true,
            ..Case::new("hostile", hostile)
        },
        Case {
            details: true,
            ..Case::new("long", long)
        },
        without_link,
    ]
}

#[test]
fn formats_render_the_bodies_in_the_fixtures() {
    let is_update = env::var_os("MINIBACK_UPDATE_FIXTURES").is_some();
    let mut changed = Vec::new();
    for format in CHAT_FORMATS.into_iter().chain([Format::Standard]) {
        for case in cases() {
            let json: Value = serde_json::from_slice(&case.render(format)).unwrap();
            let rendered = serde_json::to_string_pretty(&json).unwrap() + "\n";
            let path = fixture(format, case.name);
            if fs::read_to_string(&path).ok().as_ref() == Some(&rendered) {
                continue;
            }
            if is_update {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, rendered).unwrap();
            }
            changed.push(path);
        }
    }
    assert!(
        changed.is_empty(),
        "These files differ from the rendered bodies: {changed:#?}\n\
         To update them, set MINIBACK_UPDATE_FIXTURES=1, and check the changes."
    );
}

fn fixture(format: Format, case: &str) -> PathBuf {
    let directory = repo_root().join("tests/fixtures/formats");
    directory.join(format.as_str()).join(format!("{case}.json"))
}

#[test]
fn services_accept_the_bodies_in_the_fixtures() {
    for format in CHAT_FORMATS {
        for case in cases() {
            let body = chat_services::with_ntfy_topic(format, &case.render(format));
            let shown = chat_services::post(format, &body);
            assert!(shown.is_ok(), "{format:?} {}: {shown:?}", case.name);
        }
    }
}

#[test]
fn each_error_of_a_service_has_its_own_advice() {
    for format in CHAT_FORMATS {
        for rejection in chat_services::rejections(format) {
            let advice = service_advice(format, rejection.status, rejection.body.as_bytes());
            let advice = advice.unwrap_or_default();
            let unknown = service_advice(format, 404, b"").unwrap();
            let is_general = format != Format::Teams && advice == unknown;
            assert!(
                !advice.is_empty() && !is_general,
                "{format:?}: {rejection:?}"
            );
        }
    }
}
