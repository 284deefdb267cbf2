//! Workflows of Microsoft Teams that post the Adaptive Card of a request.

use serde_json::{Value, json};

use super::markup::{Found, Syntax, show};
use super::{Rejection, Shown, items};

/// A `TextRun` contains no Markdown: <https://adaptivecards.io/explorer/TextRun.html>. Dates are
/// formatted:
/// <https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features>
const TEXT_RUN: Syntax = Syntax {
    escape: |_| None,
    block: |_| None,
    inline: |text, _| {
        let is_function = text.starts_with("{{DATE(") || text.starts_with("{{TIME(");
        let length = is_function.then(|| text.find("}}"))?? + 2;
        Some((Found::Code(text[..length].to_owned()), length))
    },
    plain: |_, _| {},
};

pub(super) fn post(json: &Value, bytes: usize) -> Result<Shown, Rejection> {
    // "The message size limit is approximately 28 KB":
    // https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions
    if bytes > 28_000 {
        return Err(error(
            413,
            "RequestEntityTooLarge",
            "Request Entity too large",
        ));
    }
    let mut attachments = items(&json["attachments"]);
    let (Some(attachment), None) = (attachments.next(), attachments.next()) else {
        return Err(invalid(
            "Property 'attachments' must be an array of one card.",
        ));
    };
    let card = &attachment["content"];
    let is_card = json["type"] == "message"
        && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard"
        && card["version"].is_string();
    if !is_card {
        return Err(invalid("Property 'type' must be 'AdaptiveCard'."));
    }
    let mut shown = Shown::default();
    for element in items(&card["body"]) {
        show_element(element, &mut shown)?;
    }
    for action in items(&card["actions"]) {
        // https://adaptivecards.io/explorer/Action.OpenUrl.html
        let url = action["url"].as_str().filter(|url| url.starts_with("http"));
        let is_link = action["type"] == "Action.OpenUrl" && action["title"].is_string();
        let url = url.filter(|_| is_link);
        shown
            .links
            .push(url.ok_or_else(|| invalid("Invalid action."))?.to_owned());
    }
    Ok(shown)
}

fn show_element(element: &Value, shown: &mut Shown) -> Result<(), Rejection> {
    // A `TextBlock` contains Markdown, so Miniback never sends one.
    if element["type"] != "RichTextBlock" {
        return Err(invalid("Unexpected element."));
    }
    let mut line = String::new();
    for run in items(&element["inlines"]) {
        let text = run["text"].as_str().filter(|_| run["type"] == "TextRun");
        let text = text.ok_or_else(|| invalid("Property 'text' must be a string."))?;
        line.push_str(&show(text, &TEXT_RUN, shown));
    }
    shown.texts.push(line);
    Ok(())
}

fn invalid(message: &str) -> Rejection {
    error(400, "TriggerInputSchemaMismatch", message)
}

/// <https://learn.microsoft.com/troubleshoot/power-platform/power-automate/>
fn error(status: u16, code: &str, message: &str) -> Rejection {
    Rejection::new(status, json!({"error": {"code": code, "message": message}}))
}

pub(super) fn rejections() -> Vec<Rejection> {
    vec![
        error(
            400,
            "WorkflowTriggerIsNotEnabled",
            "Could not execute workflow trigger: the workflow is disabled.",
        ),
        error(
            401,
            "AuthorizationFailed",
            "The authentication credentials are not valid.",
        ),
        error(
            401,
            "DirectApiAuthorizationRequired",
            "The request must be authenticated only by the OAuth scheme.",
        ),
        error(404, "WorkflowNotFound", "The workflow could not be found."),
        error(413, "RequestEntityTooLarge", "Request Entity too large"),
        error(429, "TooManyRequests", "Rate limit is exceeded.").header("Retry-After", "20"),
    ]
}
