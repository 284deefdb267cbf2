//! What changed, told after each commit: for pages that are kept up to date while somebody looks at them.
//!
//! A job says `write.changed(ChangeKind::Feedback)`, as it says `write.notify_deliveries()`; when it is on the disk, whoever
//! is subscribed is woken. Nothing is queued: each change has the number of its last time, and who is woken asks what
//! came after the number that they have seen. So many changes are one, and nobody can fall behind.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::domain::id::WebhookId;

/// Something that a page may show has changed. It says what to look at again, not what is there now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// A feedback came, changed or went, or what is shown with it.
    Feedback,
    /// A webhook's deliveries, or how it stands.
    Deliveries(WebhookId),
    /// Sessions ended: who holds one looks whether it was theirs.
    Sessions,
}

/// The numbers of the last changes. Clones share them.
#[derive(Clone)]
pub struct ChangeFeed(Arc<Inner>);

struct Inner {
    /// The number before the first change of this run. It comes from the clock, so that a number from an earlier run is
    /// known as such.
    start: u64,
    last: Mutex<HashMap<ChangeKind, u64>>,
    latest: watch::Sender<u64>,
}

impl ChangeFeed {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        let start = u64::try_from(now.millis()).unwrap_or(0) * 1000;
        Self(Arc::new(Inner {
            start,
            last: Mutex::default(),
            latest: watch::Sender::new(start),
        }))
    }

    fn last(&self) -> MutexGuard<'_, HashMap<ChangeKind, u64>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the newest change. To be asked before what is shown is read: then nothing is missed between.
    pub fn latest(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// Is woken with each change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    /// Whether `number` is of this run; of changes after any other one nothing is known.
    pub fn is_current_run(&self, number: u64) -> bool {
        (self.0.start..=self.latest()).contains(&number)
    }

    /// Which of the `wanted` changes came after `number`.
    pub fn since(&self, number: u64, wanted: impl Fn(&ChangeKind) -> bool) -> BTreeSet<ChangeKind> {
        let last = self.last();
        let newer = last
            .iter()
            .filter(|(change, at)| **at > number && wanted(change));
        newer.map(|(change, _)| change.clone()).collect()
    }

    /// Tells of a commit.
    pub(in crate::store) fn publish(&self, changed: BTreeSet<ChangeKind>) {
        if changed.is_empty() {
            return;
        }
        let mut last = self.last();
        let number = self.latest() + 1;
        for change in changed {
            last.insert(change, number);
        }
        // Within the lock: who is woken by the number finds it at its changes.
        self.0.latest.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_a_number_is_told_and_a_number_of_another_run_is_known_as_such() {
        let changes = ChangeFeed::new(Timestamp::from_millis(1_000));
        let webhook = ChangeKind::Deliveries(WebhookId::new("wh_1"));
        let mut woken = changes.subscribe();
        let before = changes.latest();
        changes.publish(BTreeSet::from([ChangeKind::Feedback, webhook.clone()]));
        assert!(woken.has_changed().unwrap());
        let between = *woken.borrow_and_update();
        changes.publish(BTreeSet::from([webhook.clone()]));
        changes.publish(BTreeSet::new());
        let all = |number| changes.since(number, |_| true);
        assert_eq!(
            all(before),
            BTreeSet::from([ChangeKind::Feedback, webhook.clone()])
        );
        assert_eq!(all(between), BTreeSet::from([webhook]));
        assert!(all(changes.latest()).is_empty());
        assert!(
            changes
                .since(before, |change| *change == ChangeKind::Sessions)
                .is_empty()
        );

        assert!(changes.is_current_run(before) && changes.is_current_run(changes.latest()));
        assert!(
            !changes.is_current_run(before - 1) && !changes.is_current_run(changes.latest() + 1)
        );
    }
}
