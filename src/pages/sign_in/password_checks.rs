//! Checking and hashing passwords costs 20 ms of a core and 19 MiB each, so only two run at once, off the async
//! threads; a few wait, the rest is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::password;
use crate::pages::framework::page_error::PageError;

const AT_ONCE: usize = 2;
const WAITING: usize = 8;

pub struct PasswordChecks {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// A turn: while it is held, at most one other runs.
pub struct Turn {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl PasswordChecks {
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        }
    }

    /// Waits for a turn, if not too many wait already.
    pub async fn turn(&self) -> Result<Turn, PageError> {
        let admitted = self
            .admitted
            .clone()
            .try_acquire_owned()
            .map_err(|_| PageError::SignInBusy)?;
        let running = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| PageError::SignInBusy)?;
        Ok(Turn {
            _admitted: admitted,
            _running: running,
        })
    }
}

impl Turn {
    /// Whether the password is that of `stored`; `None` (an unknown account) takes as long.
    pub async fn verify(self, password: String, stored: Option<String>) -> Result<bool, PageError> {
        // The turn goes along: the work is done to its end even when the browser goes away.
        let work = move || {
            let _turn = self;
            password::verify(&password, stored.as_deref())
        };
        tokio::task::spawn_blocking(work).await.map_err(internal)
    }

    pub async fn hash(self, password: String) -> Result<String, PageError> {
        let work = move || {
            let _turn = self;
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
        let mut turns: Vec<_> = (0..12).map(|_| Box::pin(checks.turn())).collect();
        let states: Vec<_> = turns
            .iter_mut()
            .map(|turn| turn.as_mut().now_or_never())
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
