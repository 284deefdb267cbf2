//! Limits concurrent password hashing. A hash takes about 20 ms of CPU time and 19 MiB of memory.
//!
//! Two checks run at once, on blocking threads; eight more wait, and the rest are rejected.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::password;
use crate::pages::framework::page_error::PageError;

const RUNNING_MAX: usize = 2;
const WAITING_MAX: usize = 8;

const BUSY: PageError =
    PageError::unavailable("Too many people are signing in. Try again in a few seconds.");

pub struct PasswordChecks {
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// The right to run one password check.
pub struct Permit {
    _queue: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl PasswordChecks {
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            queue: Arc::new(Semaphore::new(RUNNING_MAX + WAITING_MAX)),
        }
    }

    /// Waits for a permit. Fails at once if too many callers are waiting.
    pub async fn acquire(&self) -> Result<Permit, PageError> {
        let queue = self.queue.clone().try_acquire_owned().map_err(|_| BUSY)?;
        let running = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| BUSY)?;
        Ok(Permit {
            _queue: queue,
            _running: running,
        })
    }
}

impl Permit {
    /// Whether the password matches the hash `stored`. With `None`, for an unknown account, the
    /// check takes the same time and returns false.
    pub async fn verify(self, password: String, stored: Option<String>) -> Result<bool, PageError> {
        // Hold the permit until the work is done, even if the browser disconnects.
        let work = move || {
            let _permit = self;
            password::verify(&password, stored.as_deref())
        };
        tokio::task::spawn_blocking(work).await.map_err(internal)
    }

    pub async fn hash(self, password: String) -> Result<String, PageError> {
        let work = move || {
            let _permit = self;
            password::hash(&password)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(internal)?
            .map_err(internal)
    }
}

fn internal(error: impl ToString) -> PageError {
    PageError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn runs_two_checks_queues_eight_and_rejects_the_rest() {
        let checks = PasswordChecks::new();
        let mut permits: Vec<_> = (0..12).map(|_| Box::pin(checks.acquire())).collect();
        let states: Vec<_> = permits
            .iter_mut()
            .map(|permit| permit.as_mut().now_or_never())
            .collect();
        assert!(states[..2].iter().all(|state| matches!(state, Some(Ok(_)))));
        assert!(states[2..10].iter().all(Option::is_none));
        assert!(
            states[10..]
                .iter()
                .all(|state| matches!(state, Some(Err(PageError::Specific { .. }))))
        );
    }
}
