//! [`WriteTx`]: the open transaction, ids, and time that a job works with, and the effects that it
//! reports. Effects apply only if the job is committed.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{DeliveryId, Id, IdSequence, ProjectId, WebhookId};
use crate::store::attempt_statistics::STATISTICS_LIFETIME;
use crate::store::backpressure::{Backpressure, HeldPermits};
use crate::store::db::change_feed::{ChangeFeed, ChangeKind};
use crate::store::db::counters::{AttemptStatisticsKey, CounterDeltas};

/// The open transaction of a job. It dereferences to the writer's connection.
pub(in crate::store) struct WriteTx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ids: &'a mut IdSequence,
    /// The time of the job; the same for all its rows.
    pub(in crate::store) now: Timestamp,
    /// The monotonic time when the job started.
    pub(in crate::store) monotonic: Duration,
    /// See [`Clock::is_trusted`](crate::clock::Clock::is_trusted).
    pub(in crate::store) is_clock_trusted: bool,
    pub(super) effects: &'a mut CommitEffects,
}

/// Notifies other tasks after a commit. Notifications carry no data; receivers query the database.
#[derive(Clone)]
pub(in crate::store) struct CommitNotifiers {
    pub(in crate::store) deliveries: Arc<Notify>,
    pub(in crate::store) health: Arc<Notify>,
    pub(in crate::store) change_feed: ChangeFeed,
    /// See [`Store::outbox_generation`](crate::store::Store::outbox_generation).
    pub(in crate::store) outbox_generation: Arc<AtomicU64>,
    pub(in crate::store) backpressure: Backpressure,
}

impl CommitNotifiers {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        Self {
            deliveries: Arc::default(),
            health: Arc::default(),
            change_feed: ChangeFeed::new(now),
            outbox_generation: Arc::default(),
            backpressure: Backpressure::default(),
        }
    }

    /// Notifies the receivers that wait for a stored deadline.
    pub(super) fn notify_clock_jumped(&self) {
        self.deliveries.notify_one();
        self.health.notify_one();
    }

    pub(super) fn notify(&self, effects: CommitEffects) {
        if effects.invalidate_read_ahead {
            self.outbox_generation.fetch_add(1, Ordering::Release);
        }
        if effects.has_saved_webhook {
            self.backpressure.clear_delivery_counts();
        }
        for held in effects.held_permits {
            self.backpressure.hold(held);
        }
        if effects.notify_deliveries {
            self.deliveries.notify_one();
        }
        if effects.notify_alert_sender {
            self.health.notify_one();
        }
        self.change_feed.publish(effects.changes);
    }
}

impl WriteTx<'_> {
    pub(in crate::store) fn next_id<T: Id>(&mut self) -> T {
        self.ids.next(self.now)
    }

    /// Returns the current time minus `lifetime`, to find expired rows. While the clock isn't
    /// trusted, returns a time before all rows, so that no row counts as expired.
    pub(in crate::store) fn expiry_cutoff(&self, lifetime: Duration) -> Timestamp {
        if self.is_clock_trusted {
            self.now.minus(lifetime)
        } else {
            Timestamp::MIN
        }
    }

    /// Notifies the dispatcher after the commit that deliveries may be due.
    pub(in crate::store) fn notify_deliveries(&mut self) {
        self.effects.notify_deliveries = true;
    }

    /// Keeps the permits of new deliveries after the commit, until the deliveries are started.
    pub(in crate::store) fn hold_permits(
        &mut self,
        permits: OwnedSemaphorePermit,
        project: String,
        deliveries: &[DeliveryId],
    ) {
        self.effects.held_permits.push(HeldPermits {
            project,
            deliveries: deliveries.len(),
            last_delivery: deliveries.last().copied(),
            permits,
        });
    }

    /// Invalidates the deliveries that the dispatcher has read ahead. The invalidation takes effect
    /// after the commit, before the job's reply.
    pub(in crate::store) fn invalidate_read_ahead(&mut self) {
        self.effects.invalidate_read_ahead = true;
    }

    /// Reports that a webhook was created or changed. Invalidates the deliveries read ahead.
    pub(in crate::store) fn record_webhook_saved(&mut self) {
        self.invalidate_read_ahead();
        self.effects.has_saved_webhook = true;
    }

    /// Notifies the alert sender and open pages after the commit that a webhook's health changed.
    pub(in crate::store) fn notify_alert_sender(&mut self) {
        self.effects.notify_alert_sender = true;
        self.publish_change(ChangeKind::FailingWebhooks);
    }

    /// Reports that a delivery was created.
    pub(in crate::store) fn record_delivery_created(
        &mut self,
        webhook: &WebhookId,
        state: DeliveryState,
    ) {
        self.effects
            .counters
            .record_delivery_created(webhook, state);
        self.publish_change(ChangeKind::Deliveries(*webhook));
    }

    /// Reports that the state of `count` deliveries changed.
    pub(in crate::store) fn record_delivery_state_changes(
        &mut self,
        webhook: &WebhookId,
        from: DeliveryState,
        to: DeliveryState,
        count: usize,
    ) {
        self.effects
            .counters
            .record_delivery_state_changes(webhook, from, to, count);
        self.publish_change(ChangeKind::Deliveries(*webhook));
    }

    /// Reports a recorded attempt that isn't a test.
    pub(in crate::store) fn record_attempt(
        &mut self,
        webhook: &WebhookId,
        attempt: AttemptStatisticsKey,
    ) {
        let expired_before = self.expiry_cutoff(STATISTICS_LIFETIME);
        self.effects
            .counters
            .record_attempt(webhook, attempt, expired_before);
    }

    /// Reports that retention deleted a delivery.
    pub(in crate::store) fn record_delivery_deleted(&mut self, webhook: &WebhookId) {
        self.effects.counters.record_delivery_deleted(webhook);
    }

    /// Reports that feedback was created (`from` is `None`), changed its status, or was deleted
    /// (`to` is `None`).
    pub(in crate::store) fn record_feedback_change(
        &mut self,
        project: &ProjectId,
        from: Option<FeedbackStatus>,
        to: Option<FeedbackStatus>,
    ) {
        self.effects
            .counters
            .record_feedback_change(project, from, to);
        self.publish_change(ChangeKind::Feedback);
    }

    /// Publishes a change after the commit, so that open pages refresh.
    pub(in crate::store) fn publish_change(&mut self, change: ChangeKind) {
        self.effects.changes.insert(change);
    }

    /// Truncates the WAL after the commit.
    pub(in crate::store) fn truncate_wal(&mut self) {
        self.effects.truncate_wal = true;
    }
}

impl Deref for WriteTx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// The effects that jobs report: counter updates, notifications, changes, and whether to truncate
/// the WAL.
#[derive(Default)]
pub(super) struct CommitEffects {
    notify_deliveries: bool,
    notify_alert_sender: bool,
    invalidate_read_ahead: bool,
    has_saved_webhook: bool,
    pub(super) truncate_wal: bool,
    held_permits: Vec<HeldPermits>,
    changes: BTreeSet<ChangeKind>,
    pub(super) counters: CounterDeltas,
}

impl CommitEffects {
    pub(super) fn merge(&mut self, other: Self) {
        self.notify_deliveries |= other.notify_deliveries;
        self.notify_alert_sender |= other.notify_alert_sender;
        self.invalidate_read_ahead |= other.invalidate_read_ahead;
        self.has_saved_webhook |= other.has_saved_webhook;
        self.truncate_wal |= other.truncate_wal;
        self.held_permits.extend(other.held_permits);
        self.changes.extend(other.changes);
        self.counters.merge(other.counters);
    }
}
