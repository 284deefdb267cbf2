//! Records attempts and their effects in one transaction: the delivery's next state, and the
//! health, the hold, and the statistics of its webhook.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::db::counters::AttemptStatisticsKey;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::deliveries::{self, AttemptRecord, WEBHOOK_NUMBER};
use super::{Store, events};
use crate::clock::Timestamp;
use crate::domain::alert::ALERT_AFTER_FAILURES;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::retry::RetrySchedule;
use crate::domain::webhook::RetryPolicy;

/// An attempt to be recorded.
#[derive(Clone, Debug)]
pub struct FinishedAttempt {
    pub delivery: DeliveryId,
    pub webhook: WebhookId,
    pub is_test: bool,
    /// The number of attempts that the delivery had when it was read.
    pub attempts: u32,
    pub attempt: AttemptRecord,
    /// The monotonic time when the attempt ended. Retry delays and holds start at this time, even
    /// if the system clock has jumped since.
    pub ended: Duration,
    /// A random number from 0 to 1 that varies the delays of the `patient` retry policy.
    pub jitter: f64,
}

/// The event of a test, as it was sent.
#[derive(Clone, Debug)]
pub struct TestEvent {
    pub event: EventType,
    pub format: Format,
    pub details: bool,
    pub body: Vec<u8>,
}

/// The state of a delivery after an attempt, and the effect on the health of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryUpdate {
    pub state: DeliveryState,
    /// The time of the next attempt; `None` unless the delivery is pending.
    pub due_at: Option<Timestamp>,
    pub health: HealthUpdate,
}

/// The effect of an attempt on the health of its webhook. Tests have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthUpdate {
    /// The webhook wasn't failing, and isn't failing now.
    Unchanged,
    /// The attempt failed.
    Failed {
        failing_since: Timestamp,
        /// The number of failed deliveries since the last success.
        failed_in_a_row: u32,
        /// Whether the attempt was the last one of its delivery.
        is_delivery_failed: bool,
    },
    /// The attempt succeeded, and the webhook was failing before.
    Recovered {
        failing_since: Timestamp,
        failing_for: Duration,
        failed_in_a_row: u32,
    },
}

impl Store {
    /// Records attempts in one transaction. Returns the updates in the order of `attempts`; `None`
    /// means that the delivery has been deleted.
    pub async fn record_attempts(
        &self,
        attempts: Arc<Vec<FinishedAttempt>>,
        schedule: RetrySchedule,
    ) -> Result<Vec<Option<DeliveryUpdate>>, StoreError> {
        self.writer
            .write_with_backpressure(move |tx| {
                let mut healthy = HashSet::new();
                let record = |finished| {
                    let mut update = record_attempt(tx, finished, &schedule)?;
                    if let Some(update) = update.as_mut().filter(|_| !finished.is_test) {
                        add_attempt_to_statistics(tx, finished);
                        update.health =
                            update_webhook_health(tx, finished, update.state, &mut healthy)?;
                    }
                    Ok(update)
                };
                attempts.iter().map(record).collect()
            })
            .await
    }

    /// Returns an id for the delivery of a test, and the time of the test event. The delivery is
    /// stored with [`record_test_delivery`](Self::record_test_delivery), after its only attempt.
    pub async fn allocate_test_delivery_id(&self) -> Result<(DeliveryId, Timestamp), StoreError> {
        self.writer.write(|tx| Ok((tx.next_id(), tx.now))).await
    }

    /// Stores a test of a saved webhook in the delivery log. A successful test ends the webhook's
    /// hold.
    pub async fn record_test_delivery(
        &self,
        webhook: WebhookId,
        delivery: DeliveryId,
        test: TestEvent,
        attempt: AttemptRecord,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let (event, body_number) = insert_test_event(tx, &test)?;
                let state = if attempt.is_success() {
                    DeliveryState::Delivered
                } else {
                    DeliveryState::Failed
                };
                sql::execute(
                    tx,
                    &format!(
                        "INSERT INTO deliveries (webhook_number, id, event_number, body_number,
                         state, attempts, round_attempts, created_at, finished_at)
                         VALUES ({WEBHOOK_NUMBER}, ?2, ?3, ?4, ?5, 1, 1, ?6, ?7)"
                    ),
                    params![
                        webhook,
                        delivery,
                        event,
                        body_number,
                        state,
                        attempt.started_at,
                        tx.now
                    ],
                )?;
                deliveries::insert_attempt(tx, &delivery, 1, &attempt, true)?;
                tx.record_delivery_created(&webhook, state);
                if attempt.is_success() {
                    let end_hold = "UPDATE webhooks SET held_until = NULL
                        WHERE id = ?1 AND held_until IS NOT NULL";
                    if sql::execute(tx, end_hold, [&webhook])? > 0 {
                        tx.notify_deliveries();
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Stores the event of a test. Returns the number of the event, and of its body in `event_bodies`.
fn insert_test_event(
    tx: &mut WriteTx<'_>,
    test: &TestEvent,
) -> Result<(i64, Option<i64>), StoreError> {
    if events::is_event_body(test.format, test.details) {
        return Ok((
            events::insert_event(tx, test.event, None, &test.body)?,
            None,
        ));
    }
    let event = events::insert_event(tx, test.event, None, &[])?;
    let body = events::insert_event_body(tx, event, test.format, test.details, &test.body)?;
    Ok((event, Some(body)))
}

/// The stored data that determines how an attempt is recorded.
struct PreviousDeliveryState {
    state: DeliveryState,
    attempts: u32,
    round_attempts: usize,
    retry_policy: RetryPolicy,
    has_body: bool,
}

fn record_attempt(
    tx: &mut WriteTx<'_>,
    finished: &FinishedAttempt,
    schedule: &RetrySchedule,
) -> Result<Option<DeliveryUpdate>, StoreError> {
    if finished.attempt.is_success() && record_success_if_pending(tx, finished)? {
        return Ok(Some(DeliveryUpdate {
            state: DeliveryState::Delivered,
            due_at: None,
            health: HealthUpdate::Unchanged,
        }));
    }
    let (id, attempt) = (&finished.delivery, &finished.attempt);
    let before = sql::query_optional(
        tx,
        "SELECT state, attempts, round_attempts, retry_policy, body IS NOT NULL AS has_body
         FROM deliveries JOIN events ON events.number = event_number
         JOIN webhooks ON webhooks.number = webhook_number
         WHERE deliveries.id = ?1",
        [id],
        |row| {
            Ok(PreviousDeliveryState {
                state: row.get("state")?,
                attempts: row.get("attempts")?,
                round_attempts: row.get("round_attempts")?,
                retry_policy: row.get("retry_policy")?,
                has_body: row.get("has_body")?,
            })
        },
    )?;
    let Some(before) = before else {
        return Ok(None);
    };
    let ended_at = attempt_ended_at(tx, finished);
    let (state, due_at) = compute_next_state(&before, finished, ended_at, schedule);
    let finished_at = (state != DeliveryState::Pending).then_some(tx.now);
    sql::execute(
        tx,
        "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, round_attempts = ?5,
         finished_at = ?6, retry_requested = 0 WHERE id = ?1",
        params![
            id,
            state,
            due_at,
            before.attempts + 1,
            before.round_attempts + 1,
            finished_at
        ],
    )?;
    deliveries::insert_attempt(tx, id, before.attempts + 1, attempt, before.has_body)?;
    tx.record_delivery_state_changes(&finished.webhook, before.state, state, 1);
    Ok(Some(DeliveryUpdate {
        state,
        due_at,
        health: HealthUpdate::Unchanged,
    }))
}

/// Returns the delivery's state after the attempt, and the time of its next attempt.
///
/// The returned time ignores holds: when a test ends a hold, each delivery is still due at its
/// original time.
fn compute_next_state(
    before: &PreviousDeliveryState,
    finished: &FinishedAttempt,
    ended_at: Timestamp,
    schedule: &RetrySchedule,
) -> (DeliveryState, Option<Timestamp>) {
    let is_success = finished.attempt.is_success();
    let is_pending = before.state == DeliveryState::Pending;
    // Tests are never retried, even after a redelivery. A permanent failure isn't retried either.
    let is_permanent = finished.attempt.result.outcome.is_permanent();
    let due_at = if is_pending && !is_success && !finished.is_test && !is_permanent {
        let failed_attempts = before.round_attempts + 1;
        schedule
            .next_delay(before.retry_policy, failed_attempts, finished.jitter)
            .map(|delay| ended_at.plus(delay))
    } else {
        None
    };
    // A delivery that was canceled in flight ends as `delivered` on success, otherwise as
    // `canceled`.
    let state = match (is_success, before.state, due_at) {
        (true, ..) => DeliveryState::Delivered,
        (false, DeliveryState::Pending, Some(_)) => DeliveryState::Pending,
        (false, DeliveryState::Pending, None) => DeliveryState::Failed,
        (false, other, _) => other,
    };
    (state, due_at)
}

fn attempt_ended_at(tx: &WriteTx<'_>, finished: &FinishedAttempt) -> Timestamp {
    tx.now.minus(tx.monotonic.saturating_sub(finished.ended))
}

/// Fast path: records a success with a conditional UPDATE instead of reading the row first.
///
/// Records nothing and returns `false` if the delivery isn't pending anymore, or if another attempt
/// was recorded since the delivery was read. A pending delivery still has its body, because
/// deleting feedback cancels its deliveries. Therefore, the response can be stored.
fn record_success_if_pending(
    tx: &mut WriteTx<'_>,
    finished: &FinishedAttempt,
) -> Result<bool, StoreError> {
    let id = &finished.delivery;
    let changed = sql::execute(
        tx,
        "UPDATE deliveries SET state = 'delivered', due_at = NULL, attempts = attempts + 1,
         round_attempts = round_attempts + 1, finished_at = ?3
         WHERE id = ?1 AND state = 'pending' AND attempts = ?2",
        params![id, finished.attempts, tx.now],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    deliveries::insert_attempt(tx, id, finished.attempts + 1, &finished.attempt, true)?;
    tx.record_delivery_state_changes(
        &finished.webhook,
        DeliveryState::Pending,
        DeliveryState::Delivered,
        1,
    );
    Ok(true)
}

/// Adds the attempt to the statistics of its webhook.
fn add_attempt_to_statistics(tx: &mut WriteTx<'_>, finished: &FinishedAttempt) {
    let attempt = &finished.attempt;
    let result = &attempt.result;
    let response_time = result.response.as_ref().map(|_| result.duration);
    let key = AttemptStatisticsKey::new(attempt.started_at, attempt.is_success(), response_time);
    tx.record_attempt(&finished.webhook, key);
}

/// Updates the health of the attempt's webhook, and starts or extends a hold if the endpoint
/// requested a hold.
///
/// `healthy` contains the webhooks whose last attempt in this transaction succeeded, so that a
/// series of successes reads the webhook once.
fn update_webhook_health<'a>(
    tx: &mut WriteTx<'_>,
    finished: &'a FinishedAttempt,
    state: DeliveryState,
    healthy: &mut HashSet<&'a WebhookId>,
) -> Result<HealthUpdate, StoreError> {
    let (webhook, attempt) = (&finished.webhook, &finished.attempt);
    if attempt.is_success() {
        return match healthy.insert(webhook) {
            true => record_recovery(tx, webhook),
            false => Ok(HealthUpdate::Unchanged),
        };
    }
    healthy.remove(webhook);
    if let Some(length) = attempt.hold {
        let hold =
            "UPDATE webhooks SET held_until = max(coalesce(held_until, 0), ?2) WHERE id = ?1";
        let until = attempt_ended_at(tx, finished).plus(length);
        sql::execute(tx, hold, params![webhook, until])?;
        tx.invalidate_read_ahead();
    }
    record_failure(tx, finished, state == DeliveryState::Failed)
}

/// Marks a webhook as working if it was failing.
fn record_recovery(tx: &mut WriteTx<'_>, webhook: &WebhookId) -> Result<HealthUpdate, StoreError> {
    let failing = "SELECT failing_since, consecutive_failures FROM webhooks
        WHERE id = ?1 AND failing_since IS NOT NULL";
    let failing: Option<(Timestamp, u32)> =
        sql::query_optional(tx, failing, [webhook], |row| row.try_into())?;
    let Some((failing_since, failed_in_a_row)) = failing else {
        return Ok(HealthUpdate::Unchanged);
    };
    let recovered =
        "UPDATE webhooks SET failing_since = NULL, consecutive_failures = 0 WHERE id = ?1";
    sql::execute(tx, recovered, [webhook])?;
    tx.notify_alert_sender();
    Ok(HealthUpdate::Recovered {
        failing_since,
        failing_for: tx.now.since(failing_since),
        failed_in_a_row,
    })
}

/// Marks a webhook as failing, stores which delivery failed last, and counts a failed delivery.
fn record_failure(
    tx: &mut WriteTx<'_>,
    finished: &FinishedAttempt,
    is_delivery_failed: bool,
) -> Result<HealthUpdate, StoreError> {
    let webhook = &finished.webhook;
    let health = "SELECT failing_since, consecutive_failures FROM webhooks WHERE id = ?1";
    let health: Option<(Option<Timestamp>, u32)> =
        sql::query_optional(tx, health, [webhook], |row| row.try_into())?;
    let Some((since, failures)) = health else {
        return Ok(HealthUpdate::Unchanged);
    };
    let failing_since = since.unwrap_or(finished.attempt.started_at);
    let failed_in_a_row = failures + u32::from(is_delivery_failed);
    sql::execute(
        tx,
        "UPDATE webhooks SET failing_since = ?2, consecutive_failures = ?3,
         last_failed_delivery = ?4 WHERE id = ?1",
        params![webhook, failing_since, failed_in_a_row, finished.delivery],
    )?;
    if since.is_none() || (is_delivery_failed && failed_in_a_row == ALERT_AFTER_FAILURES) {
        tx.notify_alert_sender();
    }
    Ok(HealthUpdate::Failed {
        failing_since,
        failed_in_a_row,
        is_delivery_failed,
    })
}
