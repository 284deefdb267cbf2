//! Rate limits of the intake, for each IP address and each project, counted in memory.
//!
//! A request is counted before it is accepted, and the count can be undone. A request that exceeds
//! a limit counts toward no limit.
//!
//! IP addresses are stored only as hashes. The salt changes each day and never leaves the process.

mod keyed_limit;
mod reservations;

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest;

use self::keyed_limit::KeyedLimit;
use self::reservations::Reservations;
use crate::clock::{Clock, Timestamp};
use crate::domain::id::ProjectId;
use crate::domain::rate_limit::{RateLimit, RateLimits};
use crate::random;
use crate::server::rate_limit_headers::{LimitScope, RateLimitExceeded, RemainingQuota};

const DAY_MILLIS: i64 = 24 * 3600 * 1000;

pub(super) struct IntakeLimits {
    clock: Clock,
    state: Mutex<RateLimitsState>,
}

struct RateLimitsState {
    /// The day on which `salt` was generated, in days since the Unix epoch.
    day: i64,
    salt: [u8; 32],
    ip_addresses: Vec<KeyedLimit<IpAddressHash>>,
    projects: Vec<KeyedLimit<ProjectId>>,
    reservations: Reservations<IpAddressHash>,
}

type IpAddressHash = [u8; 16];

/// A counted request. [`IntakeLimits::undo_count`] undoes the count.
pub(super) struct CountedRequest {
    client: IpAddressHash,
    /// `None` if the request doesn't count toward the limits of a project.
    project: Option<ProjectId>,
    /// The remaining quota of each limit.
    pub(super) quotas: Vec<RemainingQuota>,
}

impl IntakeLimits {
    pub(super) fn new(clock: Clock, per_ip_address: &RateLimits, per_project: &RateLimits) -> Self {
        let state = RateLimitsState {
            day: days_since_epoch(clock.now_without_jumps()),
            salt: random::bytes(),
            ip_addresses: create_keyed_limits(per_ip_address, LimitScope::IpAddress),
            projects: create_keyed_limits(per_project, LimitScope::Project),
            reservations: Reservations::new(),
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Counts a request toward the limits of its IP address. Fails if a limit is exceeded.
    pub(super) fn count_client_request(
        &self,
        ip_address: IpAddr,
    ) -> Result<CountedRequest, RateLimitExceeded> {
        let now = self.clock.monotonic_time();
        let mut state = self.lock_state();
        let client = hash_ip_address(&state.salt, ip_address);
        if let Some(exceeded) = find_exceeded_limit(&state.ip_addresses, &client, now) {
            return Err(exceeded);
        }
        let quotas = count_toward_limits(&mut state.ip_addresses, &client, now);
        Ok(CountedRequest {
            client,
            project: None,
            quotas,
        })
    }

    /// Counts a request toward the limits of its project. Fails if a limit is exceeded and the
    /// client has no reservation that is valid now. Before failing, undoes the count for the IP
    /// address.
    pub(super) fn count_project_request(
        &self,
        mut request: CountedRequest,
        project: &ProjectId,
    ) -> Result<CountedRequest, RateLimitExceeded> {
        let now = self.clock.monotonic_time();
        let mut state = self.lock_state();
        if let Err(exceeded) = state.check_project_limits(project, request.client, now) {
            state.undo_count(&request);
            return Err(exceeded);
        }
        state.reservations.remove(project, &request.client);
        let quotas = count_toward_limits(&mut state.projects, project, now);
        request.quotas.extend(quotas);
        request.project = Some(*project);
        Ok(request)
    }

    /// Undoes the count of a request that wasn't accepted.
    pub(super) fn undo_count(&self, request: &CountedRequest) {
        self.lock_state().undo_count(request);
    }

    /// Locks the state. If the day has changed, generates a new salt, removes all reservations, and
    /// resets the limits of IP addresses.
    fn lock_state(&self) -> MutexGuard<'_, RateLimitsState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let today = days_since_epoch(self.clock.now_without_jumps());
        if state.day != today {
            state.day = today;
            state.salt = random::bytes();
            state.reservations = Reservations::new();
            for limit in &mut state.ip_addresses {
                limit.clear();
            }
        }
        state
    }
}

impl RateLimitsState {
    fn check_project_limits(
        &mut self,
        project: &ProjectId,
        client: IpAddressHash,
        now: Duration,
    ) -> Result<(), RateLimitExceeded> {
        let valid_from = self.reservations.valid_from(project, &client, now);
        let Some(exceeded) = find_exceeded_limit(&self.projects, project, now) else {
            return Ok(());
        };
        let RemainingQuota { limit, wait, .. } = exceeded.0;
        let wait = match valid_from {
            Some(time) if time <= now => return Ok(()),
            Some(time) => time - now,
            None => self
                .reservations
                .add(project, client, now, wait, limit.time_per_request()),
        };
        let quota = RemainingQuota { wait, ..exceeded.0 };
        Err(RateLimitExceeded(quota))
    }

    fn undo_count(&mut self, request: &CountedRequest) {
        for limit in &mut self.ip_addresses {
            limit.undo_count(&request.client);
        }
        if let Some(project) = &request.project {
            for limit in &mut self.projects {
                limit.undo_count(project);
            }
        }
    }
}

/// Returns the error of the exceeded limit with the longest wait, or `None` if no limit is
/// exceeded.
fn find_exceeded_limit<K: Hash + Eq + Clone>(
    limits: &[KeyedLimit<K>],
    key: &K,
    now: Duration,
) -> Option<RateLimitExceeded> {
    let waits = limits
        .iter()
        .map(|limit| (limit.wait_time(key, now), limit));
    let (wait, limit) = waits.max_by_key(|(wait, _)| *wait)?;
    (!wait.is_zero()).then(|| limit.exceeded_error(wait))
}

fn count_toward_limits<K: Hash + Eq + Clone>(
    limits: &mut [KeyedLimit<K>],
    key: &K,
    now: Duration,
) -> Vec<RemainingQuota> {
    let counted = limits.iter_mut().map(|limit| limit.count_request(key, now));
    counted.collect()
}

fn create_keyed_limits<K: Hash + Eq + Clone>(
    limits: &RateLimits,
    scope: LimitScope,
) -> Vec<KeyedLimit<K>> {
    let new = |limit: &RateLimit| KeyedLimit::new(*limit, scope);
    limits.iter().map(new).collect()
}

fn days_since_epoch(now: Timestamp) -> i64 {
    now.millis().div_euclid(DAY_MILLIS)
}

/// Hashes an IP address. For IPv6, only the /64 prefix counts, because a household or machine
/// usually has a whole /64.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::keyed_limit::KEYS_MAX;
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::id::Id;

    fn limits(per_ip_address: &str, per_project: &str) -> (IntakeLimits, ManualClock) {
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_767_225_600_000));
        let limits = IntakeLimits::new(
            Clock::manual(&clock),
            &per_ip_address.parse().unwrap(),
            &per_project.parse().unwrap(),
        );
        (limits, clock)
    }

    fn rejection(result: Result<CountedRequest, RateLimitExceeded>) -> RateLimitExceeded {
        result.err().expect("the request is rejected")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_limit_of_10_per_minute_allows_another_request_after_6_seconds() {
        let (limits, clock) = limits("10/1m", "none");
        let client = ip("192.0.2.1");
        for left in (0..10).rev() {
            assert_eq!(
                limits.count_client_request(client).unwrap().quotas[0].count,
                left
            );
        }
        let exceeded = rejection(limits.count_client_request(client));
        assert_eq!(exceeded.wait_seconds(), 6);
        assert!(limits.count_client_request(ip("192.0.2.2")).is_ok());
        clock.advance(Duration::from_millis(5_999));
        assert_eq!(
            rejection(limits.count_client_request(client)).wait_seconds(),
            1
        );
        clock.advance(Duration::from_millis(1));
        assert!(limits.count_client_request(client).is_ok());
        assert!(limits.count_client_request(client).is_err());
    }

    #[test]
    fn requests_over_the_short_limit_do_not_count_against_the_long_one() {
        let (limits, clock) = limits("2/1m,4/1h", "none");
        let client = ip("192.0.2.1");
        let accepted_of = |n: u32| {
            (0..n)
                .filter(|_| limits.count_client_request(client).is_ok())
                .count()
        };
        assert_eq!(accepted_of(50), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(accepted_of(50), 2);
        clock.advance(Duration::from_secs(60));
        let exceeded = rejection(limits.count_client_request(client));
        assert_eq!(exceeded.0.limit.to_string(), "4/1h");
        // The limit of 4 per hour allows one submission per 15 minutes, and 2 minutes have passed.
        assert_eq!(exceeded.wait_seconds(), 13 * 60);
    }

    #[test]
    fn ipv6_is_limited_by_its_64_prefix_and_limits_reset_each_day() {
        let (limits, clock) = limits("1/1h", "none");
        assert!(limits.count_client_request(ip("2001:db8::1")).is_ok());
        assert!(limits.count_client_request(ip("2001:db8::ffff:1")).is_err());
        assert!(limits.count_client_request(ip("2001:db8:0:1::1")).is_ok());
        clock.advance(Duration::from_secs(24 * 3600));
        assert!(limits.count_client_request(ip("2001:db8::1")).is_ok());
    }

    fn project(n: u64) -> ProjectId {
        ProjectId::from_ulid(ulid::Ulid::from_parts(n, 0))
    }

    fn send(
        limits: &IntakeLimits,
        from: &str,
        to: u64,
    ) -> Result<CountedRequest, RateLimitExceeded> {
        let counted = limits.count_client_request(ip(from))?;
        limits.count_project_request(counted, &project(to))
    }

    #[test]
    fn projects_have_their_own_limit() {
        let (limits, _) = limits("none", "1/1m");
        assert!(send(&limits, "192.0.2.1", 1).is_ok());
        let exceeded = rejection(send(&limits, "192.0.2.1", 1));
        assert_eq!(exceeded.0.scope, LimitScope::Project);
        assert!(send(&limits, "192.0.2.1", 2).is_ok());
    }

    #[test]
    fn a_rejected_or_undone_request_counts_for_no_limit() {
        let (limits, _) = limits("2/1m,3/1h", "1/1m");
        let accepted = send(&limits, "192.0.2.1", 1).unwrap();
        for _ in 0..10 {
            let exceeded = rejection(send(&limits, "192.0.2.1", 1));
            assert_eq!(exceeded.0.scope, LimitScope::Project);
        }
        limits.undo_count(&accepted);
        for project in [1, 2] {
            assert!(send(&limits, "192.0.2.1", project).is_ok());
        }
        let exceeded = rejection(send(&limits, "192.0.2.1", 3));
        assert_eq!(exceeded.0.scope, LimitScope::IpAddress);
        assert!(send(&limits, "192.0.2.2", 3).is_ok());
    }

    #[test]
    fn a_client_that_waits_is_accepted_by_a_full_project() {
        let (limits, clock) = limits("10/1m", "60/1m");
        let mut strangers = (0..).map(|n| format!("10.0.{}.{}", n / 250, n % 250));
        let mut flood = |count| {
            for stranger in strangers.by_ref().take(count) {
                let _ = send(&limits, &stranger, 1);
            }
        };
        flood(61);
        let wait = rejection(send(&limits, "192.0.2.1", 1)).wait_seconds();
        assert_eq!(wait, 2);
        // An early retry doesn't change the reserved time.
        assert_eq!(rejection(send(&limits, "192.0.2.1", 1)).wait_seconds(), 2);
        for _ in 0..wait {
            clock.advance(Duration::from_secs(1));
            flood(20);
        }
        assert!(send(&limits, "192.0.2.1", 1).is_ok());
        assert!(send(&limits, "192.0.2.1", 1).is_err());
        // A reservation expires 1 minute after the reserved time.
        let wait = rejection(send(&limits, "192.0.2.2", 1)).0.wait;
        clock.advance(wait + Duration::from_secs(61));
        flood(200);
        assert!(send(&limits, "192.0.2.2", 1).is_err());
    }

    #[test]
    fn reservations_do_not_raise_the_limit_of_a_project() {
        let (limits, clock) = limits("none", "60/1m");
        let mut accepted = 0;
        for _ in 0..600 {
            clock.advance(Duration::from_secs(1));
            for n in 0..250 {
                accepted += usize::from(send(&limits, &format!("10.0.0.{n}"), 1).is_ok());
            }
        }
        assert!((600..=600 + 2 * 60).contains(&accepted), "{accepted}");
    }

    #[test]
    fn memory_is_bounded_with_many_ip_addresses() {
        let (limits, _) = limits("1/1m", "none");
        let first = ip("10.0.0.0");
        assert!(limits.count_client_request(first).is_ok());
        for n in 1..u32::try_from(KEYS_MAX).unwrap() {
            let next = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
            assert!(limits.count_client_request(IpAddr::V4(next)).is_ok());
        }
        // The table is full and no key has regained its full quota, so all keys are removed.
        assert!(limits.count_client_request(ip("192.0.2.1")).is_ok());
        let count = limits.state.lock().unwrap().ip_addresses[0].len();
        assert!(count < 10, "{count}");
        assert!(limits.count_client_request(first).is_ok());
    }
}
