//! The kinds of data that changed, published after each commit, for live updates of pages.
//!
//! A job calls `tx.publish_change(ChangeKind::Feedback)`; after the commit, subscribers are
//! notified. The feed isn't a queue: it stores the sequence number of the last change of each kind,
//! and subscribers query the changes since a number. Several changes of a kind count as one change,
//! so slow subscribers don't accumulate a backlog.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::domain::id::WebhookId;

/// A kind of data that changed. It identifies the data to read again, but doesn't contain the data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Feedback was created, changed, or deleted, the settings of a project changed, or a website
    /// loaded the widget.
    Feedback,
    /// A webhook's deliveries, settings, or health changed.
    Deliveries(WebhookId),
    /// The number of failing webhooks may have changed.
    FailingWebhooks,
    /// A user or a one-time link was created, changed, or deleted.
    People,
    /// Sessions may have ended. Each open page checks its own session.
    Sessions,
}

/// The sequence numbers of the latest changes. Clones share their state.
#[derive(Clone)]
pub struct ChangeFeed(Arc<ChangeFeedState>);

struct ChangeFeedState {
    /// One less than the number of the first change in this run. It is derived from the clock, so
    /// that it is normally greater than the numbers of earlier runs.
    start: u64,
    last: Mutex<HashMap<ChangeKind, u64>>,
    latest: watch::Sender<u64>,
}

impl ChangeFeed {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        let start = u64::try_from(now.millis()).unwrap_or(0) * 1000;
        Self(Arc::new(ChangeFeedState {
            start,
            last: Mutex::default(),
            latest: watch::Sender::new(start),
        }))
    }

    fn lock_last_changes(&self) -> MutexGuard<'_, HashMap<ChangeKind, u64>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the latest change. Read it before the data, so that no change is
    /// missed.
    pub fn latest_number(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// Returns a receiver for the number of the latest change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    /// Returns whether `number` belongs to this run of the program. For any other number, the
    /// changes since then are unknown.
    pub fn is_from_current_run(&self, number: u64) -> bool {
        (self.0.start..=self.latest_number()).contains(&number)
    }

    /// Returns the changes after `number` that `filter` accepts.
    pub fn changes_since(
        &self,
        number: u64,
        filter: impl Fn(&ChangeKind) -> bool,
    ) -> BTreeSet<ChangeKind> {
        let last = self.lock_last_changes();
        let newer = last
            .iter()
            .filter(|(change, at)| **at > number && filter(change));
        newer.map(|(change, _)| change.clone()).collect()
    }

    /// Publishes the changes of a commit under one number.
    pub(super) fn publish(&self, changes: BTreeSet<ChangeKind>) {
        if changes.is_empty() {
            return;
        }
        let mut last = self.lock_last_changes();
        let number = self.latest_number() + 1;
        for change in changes {
            last.insert(change, number);
        }
        // Notify while the lock is held, so that a subscriber finds the changes of this number.
        self.0.latest.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_changes_since_a_number() {
        let feed = ChangeFeed::new(Timestamp::from_millis(1_000));
        let webhook = ChangeKind::Deliveries(WebhookId::from_bytes([1; 16]));
        let mut subscriber = feed.subscribe();
        let start = feed.latest_number();
        feed.publish(BTreeSet::from([ChangeKind::Feedback, webhook.clone()]));
        assert!(subscriber.has_changed().unwrap());
        let first = *subscriber.borrow_and_update();
        feed.publish(BTreeSet::from([webhook.clone()]));
        feed.publish(BTreeSet::new());
        let all_since = |number| feed.changes_since(number, |_| true);
        assert_eq!(
            all_since(start),
            BTreeSet::from([ChangeKind::Feedback, webhook.clone()])
        );
        assert_eq!(all_since(first), BTreeSet::from([webhook]));
        assert!(all_since(feed.latest_number()).is_empty());
        assert!(
            feed.changes_since(start, |change| *change == ChangeKind::Sessions)
                .is_empty()
        );
    }

    #[test]
    fn recognizes_numbers_of_the_current_run() {
        let feed = ChangeFeed::new(Timestamp::from_millis(1_000));
        let start = feed.latest_number();
        feed.publish(BTreeSet::from([ChangeKind::Feedback]));
        assert!(feed.is_from_current_run(start) && feed.is_from_current_run(feed.latest_number()));
        assert!(
            !feed.is_from_current_run(start - 1)
                && !feed.is_from_current_run(feed.latest_number() + 1)
        );
    }
}
