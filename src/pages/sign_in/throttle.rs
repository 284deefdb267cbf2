//! Failed sign-ins slow further ones down, for the account and for the address; nobody is locked out for good.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// From this failure on one has to wait.
const THROTTLED_FROM: u32 = 5;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After this long without a failure, what was failures is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// How many accounts and addresses are remembered at most; beyond it the oldest are forgotten.
const KEYS_MAX: usize = 10_000;

pub struct SignInThrottle {
    clock: Clock,
    failures: Mutex<HashMap<ThrottleKey, Failures>>,
}

/// What failures are failures for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ThrottleKey {
    /// By the form in which accounts are told apart, whether there is one or not.
    Account(String),
    /// An IPv6 address by its /64, which is what one household or machine is given.
    IpAddress(IpAddr),
}

impl ThrottleKey {
    pub fn ip_address(address: IpAddr) -> Self {
        Self::IpAddress(match address {
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
            v4 => v4,
        })
    }
}

struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn retry_at(&self) -> Timestamp {
        let Some(over) = self.count.checked_sub(THROTTLED_FROM) else {
            return self.last;
        };
        self.last
            .plus(Duration::from_secs(1 << over.min(6)).min(WAIT_MAX))
    }
}

impl SignInThrottle {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            failures: Mutex::default(),
        }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<ThrottleKey, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one has to wait before the next try; `None`: not at all.
    pub fn retry_after(&self, keys: &[ThrottleKey]) -> Option<Duration> {
        let now = self.clock.now();
        let failures = self.failures();
        let retry_at = keys
            .iter()
            .filter_map(|key| failures.get(key))
            .map(Failures::retry_at)
            .max()?;
        Some(retry_at.since(now)).filter(|wait| !wait.is_zero())
    }

    pub fn record_failure(&self, keys: &[ThrottleKey]) {
        let now = self.clock.now();
        let mut failures = self.failures();
        for key in keys {
            evict(&mut failures, key, now);
            let failures = failures.entry(key.clone()).or_insert(Failures {
                count: 0,
                last: now,
            });
            let count = if now.since(failures.last) < FORGET_AFTER {
                failures.count
            } else {
                0
            };
            *failures = Failures {
                count: count + 1,
                last: now,
            };
        }
    }

    /// Forgets what was failures for an account whose owner has come in.
    pub fn record_success(&self, account: &ThrottleKey) {
        self.failures().remove(account);
    }
}

/// Before a new key is failures: forgets what is over and, where that is not enough, the oldest.
fn evict(failures: &mut HashMap<ThrottleKey, Failures>, key: &ThrottleKey, now: Timestamp) {
    if failures.len() < KEYS_MAX || failures.contains_key(key) {
        return;
    }
    failures.retain(|_, failures| now.since(failures.last) < FORGET_AFTER);
    let oldest = failures
        .iter()
        .min_by_key(|(_, failures)| failures.last)
        .map(|(key, _)| key.clone());
    if let Some(oldest) = oldest.filter(|_| failures.len() >= KEYS_MAX) {
        failures.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn from_the_fifth_failure_on_the_wait_doubles_up_to_a_minute_and_ends() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let throttle = SignInThrottle::new(Clock::Manual(clock.clone()));
        let key = [ThrottleKey::Account("ada".into())];
        let mut waits = Vec::new();
        for _ in 0..13 {
            throttle.record_failure(&key);
            let wait = throttle.retry_after(&key).unwrap_or_default();
            waits.push(wait.as_secs());
            clock.advance(wait);
            assert_eq!(throttle.retry_after(&key), None);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        throttle.record_success(&key[0]);
        throttle.record_failure(&key);
        assert_eq!(throttle.retry_after(&key), None);
    }

    #[test]
    fn an_ipv6_address_counts_by_its_64_first_bits_and_others_are_not_touched() {
        let throttle =
            SignInThrottle::new(Clock::Manual(ManualClock::at(Timestamp::from_millis(0))));
        let key = |text: &str| ThrottleKey::ip_address(text.parse().unwrap());
        for host in 0..5 {
            throttle.record_failure(&[key(&format!("2001:db8::{host}"))]);
        }
        assert!(throttle.retry_after(&[key("2001:db8::ffff")]).is_some());
        assert!(
            throttle
                .retry_after(&[key("2001:db8:0:1::1"), key("192.0.2.1")])
                .is_none()
        );
    }
}
