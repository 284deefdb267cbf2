//! Mattermost's incoming webhooks.

use serde_json::{Value, json};

use super::markup::{
    Found, Syntax, bare_url, character_reference, code, delimited, emoji, marker, masked_link,
    number_marker, show,
};
use super::{Rejection, Shown, items, unknown_member};

/// The Markdown of the web app (`mattermost/marked`) and of the mobile apps (`commonmark.js`):
/// <https://docs.mattermost.com/collaborate/format-messages.html>
const MARKDOWN: Syntax = Syntax {
    escape: |text| character_reference(text).or_else(|| backslash_escape(text)),
    block: |text| {
        let markers = [
            "# ", "## ", "### ", ">", "- ", "* ", "+ ", "```", "~~~", "    ", "\t",
        ];
        // The web app replaces no-break spaces with spaces.
        let is_code = text.starts_with("\u{a0}\u{a0}\u{a0}\u{a0}");
        marker(text, &markers)
            .or_else(|| number_marker(text, &[". ", ") "]))
            .or_else(|| ruler(text))
            .or(is_code.then_some(8))
    },
    inline: |text, _| {
        ["**", "*", "__", "_", "~~", "$"]
            .iter()
            .find_map(|delimiter| delimited(text, delimiter))
            .or_else(|| code(text))
            .or_else(|| masked_link(text))
            .or_else(|| html(text))
            // The web app replaces the symbol for a line feed.
            .or_else(|| {
                text.starts_with('\u{2424}')
                    .then(|| (Found::Code("\n".into()), 3))
            })
    },
    plain: |text, shown| {
        find_features(&decode(text, backslash_escape), shown);
        find_mentions(&decode(text, |text| (MARKDOWN.escape)(text)), shown);
    },
};

fn backslash_escape(text: &str) -> Option<(String, usize)> {
    let c = text.strip_prefix('\\')?.chars().next()?;
    c.is_ascii_punctuation().then(|| (c.to_string(), 2))
}

/// Finds a line of `===` or `---` under a heading, or between paragraphs.
fn ruler(text: &str) -> Option<usize> {
    let line = text.lines().next()?;
    let is_ruler = ["=", "-", "*", "_"].iter().any(|c| {
        let rest = line.trim_end().trim_start_matches(c);
        rest.is_empty() && line.trim_end().len() >= 2
    });
    is_ruler.then_some(line.len())
}

fn html(text: &str) -> Option<(Found, usize)> {
    let tag = text.strip_prefix('<')?;
    let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    let length = tag.find('>')? + 2;
    is_tag.then(|| (Found::Code(String::new()), length))
}

fn decode(text: &str, escape: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (text, length) = escape(rest).unwrap_or_else(|| (c.to_string(), c.len_utf8()));
        decoded.push_str(&text);
        rest = &rest[length..];
    }
    decoded
}

/// Finds what the clients look for after the Markdown: URLs, host names, hashtags, channels, emoji,
/// and emoticons. At that time, backslashes are removed, and character references aren't decoded:
/// <https://docs.mattermost.com/collaborate/format-messages.html>
fn find_features(text: &str, shown: &mut Shown) {
    let mut before = ' ';
    for (index, c) in text.char_indices() {
        let rest = &text[index..];
        let is_word_start = !before.is_alphanumeric();
        let name_follows = rest[c.len_utf8()..].starts_with(char::is_alphabetic);
        let emoticons = [":)", ":(", ":d", ";)", ";d", ":/", "<3", "</3", "x-d"];
        let start: String = rest.chars().take(4).collect();
        let start = start.to_lowercase();
        let emoticon = emoticons
            .iter()
            .find(|emoticon| start.starts_with(**emoticon));
        let is_url = bare_url(rest).is_some() || (is_word_start && start.starts_with("www."));
        let is_host = c == '.' && !is_word_start && name_follows && rest.contains('/');
        let is_name = is_word_start && name_follows && matches!(c, '#' | '~');
        if is_url || is_host || is_name {
            shown.links.push(rest.to_owned());
        } else if c == ':' && emoji(rest).is_some() || (is_word_start && emoticon.is_some()) {
            shown.formatted.push(rest.to_owned());
        }
        before = c;
    }
}

/// Finds mentions as the server does, after all character references are decoded:
/// <https://docs.mattermost.com/collaborate/mention-people.html>
fn find_mentions(text: &str, shown: &mut Shown) {
    for (index, _) in text.match_indices('@') {
        let name: String = text[index + 1..]
            .chars()
            .take_while(|c| c.is_alphanumeric())
            .collect();
        shown.mentions.extend((!name.is_empty()).then_some(name));
    }
}

pub(super) fn post(json: &Value) -> Result<Shown, Rejection> {
    let attachments: Vec<&Value> = items(&json["attachments"]).collect();
    if !json.is_object() || unknown_member(json, &["attachments"]).is_some() {
        return Err(error(
            400,
            "web.incoming_webhook.parse.app_error",
            "Unable to parse incoming data.",
        ));
    }
    if attachments.is_empty() {
        return Err(error(
            400,
            "web.incoming_webhook.text.app_error",
            "No text specified.",
        ));
    }
    let mut shown = Shown::default();
    for attachment in attachments {
        show_attachment(attachment, &mut shown)?;
    }
    Ok(shown)
}

/// <https://developers.mattermost.com/integrate/reference/message-attachments/>
fn show_attachment(attachment: &Value, shown: &mut Shown) -> Result<(), Rejection> {
    let known = ["fallback", "color", "pretext", "text", "fields"];
    if unknown_member(attachment, &known).is_some() || !attachment["fallback"].is_string() {
        return Err(error(
            400,
            "web.incoming_webhook.parse.app_error",
            "Unable to parse incoming data.",
        ));
    }
    let fields = items(&attachment["fields"]).flat_map(|field| [&field["title"], &field["value"]]);
    for text in [&attachment["pretext"], &attachment["text"]]
        .into_iter()
        .chain(fields)
    {
        let text = show(text.as_str().unwrap_or_default(), &MARKDOWN, shown);
        shown.texts.push(text);
    }
    Ok(())
}

/// <https://developers.mattermost.com/api-documentation/#/#error-handling>
fn error(status: u16, id: &str, message: &str) -> Rejection {
    let body = json!({
        "id": id,
        "message": message,
        "detailed_error": "",
        "request_id": "3bxwn99zx7dfxdjy5xkoh5xnmo",
        "status_code": status,
    });
    Rejection::new(status, body)
}

pub(super) fn rejections() -> Vec<Rejection> {
    vec![
        error(
            400,
            "web.incoming_webhook.invalid.app_error",
            "Invalid webhook.",
        ),
        error(
            400,
            "web.incoming_webhook.parse.app_error",
            "Unable to parse incoming data.",
        ),
        error(
            403,
            "web.incoming_webhook.permissions.app_error",
            "Inappropriate channel permissions.",
        ),
        error(
            404,
            "web.incoming_webhook.channel.app_error",
            "Couldn't find the channel.",
        ),
        error(
            501,
            "web.incoming_webhook.disabled.app_error",
            "Incoming webhooks have been disabled by the system admin.",
        ),
        // https://docs.mattermost.com/configure/rate-limiting-configuration-settings.html
        Rejection::new(429, "limit exceeded").header("Retry-After", "1"),
    ]
}
