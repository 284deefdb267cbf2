//! A rate limit that is counted separately for each key, with the generic cell rate algorithm.
//!
//! Unlike the limiters of common crates, this limiter can check a request without counting it, and
//! can undo a count.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::domain::rate_limit::RateLimit;
use crate::server::rate_limit_headers::{LimitScope, RateLimitExceeded, RemainingQuota};

/// Maximum number of keys of each limit in memory. At this number, all keys with a full quota are
/// removed. If no key has a full quota, all keys are removed. A sender with that many IP addresses
/// is still subject to the limits of each project.
pub(super) const KEYS_MAX: usize = 50_000;

pub(super) struct KeyedLimit<K> {
    limit: RateLimit,
    scope: LimitScope,
    /// The time at which the quota of each key is full again.
    full_at: HashMap<K, Duration>,
}

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    pub(super) fn new(limit: RateLimit, scope: LimitScope) -> Self {
        Self {
            limit,
            scope,
            full_at: HashMap::new(),
        }
    }

    /// Returns the time until the quota allows another request; zero if it allows a request now.
    pub(super) fn wait_time(&self, key: &K, now: Duration) -> Duration {
        (self.time_until_full(key, now) + self.limit.time_per_request())
            .saturating_sub(self.time_to_refill())
    }

    /// Counts a request, even if the quota doesn't allow it. Returns the remaining quota.
    pub(super) fn count_request(&mut self, key: &K, now: Duration) -> RemainingQuota {
        if self.full_at.len() >= KEYS_MAX {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() >= KEYS_MAX {
            self.full_at.clear();
        }
        let interval = self.limit.time_per_request();
        let until_full = self.time_until_full(key, now) + interval;
        self.full_at.insert(key.clone(), now + until_full);
        let free =
            self.time_to_refill().saturating_sub(until_full).as_nanos() / interval.as_nanos();
        self.quota(u32::try_from(free).unwrap_or(u32::MAX), interval)
    }

    /// Undoes the count of one request.
    pub(super) fn undo_count(&mut self, key: &K) {
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at = full_at.saturating_sub(self.limit.time_per_request());
        }
    }

    pub(super) fn exceeded_error(&self, wait: Duration) -> RateLimitExceeded {
        RateLimitExceeded(self.quota(0, wait))
    }

    pub(super) fn clear(&mut self) {
        self.full_at.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Returns the time in which an empty quota becomes full.
    fn time_to_refill(&self) -> Duration {
        self.limit.time_per_request() * self.limit.count.get()
    }

    fn time_until_full(&self, key: &K, now: Duration) -> Duration {
        let full_at = self.full_at.get(key).copied().unwrap_or_default();
        full_at.saturating_sub(now)
    }

    fn quota(&self, count: u32, wait: Duration) -> RemainingQuota {
        RemainingQuota {
            scope: self.scope,
            limit: self.limit,
            count,
            wait,
        }
    }
}
