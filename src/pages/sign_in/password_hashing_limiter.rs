//! Limits concurrent password hashing. Hashing a password takes about 20 ms of CPU time and 19 MiB
//! of memory.
//!
//! Up to two checks run at the same time, on blocking threads. Up to eight more wait in a queue, in
//! order of arrival. The places in the queue are shared fairly among groups of clients. Further
//! checks are rejected, except those of clients that return after their `Retry-After`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::throttle::ClientGroup;
use crate::domain::password;
use crate::pages::framework::page_error::PageError;

const RUNNING_CHECKS_MAX: usize = 2;
/// Maximum number of waiting checks. Checks of clients that returned after their `Retry-After`
/// aren't counted.
const WAITING_CHECKS_MAX: usize = 8;

pub struct PasswordHashingLimiter {
    running: Arc<Semaphore>,
    waiting: Mutex<Vec<Arc<QueuePlace>>>,
}

/// A check that waits in the queue.
struct QueuePlace {
    group: ClientGroup,
    is_guaranteed: bool,
    /// Notified when a check of another group replaces this check.
    evicted: Notify,
}

/// The right to check or hash passwords. At most two permits exist at a time.
pub struct HashingPermit {
    _running: OwnedSemaphorePermit,
}

/// The error if too many other checks are waiting.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueFullError;

impl PasswordHashingLimiter {
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(RUNNING_CHECKS_MAX)),
            waiting: Mutex::default(),
        }
    }

    /// Waits for a permit. Fails if too many other checks are waiting, unless the client returned
    /// after its `Retry-After` (`is_guaranteed`).
    pub async fn acquire_permit(
        &self,
        group: ClientGroup,
        is_guaranteed: bool,
    ) -> Result<HashingPermit, QueueFullError> {
        let running = match self.running.clone().try_acquire_owned() {
            Ok(running) => running,
            Err(_) => {
                let place = self.enter_queue(group, is_guaranteed)?;
                tokio::select! {
                    biased;
                    running = self.running.clone().acquire_owned() => running.map_err(|_| QueueFullError)?,
                    () = place.0.evicted.notified() => return Err(QueueFullError),
                }
            }
        };
        Ok(HashingPermit { _running: running })
    }

    /// Enters the queue. A guaranteed check can always enter. If the queue is full, any other check
    /// replaces the newest check of the group with the most checks. Fails if `group` would then
    /// have more checks than that group. Guaranteed checks aren't counted.
    fn enter_queue(
        &self,
        group: ClientGroup,
        is_guaranteed: bool,
    ) -> Result<QueuePlaceGuard<'_>, QueueFullError> {
        let mut waiting = lock_ignoring_poison(&self.waiting);
        let count_of = |group| {
            let places = waiting.iter().filter(|place| !place.is_guaranteed);
            places.filter(|place| place.group == group).count()
        };
        let taken = waiting.iter().filter(|place| !place.is_guaranteed).count();
        if !is_guaranteed && taken >= WAITING_CHECKS_MAX {
            let own = count_of(group);
            let newest_of_most = waiting
                .iter()
                .enumerate()
                .filter(|(_, place)| !place.is_guaranteed)
                .map(|(index, place)| (count_of(place.group), index))
                .max();
            match newest_of_most {
                Some((most, index)) if most > own + 1 => {
                    waiting.remove(index).evicted.notify_one();
                }
                _ => return Err(QueueFullError),
            }
        }
        let place = Arc::new(QueuePlace {
            group,
            is_guaranteed,
            evicted: Notify::new(),
        });
        waiting.push(place.clone());
        Ok(QueuePlaceGuard(place, &self.waiting))
    }
}

/// Removes a check from the queue on drop.
struct QueuePlaceGuard<'a>(Arc<QueuePlace>, &'a Mutex<Vec<Arc<QueuePlace>>>);

impl Drop for QueuePlaceGuard<'_> {
    fn drop(&mut self) {
        lock_ignoring_poison(self.1).retain(|place| !Arc::ptr_eq(place, &self.0));
    }
}

impl HashingPermit {
    /// Returns whether the password matches the hash `stored`. For an unknown account, `stored` is
    /// `None`. The check then takes the same time and returns false.
    pub async fn verify_password(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, PageError> {
        self.run_blocking(move || password::verify(&password, stored.as_deref()))
            .await
    }

    pub async fn hash_password(&self, password: String) -> Result<String, PageError> {
        self.run_blocking(move || password::hash(&password))
            .await?
            .map_err(internal_error)
    }

    /// Runs `work` on a blocking thread. Form handlers run to completion, so the permit is held
    /// until the work is done.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PageError> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(internal_error)
    }
}

fn lock_ignoring_poison<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn internal_error(error: impl ToString) -> PageError {
    PageError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;
    use crate::pages::sign_in::throttle::Client;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<HashingPermit, QueueFullError>> + 'a>>;

    fn group(number: u8) -> ClientGroup {
        Client::from_ip([192, 0, 2, number].into()).group()
    }

    /// Starts to acquire a permit. Returns the future, and its result if it is ready.
    fn start<'a>(
        limiter: &'a PasswordHashingLimiter,
        number: u8,
        is_guaranteed: bool,
    ) -> (Waiting<'a>, Option<Result<HashingPermit, QueueFullError>>) {
        let mut waiting: Waiting = Box::pin(limiter.acquire_permit(group(number), is_guaranteed));
        let result = waiting.as_mut().now_or_never();
        (waiting, result)
    }

    #[test]
    fn runs_two_checks_queues_eight_and_rejects_the_rest() {
        let limiter = PasswordHashingLimiter::new();
        let started: Vec<_> = (0..12).map(|n| start(&limiter, n, false)).collect();
        assert!(
            started[..2]
                .iter()
                .all(|(_, result)| matches!(result, Some(Ok(_))))
        );
        assert!(started[2..10].iter().all(|(_, result)| result.is_none()));
        assert!(
            started[10..]
                .iter()
                .all(|(_, result)| matches!(result, Some(Err(QueueFullError))))
        );
    }

    #[test]
    fn one_client_cannot_fill_the_queue() {
        let limiter = PasswordHashingLimiter::new();
        let mut stranger: Vec<_> = (0..24).map(|_| start(&limiter, 1, false)).collect();
        let owners: Vec<_> = (2..=4).map(|n| start(&limiter, n, false)).collect();
        assert!(owners.iter().all(|(_, result)| result.is_none()));
        let evicted = stranger[2..10]
            .iter_mut()
            .filter_map(|(waiting, _)| waiting.as_mut().now_or_never())
            .count();
        assert_eq!(evicted, 3);
        assert_eq!(lock_ignoring_poison(&limiter.waiting).len(), 8);
    }

    #[test]
    fn a_guaranteed_check_always_gets_a_place() {
        let limiter = PasswordHashingLimiter::new();
        let mut running = start(&limiter, 0, false).1;
        let _other = start(&limiter, 0, false);
        let queue: Vec<_> = (1..=8).map(|n| start(&limiter, n, false)).collect();
        let (mut guaranteed, result) = start(&limiter, 9, true);
        assert!(result.is_none());
        drop(queue);
        running.take();
        assert!(matches!(guaranteed.as_mut().now_or_never(), Some(Ok(_))));
    }
}
