//! Limits slow reads, such as searches, lists, and exports.
//!
//! Each user can run one long read at a time, so a user with many requests can't block other users.
//! The total number of running long reads is also limited.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::domain::id::UserId;
use crate::store::StoreError;

/// Maximum number of long reads at a time. The store has the same number of connections for them.
const CONCURRENT_READS_MAX: usize = 2;
/// Maximum number of requests of one user that run or wait.
const REQUESTS_PER_USER_MAX: usize = 32;
/// Maximum time that a request waits for its turn.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

pub struct LongReadLimiter {
    running: Arc<Semaphore>,
    /// For each user with a request, a semaphore with one permit.
    users: Mutex<HashMap<UserId, Weak<Semaphore>>>,
}

impl Default for LongReadLimiter {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(CONCURRENT_READS_MAX)),
            users: Mutex::default(),
        }
    }
}

impl LongReadLimiter {
    /// Waits for the user's turn, then runs `read`. The read continues even if the caller
    /// disconnects, so that the number of running reads is correct.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Overloaded`] if the user has too many requests or waits too long, and
    /// [`StoreError::Panicked`] if `read` panics.
    pub async fn run<T, E>(
        &self,
        user: &UserId,
        read: impl Future<Output = Result<T, E>> + 'static,
    ) -> Result<T, E>
    where
        T: 'static,
        E: From<StoreError> + 'static,
    {
        let own = self.user_semaphore(user).ok_or(StoreError::Overloaded)?;
        let turn = async {
            let own = own.acquire_owned().await;
            (own, self.running.clone().acquire_owned().await)
        };
        let turn = timeout(WAIT_TIMEOUT, turn)
            .await
            .map_err(|_| StoreError::Overloaded)?;
        let task = actix_web::rt::spawn(async move {
            let result = read.await;
            drop(turn);
            result
        });
        task.await
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// Returns the user's semaphore, or `None` if the user has too many requests.
    fn user_semaphore(&self, user: &UserId) -> Option<Arc<Semaphore>> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.retain(|_, permits| permits.strong_count() > 0);
        let permits = users.get(user).and_then(Weak::upgrade);
        let permits = permits.unwrap_or_else(|| Arc::new(Semaphore::new(1)));
        // The count includes this reference.
        if Arc::strong_count(&permits) > REQUESTS_PER_USER_MAX {
            return None;
        }
        users.insert(*user, Arc::downgrade(&permits));
        Some(permits)
    }
}

/// Runs work that takes milliseconds or more, such as rendering a long list, on a blocking thread.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Panicked)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[actix_web::test]
    async fn one_user_cannot_starve_another() {
        let reads = Rc::new(LongReadLimiter::default());
        let (open, release) = (Rc::new(Cell::new(0)), Rc::new(Semaphore::new(0)));
        let start = |user| {
            let (reads, user) = (reads.clone(), UserId::from_bytes([user; 16]));
            let (open, release) = (open.clone(), release.clone());
            actix_web::rt::spawn(async move {
                let read = async move {
                    open.set(open.get() + 1);
                    release.acquire().await.unwrap().forget();
                    Ok::<_, StoreError>(())
                };
                reads.run(&user, read).await
            })
        };
        let busy: Vec<_> = (0..REQUESTS_PER_USER_MAX).map(|_| start(1)).collect();
        tokio::task::yield_now().await;
        let rejected = start(1).await.unwrap();
        assert!(
            matches!(rejected, Err(StoreError::Overloaded)),
            "{rejected:?}"
        );
        let other = start(2);
        while open.get() < 2 {
            tokio::task::yield_now().await;
        }
        release.add_permits(2);
        other.await.unwrap().unwrap();
        release.add_permits(REQUESTS_PER_USER_MAX);
        for request in busy {
            request.await.unwrap().unwrap();
        }
        assert_eq!(open.get(), REQUESTS_PER_USER_MAX + 1);
    }
}
