//! ntfy's publishing as JSON.

use serde_json::{Value, json};

use super::markup::{Syntax, bare_url, show};
use super::{Rejection, Shown, items};

/// Plain text. The Android app links URLs and host names.
const PLAIN_TEXT: Syntax = Syntax {
    escape: |_| None,
    block: |_| None,
    inline: |text, _| bare_url(text),
    plain: |text, shown| {
        let words = text.split(char::is_whitespace);
        let is_host = |word: &&str| {
            let mut labels = word.split('.').rev();
            let last = labels.next().unwrap_or_default();
            let has_suffix = last.chars().take_while(|c| c.is_ascii_alphabetic()).count() >= 2;
            has_suffix
                && labels
                    .next()
                    .is_some_and(|label| label.ends_with(char::is_alphanumeric))
        };
        shown.links.extend(words.filter(is_host).map(str::to_owned));
    },
};

pub(super) fn post(json: &Value) -> Result<Shown, Rejection> {
    if !json.is_object() {
        let message = "invalid request: request body must be message JSON";
        return Err(error(40017, 400, message));
    }
    let topic = json["topic"].as_str().unwrap_or_default();
    let is_topic = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // "^[-_A-Za-z0-9]{1,64}$"
    if !(1..=64).contains(&topic.len()) || !topic.chars().all(is_topic) {
        return Err(error(40009, 400, "invalid request: topic invalid"));
    }
    let message = json["message"].as_str().unwrap_or_default();
    // A longer message becomes an attachment: https://docs.ntfy.sh/publish/#limitations
    if message.len() > 4_096 {
        return Err(error(
            41301,
            413,
            "attachment too large, or bandwidth limit reached",
        ));
    }
    let mut shown = Shown::default();
    // https://docs.ntfy.sh/publish/#markdown-formatting
    if json["markdown"] == true {
        shown.formatted.push(message.to_owned());
    }
    for text in [json["title"].as_str().unwrap_or_default(), message] {
        let visible = show(text, &PLAIN_TEXT, &mut shown);
        shown.texts.push(visible);
    }
    shown
        .links
        .extend(json["click"].as_str().map(str::to_owned));
    // "Up to three actions": https://docs.ntfy.sh/publish/#action-buttons
    for action in items(&json["actions"]) {
        let url = action["url"]
            .as_str()
            .filter(|_| action["action"] == "view");
        let url = url.ok_or_else(|| error(40018, 400, "invalid request: actions invalid"))?;
        shown.links.push(url.to_owned());
    }
    Ok(shown)
}

/// <https://github.com/binwiederhier/ntfy/blob/main/server/errors.go>
fn error(code: u32, status: u16, message: &str) -> Rejection {
    let body = json!({"code": code, "http": status, "error": message});
    Rejection::new(status, body)
}

pub(super) fn rejections() -> Vec<Rejection> {
    vec![
        error(40009, 400, "invalid request: topic invalid"),
        error(40101, 401, "unauthorized"),
        error(40301, 403, "forbidden"),
        error(
            41301,
            413,
            "attachment too large, or bandwidth limit reached",
        ),
        error(
            42901,
            429,
            "limit reached: too many requests, please be nice",
        )
        .header("Retry-After", "5"),
        error(42908, 429, "limit reached: too many messages"),
        error(
            50701,
            507,
            "cannot publish to UnifiedPush topic without previously active subscriber",
        ),
    ]
}
