//! Counts failures by account and by group. A count determines the first wait of new clients, and
//! whether the next failure of any client makes it wait.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use super::{FAILURES_EXPIRE_AFTER, WAIT_MAX};

/// Maximum number of counts. At the limit, the lowest counts are evicted, so failures on many other
/// accounts don't reset a high count.
const COUNTS_MAX: usize = 10_000;

/// Failure counts by account or group. The account or group is stored only as a hash, which limits
/// the memory per count.
pub struct FailureCountTable {
    /// The number of failures at which clients have to wait.
    throttled_from: u32,
    hasher: RandomState,
    counts: HashMap<u64, FailureCount>,
}

#[derive(Clone, Copy)]
struct FailureCount {
    failures: u32,
    last: Duration,
}

impl FailureCountTable {
    pub fn new(throttled_from: u32) -> Self {
        Self {
            throttled_from,
            hasher: RandomState::new(),
            counts: HashMap::new(),
        }
    }

    /// Returns 0 below the limit, 1 at the limit, and 1 more for each further failure. Adds `more`
    /// assumed failures to the recorded failures.
    fn failures_over_limit(&self, key: &impl Hash, now: Duration, more: u32) -> u32 {
        let count = self.counts.get(&self.hasher.hash_one(key));
        let failures = count
            .filter(|count| now.saturating_sub(count.last) < FAILURES_EXPIRE_AFTER)
            .map_or(0, |count| count.failures);
        (failures.saturating_add(more) + 1).saturating_sub(self.throttled_from)
    }

    /// Returns whether the next failure on this account or of this group makes the client wait.
    pub fn is_next_failure_throttled(&self, key: &impl Hash, now: Duration) -> bool {
        self.failures_over_limit(key, now, 1) > 0
    }

    /// Returns the first wait of a new client; zero below the limit.
    pub fn first_wait(&self, key: &impl Hash, now: Duration) -> Duration {
        match self.failures_over_limit(key, now, 0) {
            0 => Duration::ZERO,
            over => Duration::from_secs(1 << (over - 1).min(6)).min(WAIT_MAX),
        }
    }

    pub fn record_failure(&mut self, key: &impl Hash, now: Duration) {
        let key = self.hasher.hash_one(key);
        if self.counts.len() >= COUNTS_MAX && !self.counts.contains_key(&key) {
            self.evict_counts(now);
        }
        let count = self.counts.entry(key).or_insert(FailureCount {
            failures: 0,
            last: now,
        });
        if now.saturating_sub(count.last) >= FAILURES_EXPIRE_AFTER {
            count.failures = 0;
        }
        count.failures = count.failures.saturating_add(1);
        count.last = now;
    }

    pub fn reset_failures(&mut self, key: &impl Hash) {
        self.counts.remove(&self.hasher.hash_one(key));
    }

    /// Removes expired counts or, if no count has expired, the lowest eighth of the counts.
    fn evict_counts(&mut self, now: Duration) {
        self.counts
            .retain(|_, count| now.saturating_sub(count.last) < FAILURES_EXPIRE_AFTER);
        if self.counts.len() < COUNTS_MAX {
            return;
        }
        let mut lowest: Vec<_> = self
            .counts
            .iter()
            .map(|(key, count)| (count.failures, count.last, *key))
            .collect();
        lowest.sort_unstable();
        for (_, _, key) in &lowest[..COUNTS_MAX / 8] {
            self.counts.remove(key);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn doubles_the_first_wait_from_the_limit_up_to_60_s() {
        let mut counts = FailureCountTable::new(5);
        let mut waits = Vec::new();
        for _ in 0..13 {
            counts.record_failure(&"ada", NOW);
            waits.push(counts.first_wait(&"ada", NOW).as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(counts.first_wait(&"grace", NOW), Duration::ZERO);
        assert_eq!(
            counts.first_wait(&"ada", NOW + FAILURES_EXPIRE_AFTER),
            Duration::ZERO
        );
    }

    #[test]
    fn failures_on_other_accounts_do_not_evict_a_high_count() {
        let mut counts = FailureCountTable::new(5);
        for _ in 0..6 {
            counts.record_failure(&"ada", NOW);
        }
        for other in 0..3 * COUNTS_MAX {
            counts.record_failure(&other, NOW);
            assert!(counts.len() <= COUNTS_MAX);
        }
        assert_eq!(counts.first_wait(&"ada", NOW), Duration::from_secs(2));
    }
}
