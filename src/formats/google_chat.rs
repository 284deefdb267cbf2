//! Google Chat's incoming webhooks: a message with one card.
//!
//! - Messages: <https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages>
//! - Cards: <https://developers.google.com/workspace/chat/api/reference/rest/v1/cards>

use serde_json::{Value, json};

use super::chat::{Position, Rules, Safeguard, Service, json_string, shorten};
use super::message::{LINK_LABEL, Message, Part};

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: str::len,
    total_size: |json| json.to_string().len(),
    share: |text| json_string(text).len(),
    build,
};

const SAFEGUARDS: &[Safeguard] = &[
    // The texts of widgets are HTML. Mentions, `<URL|text>`, and automatic links exist only in the
    // member `text`, which isn't used:
    // https://developers.google.com/workspace/chat/format-messages#card-formatting
    escape('&', "&amp;"),
    escape('<', "&lt;"),
    // "The maximum message size, including text and cards, is 32,000 bytes":
    // https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create
    limit(Part::WholeMessage, 32_000),
    limit(Part::Metadata, 8_000),
];

const fn escape(from: char, to: &'static str) -> Safeguard {
    let at = Position::Anywhere;
    Safeguard::Escape { from, to, at }
}

const fn limit(part: Part, max: usize) -> Safeguard {
    Safeguard::Limit { part, max }
}

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let title = format!("<b>{}</b>", rules.escape(&message.title));
    let mut widgets = vec![json!({"textParagraph": {"text": title}})];
    if let Some(text) = &message.text {
        widgets.push(json!({"textParagraph": {"text": rules.escape(text)}}));
    }
    for field in &message.fields {
        let text = rules.escape(&field.value);
        let top_label = field.part.label();
        widgets.push(
            json!({"decoratedText": {"topLabel": top_label, "text": text, "wrapText": true}}),
        );
    }
    if let Some(link) = &message.link {
        let button = json!({"text": LINK_LABEL, "onClick": {"openLink": {"url": link}}});
        widgets.push(json!({"buttonList": {"buttons": [button]}}));
    }
    json!({
        // Plain text, for notifications.
        "fallbackText": shorten(&message.notification(), 300),
        "cardsV2": [{"cardId": "miniback", "card": {"sections": [{"widgets": widgets}]}}],
    })
}
