//! Rate limits of the intake, for each IP address and each project, counted in memory by
//! `governor`.
//!
//! IP addresses aren't stored, only hashes of them. The salt changes each day and never leaves the
//! process.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

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
use crate::server::rate_limit_headers::{LimitScope, RateLimitExceeded, RemainingQuota};

/// Maximum number of keys of each limit in memory. When it is reached, keys with a full quota are
/// removed, or all keys if that isn't enough. A sender with that many IP addresses is still subject
/// to the limits of each project.
const KEYS_MAX: usize = 50_000;
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

pub(super) struct IntakeLimits {
    clock: Clock,
    state: Mutex<LimitState>,
}

struct LimitState {
    /// The day on which `salt` was generated, in days since the Unix epoch.
    day: i64,
    salt: [u8; 32],
    ip_addresses: Vec<KeyedLimit<IpAddressHash>>,
    projects: Vec<KeyedLimit<ProjectId>>,
}

type IpAddressHash = [u8; 16];

impl IntakeLimits {
    pub(super) fn new(clock: Clock, per_ip_address: &RateLimits, per_project: &RateLimits) -> Self {
        let governor_clock = GovernorClock(clock.clone());
        let state = LimitState {
            day: days_since_epoch(clock.now_without_jumps()),
            salt: random::bytes(),
            ip_addresses: keyed_limits(per_ip_address, LimitScope::IpAddress, &governor_clock),
            projects: keyed_limits(per_project, LimitScope::Project, &governor_clock),
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Counts a submission from an IP address, and returns the remaining quota of each limit.
    pub(super) fn check_ip_address(
        &self,
        ip_address: IpAddr,
    ) -> Result<Vec<RemainingQuota>, RateLimitExceeded> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let today = days_since_epoch(self.clock.now_without_jumps());
        if state.day != today {
            state.day = today;
            state.salt = random::bytes();
            for limit in &mut state.ip_addresses {
                limit.reset();
            }
        }
        let key = hash_ip_address(&state.salt, ip_address);
        check(&mut state.ip_addresses, &key)
    }

    /// Counts a submission to a project, and returns the remaining quota of each limit.
    pub(super) fn check_project(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<RemainingQuota>, RateLimitExceeded> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        check(&mut state.projects, project)
    }
}

/// Checks the shortest limit first, so that rejected requests don't count against longer ones.
fn check<K: Hash + Eq + Clone>(
    limits: &mut [KeyedLimit<K>],
    key: &K,
) -> Result<Vec<RemainingQuota>, RateLimitExceeded> {
    limits.iter_mut().map(|limit| limit.check(key)).collect()
}

fn keyed_limits<K: Hash + Eq + Clone>(
    limits: &RateLimits,
    scope: LimitScope,
    clock: &GovernorClock,
) -> Vec<KeyedLimit<K>> {
    limits
        .iter()
        .map(|limit| KeyedLimit::new(*limit, scope, clock.clone()))
        .collect()
}

fn days_since_epoch(now: Timestamp) -> i64 {
    now.millis().div_euclid(DAY_MILLIS)
}

/// Hashes an IP address. For IPv6, only the /64 prefix counts, because a household or machine
/// usually gets a whole /64.
fn hash_ip_address(salt: &[u8; 32], ip_address: IpAddr) -> IpAddressHash {
    let bits = match ip_address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
    };
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(&bits.octets());
    let mut hash = [0; 16];
    hash.copy_from_slice(&context.finish().as_ref()[..16]);
    hash
}

/// One rate limit, counted separately for each key.
struct KeyedLimit<K: Hash + Eq + Clone> {
    limit: RateLimit,
    scope: LimitScope,
    limiter: RateLimiter<K, HashMapStateStore<K>, GovernorClock, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    fn new(limit: RateLimit, scope: LimitScope, clock: GovernorClock) -> Self {
        let quota = Quota::with_period(limit.period / limit.count.get())
            // `None` if the period is below 1 ns. Such a limit is never reached.
            .unwrap_or(Quota::per_second(limit.count))
            .allow_burst(limit.count);
        Self {
            limit,
            scope,
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock),
        }
    }

    fn check(&mut self, key: &K) -> Result<RemainingQuota, RateLimitExceeded> {
        if self.limiter.len() >= KEYS_MAX {
            self.limiter.retain_recent();
        }
        if self.limiter.len() >= KEYS_MAX {
            self.reset();
        }
        let quota = |count, wait| RemainingQuota {
            scope: self.scope,
            limit: self.limit,
            count,
            wait,
        };
        match self.limiter.check_key(key) {
            Ok(state) => Ok(quota(
                state.remaining_burst_capacity(),
                self.limit.period / self.limit.count.get(),
            )),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                Err(RateLimitExceeded(quota(0, wait)))
            }
        }
    }

    fn reset(&mut self) {
        *self = Self::new(self.limit, self.scope, self.limiter.clock().clone());
    }
}

/// The clock that `governor` uses. It is monotonic, so that setting the system clock back doesn't
/// make anybody wait longer.
#[derive(Clone, Debug)]
struct GovernorClock(Clock);

impl governor::clock::Clock for GovernorClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::id::Id;

    fn limits(per_ip_address: &str, per_project: &str) -> (IntakeLimits, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_millis(1_767_225_600_000));
        let limits = IntakeLimits::new(
            Clock::manual(&clock),
            &per_ip_address.parse().unwrap(),
            &per_project.parse().unwrap(),
        );
        (limits, clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_limit_of_10_per_minute_allows_another_request_after_6_seconds() {
        let (limits, clock) = limits("10/1m", "none");
        let client = ip("192.0.2.1");
        for left in (0..10).rev() {
            assert_eq!(limits.check_ip_address(client).unwrap()[0].count, left);
        }
        let exceeded = limits.check_ip_address(client).unwrap_err();
        assert_eq!(exceeded.wait_seconds(), 6);
        assert!(limits.check_ip_address(ip("192.0.2.2")).is_ok());
        clock.advance(Duration::from_millis(5_999));
        assert_eq!(
            limits.check_ip_address(client).unwrap_err().wait_seconds(),
            1
        );
        clock.advance(Duration::from_millis(1));
        assert!(limits.check_ip_address(client).is_ok());
        assert!(limits.check_ip_address(client).is_err());
    }

    #[test]
    fn requests_over_the_short_limit_do_not_count_against_the_long_one() {
        let (limits, clock) = limits("2/1m,4/1h", "none");
        let client = ip("192.0.2.1");
        let accepted_of = |n: u32| {
            (0..n)
                .filter(|_| limits.check_ip_address(client).is_ok())
                .count()
        };
        assert_eq!(accepted_of(50), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(accepted_of(50), 2);
        clock.advance(Duration::from_secs(60));
        let exceeded = limits.check_ip_address(client).unwrap_err();
        assert_eq!(exceeded.0.limit.to_string(), "4/1h");
        // The limit of 4 per hour allows one submission per 15 minutes, and 2 minutes have passed.
        assert_eq!(exceeded.wait_seconds(), 13 * 60);
    }

    #[test]
    fn ipv6_is_limited_by_its_64_prefix_and_limits_reset_each_day() {
        let (limits, clock) = limits("1/1h", "none");
        assert!(limits.check_ip_address(ip("2001:db8::1")).is_ok());
        assert!(limits.check_ip_address(ip("2001:db8::ffff:1")).is_err());
        assert!(limits.check_ip_address(ip("2001:db8:0:1::1")).is_ok());
        clock.advance(Duration::from_secs(24 * 3600));
        assert!(limits.check_ip_address(ip("2001:db8::1")).is_ok());
    }

    #[test]
    fn projects_have_their_own_limit() {
        let (limits, _) = limits("none", "1/1m");
        let ids = [1, 2].map(|n| ProjectId::from_ulid(ulid::Ulid::from_parts(n, 0)));
        assert!(limits.check_ip_address(ip("192.0.2.1")).unwrap().is_empty());
        assert!(limits.check_project(&ids[0]).is_ok());
        assert_eq!(
            limits.check_project(&ids[0]).unwrap_err().0.scope,
            LimitScope::Project
        );
        assert!(limits.check_project(&ids[1]).is_ok());
    }

    #[test]
    fn memory_is_bounded_with_many_ip_addresses() {
        let (limits, _) = limits("1/1m", "none");
        let first = ip("10.0.0.0");
        assert!(limits.check_ip_address(first).is_ok());
        for n in 1..u32::try_from(KEYS_MAX).unwrap() {
            let next = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
            assert!(limits.check_ip_address(IpAddr::V4(next)).is_ok());
        }
        // No key has regained its full quota, so all keys are removed.
        assert!(limits.check_ip_address(ip("192.0.2.1")).is_ok());
        let count = limits.state.lock().unwrap().ip_addresses[0].limiter.len();
        assert!(count < 10, "{count}");
        assert!(limits.check_ip_address(first).is_ok());
    }
}
