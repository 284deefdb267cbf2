//! Explains the errors of chat services: what happened, and what to do about it.

use serde_json::Value;

use super::format::Format;

/// Returns advice for the error response of a chat service; `None` for a success, and for formats
/// that aren't sent to a chat service.
pub fn service_advice(format: Format, status: u16, body: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body);
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let advice = match format {
        Format::Standard | Format::Email => return None,
        _ if (200..300).contains(&status) => return None,
        Format::Slack => slack_advice(text.trim()),
        Format::Discord => discord_advice(json["code"].as_u64()),
        Format::Teams => teams_advice(status, json["error"]["code"].as_str()),
        Format::GoogleChat => google_chat_advice(json["error"]["status"].as_str()),
        Format::Mattermost => mattermost_advice(json["id"].as_str()),
        Format::Ntfy => ntfy_advice(json["code"].as_u64()),
    };
    advice.or_else(|| status_advice(status))
}

const RATE_LIMIT: &str = "The service limits the number of messages. Miniback sends the rest later, as the service requests.";
const REJECTED_MESSAGE: &str = "The service can’t read the message. Check that the webhook’s format matches the service of its URL.";

/// Errors of incoming webhooks:
/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors>
fn slack_advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_token" | "no_service" | "no_active_hooks" | "no_service_id" => {
            "The incoming webhook was deleted or disabled in Slack, or the URL is incomplete. Create an incoming webhook in Slack, and enter its URL here."
        }
        "no_team" | "team_disabled" => {
            "The Slack workspace no longer exists, or the URL is incomplete. Create an incoming webhook in Slack, and enter its URL here."
        }
        "channel_not_found" | "user_not_found" => {
            "The channel or person of the incoming webhook no longer exists. Create an incoming webhook for another channel, and enter its URL here."
        }
        "channel_is_archived" => {
            "The channel is archived. Unarchive it in Slack, or create an incoming webhook for another channel."
        }
        "action_prohibited" | "posting_to_general_channel_denied" => {
            "The Slack workspace doesn’t allow this webhook to post in the channel. Ask an admin of the workspace, or choose another channel."
        }
        "invalid_payload" | "no_text" | "invalid_blocks" | "invalid_attachments" => {
            "Slack can’t read the message. Use the URL of an incoming webhook: the URL of a workflow (/triggers/) expects other messages."
        }
        "rate_limited" => RATE_LIMIT,
        "rollup_error" => "The error is on Slack’s side. See https://slack-status.com.",
        _ => return None,
    })
}

/// JSON error codes: <https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>
fn discord_advice(code: Option<u64>) -> Option<&'static str> {
    Some(match code? {
        10015 => {
            "The webhook was deleted in Discord. Create a webhook in the channel’s settings under “Integrations”, and enter its URL here."
        }
        50027 => {
            "The token in the URL is invalid. Copy the URL from the channel’s settings in Discord again."
        }
        10003 => {
            "The channel was deleted in Discord. Create a webhook for another channel, and enter its URL here."
        }
        220_001 => {
            "The webhook belongs to a forum. Add ?thread_id= and the id of a post to the URL, or use the webhook of a text channel."
        }
        50006 | 50035 | 50109 => REJECTED_MESSAGE,
        _ => return None,
    })
}

/// Errors of Workflows:
/// <https://learn.microsoft.com/troubleshoot/power-platform/power-automate/>
fn teams_advice(status: u16, code: Option<&str>) -> Option<&'static str> {
    Some(match (status, code) {
        (404 | 410, _) => {
            "The workflow was deleted, or the URL belongs to a retired connector. Create a workflow in Teams with the template “Send webhook alerts to a channel”, and enter its URL here."
        }
        (_, Some("WorkflowTriggerIsNotEnabled" | "WorkflowDisabled")) => {
            "The workflow is turned off. Turn it on in the Workflows app of Teams. Workflows are also turned off when their owner leaves."
        }
        (401 | 403, _) => {
            "The URL is incomplete or has expired, or the workflow accepts only requests from signed-in users. Set “Who can trigger the flow” to “Anyone”, and copy the URL again."
        }
        (400, _) => {
            "The workflow can’t read the message. Use a workflow with the trigger “When a Teams webhook request is received” that posts the card to a channel."
        }
        (413, _) => "The message is too large for Teams.",
        (429, _) => RATE_LIMIT,
        _ => return None,
    })
}

/// Statuses of Google APIs: <https://cloud.google.com/apis/design/errors#handling_errors>
fn google_chat_advice(status: Option<&str>) -> Option<&'static str> {
    Some(match status? {
        "NOT_FOUND" => {
            "The space or its webhook was deleted. Create a webhook in the space under “Apps & integrations”, and enter its URL here."
        }
        "UNAUTHENTICATED" => {
            "The key or the token in the URL is invalid. Copy the URL from the space in Google Chat again."
        }
        "PERMISSION_DENIED" => {
            "The webhook was deleted, or an administrator of Google Workspace doesn’t allow webhooks. Create the webhook again, or ask the administrator."
        }
        "INVALID_ARGUMENT" => REJECTED_MESSAGE,
        "RESOURCE_EXHAUSTED" => RATE_LIMIT,
        _ => return None,
    })
}

/// Errors of Mattermost's server, such as `web.incoming_webhook.disabled.app_error`.
fn mattermost_advice(id: Option<&str>) -> Option<&'static str> {
    let name = id?.strip_prefix("web.incoming_webhook.")?;
    Some(match name.strip_suffix(".app_error")? {
        "invalid" => {
            "The incoming webhook was deleted in Mattermost, or the URL is incomplete. Create an incoming webhook, and enter its URL here."
        }
        "channel" | "channel_locked" => {
            "The channel of the incoming webhook no longer exists. Choose another channel for it in Mattermost."
        }
        "permissions" => {
            "The creator of the incoming webhook can’t post in the channel. Add the creator to the channel in Mattermost."
        }
        "disabled" => {
            "Mattermost doesn’t accept incoming webhooks. An admin can enable them in the System Console under “Integration Management”."
        }
        "parse" | "text" | "decode" => REJECTED_MESSAGE,
        _ => return None,
    })
}

/// Error codes: <https://docs.ntfy.sh/publish/#limitations>
fn ntfy_advice(code: Option<u64>) -> Option<&'static str> {
    Some(match code? {
        40009 | 40010 | 40401 => {
            "The URL must be the URL of a topic, for example https://ntfy.sh/my-topic. A topic has up to 64 letters, digits, hyphens, and underscores."
        }
        40101 | 40301 => {
            "The topic is protected. Add the header “Authorization” with the value “Bearer TOKEN”, where TOKEN is an ntfy access token, or use another topic."
        }
        41301 | 41303 => "The message is too large for this ntfy server.",
        42908 => {
            "The daily message limit is reached. Use an account with a higher limit, or your own ntfy server."
        }
        42901..=42999 => RATE_LIMIT,
        50701 => "Topics that begin with “up” are reserved for UnifiedPush. Use another topic.",
        40017 | 40024 => REJECTED_MESSAGE,
        _ => return None,
    })
}

/// Returns advice for an error that isn't in the service's own format, for example of a proxy.
fn status_advice(status: u16) -> Option<&'static str> {
    match status {
        429 => Some(RATE_LIMIT),
        400 | 401 | 403 | 404 | 405 | 410 => Some(
            "Check that the URL is complete, and that the webhook still exists in the chat service.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_chat_services_have_advice() {
        assert_eq!(service_advice(Format::Slack, 200, b"ok"), None);
        assert_eq!(service_advice(Format::Slack, 500, b"<html>"), None);
        assert_eq!(service_advice(Format::Standard, 404, b"no_service"), None);
        for format in [Format::Slack, Format::Discord, Format::Ntfy] {
            for body in ["", "null", "[]", "{\"code\": \"x\"}", "{\"error\": 1}"] {
                let advice = service_advice(format, 404, body.as_bytes()).unwrap();
                assert!(advice.contains("URL is complete"), "{format:?} {body}");
            }
        }
    }
}
