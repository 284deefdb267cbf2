//! Alerts: the events that `--alert-url` receives when a webhook keeps failing or recovers.
//!
//! An alert identifies the webhook by its id, host, and description. The path of the URL isn't
//! included, because it can be a secret.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::id::WebhookId;
use crate::clock::Timestamp;

/// The time that a webhook must keep failing before an alert is sent.
pub const ALERT_DELAY: Duration = Duration::from_secs(5 * 60);
/// The number of consecutive failed deliveries after which an alert is sent even if [`ALERT_DELAY`]
/// hasn't passed.
pub const ALERT_AFTER_FAILURES: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertEvent {
    Failing,
    Recovered,
}

impl AlertEvent {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "webhook.failing",
            Self::Recovered => "webhook.recovered",
        }
    }
}

/// The `data` member of an alert: the webhook and its failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertData {
    pub webhook: AlertedWebhook,
    /// Time of the first failed attempt after the last success.
    pub failing_since: Timestamp,
    /// Number of consecutive failed deliveries; `None` in `webhook.recovered`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_in_a_row: Option<u32>,
    /// Number of deliveries that have failed since `failing_since` and weren't redelivered; `None`
    /// in `webhook.failing`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_deliveries: Option<u64>,
    /// The last failed attempt; `None` in `webhook.recovered`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// URL of the page with the webhook's deliveries; `None` without `--base-url`.
    #[schema(required = true)]
    pub deliveries_url: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AlertedWebhook {
    pub id: WebhookId,
    pub host: String,
    pub description: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    pub at: Timestamp,
    #[schema(required = true)]
    pub status: Option<u16>,
    #[schema(required = true)]
    pub error: Option<String>,
    #[schema(required = true)]
    pub error_code: Option<String>,
}

/// The body of an alert.
#[derive(Serialize, ToSchema)]
pub struct AlertPayload<'a> {
    event: &'static str,
    timestamp: Timestamp,
    data: &'a AlertData,
}

/// Renders the body of an alert. Its members are `event`, `timestamp`, and `data`, as in the body
/// of an event.
pub fn render_body(event: AlertEvent, at: Timestamp, data: &AlertData) -> Vec<u8> {
    // Can't fail: the payload contains only strings, numbers, and structs.
    serde_json::to_vec(&AlertPayload {
        event: event.as_str(),
        timestamp: at,
        data,
    })
    .unwrap_or_default()
}
