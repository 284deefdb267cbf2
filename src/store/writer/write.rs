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
use crate::store::changes::{Change, Changes};
use crate::store::counts::Counts;

/// What a job works with: the open transaction, ids and time.
pub(in crate::store) struct Write<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ids: &'a mut IdSequence,
    pub(in crate::store) now: Timestamp,
    pub(super) said: &'a mut Said,
}

/// Who is woken after a commit. Wake-ups carry no data: who is woken looks.
#[derive(Clone)]
pub(in crate::store) struct Wakes {
    pub(in crate::store) deliveries: Arc<Notify>,
    pub(in crate::store) health: Arc<Notify>,
    pub(in crate::store) changes: Changes,
    /// See [`Store::outbox_generation`](crate::store::Store::outbox_generation).
    pub(in crate::store) outbox_generation: Arc<AtomicU64>,
}

impl Wakes {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        Self {
            deliveries: Arc::default(),
            health: Arc::default(),
            changes: Changes::new(now),
            outbox_generation: Arc::default(),
        }
    }

    pub(super) fn wake(&self, said: Said) {
        if said.outbox_changed {
            self.outbox_generation.fetch_add(1, Ordering::Release);
        }
        if said.wake_deliveries {
            self.deliveries.notify_one();
        }
        if said.wake_alerts {
            self.health.notify_one();
        }
        self.changes.tell(said.changed);
    }
}

impl Write<'_> {
    pub(in crate::store) fn next_id<T: Id>(&mut self) -> T {
        self.ids.next(self.now)
    }

    /// After the commit, the delivery loop looks for what is due.
    pub(in crate::store) fn wake_deliveries(&mut self) {
        self.said.wake_deliveries = true;
    }

    /// After the commit, and before it is answered, what was read of the outbox counts for nothing any more.
    pub(in crate::store) fn outbox_changed(&mut self) {
        self.said.outbox_changed = true;
    }

    /// After the commit, it is looked whether somebody has to be told of a webhook's health.
    pub(in crate::store) fn wake_alerts(&mut self) {
        self.said.wake_alerts = true;
    }

    /// A delivery was made. Pages that show its webhook's are told to look again, here as below.
    pub(in crate::store) fn delivery_made(&mut self, webhook: &WebhookId, state: DeliveryState) {
        self.said.counts.delivery_made(webhook, state);
        self.changed(Change::Deliveries(webhook.clone()));
    }

    /// So many of a webhook's deliveries changed their state.
    pub(in crate::store) fn deliveries_changed(
        &mut self,
        webhook: &WebhookId,
        from: DeliveryState,
        to: DeliveryState,
        count: usize,
    ) {
        self.said
            .counts
            .deliveries_changed(webhook, from, to, count);
        self.changed(Change::Deliveries(webhook.clone()));
    }

    /// Retention has removed the row of a delivery.
    pub(in crate::store) fn delivery_removed(&mut self, webhook: &WebhookId) {
        self.said.counts.delivery_removed(webhook);
    }

    /// A feedback came (`from`: none), changed its status, or went (`to`: none).
    pub(in crate::store) fn feedback_changed(
        &mut self,
        project: &ProjectId,
        from: Option<FeedbackStatus>,
        to: Option<FeedbackStatus>,
    ) {
        self.said.counts.feedback(project, from, to);
        self.changed(Change::Feedback);
    }

    /// After the commit, pages that show this are told to look again.
    pub(in crate::store) fn changed(&mut self, change: Change) {
        self.said.changed.insert(change);
    }

    /// After the commit, the write-ahead log is folded back and cut.
    pub(in crate::store) fn cut_log(&mut self) {
        self.said.cut_log = true;
    }
}

impl Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// What jobs said of what they changed, and of what is to follow their commit.
#[derive(Default)]
pub(super) struct Said {
    wake_deliveries: bool,
    wake_alerts: bool,
    outbox_changed: bool,
    pub(super) cut_log: bool,
    changed: BTreeSet<Change>,
    pub(super) counts: Counts,
}

impl Said {
    pub(super) fn add(&mut self, other: Self) {
        self.wake_deliveries |= other.wake_deliveries;
        self.wake_alerts |= other.wake_alerts;
        self.outbox_changed |= other.outbox_changed;
        self.cut_log |= other.cut_log;
        self.changed.extend(other.changed);
        self.counts.add(other.counts);
    }
}
