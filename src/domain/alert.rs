//! Alerts: what `--alert-url` is told when a webhook keeps failing, and when it is well again.
//!
//! An alert names the webhook by id, host and description, never by its path: that may be a secret of its endpoint.

use std::time::Duration;

use serde::Serialize;

use super::id::WebhookId;
use crate::clock::Timestamp;

/// A webhook that has failed for so long is told of.
pub const ALERT_AFTER: Duration = Duration::from_secs(5 * 60);
/// So is one by which so many deliveries in a row were given up.
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

/// Of which webhook an alert tells, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertData {
    pub webhook: AlertedWebhook,
    /// The first failed attempt since the last success.
    pub failing_since: Timestamp,
    /// Deliveries that were given up in a row; `None` in `webhook.recovered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_in_a_row: Option<u32>,
    /// Of the last attempt that failed; `None` in `webhook.recovered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// Its deliveries, where the public address is known (`--base-url`).
    pub deliveries_url: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AlertedWebhook {
    pub id: WebhookId,
    pub host: String,
    pub description: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    pub at: Timestamp,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_code: Option<String>,
}

#[derive(Serialize)]
struct Payload<'a> {
    event: &'static str,
    timestamp: Timestamp,
    data: &'a AlertData,
}

/// The body of an alert, of the same form as that of every event.
pub fn body(event: AlertEvent, at: Timestamp, data: &AlertData) -> Vec<u8> {
    // Strings, numbers and structs of them always serialise.
    serde_json::to_vec(&Payload {
        event: event.as_str(),
        timestamp: at,
        data,
    })
    .unwrap_or_default()
}
