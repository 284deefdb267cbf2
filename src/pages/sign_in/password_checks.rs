//! Checking and hashing passwords costs 20 ms of a core and 19 MiB each, so only two run at once, off the async
//! threads; a few wait, the rest is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::password;
use crate::pages::framework::page_error::PageError;

const RUNNING_MAX: usize = 2;
const WAITING_MAX: usize = 8;

pub struct PasswordChecks {
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// A permit: while it is held, at most one other runs.
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

    /// Waits for a permit, if not too many wait already.
    pub async fn acquire(&self) -> Result<Permit, PageError> {
        let queue = self
            .queue
            .clone()
            .try_acquire_owned()
            .map_err(|_| PageError::SignInBusy)?;
        let running = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| PageError::SignInBusy)?;
        Ok(Permit {
            _queue: queue,
            _running: running,
        })
    }
}

impl Permit {
    /// Whether the password is that of `stored`; `None` (an unknown account) takes as long.
    pub async fn verify(self, password: String, stored: Option<String>) -> Result<bool, PageError> {
        // The permit goes along: the work is done to its end even when the browser goes away.
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
    fn two_run_eight_wait_and_the_rest_is_sent_away() {
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
                .all(|state| matches!(state, Some(Err(PageError::SignInBusy))))
        );
    }
}
