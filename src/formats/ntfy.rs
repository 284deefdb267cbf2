//! ntfy: a message published as JSON.
//!
//! - Publishing: <https://docs.ntfy.sh/publish/#publish-as-json>
//! - Limits: <https://docs.ntfy.sh/publish/#limitations>

use serde_json::{Value, json};

use super::chat::{Position, Rules, Safeguard, Service, json_string};
use super::message::{LINK_LABEL, Message, Part};
use crate::domain::feedback::FeedbackStatus;

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: str::len,
    total_size: |json| json["message"].as_str().map_or(0, str::len),
    share: str::len,
    build,
};

/// Without the member `markdown`, a message is plain text. The apps still link URLs and host names
/// in it, and plain text has no escapes. An invisible character inside them prevents this.
const SAFEGUARDS: &[Safeguard] = &[
    escape(':', ":\u{2060}"),
    escape('.', ".\u{2060}"),
    // "Each message can be up to 4,096 bytes long": https://docs.ntfy.sh/publish/#limitations
    limit(Part::WholeMessage, 4_096),
    limit(Part::Page, 1_000),
    limit(Part::Metadata, 1_000),
];

const fn escape(from: char, to: &'static str) -> Safeguard {
    let at = Position::BeforeText;
    Safeguard::Escape { from, to, at }
}

const fn limit(part: Part, max: usize) -> Safeguard {
    Safeguard::Limit { part, max }
}

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let text = message.text.iter().map(|text| rules.escape(text));
    let fields = message.fields.iter().map(|field| {
        let separator = match field.part {
            Part::Metadata => "\n",
            _ => " ",
        };
        let value = rules.escape(&field.value);
        format!("{}:{separator}{value}", field.part.label())
    });
    let fields: Vec<String> = fields.collect();
    let paragraphs: Vec<String> = text.chain([fields.join("\n")]).collect();
    let mut json = json!({
        "title": rules.escape(&message.title),
        "message": paragraphs.join("\n\n"),
        "tags": [tag(message.status)],
    });
    if let Some(link) = &message.link {
        json["click"] = link.as_str().into();
        json["actions"] = json!([{"action": "view", "label": LINK_LABEL, "url": link}]);
    }
    json
}

/// Adds the topic to a rendered message. Messages are published to the root of the server, and the
/// topic is a member of the JSON.
pub(super) fn add_topic(topic: &str, message: &[u8]) -> Vec<u8> {
    let topic = json_string(topic);
    let members = message.strip_prefix(b"{").unwrap_or(message);
    [format!("{{\"topic\":{topic},").as_bytes(), members].concat()
}

/// Returns the emoji before the title: <https://docs.ntfy.sh/emojis/>
fn tag(status: Option<FeedbackStatus>) -> &'static str {
    match status {
        Some(FeedbackStatus::New) => "speech_balloon",
        Some(FeedbackStatus::Reviewed) => "eyes",
        Some(FeedbackStatus::Resolved) => "white_check_mark",
        None => "test_tube",
    }
}
