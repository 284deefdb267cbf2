//! What a job works with: the open transaction, ids and the time; and what it says of what it changed, which takes effect
//! with its commit or not at all.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{Id, IdSequence, ProjectId, WebhookId};
use crate::store::db::change_feed::{ChangeFeed, ChangeKind};
use crate::store::db::counters::CounterDeltas;

/// What a job works with: the open transaction, ids and time.
pub(in crate::store) struct WriteTx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ids: &'a mut IdSequence,
    pub(in crate::store) now: Timestamp,
    pub(super) said: &'a mut CommitEffects,
}

/// Who is woken after a commit. Wake-ups carry no data: who is woken looks.
#[derive(Clone)]
pub(in crate::store) struct CommitNotifiers {
    pub(in crate::store) deliveries: Arc<Notify>,
    pub(in crate::store) health: Arc<Notify>,
    pub(in crate::store) changes: ChangeFeed,
    /// See [`Store::outbox_generation`](crate::store::Store::outbox_generation).
    pub(in crate::store) outbox_generation: Arc<AtomicU64>,
}

impl CommitNotifiers {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        Self {
            deliveries: Arc::default(),
            health: Arc::default(),
            changes: ChangeFeed::new(now),
            outbox_generation: Arc::default(),
        }
    }

    pub(super) fn wake(&self, said: CommitEffects) {
        if said.invalidate_read_ahead {
            self.outbox_generation.fetch_add(1, Ordering::Release);
        }
        if said.notify_deliveries {
            self.deliveries.notify_one();
        }
        if said.notify_alerts {
            self.health.notify_one();
        }
        self.changes.publish(said.changed);
    }
}

impl WriteTx<'_> {
    pub(in crate::store) fn next_id<T: Id>(&mut self) -> T {
        self.ids.next(self.now)
    }

    /// After the commit, the delivery loop looks for what is due.
    pub(in crate::store) fn notify_deliveries(&mut self) {
        self.said.notify_deliveries = true;
    }

    /// After the commit, and before it is answered, what was read of the outbox counts for nothing any more.
    pub(in crate::store) fn invalidate_read_ahead(&mut self) {
        self.said.invalidate_read_ahead = true;
    }

    /// After the commit, it is looked whether somebody has to be told of a webhook's health.
    pub(in crate::store) fn notify_alerts(&mut self) {
        self.said.notify_alerts = true;
    }

    /// A delivery was made. Pages that show its webhook's are told to look again, here as below.
    pub(in crate::store) fn delivery_created(&mut self, webhook: &WebhookId, state: DeliveryState) {
        self.said.counts.delivery_created(webhook, state);
        self.publish_change(ChangeKind::Deliveries(webhook.clone()));
    }

    /// So many of a webhook's deliveries changed their state.
    pub(in crate::store) fn delivery_states_changed(
        &mut self,
        webhook: &WebhookId,
        from: DeliveryState,
        to: DeliveryState,
        count: usize,
    ) {
        self.said
            .counts
            .delivery_states_changed(webhook, from, to, count);
        self.publish_change(ChangeKind::Deliveries(webhook.clone()));
    }

    /// Retention has removed the row of a delivery.
    pub(in crate::store) fn delivery_deleted(&mut self, webhook: &WebhookId) {
        self.said.counts.delivery_deleted(webhook);
    }

    /// A feedback came (`from`: none), changed its status, or went (`to`: none).
    pub(in crate::store) fn feedback_changed(
        &mut self,
        project: &ProjectId,
        from: Option<FeedbackStatus>,
        to: Option<FeedbackStatus>,
    ) {
        self.said.counts.feedback(project, from, to);
        self.publish_change(ChangeKind::Feedback);
    }

    /// After the commit, pages that show this are told to look again.
    pub(in crate::store) fn publish_change(&mut self, change: ChangeKind) {
        self.said.changed.insert(change);
    }

    /// After the commit, the write-ahead log is folded back and cut.
    pub(in crate::store) fn truncate_wal(&mut self) {
        self.said.truncate_wal = true;
    }
}

impl Deref for WriteTx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// What jobs said of what they changed, and of what is to follow their commit.
#[derive(Default)]
pub(super) struct CommitEffects {
    notify_deliveries: bool,
    notify_alerts: bool,
    invalidate_read_ahead: bool,
    pub(super) truncate_wal: bool,
    changed: BTreeSet<ChangeKind>,
    pub(super) counts: CounterDeltas,
}

impl CommitEffects {
    pub(super) fn add(&mut self, other: Self) {
        self.notify_deliveries |= other.notify_deliveries;
        self.notify_alerts |= other.notify_alerts;
        self.invalidate_read_ahead |= other.invalidate_read_ahead;
        self.truncate_wal |= other.truncate_wal;
        self.changed.extend(other.changed);
        self.counts.add(other.counts);
    }
}
