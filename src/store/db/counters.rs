//! The counts that stand beside the rows, so that nobody counts a million: of a webhook's deliveries by state, of a
//! project's feedback by status.
//!
//! Whoever makes, changes or removes such a row says so to its [`WriteTx`](super::writer::WriteTx); the writer adds up what
//! the jobs of a commit said and stores the sums with it: each count is in step with its rows, at a fraction of what a
//! trigger for each row costs. Debug builds count the rows too before they commit, so that every test finds a place
//! that says nothing, or something else than it did.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::sql;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{ProjectId, WebhookId};

/// By how much counts change.
#[derive(Debug, Default)]
pub(in crate::store) struct CounterDeltas {
    deliveries: BTreeMap<WebhookId, WebhookDeltas>,
    /// By status.
    feedback: BTreeMap<ProjectId, [i64; FeedbackStatus::ALL.len()]>,
}

#[derive(Debug, Default)]
struct WebhookDeltas {
    created: i64,
    /// By state.
    states: [i64; DeliveryState::ALL.len()],
    deleted: i64,
}

impl CounterDeltas {
    /// A delivery was made.
    pub(in crate::store) fn delivery_created(&mut self, webhook: &WebhookId, state: DeliveryState) {
        let counts = self.of_webhook(webhook);
        counts.created += 1;
        counts.states[state as usize] += 1;
    }

    /// So many deliveries have another state.
    pub(in crate::store) fn delivery_states_changed(
        &mut self,
        webhook: &WebhookId,
        from: DeliveryState,
        to: DeliveryState,
        count: usize,
    ) {
        let counts = self.of_webhook(webhook);
        counts.states[from as usize] -= count.cast_signed() as i64;
        counts.states[to as usize] += count.cast_signed() as i64;
    }

    /// Retention has removed the row of a delivery; what became of it counts on.
    pub(in crate::store) fn delivery_deleted(&mut self, webhook: &WebhookId) {
        self.of_webhook(webhook).deleted += 1;
    }

    /// A feedback came (`from`: none), has another status, or went (`to`: none).
    pub(in crate::store) fn feedback(
        &mut self,
        project: &ProjectId,
        from: Option<FeedbackStatus>,
        to: Option<FeedbackStatus>,
    ) {
        let counts = self.feedback.entry(project.clone()).or_default();
        for (status, by) in [(from, -1), (to, 1)] {
            if let Some(status) = status {
                counts[status as usize] += by;
            }
        }
    }

    /// Adds what another job of the same commit said.
    pub(in crate::store) fn add(&mut self, other: Self) {
        for (webhook, of) in other.deliveries {
            let counts = self.deliveries.entry(webhook).or_default();
            counts.created += of.created;
            counts.deleted += of.deleted;
            add_each(&mut counts.states, of.states);
        }
        for (project, of) in other.feedback {
            add_each(self.feedback.entry(project).or_default(), of);
        }
    }

    /// Stores them, in the transaction that is open.
    pub(in crate::store) fn store(&self, connection: &Connection) -> Result<(), StoreError> {
        for (webhook, of) in &self.deliveries {
            let by = |state: DeliveryState| of.states[state as usize];
            let statement = "UPDATE delivery_totals SET events = events + ?2, pending = pending + ?3,
                delivered = delivered + ?4, failed = failed + ?5, canceled = canceled + ?6, deleted = deleted + ?7
                WHERE webhook_id = ?1";
            let values = params![
                webhook.as_str(),
                of.created,
                by(DeliveryState::Pending),
                by(DeliveryState::Delivered),
                by(DeliveryState::Failed),
                by(DeliveryState::Canceled),
                of.deleted
            ];
            sql::execute(connection, statement, values)?;
        }
        for (project, of) in &self.feedback {
            for status in FeedbackStatus::ALL {
                store_feedback(connection, project, status, of[status as usize])?;
            }
        }
        #[cfg(debug_assertions)]
        if !self.deliveries.is_empty() || !self.feedback.is_empty() {
            compare(connection)?;
        }
        Ok(())
    }

    fn of_webhook(&mut self, webhook: &WebhookId) -> &mut WebhookDeltas {
        self.deliveries.entry(webhook.clone()).or_default()
    }
}

fn add_each<const N: usize>(to: &mut [i64; N], by: [i64; N]) {
    for (to, by) in to.iter_mut().zip(by) {
        *to += by;
    }
}

fn store_feedback(
    connection: &Connection,
    project: &ProjectId,
    status: FeedbackStatus,
    by: i64,
) -> Result<(), StoreError> {
    if by == 0 {
        return Ok(());
    }
    let values = params![project.as_str(), status.as_str(), by];
    let known =
        "UPDATE feedback_counts SET count = count + ?3 WHERE project_id = ?1 AND status = ?2";
    // Of a project that was deleted in this commit nothing is left to count.
    if sql::execute(connection, known, values)? == 0 && by > 0 {
        let new = "INSERT INTO feedback_counts (project_id, status, count) VALUES (?1, ?2, ?3)";
        sql::execute(connection, new, values)?;
    }
    Ok(())
}

/// How many events of all webhooks are not explained: in no state, or counted without a row that retention has not
/// removed, or the other way round.
pub(in crate::store) fn audit(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT coalesce(sum(abs(events - pending - delivered - failed - canceled)
           + abs(events - deleted - (SELECT count(*) FROM deliveries d WHERE d.webhook_id = a.webhook_id))
           + abs(pending - (SELECT count(*) FROM deliveries d WHERE d.webhook_id = a.webhook_id AND state = 'pending'))), 0)
         FROM delivery_totals a",
        [],
        |row| row.get(0),
    )
}

/// Counts the rows, where they are few.
#[cfg(debug_assertions)]
fn compare(connection: &Connection) -> Result<(), StoreError> {
    const PAGES_MAX: i64 = 1000;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("PRAGMA page_count")? > PAGES_MAX {
        return Ok(());
    }
    let differing = number(
        "SELECT (SELECT count(*) FROM delivery_totals a WHERE deleted = 0 AND (
             delivered <> (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id AND state = 'delivered')
             OR failed <> (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id AND state = 'failed')))
         + (SELECT count(*) FROM projects p, (SELECT column1 AS status FROM (VALUES ('NEW'), ('REVIEWED'), ('RESOLVED'))) s
           WHERE (SELECT count(*) FROM feedback WHERE project_id = p.id AND status = s.status) <> coalesce(
             (SELECT count FROM feedback_counts c WHERE c.project_id = p.id AND c.status = s.status), 0))",
    )?;
    let unexplained = audit(connection)?;
    assert_eq!(
        (differing, unexplained),
        (0, 0),
        "counts differ from the rows that they are of"
    );
    Ok(())
}
