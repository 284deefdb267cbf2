//! Slows down sign-ins after failures, by account and IP address. No account is locked permanently.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// The number of failures after which a client has to wait.
const THROTTLED_FROM: u32 = 5;
/// The maximum wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten after this time without another failure.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// The maximum number of accounts and IP addresses with failures. Above it, the oldest are evicted.
const KEYS_MAX: usize = 10_000;

pub struct SignInThrottle {
    clock: Clock,
    by_key: Mutex<HashMap<ThrottleKey, Failures>>,
}

/// An account or IP address whose failures are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ThrottleKey {
    /// The normalized email, whether or not the account exists.
    Account(String),
    /// An IPv6 address is reduced to its /64 prefix, which usually belongs to one household.
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
            by_key: Mutex::default(),
        }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<ThrottleKey, Failures>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wait before the next attempt; `None` if it is allowed now.
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

    /// Forgets the failures of an account after a successful sign-in.
    pub fn record_success(&self, account: &ThrottleKey) {
        self.failures().remove(account);
    }
}

/// Makes room for a new key: removes expired entries or, if there are none, the oldest.
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
    fn doubles_the_wait_from_the_fifth_failure_up_to_60_s() {
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
    fn counts_ipv6_addresses_by_their_64_prefix() {
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
