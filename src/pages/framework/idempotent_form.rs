//! Forms that must not do their work twice where the store has no key for it: two presses of a button are one.
//!
//! Each form carries a random key; the first post of a key does the work, and another one only leads on.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use super::page_error::PageError;
use crate::server::tokens;

/// How many keys are remembered: two presses are seconds apart.
const KEYS_MAX: usize = 1000;

/// Whether the work of a key is done; locked while it is under way.
type Done = Arc<tokio::sync::Mutex<bool>>;

#[derive(Default)]
pub struct SubmissionKeys(Mutex<VecDeque<(String, Done)>>);

impl SubmissionKeys {
    /// A key for a new form.
    pub fn key() -> String {
        tokens::random_token()
    }

    /// Whether this is the first post of the key. A form without one was made by hand, and may do as it likes.
    pub fn is_first(&self, key: &str) -> bool {
        self.entry(key).1
    }

    /// Does the work of a form, to its end even when the browser goes away. `None`: another press of the same form did
    /// it, and what that one left for the next page is there.
    pub async fn run<T: 'static>(
        &self,
        key: &str,
        work: impl Future<Output = Result<T, PageError>> + 'static,
    ) -> Result<Option<T>, PageError> {
        let (done, _) = self.entry(key);
        let task = actix_web::rt::spawn(async move {
            let mut done = done.lock_owned().await;
            if *done {
                return Ok(None);
            }
            let result = work.await?;
            *done = true;
            Ok(Some(result))
        });
        task.await
            .unwrap_or_else(|error| Err(PageError::Internal(error.to_string())))
    }

    /// What is known of a key, and whether it is new.
    fn entry(&self, key: &str) -> (Done, bool) {
        // A key that we made has 43 characters; a longer one takes no more room than that.
        let key: String = key.chars().take(64).collect();
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, done)) = keys.iter().find(|(known, _)| *known == key) {
            return (done.clone(), false);
        }
        let done = Done::default();
        if !key.is_empty() {
            if keys.len() >= KEYS_MAX {
                keys.pop_front();
            }
            keys.push_back((key, done.clone()));
        }
        (done, true)
    }

    /// The work could not be done: the same form may try again.
    pub fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _)| known != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_post_of_a_form_is_not_the_first() {
        let (once, key) = (SubmissionKeys::default(), SubmissionKeys::key());
        assert!(once.is_first(&key));
        assert!(!once.is_first(&key));
        assert!(once.is_first(&SubmissionKeys::key()));
        once.forget(&key);
        assert!(once.is_first(&key));
        let long = "k".repeat(100);
        assert!(once.is_first(&long) && !once.is_first(&long));
    }

    #[actix_web::test]
    async fn a_second_press_waits_for_the_first_and_does_nothing_unless_that_one_failed() {
        let (once, key) = (SubmissionKeys::default(), SubmissionKeys::key());
        let slow = async {
            tokio::task::yield_now().await;
            Ok(1)
        };
        let (first, second) = tokio::join!(once.run(&key, slow), once.run(&key, async { Ok(2) }));
        assert_eq!((first.unwrap(), second.unwrap()), (Some(1), None));
        let key = SubmissionKeys::key();
        let failed = once
            .run::<()>(&key, async { Err(PageError::ItemNotFound) })
            .await;
        assert!(failed.is_err());
        assert_eq!(once.run(&key, async { Ok(3) }).await.unwrap(), Some(3));
    }
}
