//! Backpressure: limits the number of new deliveries that wait for Miniback.
//!
//! Before feedback is stored, it acquires a permit for each of its expected deliveries, and waits
//! up to [`WAIT_MAX`] for these permits. The dispatcher releases the permits when the first attempt
//! of each delivery has started, or when no delivery of the feedback waits for Miniback anymore.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::db::error::StoreError;
use crate::domain::id::DeliveryId;

/// The maximum number of new deliveries that wait for Miniback. With 10,000 deliveries per second,
/// the last of them waits about 50 ms. A lower limit makes commits smaller and delivery slower.
const WAITING_DELIVERIES_MAX: u32 = 512;
/// The number of permits that feedback acquires if its number of deliveries isn't known yet.
const PERMITS_IF_UNKNOWN: u32 = 100;
/// The maximum time that feedback waits before it is rejected with [`StoreError::Overloaded`].
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The permits for new deliveries; cheap to clone.
#[derive(Clone)]
pub struct Backpressure {
    permits: Arc<Semaphore>,
    wait_max: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Whether a dispatcher is running. Otherwise, feedback doesn't wait.
    is_dispatching: bool,
    /// Feedback whose deliveries aren't started yet, in the order of the ids.
    waiting: VecDeque<HeldPermits>,
    /// The number of deliveries of each project's last feedback.
    deliveries_by_project: HashMap<String, u32>,
}

/// The permits of committed feedback.
pub(super) struct HeldPermits {
    /// The project, as in the argument of [`Backpressure::acquire`].
    pub(super) project: String,
    /// The number of the feedback's deliveries.
    pub(super) deliveries: usize,
    /// The last of these deliveries, if there are any.
    pub(super) last_delivery: Option<DeliveryId>,
    pub(super) permits: OwnedSemaphorePermit,
}

impl Default for Backpressure {
    fn default() -> Self {
        Self::waiting_at_most(WAIT_MAX)
    }
}

impl Backpressure {
    fn waiting_at_most(wait_max: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(WAITING_DELIVERIES_MAX as usize)),
            wait_max,
            state: Arc::default(),
        }
    }

    /// Waits until the deliveries of new feedback may be created. `project` is an id or a slug.
    /// Fails with [`StoreError::Overloaded`] after [`WAIT_MAX`].
    pub(super) async fn acquire(&self, project: &str) -> Result<OwnedSemaphorePermit, StoreError> {
        let known = self.lock().deliveries_by_project.get(project).copied();
        let count = known.unwrap_or(PERMITS_IF_UNKNOWN);
        let permits = self.permits.clone();
        let acquired = permits.acquire_many_owned(count.min(WAITING_DELIVERIES_MAX));
        match tokio::time::timeout(self.wait_max, acquired).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(StoreError::Closed),
            Err(_) => Err(StoreError::Overloaded),
        }
    }

    /// Keeps the permits of committed feedback until its deliveries are started. Returns surplus
    /// permits.
    pub(super) fn hold(&self, mut held: HeldPermits) {
        let count = u32::try_from(held.deliveries).unwrap_or(u32::MAX);
        let surplus = held.permits.num_permits().saturating_sub(held.deliveries);
        drop(held.permits.split(surplus));
        let mut state = self.lock();
        let project = std::mem::take(&mut held.project);
        state.deliveries_by_project.insert(project, count);
        if state.is_dispatching && held.deliveries > 0 {
            state.waiting.push_back(held);
        }
    }

    /// Clears the known numbers of deliveries, because a webhook was created or changed.
    pub(super) fn clear_delivery_counts(&self) {
        self.lock().deliveries_by_project.clear();
    }

    /// Sets whether a dispatcher is running, and releases all held permits.
    pub fn set_dispatching(&self, is_dispatching: bool) {
        let mut state = self.lock();
        state.is_dispatching = is_dispatching;
        state.waiting.clear();
    }

    /// Releases the permits of feedback whose last delivery is at most `last_started`. Later
    /// deliveries may still wait for Miniback, so their permits are held. If `last_started` is
    /// `None`, releases all permits. Returns whether any permits are still held.
    pub fn release_until(&self, last_started: Option<DeliveryId>) -> bool {
        let mut state = self.lock();
        let is_started = |held: &HeldPermits| {
            last_started.is_none_or(|started| held.last_delivery <= Some(started))
        };
        let started = state.waiting.partition_point(is_started);
        state.waiting.drain(..started);
        !state.waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::unconstrained;
    use ulid::Ulid;

    use super::*;
    use crate::domain::id::Id;

    fn delivery(number: usize) -> DeliveryId {
        DeliveryId::from_ulid(Ulid(number as u128))
    }

    /// Accepts feedback and creates `deliveries` deliveries. `last` is the id of the last delivery.
    /// Returns false if the feedback has to wait.
    fn accept(backpressure: &Backpressure, deliveries: usize, last: usize) -> bool {
        // Without `unconstrained`, tokio would interrupt a task that acquires many permits.
        let acquired = unconstrained(backpressure.acquire("shop")).now_or_never();
        let Some(permits) = acquired else {
            return false;
        };
        backpressure.hold(HeldPermits {
            project: "shop".into(),
            deliveries,
            last_delivery: (deliveries > 0).then(|| delivery(last)),
            permits: permits.unwrap(),
        });
        true
    }

    fn start() -> Backpressure {
        let backpressure = Backpressure::default();
        backpressure.set_dispatching(true);
        backpressure
    }

    /// Accepts feedback with five deliveries each until feedback has to wait. Returns the number of
    /// the last delivery.
    fn fill(backpressure: &Backpressure) -> usize {
        let count = (1..1000).find(|n| !accept(backpressure, 5, 5 * n)).unwrap();
        5 * (count - 1)
    }

    #[tokio::test]
    async fn feedback_waits_while_too_many_deliveries_wait() {
        let backpressure = start();
        let last = fill(&backpressure);
        let all = WAITING_DELIVERIES_MAX as usize;
        assert_eq!(last, all / 5 * 5);

        // The permits are returned only if all deliveries of the feedback are started.
        assert!(backpressure.release_until(Some(delivery(4))));
        assert!(backpressure.release_until(Some(delivery(9))));
        assert!(accept(&backpressure, 5, last + 5));
        assert!(!accept(&backpressure, 5, last + 10));
        assert!(!backpressure.release_until(None));
        assert_eq!(fill(&backpressure), all / 5 * 5);
    }

    #[tokio::test]
    async fn feedback_that_waits_too_long_is_rejected() {
        let backpressure = Backpressure::waiting_at_most(Duration::ZERO);
        backpressure.set_dispatching(true);
        let mut accepted = 0;
        let error = loop {
            match backpressure.acquire("shop").await {
                Ok(permits) => backpressure.hold(HeldPermits {
                    project: "shop".into(),
                    deliveries: 100,
                    last_delivery: Some(delivery(accepted)),
                    permits,
                }),
                Err(error) => break error,
            }
            accepted += 1;
        };
        assert!(matches!(error, StoreError::Overloaded), "{error:?}");
        assert_eq!(accepted, 5);
    }

    #[tokio::test]
    async fn a_waiting_request_continues_when_permits_are_returned() {
        let backpressure = start();
        fill(&backpressure);
        let (acquired, _) = tokio::join!(backpressure.acquire("shop"), async {
            backpressure.release_until(None)
        });
        drop(acquired.unwrap());
    }

    #[tokio::test]
    async fn surplus_permits_are_returned_at_once() {
        let backpressure = start();
        let all = WAITING_DELIVERIES_MAX as usize;
        assert!(accept(&backpressure, 5, 5));
        assert_eq!(backpressure.permits.available_permits(), all - 5);
    }

    #[tokio::test]
    async fn a_project_without_webhooks_does_not_wait_for_others() {
        let backpressure = start();
        fill(&backpressure);
        let acquired = unconstrained(backpressure.acquire("blog")).now_or_never();
        assert!(acquired.is_none(), "its number of webhooks is unknown");
        backpressure.hold(HeldPermits {
            project: "blog".into(),
            deliveries: 0,
            last_delivery: None,
            permits: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        });
        assert!(backpressure.acquire("blog").now_or_never().is_some());
        backpressure.clear_delivery_counts();
        assert!(backpressure.acquire("blog").now_or_never().is_none());
    }

    #[tokio::test]
    async fn nothing_waits_without_a_dispatcher() {
        let backpressure = start();
        fill(&backpressure);
        backpressure.set_dispatching(false);
        assert!((1..1000).all(|number| accept(&backpressure, 5, number)));
    }
}
