//! Slack's incoming webhooks: a message of Block Kit blocks.
//!
//! - Messages: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
//! - Blocks: <https://docs.slack.dev/reference/block-kit/blocks>

use serde_json::{Value, json};

use super::chat::{Position, Rules, Safeguard, Service, utf16_units};
use super::message::{LINK_LABEL, Message, Part};

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: utf16_units,
    total_size: |_| 0,
    share: |_| 0,
    build,
};

const SAFEGUARDS: &[Safeguard] = &[
    // "Slack uses &, <, and > as control characters for special parsing in text objects":
    // https://docs.slack.dev/messaging/formatting-message-text#escaping
    escape('&', "&amp;"),
    escape('<', "&lt;"),
    escape('>', "&gt;"),
    // https://docs.slack.dev/reference/block-kit/blocks/header-block
    limit(Part::Title, 150),
    // https://docs.slack.dev/reference/block-kit/composition-objects/text-object
    limit(Part::Text, 3_000),
    limit(Part::Page, 2_900),
    limit(Part::Metadata, 2_900),
    // The text of the notification is `mrkdwn` by default, and Slack previews the pages that a
    // message links to: https://docs.slack.dev/messaging/unfurling-links-in-messages
    member("mrkdwn", "false"),
    member("parse", r#""none""#),
    member("unfurl_links", "false"),
    member("unfurl_media", "false"),
];

const fn escape(from: char, to: &'static str) -> Safeguard {
    let at = Position::Anywhere;
    Safeguard::Escape { from, to, at }
}

const fn limit(part: Part, max: usize) -> Safeguard {
    Safeguard::Limit { part, max }
}

const fn member(name: &'static str, json: &'static str) -> Safeguard {
    Safeguard::Member { name, json }
}

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let mut blocks = vec![json!({"type": "header", "text": plain_text(&message.title, rules)})];
    if let Some(text) = &message.text {
        blocks.push(json!({"type": "section", "text": plain_text(text, rules)}));
    }
    for field in &message.fields {
        let line = format!("{}: {}", field.part.label(), field.value);
        blocks.push(json!({"type": "context", "elements": [plain_text(&line, rules)]}));
    }
    if let Some(link) = &message.link {
        // A link instead of a button: Slack sends an interaction for every button, also for one
        // that opens a URL, and shows an error because a webhook can't acknowledge interactions:
        // https://docs.slack.dev/reference/block-kit/block-elements/button-element
        let text = format!("<{}|{LINK_LABEL}>", rules.escape(link).replace('|', "%7C"));
        let text = json!({"type": "mrkdwn", "text": text, "verbatim": true});
        blocks.push(json!({"type": "section", "text": text}));
    }
    let mut json = json!({"text": rules.escape(&message.notification()), "blocks": blocks});
    rules.add_members(&mut json);
    json
}

/// Slack doesn't parse markup, links, or mentions in a text object of this type. `emoji: false`
/// also keeps `:smile:` as it is:
/// <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>
fn plain_text(text: &str, rules: &Rules<'_>) -> Value {
    json!({"type": "plain_text", "text": rules.escape(text), "emoji": false})
}
