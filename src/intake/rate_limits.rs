//! How much feedback an address may send and a project takes, counted by `governor` in memory.
//!
//! No address is kept: a hash of it serves, salted anew each day and known to this process alone. The limits of an
//! address are weighed before those of the project, so that what an address may not send takes nobody else's place.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use ring::digest;

use crate::clock::{Clock, Timestamp};
use crate::domain::id::ProjectId;
use crate::domain::rate_limit::{RateLimit, RateLimits};
use crate::random;

/// How many addresses or projects a limit remembers. Beyond that those that have their whole quota again are forgotten,
/// and where this is not enough, all: then the limits of the projects still hold.
const REMEMBERED: usize = 50_000;
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

pub struct Limits {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    day: i64,
    salt: [u8; 32],
    addresses: Vec<Limit<[u8; 16]>>,
    projects: Vec<Limit<ProjectId>>,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Address,
    Project,
}

/// What a limit has left after a feedback, or until when it has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub whose: Whose,
    pub rate: RateLimit,
    pub count: u32,
    /// Until there is one more.
    pub wait: Duration,
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {} s.", self.whom(), self.seconds())]
pub struct Limited(pub Left);

impl Limited {
    fn whom(&self) -> &'static str {
        match self.0.whose {
            Whose::Address => "Too much feedback came from your address",
            Whose::Project => "This project gets too much feedback at the moment",
        }
    }

    /// How long to wait, in whole seconds.
    pub fn seconds(&self) -> u64 {
        whole_seconds(self.0.wait)
    }
}

/// Rounded up, and never none: who waits that long is let in.
pub fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

impl Limits {
    pub fn new(clock: Clock, address: &RateLimits, project: &RateLimits) -> Self {
        let stopwatch = Stopwatch {
            clock: clock.clone(),
            started: Instant::now(),
        };
        let state = State {
            day: day(clock.now()),
            salt: random::bytes(),
            addresses: limits(address, Whose::Address, &stopwatch),
            projects: limits(project, Whose::Project, &stopwatch),
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Counts a feedback for the address that it comes from.
    pub fn address(&self, address: IpAddr) -> Result<Vec<Left>, Limited> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let today = day(self.clock.now());
        if state.day != today {
            state.day = today;
            state.salt = random::bytes();
            for limit in &mut state.addresses {
                limit.forget();
            }
        }
        let key = hash(&state.salt, address);
        weigh(&mut state.addresses, &key)
    }

    /// Counts a feedback for the project that it is for.
    pub fn project(&self, project: &ProjectId) -> Result<Vec<Left>, Limited> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        weigh(&mut state.projects, project)
    }
}

/// The shortest limit first: what it refuses does not count for the longer ones.
fn weigh<K: Hash + Eq + Clone>(limits: &mut [Limit<K>], key: &K) -> Result<Vec<Left>, Limited> {
    limits.iter_mut().map(|limit| limit.count(key)).collect()
}

fn limits<K: Hash + Eq + Clone>(
    rates: &RateLimits,
    whose: Whose,
    stopwatch: &Stopwatch,
) -> Vec<Limit<K>> {
    let limit = |rate: &RateLimit| Limit::new(*rate, whose, stopwatch.clone());
    rates.iter().map(limit).collect()
}

fn day(now: Timestamp) -> i64 {
    now.millis().div_euclid(DAY_MILLIS)
}

/// An IPv6 address counts by its /64, which is what one household or machine is given.
fn hash(salt: &[u8; 32], address: IpAddr) -> [u8; 16] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
    };
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(&bits.octets());
    let mut short = [0; 16];
    short.copy_from_slice(&context.finish().as_ref()[..16]);
    short
}

struct Limit<K: Hash + Eq + Clone> {
    rate: RateLimit,
    whose: Whose,
    limiter: RateLimiter<K, HashMapStateStore<K>, Stopwatch, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(rate: RateLimit, whose: Whose, stopwatch: Stopwatch) -> Self {
        let quota = Quota::with_period(rate.period / rate.count.get())
            // Of a rate so high that its period is less than a nanosecond; nothing reaches it.
            .unwrap_or(Quota::per_second(rate.count))
            .allow_burst(rate.count);
        Self {
            rate,
            whose,
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), stopwatch),
        }
    }

    fn count(&mut self, key: &K) -> Result<Left, Limited> {
        if self.limiter.len() >= REMEMBERED {
            self.limiter.retain_recent();
        }
        if self.limiter.len() >= REMEMBERED {
            self.forget();
        }
        let left = |count, wait| Left {
            whose: self.whose,
            rate: self.rate,
            count,
            wait,
        };
        match self.limiter.check_key(key) {
            Ok(state) => Ok(left(
                state.remaining_burst_capacity(),
                self.rate.period / self.rate.count.get(),
            )),
            Err(refused) => {
                let wait = refused.wait_time_from(self.limiter.clock().now());
                Err(Limited(left(0, wait)))
            }
        }
    }

    fn forget(&mut self) {
        *self = Self::new(self.rate, self.whose, self.limiter.clock().clone());
    }
}

/// What governor measures by: the machine's own monotonic clock, so that nobody waits longer because the system's clock
/// was set back; in tests, the clock that they move.
#[derive(Clone, Debug)]
struct Stopwatch {
    clock: Clock,
    started: Instant,
}

impl governor::clock::Clock for Stopwatch {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match &self.clock {
            Clock::System => self.started.elapsed().into(),
            manual => manual.now().since(Timestamp::from_millis(0)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::id::Id;

    fn limits(address: &str, project: &str) -> (Limits, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_millis(1_767_225_600_000));
        let limits = Limits::new(
            Clock::Manual(clock.clone()),
            &address.parse().unwrap(),
            &project.parse().unwrap(),
        );
        (limits, clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_quota_and_then_one_more_after_each_share_of_the_time() {
        let (limits, clock) = limits("10/1m", "none");
        let address = ip("192.0.2.1");
        for left in (0..10).rev() {
            assert_eq!(limits.address(address).unwrap()[0].count, left);
        }
        let limited = limits.address(address).unwrap_err();
        assert_eq!(limited.seconds(), 6);
        assert!(limits.address(ip("192.0.2.2")).is_ok());
        clock.advance(Duration::from_millis(5_999));
        assert_eq!(limits.address(address).unwrap_err().seconds(), 1);
        clock.advance(Duration::from_millis(1));
        assert!(limits.address(address).is_ok());
        assert!(limits.address(address).is_err());
    }

    #[test]
    fn what_the_minute_refuses_does_not_count_for_the_hour() {
        let (limits, clock) = limits("2/1m,4/1h", "none");
        let address = ip("192.0.2.1");
        let taken = |n: u32| (0..n).filter(|_| limits.address(address).is_ok()).count();
        assert_eq!(taken(50), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(50), 2);
        clock.advance(Duration::from_secs(60));
        let limited = limits.address(address).unwrap_err();
        assert_eq!(limited.0.rate.to_string(), "4/1h");
        // Four an hour is one each quarter, and two minutes are over.
        assert_eq!(limited.seconds(), 13 * 60);
    }

    #[test]
    fn an_ipv6_address_counts_by_its_64_first_bits_and_a_new_day_begins_anew() {
        let (limits, clock) = limits("1/1h", "none");
        assert!(limits.address(ip("2001:db8::1")).is_ok());
        assert!(limits.address(ip("2001:db8::ffff:1")).is_err());
        assert!(limits.address(ip("2001:db8:0:1::1")).is_ok());
        clock.advance(Duration::from_secs(24 * 3600));
        assert!(limits.address(ip("2001:db8::1")).is_ok());
    }

    #[test]
    fn projects_have_a_limit_of_their_own() {
        let (limits, _) = limits("none", "1/1m");
        let ids = [1, 2].map(|n| ProjectId::from_ulid(ulid::Ulid::from_parts(n, 0)));
        assert!(limits.address(ip("192.0.2.1")).unwrap().is_empty());
        assert!(limits.project(&ids[0]).is_ok());
        assert_eq!(limits.project(&ids[0]).unwrap_err().0.whose, Whose::Project);
        assert!(limits.project(&ids[1]).is_ok());
    }

    #[test]
    fn many_addresses_take_a_bounded_room() {
        let (limits, _) = limits("1/1m", "none");
        let first = ip("10.0.0.0");
        assert!(limits.address(first).is_ok());
        for n in 1..u32::try_from(REMEMBERED).unwrap() {
            let next = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
            assert!(limits.address(IpAddr::V4(next)).is_ok());
        }
        // All have been used just now, so all are forgotten.
        assert!(limits.address(ip("192.0.2.1")).is_ok());
        let remembered = limits.state.lock().unwrap().addresses[0].limiter.len();
        assert!(remembered < 10, "{remembered}");
        assert!(limits.address(first).is_ok());
    }
}
