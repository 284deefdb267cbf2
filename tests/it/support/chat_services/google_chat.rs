//! Google Chat's incoming webhooks.

use serde_json::{Value, json};

use super::markup::{Found, Syntax, character_reference, show};
use super::{Rejection, Shown, items, unknown_member};

/// The HTML of widgets:
/// <https://developers.google.com/workspace/chat/format-messages#card-formatting>
const HTML: Syntax = Syntax {
    escape: character_reference,
    block: |_| None,
    inline: |text, _| {
        let tag = text.strip_prefix('<')?.split('>').next()?;
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with("users/") {
            return Some((Found::Mention(tag.to_owned()), tag.len() + 2));
        }
        let end = format!("</{name}>");
        let inner = text.get(tag.len() + 2..)?;
        let Some((inner, _)) = inner.split_once(&end) else {
            return Some((Found::Code(String::new()), (tag.len() + 2).min(text.len())));
        };
        let length = tag.len() + 2 + inner.len() + end.len();
        let found = match name {
            "a" => Found::Link {
                url: tag.to_owned(),
                label: inner.to_owned(),
            },
            _ => Found::Formatted(inner.to_owned()),
        };
        Some((found, length))
    },
    plain: |_, _| {},
};

pub(super) fn post(json: &Value, bytes: usize) -> Result<Shown, Rejection> {
    // "The maximum message size, including text and cards, is 32,000 bytes":
    // https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create
    if bytes > 32_000 {
        return Err(invalid("Message exceeds the maximum size."));
    }
    // A text is Markdown with mentions and links, so Miniback sends only cards.
    if let Some(name) = unknown_member(json, &["fallbackText", "cardsV2"]) {
        let message = format!("Invalid JSON payload received. Unknown name \"{name}\".");
        return Err(invalid(&message));
    }
    let mut shown = Shown::default();
    shown
        .texts
        .extend(json["fallbackText"].as_str().map(str::to_owned));
    let cards = items(&json["cardsV2"]).map(|card| &card["card"]);
    let sections = cards.flat_map(|card| items(&card["sections"]));
    let widgets: Vec<&Value> = sections
        .flat_map(|section| items(&section["widgets"]))
        .collect();
    if widgets.is_empty() {
        return Err(invalid("Message cannot be empty."));
    }
    for widget in widgets {
        show_widget(widget, &mut shown)?;
    }
    Ok(shown)
}

/// <https://developers.google.com/workspace/chat/api/reference/rest/v1/cards#widget>
fn show_widget(widget: &Value, shown: &mut Shown) -> Result<(), Rejection> {
    let text = match widget.as_object().and_then(|widget| widget.keys().next()) {
        Some(name) if name == "textParagraph" => &widget["textParagraph"]["text"],
        Some(name) if name == "decoratedText" => &widget["decoratedText"]["text"],
        Some(name) if name == "buttonList" => {
            for button in items(&widget["buttonList"]["buttons"]) {
                let url = button["onClick"]["openLink"]["url"].as_str();
                shown
                    .links
                    .push(url.ok_or_else(|| invalid("Invalid button."))?.to_owned());
            }
            return Ok(());
        }
        _ => return Err(invalid("Cannot find field.")),
    };
    let text = text
        .as_str()
        .ok_or_else(|| invalid("Invalid value at 'text'."))?;
    let visible = show(text, &HTML, shown);
    shown.texts.push(visible);
    Ok(())
}

fn invalid(message: &str) -> Rejection {
    error(400, message, "INVALID_ARGUMENT")
}

/// <https://cloud.google.com/apis/design/errors#http_mapping>
fn error(code: u16, message: &str, status: &str) -> Rejection {
    let error = json!({"code": code, "message": message, "status": status});
    Rejection::new(code, json!({"error": error}))
}

pub(super) fn rejections() -> Vec<Rejection> {
    vec![
        invalid("Message cannot be empty."),
        error(
            401,
            "Request had invalid authentication credentials.",
            "UNAUTHENTICATED",
        ),
        error(
            403,
            "The caller does not have permission",
            "PERMISSION_DENIED",
        ),
        error(404, "Requested entity was not found.", "NOT_FOUND"),
        // "Per-space quota … 1 per second": https://developers.google.com/workspace/chat/limits
        error(
            429,
            "Quota exceeded for quota metric 'Requests per space'.",
            "RESOURCE_EXHAUSTED",
        )
        .header("Retry-After", "10"),
    ]
}
