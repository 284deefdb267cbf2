//! Logs when a webhook starts to fail, while its deliveries fail, and when it recovers.
//!
//! Endpoints determine how often these events occur, so the number of lines is limited for each
//! webhook.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::delivery::Outcome;
use crate::domain::id::WebhookId;
use crate::store::HealthUpdate;

/// The log target of these lines.
pub const HEALTH_LOG_TARGET: &str = "miniback::webhook_health";
/// The minimum time between two warnings of the same kind about a webhook.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The webhooks that have failed recently.
#[derive(Default)]
pub(super) struct HealthLog {
    webhooks: HashMap<WebhookId, LoggedWebhook>,
}

#[derive(Default)]
struct LoggedWebhook {
    failing: WarningTimer,
    deliveries: WarningTimer,
    /// Whether a warning was logged since the last recovery. If so, the recovery is logged too.
    has_warning: bool,
    /// The last failed delivery that hasn't been logged yet.
    unlogged: Option<Failure>,
}

/// The fields of a warning about failed deliveries.
struct Failure {
    host: String,
    code: Option<&'static str>,
    status: Option<u16>,
    failed_in_a_row: u32,
}

/// The monotonic time of the last warning.
#[derive(Default)]
struct WarningTimer(Option<Duration>);

impl WarningTimer {
    fn is_due(&self, now: Duration) -> bool {
        self.0
            .is_none_or(|last| now.saturating_sub(last) >= WARNING_INTERVAL)
    }

    /// Starts the next interval and returns `true` if a warning is due.
    fn start_if_due(&mut self, now: Duration) -> bool {
        let is_due = self.is_due(now);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

impl HealthLog {
    /// Handles the effect of a recorded attempt on the health of its webhook. `now` is monotonic.
    pub(super) fn on_update(
        &mut self,
        webhook: &WebhookId,
        host: impl FnOnce() -> String,
        outcome: &Outcome,
        update: HealthUpdate,
        now: Duration,
    ) {
        match update {
            HealthUpdate::Unchanged => {}
            HealthUpdate::Failed {
                failing_since,
                failed_in_a_row,
                is_delivery_failed,
            } => {
                let failure = Failure {
                    host: host(),
                    code: outcome.error_code(),
                    status: match outcome {
                        Outcome::Status { status, .. } => Some(*status),
                        _ => None,
                    },
                    failed_in_a_row,
                };
                let logged = self.webhooks.entry(*webhook).or_default();
                if !logged.has_warning && logged.failing.start_if_due(now) {
                    logged.has_warning = true;
                    failure.log_failing(webhook, failing_since);
                }
                if is_delivery_failed {
                    logged.unlogged = Some(failure);
                    logged.log_failed_deliveries(webhook, now);
                }
            }
            HealthUpdate::Recovered {
                failing_since,
                failing_for,
                failed_in_a_row,
            } => {
                let logged = self.webhooks.get_mut(webhook);
                // If there is no entry, the webhook began to fail before Miniback started.
                let is_logged = logged.is_none_or(|logged| {
                    logged.unlogged = None;
                    std::mem::take(&mut logged.has_warning)
                });
                if is_logged {
                    tracing::info!(
                        target: HEALTH_LOG_TARGET,
                        %webhook,
                        host = host(),
                        %failing_since,
                        failing_seconds = failing_for.as_secs(),
                        failed_in_a_row,
                        "webhook recovered"
                    );
                }
            }
        }
    }

    /// Logs the failed deliveries whose warning was deferred and is due now. Drops entries that are
    /// no longer needed.
    pub(super) fn log_deferred(&mut self, now: Duration) {
        for (webhook, logged) in &mut self.webhooks {
            logged.log_failed_deliveries(webhook, now);
        }
        self.webhooks.retain(|_, logged| {
            logged.has_warning || !logged.failing.is_due(now) || !logged.deliveries.is_due(now)
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.webhooks.is_empty()
    }
}

impl LoggedWebhook {
    /// Logs the last failed delivery if it hasn't been logged and a warning is due.
    fn log_failed_deliveries(&mut self, webhook: &WebhookId, now: Duration) {
        if self.unlogged.is_some()
            && self.deliveries.start_if_due(now)
            && let Some(failure) = self.unlogged.take()
        {
            self.has_warning = true;
            failure.log_deliveries(webhook);
        }
    }
}

impl Failure {
    fn log_failing(&self, webhook: &WebhookId, failing_since: Timestamp) {
        tracing::warn!(
            target: HEALTH_LOG_TARGET,
            %webhook,
            host = self.host,
            code = self.code,
            status = self.status,
            %failing_since,
            "webhook failing"
        );
    }

    fn log_deliveries(&self, webhook: &WebhookId) {
        tracing::warn!(
            target: HEALTH_LOG_TARGET,
            %webhook,
            host = self.host,
            code = self.code,
            status = self.status,
            failed_in_a_row = self.failed_in_a_row,
            "deliveries failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::NamedTempFile;
    use tracing_subscriber::fmt;

    use super::*;

    const FAILED: HealthUpdate = failed(true, 1);
    const RECOVERED: HealthUpdate = HealthUpdate::Recovered {
        failing_since: Timestamp::from_millis(0),
        failing_for: Duration::from_secs(90),
        failed_in_a_row: 7,
    };

    const fn failed(is_delivery_failed: bool, failed_in_a_row: u32) -> HealthUpdate {
        HealthUpdate::Failed {
            failing_since: Timestamp::from_millis(0),
            failed_in_a_row,
            is_delivery_failed,
        }
    }

    /// Applies each update at its time in seconds; `None` only runs the timer. Returns the logged
    /// lines, which start with the level.
    fn capture_log_lines(updates: &[(u64, Option<HealthUpdate>)]) -> Vec<String> {
        let lines = NamedTempFile::new().unwrap();
        let subscriber = fmt()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(Arc::new(lines.reopen().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let (mut log, webhook) = (HealthLog::default(), WebhookId::from_bytes([1; 16]));
            for (second, update) in updates {
                let now = Duration::from_secs(1000 + second);
                let outcome = Outcome::Status {
                    status: 500,
                    location: None,
                };
                match update {
                    Some(update) => {
                        let host = || "example.com".to_owned();
                        log.on_update(&webhook, host, &outcome, *update, now);
                    }
                    None => log.log_deferred(now),
                }
            }
        });
        let text = std::fs::read_to_string(lines.path()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[track_caller]
    fn assert_logs(updates: &[(u64, Option<HealthUpdate>)], expected: &[&str]) {
        let lines = capture_log_lines(updates);
        let is_expected = lines
            .iter()
            .zip(expected)
            .all(|(line, text)| line.contains(text));
        assert!(is_expected && lines.len() == expected.len(), "{lines:#?}");
    }

    #[test]
    fn logs_one_line_at_the_start_and_one_at_the_end() {
        let lines = capture_log_lines(&[
            (0, Some(failed(false, 0))),
            (1, Some(failed(false, 0))),
            (90, Some(RECOVERED)),
            (91, Some(HealthUpdate::Unchanged)),
        ]);
        assert_eq!(
            lines,
            [
                "WARN webhook failing webhook=wh_01040G2081040G2081040G2081 host=\"example.com\" code=\"status\" status=500 \
                 failing_since=1970-01-01T00:00:00.000Z",
                "INFO webhook recovered webhook=wh_01040G2081040G2081040G2081 host=\"example.com\" \
                 failing_since=1970-01-01T00:00:00.000Z failing_seconds=90 failed_in_a_row=7",
            ]
        );
    }

    #[test]
    fn logs_failed_deliveries_at_most_once_a_minute() {
        let outage: Vec<_> = (0..150)
            .map(|second| (second, Some(failed(true, second as u32 + 1))))
            .chain([(160, None), (180, None), (300, None)])
            .collect();
        assert_logs(
            &outage,
            &[
                "webhook failing",
                "failed_in_a_row=1",
                "failed_in_a_row=61",
                "failed_in_a_row=121",
                "failed_in_a_row=150",
            ],
        );
    }

    #[test]
    fn a_webhook_that_fails_now_and_then_cannot_fill_the_log() {
        let unstable: Vec<_> = (0..60)
            .map(|second| {
                (
                    second,
                    Some(if second % 2 == 0 { FAILED } else { RECOVERED }),
                )
            })
            .collect();
        let expected = ["webhook failing", "deliveries failed", "webhook recovered"];
        assert_logs(&unstable, &expected);
        let later = [(60, Some(FAILED)), (61, Some(RECOVERED))];
        assert_logs(
            &[unstable, later.into()].concat(),
            &[expected, expected].concat(),
        );
    }

    #[test]
    fn logs_the_recovery_of_a_webhook_that_failed_before_the_start() {
        assert_logs(&[(0, Some(RECOVERED))], &["webhook recovered"]);
    }
}
