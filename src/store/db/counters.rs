//! Maintains counters: a webhook's deliveries by state and attempts by hour, and a project's
//! feedback by status. Counting a million rows would be too slow for a page.
//!
//! A job reports each changed delivery or feedback item to its [`WriteTx`](super::writer::WriteTx).
//! The writer adds up the changes of a commit and updates the counters in the same transaction.
//! These updates cost much less than a trigger for each row. Debug builds also count the rows of a
//! small database before the commit, so tests detect a change that is reported incorrectly.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::sql;
use crate::clock::Timestamp;
use crate::domain::attempt_statistics::round_response_time;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{ProjectId, WebhookId};

/// Changes to the counters by one job or by all jobs of a commit.
#[derive(Debug, Default)]
pub(in crate::store) struct CounterDeltas {
    deliveries: BTreeMap<WebhookId, DeliveryTotalsDelta>,
    attempts: BTreeMap<WebhookId, AttemptDeltas>,
    /// The changes to the counters of each project, in an array indexed by status.
    feedback: BTreeMap<ProjectId, [i64; FeedbackStatus::ALL.len()]>,
}

#[derive(Debug, Default)]
struct DeliveryTotalsDelta {
    created: i64,
    /// The changes to the totals, in an array indexed by state.
    states: [i64; DeliveryState::ALL.len()],
    deleted: i64,
}

/// The new attempts of one webhook.
#[derive(Debug)]
struct AttemptDeltas {
    counts: BTreeMap<AttemptStatisticsKey, u64>,
    /// The webhook's statistics before this time are deleted.
    expired_before: Timestamp,
}

/// The key of a row in `attempt_statistics`, without the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct AttemptStatisticsKey {
    /// The start of the hour.
    hour: Timestamp,
    is_success: bool,
    /// The rounded response time; -1 if there was no response.
    response_ms: i64,
}

impl AttemptStatisticsKey {
    /// Returns the key of the row that counts an attempt. `response_time` is `None` if there was no
    /// response.
    pub(in crate::store) fn new(
        started_at: Timestamp,
        is_success: bool,
        response_time: Option<Duration>,
    ) -> Self {
        const HOUR_MILLIS: i64 = 3_600_000;
        let millis = started_at.millis();
        Self {
            hour: Timestamp::from_millis(millis - millis.rem_euclid(HOUR_MILLIS)),
            is_success,
            response_ms: response_time.map_or(-1, |time| i64::from(round_response_time(time))),
        }
    }
}

impl CounterDeltas {
    pub(super) fn record_delivery_created(&mut self, webhook: &WebhookId, state: DeliveryState) {
        let deltas = self.webhook_deltas(webhook);
        deltas.created += 1;
        deltas.states[state as usize] += 1;
    }

    pub(super) fn record_delivery_state_changes(
        &mut self,
        webhook: &WebhookId,
        from: DeliveryState,
        to: DeliveryState,
        count: usize,
    ) {
        let deltas = self.webhook_deltas(webhook);
        deltas.states[from as usize] -= count.cast_signed() as i64;
        deltas.states[to as usize] += count.cast_signed() as i64;
    }

    /// Records that retention deleted a delivery. The delivery totals still include it.
    pub(super) fn record_delivery_deleted(&mut self, webhook: &WebhookId) {
        self.webhook_deltas(webhook).deleted += 1;
    }

    /// Records an attempt that isn't a test. The webhook's statistics before `expired_before` are
    /// deleted.
    pub(in crate::store) fn record_attempt(
        &mut self,
        webhook: &WebhookId,
        key: AttemptStatisticsKey,
        expired_before: Timestamp,
    ) {
        let deltas = AttemptDeltas {
            counts: BTreeMap::from([(key, 1)]),
            expired_before,
        };
        self.merge_attempts(*webhook, deltas);
    }

    fn merge_attempts(&mut self, webhook: WebhookId, other: AttemptDeltas) {
        let deltas = self.attempts.entry(webhook).or_insert(AttemptDeltas {
            counts: BTreeMap::new(),
            expired_before: other.expired_before,
        });
        deltas.expired_before = deltas.expired_before.max(other.expired_before);
        for (key, count) in other.counts {
            *deltas.counts.entry(key).or_default() += count;
        }
    }

    pub(super) fn record_feedback_change(
        &mut self,
        project: &ProjectId,
        from: Option<FeedbackStatus>,
        to: Option<FeedbackStatus>,
    ) {
        let deltas = self.feedback.entry(*project).or_default();
        for (status, delta) in [(from, -1), (to, 1)] {
            if let Some(status) = status {
                deltas[status as usize] += delta;
            }
        }
    }

    /// Adds the changes of another job in the same commit.
    pub(super) fn merge(&mut self, other: Self) {
        for (webhook, other) in other.deliveries {
            let deltas = self.deliveries.entry(webhook).or_default();
            deltas.created += other.created;
            deltas.deleted += other.deleted;
            add_deltas(&mut deltas.states, other.states);
        }
        for (webhook, other) in other.attempts {
            self.merge_attempts(webhook, other);
        }
        for (project, other) in other.feedback {
            add_deltas(self.feedback.entry(project).or_default(), other);
        }
    }

    /// Updates the counters in the open transaction.
    pub(super) fn update_counters(&self, connection: &Connection) -> Result<(), StoreError> {
        for (webhook, deltas) in &self.deliveries {
            let in_state = |state: DeliveryState| deltas.states[state as usize];
            let update = "UPDATE delivery_totals SET events = events + ?2,
                pending = pending + ?3, delivered = delivered + ?4, failed = failed + ?5,
                canceled = canceled + ?6, deleted = deleted + ?7
                WHERE webhook_id = ?1";
            let values = params![
                webhook,
                deltas.created,
                in_state(DeliveryState::Pending),
                in_state(DeliveryState::Delivered),
                in_state(DeliveryState::Failed),
                in_state(DeliveryState::Canceled),
                deltas.deleted
            ];
            sql::execute(connection, update, values)?;
        }
        self.update_attempt_statistics(connection)?;
        for (project, deltas) in &self.feedback {
            for status in FeedbackStatus::ALL {
                add_to_feedback_count(connection, project, status, deltas[status as usize])?;
            }
        }
        #[cfg(debug_assertions)]
        if !self.deliveries.is_empty() || !self.feedback.is_empty() {
            assert_counters_match(connection)?;
        }
        Ok(())
    }

    /// Adds the new attempts to the stored statistics, and deletes the expired statistics of their
    /// webhooks.
    pub(in crate::store) fn update_attempt_statistics(
        &self,
        connection: &Connection,
    ) -> Result<(), StoreError> {
        for (webhook, deltas) in &self.attempts {
            let delete = "DELETE FROM attempt_statistics WHERE webhook_id = ?1 AND hour < ?2";
            sql::execute(connection, delete, params![webhook, deltas.expired_before])?;
            let add = "INSERT INTO attempt_statistics
                (webhook_id, hour, is_success, response_ms, count) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT DO UPDATE SET count = count + excluded.count";
            for (key, count) in &deltas.counts {
                let values = params![webhook, key.hour, key.is_success, key.response_ms, count];
                sql::execute(connection, add, values)?;
            }
        }
        Ok(())
    }

    fn webhook_deltas(&mut self, webhook: &WebhookId) -> &mut DeliveryTotalsDelta {
        self.deliveries.entry(*webhook).or_default()
    }
}

fn add_deltas<const N: usize>(sums: &mut [i64; N], deltas: [i64; N]) {
    for (sum, delta) in sums.iter_mut().zip(deltas) {
        *sum += delta;
    }
}

fn add_to_feedback_count(
    connection: &Connection,
    project: &ProjectId,
    status: FeedbackStatus,
    delta: i64,
) -> Result<(), StoreError> {
    if delta == 0 {
        return Ok(());
    }
    let values = params![project, status, delta];
    let update =
        "UPDATE feedback_counts SET count = count + ?3 WHERE project_id = ?1 AND status = ?2";
    // If the project was deleted in the same commit, there is no counter row left to reduce.
    if sql::execute(connection, update, values)? == 0 && delta > 0 {
        let insert = "INSERT INTO feedback_counts (project_id, status, count) VALUES (?1, ?2, ?3)";
        sql::execute(connection, insert, values)?;
    }
    Ok(())
}

/// Returns the sum of the differences between the delivery totals and the deliveries; 0 unless an
/// event was lost.
///
/// For each webhook, compares `events` with the sum of the totals by state. Also compares `events`
/// minus `deleted` with the number of deliveries, and `pending` with the number of pending
/// deliveries.
pub(in crate::store) fn count_unexplained_events(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT coalesce(sum(
             abs(events - pending - delivered - failed - canceled)
             + abs(events - deleted - (SELECT count(*) FROM deliveries d
                 WHERE d.webhook_number = w.number))
             + abs(pending - (SELECT count(*) FROM deliveries d
                 WHERE d.webhook_number = w.number AND state = 'pending'))), 0)
         FROM delivery_totals JOIN webhooks w ON w.id = webhook_id",
        [],
        |row| row.get(0),
    )
}

/// Compares the counters with the rows, if the database is small.
///
/// # Panics
///
/// Panics if a counter differs from its rows.
#[cfg(debug_assertions)]
fn assert_counters_match(connection: &Connection) -> Result<(), StoreError> {
    const CHECKED_PAGES_MAX: i64 = 1000;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("PRAGMA page_count")? > CHECKED_PAGES_MAX {
        return Ok(());
    }
    let mismatches = number(
        "SELECT (SELECT count(*) FROM delivery_totals t
             JOIN webhooks w ON w.id = t.webhook_id WHERE deleted = 0 AND (
             delivered <> (SELECT count(*) FROM deliveries
                 WHERE webhook_number = w.number AND state = 'delivered')
             OR failed <> (SELECT count(*) FROM deliveries
                 WHERE webhook_number = w.number AND state = 'failed')))
         + (SELECT count(*) FROM projects p,
             (SELECT column1 AS status FROM (VALUES ('NEW'), ('REVIEWED'), ('RESOLVED'))) s
             WHERE (SELECT count(*) FROM feedback
                 WHERE project_id = p.id AND status = s.status)
             <> coalesce((SELECT count FROM feedback_counts c
                 WHERE c.project_id = p.id AND c.status = s.status), 0))",
    )?;
    let unexplained = count_unexplained_events(connection)?;
    assert_eq!(
        (mismatches, unexplained),
        (0, 0),
        "counters differ from the rows"
    );
    Ok(())
}
