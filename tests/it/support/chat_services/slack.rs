//! Slack's incoming webhooks.

use serde_json::Value;

use super::markup::{
    Found, Syntax, bare_url, character_reference, code, delimited, emoji, marker, show,
};
use super::{Rejection, Shown, characters, items, unknown_member};

/// `mrkdwn`: <https://docs.slack.dev/messaging/formatting-message-text>
const MRKDWN: Syntax = Syntax {
    escape,
    block: |text| marker(text, &[">", "• "]),
    inline: |text, before| {
        ["*", "_", "~"]
            .iter()
            .find_map(|delimiter| delimited(text, delimiter))
            .or_else(|| code(text))
            .or_else(|| emoji(text))
            .or_else(|| control_sequence(text, before))
    },
    plain: |_, _| {},
};

/// `plain_text` without emoji. "Slack uses &, <, and > as control characters for special parsing in
/// text objects":
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
const PLAIN_TEXT: Syntax = Syntax {
    inline: control_sequence,
    block: |_| None,
    ..MRKDWN
};

/// The text of a notification, which isn't a text object, with automatic parsing:
/// <https://docs.slack.dev/messaging/formatting-message-text#automatic-parsing>
const PARSED_TEXT: Syntax = Syntax {
    inline: |text, before| {
        let name = ["@channel", "@here", "@everyone"];
        let mention = name.iter().find(|name| text.starts_with(**name));
        mention
            .map(|name| (Found::Mention((*name).to_owned()), name.len()))
            .or_else(|| bare_url(text))
            .or_else(|| control_sequence(text, before))
    },
    ..PLAIN_TEXT
};

fn escape(text: &str) -> Option<(String, usize)> {
    let names = ["&amp;", "&lt;", "&gt;"];
    let is_known = names.iter().any(|name| text.starts_with(name));
    character_reference(text).filter(|_| is_known)
}

/// Finds a link or a mention in angle brackets. A single control character isn't allowed.
fn control_sequence(text: &str, _before: Option<char>) -> Option<(Found, usize)> {
    let inner = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let Some((inner, _)) = inner else {
        let is_control = text.starts_with(['&', '<', '>']);
        return is_control.then(|| (Found::Code(text[..1].to_owned()), 1));
    };
    let (target, label) = inner.split_once('|').unwrap_or((inner, inner));
    let found = match target.chars().next() {
        Some('!' | '@' | '#') => Found::Mention(inner.to_owned()),
        _ => Found::Link {
            url: target.replace("&amp;", "&"),
            label: label.to_owned(),
        },
    };
    Some((found, inner.len() + 2))
}

pub(super) fn post(json: &Value) -> Result<Shown, Rejection> {
    let known = [
        "text",
        "blocks",
        "mrkdwn",
        "parse",
        "link_names",
        "unfurl_links",
        "unfurl_media",
    ];
    if !json.is_object() || unknown_member(json, &known).is_some() {
        return Err(Rejection::new(400, "invalid_payload"));
    }
    // "chat.postMessage … text: limit to 4,000 characters":
    // https://docs.slack.dev/reference/methods/chat.postMessage
    if characters(&json["text"]) == 0 {
        return Err(Rejection::new(400, "no_text"));
    }
    if characters(&json["text"]) > 4_000 {
        return Err(Rejection::new(400, "msg_too_long"));
    }
    let mut shown = Shown {
        // https://docs.slack.dev/messaging/unfurling-links-in-messages
        has_previews: json["unfurl_links"] != false || json["unfurl_media"] != false,
        ..Shown::default()
    };
    let text = json["text"].as_str().unwrap_or_default();
    let is_mrkdwn = json["mrkdwn"] != false;
    let is_parsed = json["parse"] != "none" || json["link_names"] == true;
    let syntax = match (is_mrkdwn, is_parsed) {
        (true, _) => MRKDWN,
        (false, true) => PARSED_TEXT,
        (false, false) => PLAIN_TEXT,
    };
    let notification = show(text, &syntax, &mut shown);
    shown.texts.push(notification);
    // "You can include up to 50 blocks in each message":
    // https://docs.slack.dev/reference/block-kit/blocks
    if items(&json["blocks"]).count() > 50 {
        return Err(Rejection::new(400, "invalid_blocks"));
    }
    for block in items(&json["blocks"]) {
        show_block(block, &mut shown)?;
    }
    Ok(shown)
}

fn show_block(block: &Value, shown: &mut Shown) -> Result<(), Rejection> {
    match block["type"].as_str() {
        // "Maximum length for the text in this field is 150 characters":
        // https://docs.slack.dev/reference/block-kit/blocks/header-block
        Some("header") if block["text"]["type"] == "plain_text" => {
            show_text(&block["text"], 150, shown)
        }
        // https://docs.slack.dev/reference/block-kit/blocks/section-block
        Some("section") => show_text(&block["text"], 3_000, shown),
        // "Maximum number of items is 10":
        // https://docs.slack.dev/reference/block-kit/blocks/context-block
        Some("context") if (1..=10).contains(&items(&block["elements"]).count()) => {
            items(&block["elements"]).try_for_each(|text| show_text(text, 3_000, shown))
        }
        _ => Err(Rejection::new(400, "invalid_blocks")),
    }
}

/// <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>
fn show_text(object: &Value, max: usize, shown: &mut Shown) -> Result<(), Rejection> {
    if !(1..=max).contains(&characters(&object["text"])) {
        return Err(Rejection::new(400, "invalid_blocks"));
    }
    let (syntax, known) = match object["type"].as_str() {
        Some("plain_text") => (PLAIN_TEXT, ["type", "text", "emoji"]),
        Some("mrkdwn") => (MRKDWN, ["type", "text", "verbatim"]),
        _ => return Err(Rejection::new(400, "invalid_blocks")),
    };
    if unknown_member(object, &known).is_some() {
        return Err(Rejection::new(400, "invalid_blocks_format"));
    }
    let text = object["text"].as_str().unwrap_or_default();
    // `:smile:` becomes an emoji unless `emoji` is false.
    let has_emoji = object["type"] == "plain_text" && object["emoji"] != false;
    shown.formatted.extend(has_emoji.then(|| text.to_owned()));
    let visible = show(text, &syntax, shown);
    shown.texts.push(visible);
    Ok(())
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors>,
/// <https://docs.slack.dev/apis/web-api/rate-limits>
pub(super) fn rejections() -> Vec<Rejection> {
    vec![
        Rejection::new(400, "invalid_payload"),
        Rejection::new(400, "no_text"),
        Rejection::new(400, "user_not_found"),
        Rejection::new(403, "action_prohibited"),
        Rejection::new(403, "invalid_token"),
        Rejection::new(403, "posting_to_general_channel_denied"),
        Rejection::new(404, "channel_not_found"),
        Rejection::new(404, "no_service"),
        Rejection::new(404, "no_team"),
        Rejection::new(410, "channel_is_archived"),
        Rejection::new(500, "rollup_error"),
        Rejection::new(429, "rate_limited").header("Retry-After", "30"),
    ]
}
