//! Alerts to `--alert-url`: a webhook keeps failing; it is well again. Each once, signed like any delivery.
//!
//! What there is to tell stands in the store; this loop looks when a webhook's health changes or its time comes, and
//! sends one alert at a time until it arrives, so that a later one never overtakes an earlier one.

use std::time::Duration;

use super::Handle;
use super::request::{self, Parts};
use crate::clock::{Clock, Timestamp};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, RetryPolicy, Secrets};
use crate::store::{Alert, Store, StoreError};

/// When an alert is tried again, before it goes on as `patient` does: those of webhooks may be set to none.
const DELAYS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
];
/// When an alert is tried again after the last of its retries: it is kept for a week.
const LAST_DELAY: Duration = Duration::from_secs(24 * 3600);
/// How long to wait before reading or storing is tried again after it failed.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Whom alerts are sent to.
#[derive(Clone, Debug)]
pub struct AlertTarget {
    pub url: EndpointUrl,
    pub secret: Secret,
    /// Made by us, so that our pages have to show it.
    pub secret_is_ours: bool,
    /// The public address of our pages, if it is known.
    pub pages: Option<String>,
}

/// Runs until it is aborted.
pub async fn run(store: Store, clock: Clock, handle: Handle, to: AlertTarget) {
    let schedule = RetrySchedule::new(DELAYS.to_vec());
    let wake = store.health_changed();
    loop {
        let next = match look(&store, &clock, &handle, &schedule, &to).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "alerts could not be made or sent");
                Some(clock.now().plus(STORE_RETRY))
            }
        };
        // A wake-up that comes before this line is kept by the `Notify`: none is lost.
        tokio::select! {
            () = wake.notified() => {}
            () = clock.sleep_until_opt(next) => {}
        }
    }
}

/// Makes and sends what is due; returns when to look again if nothing else happens.
async fn look(
    store: &Store,
    clock: &Clock,
    handle: &Handle,
    schedule: &RetrySchedule,
    to: &AlertTarget,
) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let due = store.make_alerts(to.pages.clone()).await?;
        let Some(alert) = due.first else {
            return Ok(due.next);
        };
        if alert.due_at > clock.now() {
            return Ok(due.next.into_iter().chain([alert.due_at]).min());
        }
        match send(clock, handle, to, &alert).await? {
            None => {
                tracing::info!(alert = %alert.id, event = alert.event, "an alert was sent");
                store.alert_arrived(alert.id).await?;
            }
            Some(problem) => {
                let host = to.url.host_and_port();
                tracing::warn!(alert = %alert.id, event = alert.event, host, code = problem, "an alert did not arrive");
                let due = schedule
                    .next_attempt_at(RetryPolicy::Patient, alert.attempts + 1, clock.now(), 0.0)
                    .unwrap_or_else(|| clock.now().plus(LAST_DELAY));
                store.alert_failed(alert.id, due).await?;
            }
        }
    }
}

/// Sends an alert; the code of what failed, if it did not arrive.
async fn send(
    clock: &Clock,
    handle: &Handle,
    to: &AlertTarget,
    alert: &Alert,
) -> Result<Option<&'static str>, StoreError> {
    let secrets = Secrets {
        current: to.secret.clone(),
        next: None,
    };
    let parts = Parts {
        id: alert.id.as_str(),
        event: &alert.event,
        event_at: alert.created_at,
        body: alert.body.clone(),
        secrets: &secrets,
        headers: &CustomHeaders::new(),
    };
    let request = request::sign(parts, clock.now());
    Ok(handle.send(&to.url, request).await?.outcome.code())
}
