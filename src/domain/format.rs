//! The formats of webhooks: the JSON that Miniback defines, the messages of chat services, and
//! email.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoint_url::{EndpointUrl, Host, Scheme};
use super::webhook_url::WebhookUrl;

/// The format in which a webhook receives events.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The signed JSON that the webhook guide describes.
    Standard,
    Slack,
    Discord,
    Teams,
    GoogleChat,
    Mattermost,
    Ntfy,
    Email,
}

/// The reason a format contradicts a URL. The message is for the person who chose the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatMismatch {
    #[error("The format “email” requires a mailto: URL, for example mailto:team@example.com.")]
    EmailRequiresMailto,
    #[error("A mailto: URL requires the format “email”.")]
    MailtoRequiresEmail,
}

impl Format {
    pub const ALL: [Self; 8] = [
        Self::Standard,
        Self::Slack,
        Self::Discord,
        Self::Teams,
        Self::GoogleChat,
        Self::Mattermost,
        Self::Ntfy,
        Self::Email,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::GoogleChat => "google-chat",
            Self::Mattermost => "mattermost",
            Self::Ntfy => "ntfy",
            Self::Email => "email",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// Returns the label shown on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Teams => "Microsoft Teams",
            Self::GoogleChat => "Google Chat",
            Self::Mattermost => "Mattermost",
            Self::Ntfy => "ntfy",
            Self::Email => "Email",
        }
    }

    /// Returns whether deliveries in this format are signed. Only these webhooks have a secret.
    pub fn is_signed(self) -> bool {
        self == Self::Standard
    }

    /// Returns whether this format is sent by SMTP instead of HTTP.
    pub fn is_email(self) -> bool {
        self == Self::Email
    }

    /// Returns the format detected from a URL. URLs of unknown services get the standard format.
    pub fn detect(url: &WebhookUrl) -> Self {
        match url {
            WebhookUrl::Mailto(_) => Self::Email,
            WebhookUrl::Endpoint(url) => detect_service(url).unwrap_or(Self::Standard),
        }
    }

    /// Checks that this format can be sent to `url`.
    pub fn check_url(self, url: &WebhookUrl) -> Result<(), FormatMismatch> {
        match (self.is_email(), url) {
            (true, WebhookUrl::Endpoint(_)) => Err(FormatMismatch::EmailRequiresMailto),
            (false, WebhookUrl::Mailto(_)) => Err(FormatMismatch::MailtoRequiresEmail),
            _ => Ok(()),
        }
    }
}

/// Returns the topic of an ntfy URL, which is the last segment of its path. Messages in JSON are
/// published to the root of the server (<https://docs.ntfy.sh/publish/#publish-as-json>), so the
/// topic moves to the JSON.
pub fn ntfy_topic(url: &EndpointUrl) -> Option<&str> {
    let path = url.path_and_query().split('?').next()?;
    let topic = path.trim_end_matches('/').rsplit('/').next()?;
    let is_valid = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    ((1..=64).contains(&topic.len()) && topic.bytes().all(is_valid)).then_some(topic)
}

fn detect_service(url: &EndpointUrl) -> Option<Format> {
    const DISCORD_HOSTS: [&str; 6] = [
        "discord.com",
        "ptb.discord.com",
        "canary.discord.com",
        "discordapp.com",
        "ptb.discordapp.com",
        "canary.discordapp.com",
    ];
    /// Each Workflow in Teams has a host of its own under one of these domains.
    const TEAMS_DOMAINS: [&str; 3] = [
        "webhook.office.com",
        "logic.azure.com",
        "api.powerplatform.com",
    ];
    let Host::Name(host) = url.host() else {
        return None;
    };
    let host = host.as_str();
    let is_below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
    };
    if TEAMS_DOMAINS.into_iter().any(is_below) {
        return Some(Format::Teams);
    }
    // The other services have only these public endpoints. A different scheme or port is a proxy
    // or a look-alike.
    if url.scheme() != Scheme::Https || url.port() != Scheme::Https.default_port() {
        return None;
    }
    match host {
        "hooks.slack.com" => Some(Format::Slack),
        "chat.googleapis.com" => Some(Format::GoogleChat),
        "ntfy.sh" => Some(Format::Ntfy),
        _ if DISCORD_HOSTS.contains(&host)
            && url.path_and_query().starts_with("/api/webhooks/") =>
        {
            Some(Format::Discord)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(url: &str) -> Format {
        Format::detect(&WebhookUrl::parse(url).unwrap())
    }

    #[test]
    fn detects_the_format_of_each_known_url() {
        for (url, format) in [
            ("https://hooks.slack.com/services/T0/B0/x", Format::Slack),
            ("HTTPS://HOOKS.SLACK.COM/triggers/T0/1/x?y#z", Format::Slack),
            ("https://hooks.slack.com:443/services/x", Format::Slack),
            ("https://discord.com/api/webhooks/1/x", Format::Discord),
            ("https://discordapp.com/api/webhooks/1/x", Format::Discord),
            (
                "https://ptb.discord.com/api/webhooks/1/x?wait=true",
                Format::Discord,
            ),
            (
                "https://canary.discordapp.com/api/webhooks/1/x",
                Format::Discord,
            ),
            (
                "https://contoso.webhook.office.com/webhookb2/x",
                Format::Teams,
            ),
            (
                "https://prod-12.westus.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke",
                Format::Teams,
            ),
            (
                "https://default0a.1b.environment.api.powerplatform.com/powerautomate/x",
                Format::Teams,
            ),
            (
                "https://chat.googleapis.com/v1/spaces/x/messages?key=y",
                Format::GoogleChat,
            ),
            ("https://ntfy.sh/alerts", Format::Ntfy),
            ("mailto:sam@example.com", Format::Email),
        ] {
            assert_eq!(detect(url), format, "{url}");
        }
    }

    #[test]
    fn look_alike_urls_get_the_standard_format() {
        for url in [
            "https://hooks.slack.com.example.com/services/x",
            "https://evilhooks.slack.com/services/x",
            "https://slack.com/services/x",
            "https://example.com/hooks.slack.com/x",
            "https://example.com/?https://hooks.slack.com/x",
            "https://example.com/#https://hooks.slack.com/x",
            "https://hooks.slack.com:8443/services/x",
            "http://localhost/hooks.slack.com/x",
            "https://discord.com/channels/1",
            "https://discord.com/api/webhooks",
            "https://discord.com/x/api/webhooks/1/x",
            "https://discord.com.example.com/api/webhooks/1/x",
            "https://evil-discord.com/api/webhooks/1/x",
            "https://evil.discord.com/api/webhooks/1/x",
            "https://evilwebhook.office.com/x",
            "https://webhook.office.com.example.com/x",
            "https://logic.azure.com.example/x",
            "https://evil-logic.azure.com/x",
            "https://api.powerplatform.com.example.com/x",
            "https://evil-chat.googleapis.com/x",
            "https://x.ntfy.sh/alerts",
            "https://ntfy.sh.example.com/alerts",
            "https://127.0.0.1/hooks.slack.com",
            "https://mattermost.example.com/hooks/x",
            "https://mailto.example.com/sam@example.com",
        ] {
            assert_eq!(detect(url), Format::Standard, "{url}");
        }
    }

    #[test]
    fn the_topic_of_ntfy_is_the_last_segment_of_the_path() {
        for (url, topic) in [
            ("https://ntfy.sh/my-alerts", Some("my-alerts")),
            (
                "https://ntfy.example.com/my_alerts/?auth=x",
                Some("my_alerts"),
            ),
            ("https://ntfy.sh/", None),
            ("https://ntfy.sh/a.b", None),
        ] {
            let url = EndpointUrl::parse(url).unwrap();
            assert_eq!(ntfy_topic(&url), topic);
        }
    }

    #[test]
    fn only_email_is_sent_to_a_mailto_url() {
        let mailto = WebhookUrl::parse("mailto:sam@example.com").unwrap();
        let https = WebhookUrl::parse("https://hooks.slack.com/services/x").unwrap();
        for format in Format::ALL {
            assert_eq!(format.check_url(&mailto).is_ok(), format == Format::Email);
            assert_eq!(format.check_url(&https).is_ok(), format != Format::Email);
        }
    }

    #[test]
    fn json_and_sql_use_the_same_names() {
        for format in Format::ALL {
            let json = serde_json::to_value(format).unwrap();
            assert_eq!(json, format.as_str());
            assert_eq!(Format::parse(format.as_str()), Some(format));
        }
    }
}
