//! Forms that must not do their work twice where the store has no key for it: two presses of a button are one.
//!
//! Each form carries a random key; the first post of a key does the work, and another one only leads on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::server::tokens;

/// How many keys are remembered: two presses are seconds apart.
const KEYS_MAX: usize = 1000;

#[derive(Default)]
pub(super) struct Once(Mutex<VecDeque<String>>);

impl Once {
    /// A key for a new form.
    pub(super) fn key() -> String {
        tokens::new()
    }

    /// Whether this is the first post of the key. A form without one was made by hand, and may do as it likes.
    pub(super) fn is_first(&self, key: &str) -> bool {
        // A key that we made has 43 characters; a longer one takes no more room than that.
        let key: String = key.chars().take(64).collect();
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if key.is_empty() {
            return true;
        }
        if keys.contains(&key) {
            return false;
        }
        if keys.len() >= KEYS_MAX {
            keys.pop_front();
        }
        keys.push_back(key);
        true
    }

    /// The work could not be done: the same form may try again.
    pub(super) fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|known| known != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_post_of_a_form_is_not_the_first() {
        let (once, key) = (Once::default(), Once::key());
        assert!(once.is_first(&key));
        assert!(!once.is_first(&key));
        assert!(once.is_first(&Once::key()));
        once.forget(&key);
        assert!(once.is_first(&key));
        let long = "k".repeat(100);
        assert!(once.is_first(&long) && !once.is_first(&long));
    }
}
