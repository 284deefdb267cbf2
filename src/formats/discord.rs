//! Discord's webhooks: a message with one embed.
//!
//! - Webhooks: <https://docs.discord.com/developers/resources/webhook#execute-webhook>
//! - Embeds: <https://docs.discord.com/developers/resources/message#embed-object>

use serde_json::{Value, json};

use super::chat::Position::{AfterLineNumber, Anywhere, BeforeText, LineStart};
use super::chat::{Position, Rules, Safeguard, Service, utf16_units};
use super::message::{LINK_LABEL, Message, Part};
use crate::domain::feedback::FeedbackStatus;

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: utf16_units,
    total_size: embed_characters,
    share: utf16_units,
    build,
};

const SAFEGUARDS: &[Safeguard] = &[
    // A backslash before a character of the markup shows the character:
    // https://support.discord.com/hc/en-us/articles/210298617
    escape('\\', r"\\", Anywhere),
    escape('*', r"\*", Anywhere),
    escape('_', r"\_", Anywhere),
    escape('~', r"\~", Anywhere),
    escape('`', r"\`", Anywhere),
    escape('|', r"\|", Anywhere),
    // Masked links: [text](URL).
    escape('[', r"\[", Anywhere),
    // Mentions, custom emoji, and timestamps:
    // https://docs.discord.com/developers/reference#message-formatting
    escape('<', r"\<", Anywhere),
    escape('@', r"\@", BeforeText),
    // `https://` and `:emoji:`.
    escape(':', r"\:", BeforeText),
    // Headings, subtext, block quotes, and lists.
    escape('#', r"\#", LineStart),
    escape('-', r"\-", LineStart),
    escape('>', r"\>", LineStart),
    escape('.', r"\.", AfterLineNumber),
    // https://docs.discord.com/developers/resources/message#embed-object-embed-limits
    limit(Part::Title, 256),
    limit(Part::Text, 4_096),
    limit(Part::Page, 1_022),
    limit(Part::Metadata, 1_024),
    limit(Part::WholeMessage, 6_000),
    // https://docs.discord.com/developers/resources/message#allowed-mentions-object
    Safeguard::Member {
        name: "allowed_mentions",
        json: r#"{"parse": []}"#,
    },
];

const fn escape(from: char, to: &'static str, at: Position) -> Safeguard {
    Safeguard::Escape { from, to, at }
}

const fn limit(part: Part, max: usize) -> Safeguard {
    Safeguard::Limit { part, max }
}

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let mut embed = json!({"title": rules.escape(&message.title)});
    if let Some(link) = &message.link {
        embed["url"] = link.as_str().into();
    }
    if let Some(text) = &message.text {
        embed["description"] = rules.escape(text).into();
    }
    embed["color"] = color(message.status).into();
    let fields = message.fields.iter().map(|field| {
        let value = match field.part {
            Part::Page | Part::Email => code(&field.value, rules),
            _ => rules.escape(&field.value),
        };
        json!({"name": field.part.label(), "value": value})
    });
    let link = message.link.as_ref().map(|link| {
        // A link in angle brackets can contain parentheses.
        let value = format!("[{LINK_LABEL}](<{}>)", link.replace('>', "%3E"));
        json!({"name": "\u{200b}", "value": value})
    });
    embed["fields"] = fields.chain(link).collect();
    embed["timestamp"] = message.at.to_string().into();
    let mut json = json!({"embeds": [embed]});
    rules.add_members(&mut json);
    json
}

/// Shows a URL or an email as inline code, in which Discord finds no links. A text with a backtick
/// is escaped instead.
fn code(text: &str, rules: &Rules<'_>) -> String {
    match text.contains('`') {
        true => rules.escape(text),
        false => format!("`{text}`"),
    }
}

fn color(status: Option<FeedbackStatus>) -> u32 {
    match status {
        Some(FeedbackStatus::New) => 0x25_63_eb,
        Some(FeedbackStatus::Reviewed) => 0xd9_77_06,
        Some(FeedbackStatus::Resolved) => 0x16_a3_4a,
        None => 0x64_74_8b,
    }
}

/// Returns the number of characters that count for the limit of 6,000.
fn embed_characters(json: &Value) -> usize {
    let embed = &json["embeds"][0];
    let texts = ["title", "description"].map(|name| embed[name].as_str());
    let fields = embed["fields"].as_array().into_iter().flatten();
    let fields = fields.flat_map(|field| [field["name"].as_str(), field["value"].as_str()]);
    texts
        .into_iter()
        .chain(fields)
        .flatten()
        .map(utf16_units)
        .sum()
}
