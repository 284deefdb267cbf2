//! What came of attempts: recorded with what follows from it, in one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::params;

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::deliveries::{self, AttemptRecord};
use super::{Store, events, webhooks};
use crate::clock::Timestamp;
use crate::domain::alert::ALERT_AFTER_FAILURES;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::retry::RetrySchedule;
use crate::domain::webhook::RetryPolicy;

/// An attempt that is over, to be recorded.
#[derive(Clone, Debug)]
pub struct FinishedAttempt {
    pub delivery: DeliveryId,
    pub webhook: WebhookId,
    pub is_test: bool,
    /// How many attempts it had before, when it was read.
    pub attempts: u32,
    pub attempt: AttemptRecord,
    /// 0 to 1, for the delays of `patient`.
    pub jitter: f64,
}

/// What a recorded attempt made of its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryUpdate {
    pub state: DeliveryState,
    /// Of the next attempt.
    pub due_at: Option<Timestamp>,
}

impl Store {
    /// Records attempts and what follows from them, all in one transaction; in the order given, `None` for one whose
    /// delivery is gone.
    pub async fn record_attempts(
        &self,
        attempts: Arc<Vec<FinishedAttempt>>,
        schedule: RetrySchedule,
    ) -> Result<Vec<Option<DeliveryUpdate>>, StoreError> {
        self.writer
            .write_when_free(move |write| {
                let mut healthy = HashSet::new();
                let record = |attempted| {
                    let finished = record(write, attempted, &schedule)?;
                    if let Some(finished) = finished.filter(|_| !attempted.is_test) {
                        update_health(write, attempted, finished.state, &mut healthy)?;
                    }
                    Ok(finished)
                };
                attempts.iter().map(record).collect()
            })
            .await
    }

    /// An id for a test's delivery, which is logged when its one attempt is over; and the time of its event.
    pub async fn allocate_test_delivery(&self) -> Result<(DeliveryId, Timestamp), StoreError> {
        self.writer
            .write(|write| Ok((write.next_id(), write.now)))
            .await
    }

    /// Logs a test of a saved webhook. One that succeeded ends the hold that the endpoint asked for.
    pub async fn record_test(
        &self,
        webhook: WebhookId,
        delivery: DeliveryId,
        body: Vec<u8>,
        attempt: AttemptRecord,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                let event = events::insert(write, EventType::Test.as_str(), None, &body)?;
                let state = if attempt.is_success() { DeliveryState::Delivered } else { DeliveryState::Failed };
                sql::execute(
                    write,
                    "INSERT INTO deliveries (id, event_id, webhook_id, state, attempts, round_attempts, created_at,
                     finished_at) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6)",
                    params![
                        delivery.as_str(),
                        event.as_str(),
                        webhook.as_str(),
                        state.as_str(),
                        attempt.started_at.millis(),
                        write.now.millis()
                    ],
                )?;
                deliveries::insert_attempt(write, &delivery, 1, &attempt, true)?;
                write.delivery_created(&webhook, state);
                if attempt.is_success() {
                    let held = "UPDATE webhooks SET held_until = NULL WHERE id = ?1 AND held_until IS NOT NULL";
                    if sql::execute(write, held, [webhook.as_str()])? > 0 {
                        write.notify_deliveries();
                    }
                }
                Ok(())
            })
            .await
    }
}

fn record(
    write: &mut WriteTx<'_>,
    attempted: &FinishedAttempt,
    schedule: &RetrySchedule,
) -> Result<Option<DeliveryUpdate>, StoreError> {
    if attempted.attempt.is_success() && record_success_fast_path(write, attempted)? {
        return Ok(Some(DeliveryUpdate {
            state: DeliveryState::Delivered,
            due_at: None,
        }));
    }
    struct Before {
        state: DeliveryState,
        attempts: u32,
        round_attempts: usize,
        retries: RetryPolicy,
        has_body: bool,
    }
    let (id, attempt) = (&attempted.delivery, &attempted.attempt);
    let before = sql::query_optional(
        write,
        "SELECT state, attempts, round_attempts, retry_policy, body IS NOT NULL AS has_body
         FROM deliveries JOIN events ON events.id = event_id JOIN webhooks ON webhooks.id = webhook_id
         WHERE deliveries.id = ?1",
        [id.as_str()],
        |row| {
            Ok(Before {
                state: sql::parse_column(row, "state", DeliveryState::parse)?,
                attempts: row.get("attempts")?,
                round_attempts: row.get("round_attempts")?,
                retries: webhooks::read_retries(row)?,
                has_body: row.get("has_body")?,
            })
        },
    )?;
    let Some(before) = before else {
        return Ok(None);
    };
    // A test that is sent again is one attempt, as ever.
    let next =
        if before.state == DeliveryState::Pending && !attempt.is_success() && !attempted.is_test {
            schedule.next_attempt_at(
                before.retries,
                before.round_attempts + 1,
                attempt.ended_at,
                attempted.jitter,
            )
        } else {
            None
        };
    // What was canceled while it was in flight ends here: delivered if it was, else it stays canceled.
    let state = match (attempt.is_success(), before.state, next) {
        (true, ..) => DeliveryState::Delivered,
        (false, DeliveryState::Pending, Some(_)) => DeliveryState::Pending,
        (false, DeliveryState::Pending, None) => DeliveryState::Failed,
        (false, other, _) => other,
    };
    // A hold stands on the webhook, not here: when a test ends it, what waited goes out by its own schedule.
    let due_at = next;
    let finished_at = (state != DeliveryState::Pending).then_some(write.now.millis());
    sql::execute(
        write,
        "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, round_attempts = ?5, finished_at = ?6
         WHERE id = ?1",
        params![
            id.as_str(),
            state.as_str(),
            due_at.map(Timestamp::millis),
            before.attempts + 1,
            before.round_attempts + 1,
            finished_at
        ],
    )?;
    deliveries::insert_attempt(write, id, before.attempts + 1, attempt, before.has_body)?;
    write.delivery_states_changed(&attempted.webhook, before.state, state, 1);
    Ok(Some(DeliveryUpdate { state, due_at }))
}

/// Records, without a look at it first, the success of a delivery that is pending as it was when it was read: so its
/// words are there too. `false`: it is not, and nothing was recorded.
fn record_success_fast_path(
    write: &mut WriteTx<'_>,
    attempted: &FinishedAttempt,
) -> Result<bool, StoreError> {
    let id = &attempted.delivery;
    let changed = sql::execute(
        write,
        "UPDATE deliveries SET state = 'delivered', due_at = NULL, attempts = attempts + 1,
         round_attempts = round_attempts + 1, finished_at = ?3 WHERE id = ?1 AND state = 'pending' AND attempts = ?2",
        params![id.as_str(), attempted.attempts, write.now.millis()],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    deliveries::insert_attempt(write, id, attempted.attempts + 1, &attempted.attempt, true)?;
    write.delivery_states_changed(
        &attempted.webhook,
        DeliveryState::Pending,
        DeliveryState::Delivered,
        1,
    );
    Ok(true)
}

/// Marks the webhook as failing since this attempt, or as well again; holds it back where the endpoint asked for it.
/// `well`: those that a success before this one was noted for, so that it is noted once.
fn update_health<'a>(
    write: &mut WriteTx<'_>,
    attempted: &'a FinishedAttempt,
    state: DeliveryState,
    healthy: &mut HashSet<&'a WebhookId>,
) -> Result<(), StoreError> {
    let (webhook, attempt) = (attempted.webhook.as_str(), &attempted.attempt);
    if attempt.is_success() {
        if !healthy.insert(&attempted.webhook) {
            return Ok(());
        }
        let recovered = "UPDATE webhooks SET failing_since = NULL, consecutive_failures = 0 WHERE id = ?1 AND failing_since IS NOT NULL";
        if sql::execute(write, recovered, [webhook])? > 0 {
            write.notify_alerts();
        }
        return Ok(());
    }
    healthy.remove(&attempted.webhook);
    let failing = "UPDATE webhooks SET failing_since = ?2 WHERE id = ?1 AND failing_since IS NULL";
    let since = params![webhook, attempt.started_at.millis()];
    if sql::execute(write, failing, since)? > 0 {
        write.notify_alerts();
    }
    if state == DeliveryState::Failed {
        let given_up = "UPDATE webhooks SET consecutive_failures = consecutive_failures + 1 WHERE id = ?1 RETURNING consecutive_failures";
        if sql::query_optional(write, given_up, [webhook], |row| row.get(0))?
            == Some(ALERT_AFTER_FAILURES)
        {
            write.notify_alerts();
        }
    }
    if let Some(until) = attempt.hold_until {
        let held =
            "UPDATE webhooks SET held_until = max(coalesce(held_until, 0), ?2) WHERE id = ?1";
        sql::execute(write, held, params![webhook, until.millis()])?;
        write.invalidate_read_ahead();
    }
    Ok(())
}
