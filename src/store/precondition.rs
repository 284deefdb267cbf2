//! Conditions that a stored object must meet, checked in the transaction of a change.

use super::db::error::StoreError;

/// A condition that a stored object must meet before it can be changed.
pub struct Precondition<T>(Option<Condition<T>>);

type Condition<T> = Box<dyn FnOnce(&T) -> bool + Send>;

impl<T: Clone> Precondition<T> {
    pub fn new(condition: impl FnOnce(&T) -> bool + Send + 'static) -> Self {
        Self(Some(Box::new(condition)))
    }

    /// Returns a precondition that is always met.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Checks the condition on the first call. Later calls succeed without a check.
    pub(super) fn check(&mut self, stored: &T) -> Result<(), ChangeError<T>> {
        if self.0.take().is_none_or(|condition| condition(stored)) {
            Ok(())
        } else {
            Err(ChangeError::Changed(Box::new(stored.clone())))
        }
    }
}

/// The reason a change wasn't stored.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<T> {
    /// The stored object doesn't meet the [`Precondition`].
    #[error("somebody else has changed the object")]
    Changed(Box<T>),
    #[error(transparent)]
    Store(#[from] StoreError),
}
