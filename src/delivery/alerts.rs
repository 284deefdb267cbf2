//! Sends alerts to `--alert-url` when a webhook keeps failing and when it recovers. Alerts are
//! signed like deliveries. An alert to a `mailto:` URL is an email.
//!
//! The store decides which alerts to send. [`run`] wakes up when a webhook's health changes or an
//! alert is due. It retries each alert until the endpoint accepts the alert or the store deletes
//! it. Only then does it send the next alert, so alerts stay in order.

use std::time::Duration;

use super::{DispatcherHandle, OutgoingMessage};
use crate::clock::{Clock, Timestamp};
use crate::domain::format::Format;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, RetryPolicy, Secrets};
use crate::domain::webhook_url::WebhookUrl;
use crate::formats;
use crate::store::{Alert, Store, StoreError};

/// The first retry delays of an alert; the `patient` delays follow. Alerts don't use
/// `--retry-delays`, which can be `none`.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
];
/// The delay before each retry after the `patient` delays. The store deletes an alert after a week.
const REPEATED_RETRY_DELAY: Duration = Duration::from_secs(24 * 3600);
/// The delay before the next check after a failed read or write of the database.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The endpoint that receives alerts.
#[derive(Clone, Debug)]
pub struct AlertEndpoint {
    pub url: WebhookUrl,
    /// Unused for an email.
    pub secret: Secret,
    /// Whether Miniback generated the secret. If so, the Notifications page shows the secret.
    pub is_secret_generated: bool,
    /// The public URL of this installation, if it is configured.
    pub public_url: Option<String>,
}

/// Sends alerts until the task is aborted.
pub async fn run(store: Store, clock: Clock, handle: DispatcherHandle, endpoint: AlertEndpoint) {
    let schedule = RetrySchedule::new(RETRY_DELAYS.to_vec());
    let wake = store.health_notifier();
    loop {
        let next = match send_due_alerts(&store, &clock, &handle, &schedule, &endpoint).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "creating or sending alerts failed; trying again");
                Some(clock.now().plus(STORE_RETRY_DELAY))
            }
        };
        // `Notify` stores a permit, so a notification sent before this line isn't lost.
        tokio::select! {
            () = wake.notified() => {}
            () = clock.sleep_until_opt(next) => {}
        }
    }
}

/// Creates and sends due alerts. Returns the time of the next check, if a check is scheduled. A
/// change in a webhook's health can trigger an earlier check.
async fn send_due_alerts(
    store: &Store,
    clock: &Clock,
    handle: &DispatcherHandle,
    schedule: &RetrySchedule,
    endpoint: &AlertEndpoint,
) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let public_url = endpoint.public_url.clone();
        // The same time decides which alerts are expired and which are due. Otherwise, an alert
        // that expires between the two checks would be sent.
        let now = clock.now();
        let next = store.create_due_alerts(now, public_url).await?;
        let Some(alert) = next.alert else {
            return Ok(next.next_check_at);
        };
        if alert.due_at > now {
            return Ok(next.next_check_at.into_iter().chain([alert.due_at]).min());
        }
        match send_alert(handle, endpoint, &alert).await? {
            None => {
                tracing::info!(alert = %alert.id, event = alert.event, "alert sent");
                store.delete_alert(alert.id).await?;
            }
            Some(error_code) => {
                let host = endpoint.url.host_for_log();
                tracing::warn!(
                    alert = %alert.id,
                    event = alert.event,
                    host,
                    code = error_code,
                    "alert failed; trying again later"
                );
                let delay = schedule
                    .next_delay(RetryPolicy::Patient, alert.attempts + 1, 0.0)
                    .unwrap_or(REPEATED_RETRY_DELAY);
                store.reschedule_alert(alert.id, delay).await?;
            }
        }
    }
}

/// Sends an alert. Returns the error code, or `None` if the endpoint accepted the alert.
async fn send_alert(
    handle: &DispatcherHandle,
    endpoint: &AlertEndpoint,
    alert: &Alert,
) -> Result<Option<&'static str>, StoreError> {
    let (format, body) = match endpoint.url {
        WebhookUrl::Endpoint(_) => (Format::Standard, alert.body.clone()),
        WebhookUrl::Mailto(_) => {
            let email = formats::render_alert_email(&alert.body);
            (Format::Email, email.unwrap_or_default())
        }
    };
    let message = OutgoingMessage {
        id: alert.id.to_string(),
        event: alert.event.clone(),
        at: alert.created_at,
        format,
        body,
        secrets: Secrets {
            current: endpoint.secret.clone(),
            next: None,
        },
        headers: CustomHeaders::new(),
    };
    let (result, _) = handle.send_message(&endpoint.url, message).await?;
    Ok(result.outcome.error_code())
}
