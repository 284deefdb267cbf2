//! Failed sign-ins slow further ones down, for the account and for the address; nobody is locked out for good.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// From this failure on one has to wait.
const FAILURES: u32 = 5;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After this long without a failure, what was counted is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// How many accounts and addresses are remembered at most; beyond it the oldest are forgotten.
const REMEMBERED: usize = 10_000;

pub struct Throttle {
    clock: Clock,
    counted: Mutex<HashMap<Key, Failures>>,
}

/// What failures are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// By the form in which accounts are told apart, whether there is one or not.
    Account(String),
    /// An IPv6 address by its /64, which is what one household or machine is given.
    Address(IpAddr),
}

impl Key {
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address {
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
    fn open_at(&self) -> Timestamp {
        let Some(over) = self.count.checked_sub(FAILURES) else {
            return self.last;
        };
        self.last
            .plus(Duration::from_secs(1 << over.min(6)).min(WAIT_MAX))
    }
}

impl Throttle {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            counted: Mutex::default(),
        }
    }

    fn counted(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one has to wait before the next try; `None`: not at all.
    pub fn wait(&self, keys: &[Key]) -> Option<Duration> {
        let now = self.clock.now();
        let counted = self.counted();
        let open_at = keys
            .iter()
            .filter_map(|key| counted.get(key))
            .map(Failures::open_at)
            .max()?;
        Some(open_at.since(now)).filter(|wait| !wait.is_zero())
    }

    pub fn failed(&self, keys: &[Key]) {
        let now = self.clock.now();
        let mut counted = self.counted();
        for key in keys {
            make_room(&mut counted, key, now);
            let failures = counted.entry(key.clone()).or_insert(Failures {
                count: 0,
                last: now,
            });
            let count = if now.since(failures.last) < FORGOTTEN {
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

    /// Forgets what was counted for an account whose owner has come in.
    pub fn succeeded(&self, account: &Key) {
        self.counted().remove(account);
    }
}

/// Before a new key is counted: forgets what is over and, where that is not enough, the oldest.
fn make_room(counted: &mut HashMap<Key, Failures>, key: &Key, now: Timestamp) {
    if counted.len() < REMEMBERED || counted.contains_key(key) {
        return;
    }
    counted.retain(|_, failures| now.since(failures.last) < FORGOTTEN);
    let oldest = counted
        .iter()
        .min_by_key(|(_, failures)| failures.last)
        .map(|(key, _)| key.clone());
    if let Some(oldest) = oldest.filter(|_| counted.len() >= REMEMBERED) {
        counted.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn from_the_fifth_failure_on_the_wait_doubles_up_to_a_minute_and_ends() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let throttle = Throttle::new(Clock::Manual(clock.clone()));
        let key = [Key::Account("ada".into())];
        let mut waits = Vec::new();
        for _ in 0..13 {
            throttle.failed(&key);
            let wait = throttle.wait(&key).unwrap_or_default();
            waits.push(wait.as_secs());
            clock.advance(wait);
            assert_eq!(throttle.wait(&key), None);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        throttle.succeeded(&key[0]);
        throttle.failed(&key);
        assert_eq!(throttle.wait(&key), None);
    }

    #[test]
    fn an_ipv6_address_counts_by_its_64_first_bits_and_others_are_not_touched() {
        let throttle = Throttle::new(Clock::Manual(ManualClock::at(Timestamp::from_millis(0))));
        let key = |text: &str| Key::address(text.parse().unwrap());
        for host in 0..5 {
            throttle.failed(&[key(&format!("2001:db8::{host}"))]);
        }
        assert!(throttle.wait(&[key("2001:db8::ffff")]).is_some());
        assert!(
            throttle
                .wait(&[key("2001:db8:0:1::1"), key("192.0.2.1")])
                .is_none()
        );
    }
}
