//! Mattermost's incoming webhooks: a post with one message attachment.
//!
//! - Webhooks: <https://developers.mattermost.com/integrate/webhooks/incoming/>
//! - Attachments: <https://developers.mattermost.com/integrate/reference/message-attachments/>

use serde_json::{Value, json};

use super::chat::Position::{AfterLineNumber, Anywhere, LineStart};
use super::chat::{Position, Rules, Safeguard, Service};
use super::message::{LINK_LABEL, Message, Part};
use crate::domain::feedback::FeedbackStatus;

pub(super) const SERVICE: Service = Service {
    safeguards: SAFEGUARDS,
    size: |text| text.chars().count(),
    total_size: |_| 0,
    share: |_| 0,
    build,
};

/// Mattermost's clients parse Markdown in different ways, and find emoji, hashtags, and channel
/// links after they have removed backslashes. All clients show numeric character references, and
/// none of them interprets the character as markup:
/// <https://docs.mattermost.com/collaborate/format-messages.html>
const SAFEGUARDS: &[Safeguard] = &[
    // The server finds mentions after it has decoded the references. An invisible character
    // separates the name: https://docs.mattermost.com/collaborate/mention-people.html
    escape('@', "@\u{2060}", Anywhere),
    escape('<', "&lt;", Anywhere),
    escape('\\', "&#92;", Anywhere),
    escape('`', "&#96;", Anywhere),
    escape('*', "&#42;", Anywhere),
    escape('_', "&#95;", Anywhere),
    escape('~', "&#126;", Anywhere),
    escape('#', "&#35;", Anywhere),
    escape('[', "&#91;", Anywhere),
    // Lists, tables, headings, and `x-d`.
    escape('-', "&#45;", Anywhere),
    // Ordered lists, and host names.
    escape('.', "&#46;", Anywhere),
    // URLs, and emoji such as `:smile:`, `:)`, and `;d`. Character references end with a semicolon.
    escape(':', "&#58;", Anywhere),
    escape(';', "&#59;", Anywhere),
    // LaTeX.
    escape('$', "&#36;", Anywhere),
    // Block quotes, lists, and headings.
    escape('>', "&gt;", LineStart),
    escape('+', "&#43;", LineStart),
    escape('=', "&#61;", LineStart),
    escape(')', "&#41;", AfterLineNumber),
    // Four spaces, also no-break spaces, or a tab at the start of a line begin a block of code.
    escape(' ', "&#32;", LineStart),
    escape('\u{a0}', "&#160;", LineStart),
    escape('\t', "&#32;", LineStart),
    // The web app replaces this symbol with a line feed.
    escape('\u{2424}', "&#9252;", Anywhere),
    // There is no limit that an escaped message of 10,000 characters can exceed: a payload can have
    // 300,000 bytes (the default of MaximumPayloadSizeBytes), and an attachment as many.
];

const fn escape(from: char, to: &'static str, at: Position) -> Safeguard {
    Safeguard::Escape { from, to, at }
}

fn build(message: &Message, rules: &Rules<'_>) -> Value {
    let mut attachment = json!({
        // Plain text, for notifications. Mentions in it aren't resolved.
        "fallback": message.title,
        "color": color(message.status),
        "pretext": format!("**{}**", rules.escape(&message.title)),
    });
    if let Some(text) = &message.text {
        attachment["text"] = rules.escape(text).into();
    }
    let fields = message.fields.iter().map(|field| {
        let value = match field.part {
            Part::Page | Part::Email => code(&field.value, rules),
            _ => rules.escape(&field.value),
        };
        let is_short = matches!(field.part, Part::Status | Part::Email);
        json!({"title": field.part.label(), "value": value, "short": is_short})
    });
    let link = message.link.as_ref().map(|link| {
        let value = format!("[{LINK_LABEL}](<{}>)", link.replace('>', "%3E"));
        json!({"title": "", "value": value, "short": false})
    });
    attachment["fields"] = fields.chain(link).collect();
    json!({"attachments": [attachment]})
}

/// Shows a URL or an email as inline code, in which Mattermost finds no links and no mentions. A
/// text with a backtick is escaped instead.
fn code(text: &str, rules: &Rules<'_>) -> String {
    match text.contains('`') {
        true => rules.escape(text),
        false => format!("`{text}`"),
    }
}

fn color(status: Option<FeedbackStatus>) -> &'static str {
    match status {
        Some(FeedbackStatus::New) => "#2563eb",
        Some(FeedbackStatus::Reviewed) => "#d97706",
        Some(FeedbackStatus::Resolved) => "#16a34a",
        None => "#64748b",
    }
}
