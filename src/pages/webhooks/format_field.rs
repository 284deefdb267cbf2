//! The field "Format" of a webhook's forms: a format that the person chose, or the format
//! detected from the URL.

use crate::domain::format::Format;
use crate::domain::webhook::Webhook;
use crate::domain::webhook_url::WebhookUrl;
use crate::pages::framework::page_error::PageError;
use crate::server::form_data::FormData;

/// The value of the option that detects the format.
const DETECT: &str = "";

/// The formats that the field offers. Emails have a form of their own.
fn offered_formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|format| !format.is_email())
}

pub(super) struct FormatField {
    /// The format that the person chose; `None` if the format is detected.
    chosen: Option<Format>,
    /// The format detected from the URL.
    detected: Format,
    pub(super) error: Option<String>,
}

/// One option of the field.
pub(super) struct FormatOption {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) is_selected: bool,
}

/// Parses the value of the field: a format, or `None` to detect it.
pub(super) fn parse_choice(value: &str) -> Result<Option<Format>, PageError> {
    match value {
        DETECT => Ok(None),
        name => Format::parse(name).map(Some).ok_or(PageError::InvalidForm),
    }
}

/// Returns the value of the field for a stored webhook. A webhook doesn't store whether its format
/// was chosen: the field shows a choice only if the format differs from the detected one.
pub(super) fn stored_choice(webhook: &Webhook) -> &'static str {
    if Format::detect(&webhook.url) == webhook.format {
        DETECT
    } else {
        webhook.format.as_str()
    }
}

/// Returns what the value of the field means, for the message about a conflict.
pub(super) fn describe_choice(value: &str) -> String {
    Format::parse(value)
        .map_or("detected from the URL", Format::label)
        .to_owned()
}

/// Returns the format detected from a URL, even while the person is still typing the URL.
fn detect_in_text(url: &str) -> Format {
    WebhookUrl::parse(url).map_or(Format::Standard, |url| Format::detect(&url))
}

impl FormatField {
    pub(super) fn new(chosen: Option<Format>, url: &str) -> Self {
        Self {
            chosen,
            detected: detect_in_text(url),
            error: None,
        }
    }

    /// Reads the field of a submitted form. An unknown format counts as not chosen.
    pub(super) fn from_form(fields: &FormData, url: &str) -> Self {
        Self::new(Format::parse(fields.get("format")), url)
    }

    pub(super) fn for_webhook(webhook: &Webhook) -> Self {
        Self::new(Format::parse(stored_choice(webhook)), webhook.url.as_str())
    }

    /// Returns the format in which the webhook receives events.
    pub(super) fn format(&self) -> Format {
        self.chosen.unwrap_or(self.detected)
    }

    pub(super) fn options(&self) -> Vec<FormatOption> {
        let detect = FormatOption {
            value: DETECT,
            label: "Detect from the URL",
            is_selected: self.chosen.is_none(),
        };
        let formats = offered_formats().map(|format| FormatOption {
            value: format.as_str(),
            label: format.label(),
            is_selected: self.chosen == Some(format),
        });
        std::iter::once(detect).chain(formats).collect()
    }

    /// Returns the format and its origin, such as `Slack, detected from the URL.`
    pub(super) fn summary(&self) -> String {
        let label = self.format().label();
        match (self.chosen, self.detected) {
            (None, Format::Standard) | (Some(_), _) => format!("{label}."),
            (None, _) => format!("{label}, detected from the URL."),
        }
    }

    /// Returns what the format is for.
    pub(super) fn description(&self) -> String {
        match self.format() {
            Format::Standard if self.chosen.is_none() => {
                "Signed JSON for your own endpoint. For a chat service at your own domain, choose its format.".to_owned()
            }
            Format::Standard => "Signed JSON for your own endpoint.".to_owned(),
            Format::Email => "Sent through the mail server in --smtp-url.".to_owned(),
            format => {
                let service = format.label();
                format!("Messages that {service} shows. There’s no signing secret, because {service} doesn’t verify signatures.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_chosen_or_the_detected_format() {
        let slack = "https://hooks.slack.com/services/T0/B0/x";
        for (chosen, url, format, summary) in [
            (None, slack, Format::Slack, "Slack, detected from the URL."),
            (None, "https://hooks.sl", Format::Standard, "Standard."),
            (None, "", Format::Standard, "Standard."),
            (
                Some(Format::Mattermost),
                slack,
                Format::Mattermost,
                "Mattermost.",
            ),
            (Some(Format::Standard), slack, Format::Standard, "Standard."),
        ] {
            let field = FormatField::new(chosen, url);
            assert_eq!(
                (field.format(), field.summary().as_str()),
                (format, summary),
                "{url}"
            );
            let options = field.options();
            let selected: Vec<_> = options.iter().filter(|o| o.is_selected).collect();
            assert_eq!(selected.len(), 1);
            assert_eq!(selected[0].value, chosen.map_or("", Format::as_str));
        }
    }

    #[test]
    fn a_choice_is_detection_or_a_known_format() {
        assert_eq!(parse_choice("").ok(), Some(None));
        assert_eq!(
            parse_choice("google-chat").ok(),
            Some(Some(Format::GoogleChat))
        );
        assert!(parse_choice("irc").is_err());
        assert_eq!(describe_choice(""), "detected from the URL");
        assert_eq!(describe_choice("teams"), "Microsoft Teams");
    }
}
