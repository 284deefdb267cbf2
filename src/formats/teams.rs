//! Microsoft Teams: an Adaptive Card for the trigger "When a Teams webhook request is received" of
//! Workflows.
//!
//! - Workflows: <https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook>
//! - Adaptive Cards: <https://adaptivecards.io/explorer/>

use serde_json::{Value, json};

use super::chat::{Position, Rules, Safeguard, Service, json_string};
use super::message::{LINK_LABEL, Message, Part};

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: json_bytes,
    total_size: |json| json_bytes(&json.to_string()),
    share: |text| json_bytes(&json_string(text)),
    build,
};

const SAFEGUARDS: &[Safeguard] = &[
    // `{{DATE(…)}}` and `{{TIME(…)}}` are replaced, and have no escape. An invisible character
    // between the braces prevents this:
    // https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
    Safeguard::Escape {
        from: '{',
        to: "{\u{2060}",
        at: Position::BeforeSame,
    },
    // "The message size limit is approximately 28 KB":
    // https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions
    Safeguard::Limit {
        part: Part::WholeMessage,
        max: 27_000,
    },
];

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let title = json!({
        "type": "TextRun", "text": rules.escape(&message.title), "weight": "Bolder", "size": "Medium",
    });
    let mut body = vec![rich_text(vec![title])];
    if let Some(text) = &message.text {
        body.push(rich_text(vec![text_run(&rules.escape(text))]));
    }
    for field in &message.fields {
        let label = format!("{}: ", field.part.label());
        let label = json!({"type": "TextRun", "text": label, "isSubtle": true});
        let mut line = rich_text(vec![label, text_run(&rules.escape(&field.value))]);
        line["spacing"] = "Small".into();
        body.push(line);
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": body,
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": LINK_LABEL, "url": link}]);
    }
    // Without this member, Teams shows cards in a narrow column:
    // https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format
    card["msteams"] = json!({"width": "Full"});
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// A `RichTextBlock` contains neither Markdown nor mentions, in contrast to a `TextBlock`:
/// <https://adaptivecards.io/explorer/TextRun.html>
fn rich_text(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}

fn text_run(text: &str) -> Value {
    json!({"type": "TextRun", "text": text})
}

/// Returns the size in UTF-8 or in UTF-16, whichever is larger, because Microsoft doesn't say which
/// encoding counts.
fn json_bytes(text: &str) -> usize {
    text.len().max(2 * text.encode_utf16().count())
}
