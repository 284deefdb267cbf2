//! Limits the rate of password checks after failures. No account is ever locked permanently.
//!
//! A check is guaranteed after a wait: if a client tries again within 60 s after its wait, its
//! password is checked, regardless of other clients. Each client therefore has its own wait, which
//! doubles with each of its own failures. The failures of other clients on the same account raise
//! the first wait of a new client. They can also make waits begin at a client's first failure
//! instead of its fifth. Rejected attempts don't count as failures.

mod client;
mod client_table;
mod failure_counts;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
pub use client::{Client, ClientGroup};
use client_table::{ClientTable, RetryWindow};
use failure_counts::FailureCountTable;

/// The number of failures, of a client or on an account, at which clients have to wait.
const THROTTLED_FROM: u32 = 5;
/// The number of failures of a group of clients at which the clients in the group have to wait.
/// This limit is higher, because unrelated clients can be in the same group.
const GROUP_THROTTLED_FROM: u32 = 20;
/// The maximum wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The wait of a client that was rejected because too many other checks are waiting.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// The time after which failures expire if no other failure follows.
const FAILURES_EXPIRE_AFTER: Duration = Duration::from_secs(15 * 60);

#[derive(Clone)]
pub struct SignInThrottle {
    clock: Clock,
    state: Arc<Mutex<ThrottleState>>,
}

struct ThrottleState {
    clients: ClientTable,
    accounts: FailureCountTable,
    groups: FailureCountTable,
}

/// An attempt whose password may be checked. If it is dropped without an outcome, its client can
/// try again immediately.
pub struct SignInAttempt {
    throttle: SignInThrottle,
    client: Client,
    /// The normalized email, whether or not the account exists.
    account: String,
    /// Whether the client tries again within its [`RetryWindow`]. Its password must then be
    /// checked.
    pub is_guaranteed: bool,
    /// Whether other attempts of the client have to wait until this attempt has an outcome.
    is_reserved: bool,
    has_outcome: bool,
}

impl SignInThrottle {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Arc::new(Mutex::new(ThrottleState {
                clients: ClientTable::default(),
                accounts: FailureCountTable::new(THROTTLED_FROM),
                groups: FailureCountTable::new(GROUP_THROTTLED_FROM),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ThrottleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an attempt. The error is the time that the client has to wait.
    pub fn start(&self, client: Client, account: &str) -> Result<SignInAttempt, Duration> {
        let mut attempt = SignInAttempt {
            throttle: self.clone(),
            client,
            account: account.to_owned(),
            is_guaranteed: false,
            is_reserved: false,
            has_outcome: true,
        };
        attempt.admit()?;
        attempt.has_outcome = false;
        Ok(attempt)
    }
}

impl ThrottleState {
    /// Returns whether the failures of the account or the group make the client wait after its next
    /// failure, even if that is its first failure.
    fn is_next_failure_throttled(&self, client: Client, account: &str, now: Duration) -> bool {
        self.accounts.is_next_failure_throttled(&account, now)
            || self.groups.is_next_failure_throttled(&client.group(), now)
    }

    /// The wait of a new client before its first check.
    fn first_wait(&self, client: Client, account: &str, now: Duration) -> Duration {
        let by_account = self.accounts.first_wait(&account, now);
        by_account.max(self.groups.first_wait(&client.group(), now))
    }
}

impl SignInAttempt {
    /// Decides whether the password may be checked now. If a failure would make the client wait,
    /// its other attempts have to wait until this attempt has an outcome. The error is the time
    /// that the client has to wait.
    fn admit(&mut self) -> Result<(), Duration> {
        let now = self.throttle.clock.monotonic_time();
        let mut state = self.throttle.lock();
        let known = state.clients.get(self.client, now).cloned();
        let client = known.unwrap_or_default();
        match client.retry_window {
            Some(window) if now < window.due && window.must_wait => {
                return Err(window.due - now);
            }
            Some(window) => self.is_guaranteed = (window.due..=window.until).contains(&now),
            None => {}
        }
        if !self.is_guaranteed && !client.has_waited && !self.client.is_known() {
            let wait = state.first_wait(self.client, &self.account, now);
            if !wait.is_zero()
                && let Some(client) = state.clients.get_or_insert(self.client, now)
            {
                client.has_waited = true;
                client.retry_window = Some(RetryWindow::new(now + wait, true));
                return Err(wait);
            }
        }
        let is_throttled = state.is_next_failure_throttled(self.client, &self.account, now);
        let wait = client.next_wait(is_throttled);
        if (self.is_guaranteed || !wait.is_zero())
            && let Some(client) = state.clients.get_or_insert(self.client, now)
        {
            // Until the outcome is known, other attempts of the client wait as if this attempt had
            // failed.
            self.is_reserved = !wait.is_zero();
            client.retry_window = self.is_reserved.then(|| RetryWindow::new(now + wait, true));
        }
        Ok(())
    }

    /// Decides again whether the password may be checked, because other attempts may have failed
    /// while this attempt waited for a permit. The error is the time that the client has to wait.
    pub fn recheck(&mut self) -> Result<(), Duration> {
        if self.is_guaranteed || self.is_reserved {
            return Ok(());
        }
        self.admit().inspect_err(|_| self.has_outcome = true)
    }

    /// Records a failure. Returns the time that the client has to wait; `None` if it can try again
    /// immediately.
    pub fn fail(mut self) -> Option<Duration> {
        self.has_outcome = true;
        let now = self.throttle.clock.monotonic_time();
        let mut state = self.throttle.lock();
        let group = self.client.group();
        let is_throttled = state.is_next_failure_throttled(self.client, &self.account, now);
        state.accounts.record_failure(&self.account, now);
        state.groups.record_failure(&group, now);
        let client = state.clients.get_or_insert(self.client, now)?;
        let wait = client.next_wait(is_throttled || self.is_reserved);
        client.failures = client.failures.saturating_add(1);
        client.wait = wait;
        if wait.is_zero() {
            return None;
        }
        client.has_waited = true;
        // Other attempts may have received the end of the reservation as `Retry-After`, so keep
        // that time.
        let due = match client.retry_window {
            Some(window) if self.is_reserved => window.due.max(now),
            _ => now + wait,
        };
        client.retry_window = Some(RetryWindow::new(due, true));
        Some(due - now)
    }

    /// Records a success. Deletes the failures of the account and, if the client is a known client,
    /// of the client.
    pub fn succeed(mut self) {
        self.has_outcome = true;
        let mut state = self.throttle.lock();
        state.accounts.reset_failures(&self.account);
        drop(state);
        self.release(Duration::ZERO, self.client.is_known());
    }

    /// Ends the attempt because too many other checks are waiting. Returns the time after which a
    /// new attempt of the client is checked, or `None` if a check can't be guaranteed.
    pub fn postpone(mut self) -> Option<Duration> {
        self.has_outcome = true;
        self.release(BUSY_WAIT, false)
    }

    /// Ends the reservation, and guarantees that a new attempt of the client after `wait` is
    /// checked. Returns the time from now until the guarantee begins; `None` without a guarantee.
    /// `reset` deletes the client's own failures.
    fn release(&self, wait: Duration, reset: bool) -> Option<Duration> {
        let now = self.throttle.clock.monotonic_time();
        let mut state = self.throttle.lock();
        if state.clients.get(self.client, now).is_none() && wait.is_zero() {
            return None;
        }
        let client = state.clients.get_or_insert(self.client, now)?;
        // Other attempts of the client may have received a shorter or longer `Retry-After`, so the
        // new window includes these times.
        let (mut due, mut until) = (now + wait, RetryWindow::new(now + wait, false).until);
        if let Some(window) = client.retry_window.filter(|window| now <= window.until) {
            due = due.min(window.due.max(now));
            until = until.max(window.until);
        }
        if reset {
            (client.failures, client.wait) = (0, Duration::ZERO);
        }
        client.retry_window = Some(RetryWindow {
            due,
            until,
            must_wait: false,
        });
        Some(due - now)
    }
}

impl Drop for SignInAttempt {
    fn drop(&mut self) {
        if !self.has_outcome && (self.is_guaranteed || self.is_reserved) {
            self.release(Duration::ZERO, false);
        }
    }
}
