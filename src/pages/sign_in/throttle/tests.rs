//! Tests of sign-ins by attackers and by the owner of an account, with a manual clock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::client_table::CLIENTS_MAX;
use super::*;
use crate::clock::{ManualClock, Timestamp};

const ACCOUNT: &str = "ada@example.com";

fn new_throttle() -> (SignInThrottle, ManualClock) {
    let clock = ManualClock::starting_at(Timestamp::from_millis(1_000_000_000));
    (SignInThrottle::new(Clock::manual(&clock)), clock)
}

fn ipv4_client(number: u32) -> Client {
    Client::from_ip(IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + number)))
}

/// Creates a client in the /32 prefix `2001:db8::`.
fn ipv6_client(group: u16, subnet: u16) -> Client {
    Client::from_ip(Ipv6Addr::new(0x2001, 0xdb8, group, subnet, 0, 0, 0, 1).into())
}

/// Tries to sign in with a wrong password. Returns the wait.
fn fail_sign_in(throttle: &SignInThrottle, client: Client, account: &str) -> Option<Duration> {
    match throttle.start(client, account) {
        Ok(attempt) => attempt.fail(),
        Err(wait) => Some(wait),
    }
}

#[test]
fn doubles_the_wait_from_the_fifth_failure_up_to_60_s() {
    let (throttle, clock) = new_throttle();
    let mut waits = Vec::new();
    for _ in 0..13 {
        let wait = fail_sign_in(&throttle, ipv4_client(1), ACCOUNT).unwrap_or_default();
        waits.push(wait.as_secs());
        clock.advance(wait);
    }
    assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_rejected_attempt_is_not_counted_as_a_failure() {
    let (throttle, clock) = new_throttle();
    for _ in 0..6 {
        clock.advance(fail_sign_in(&throttle, ipv4_client(1), ACCOUNT).unwrap_or_default());
    }
    assert_eq!(
        fail_sign_in(&throttle, ipv4_client(1), ACCOUNT),
        Some(Duration::from_secs(4))
    );
    for _ in 0..200 {
        clock.advance(Duration::from_millis(10));
        assert!(throttle.start(ipv4_client(1), ACCOUNT).is_err());
    }
    clock.advance(Duration::from_secs(2));
    assert!(
        throttle
            .start(ipv4_client(1), ACCOUNT)
            .unwrap()
            .is_guaranteed
    );
}

#[test]
fn the_failures_of_others_raise_only_the_first_wait() {
    let (throttle, clock) = new_throttle();
    for number in 1..=8 {
        if let Some(wait) = fail_sign_in(&throttle, ipv4_client(number), ACCOUNT) {
            clock.advance(wait);
            fail_sign_in(&throttle, ipv4_client(number), ACCOUNT);
        }
    }
    let first = throttle.start(ipv4_client(100), ACCOUNT).err().unwrap();
    assert!(first >= Duration::from_secs(8), "{first:?}");
    clock.advance(first);
    let second = fail_sign_in(&throttle, ipv4_client(100), ACCOUNT);
    assert_eq!(second, Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    let third = fail_sign_in(&throttle, ipv4_client(100), ACCOUNT);
    assert_eq!(third, Some(Duration::from_secs(2)));
}

#[test]
fn a_known_browser_has_no_first_wait_but_its_own_count() {
    let (throttle, _) = new_throttle();
    let browser = Client::from_identity("a device cookie");
    for number in 0..20 {
        fail_sign_in(&throttle, ipv4_client(number), ACCOUNT);
    }
    throttle.start(browser, ACCOUNT).unwrap().succeed();
    for number in 0..4 {
        assert_eq!(fail_sign_in(&throttle, browser, ACCOUNT), None, "{number}");
    }
    let wait = fail_sign_in(&throttle, browser, ACCOUNT);
    assert_eq!(wait, Some(Duration::from_secs(1)));
}

#[test]
fn concurrent_attempts_count_as_one_while_the_client_has_to_wait() {
    let (throttle, clock) = new_throttle();
    for _ in 0..4 {
        fail_sign_in(&throttle, ipv4_client(1), ACCOUNT);
    }
    let fifth = throttle.start(ipv4_client(1), ACCOUNT).unwrap();
    let others = (0..24).filter(|_| throttle.start(ipv4_client(1), ACCOUNT).is_ok());
    assert_eq!(others.count(), 0);
    assert_eq!(fifth.fail(), Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    // The rejected attempts received a `Retry-After` too, so a check of the next attempt is
    // guaranteed.
    assert!(
        throttle
            .start(ipv4_client(1), ACCOUNT)
            .unwrap()
            .is_guaranteed
    );
}

#[test]
fn an_attempt_that_waited_for_a_permit_is_rechecked() {
    let (throttle, _) = new_throttle();
    let mut queued: Vec<_> = (0..10)
        .map(|_| throttle.start(ipv4_client(1), ACCOUNT).unwrap())
        .collect();
    let mut checked = 0;
    for mut attempt in queued.drain(..) {
        if attempt.recheck().is_ok() {
            checked += 1;
            attempt.fail();
        }
    }
    assert_eq!(checked, 5);
}

#[test]
fn an_attempt_without_an_outcome_can_be_repeated_immediately() {
    let (throttle, clock) = new_throttle();
    for _ in 0..8 {
        clock.advance(fail_sign_in(&throttle, ipv4_client(1), ACCOUNT).unwrap_or_default());
    }
    drop(throttle.start(ipv4_client(1), ACCOUNT).unwrap());
    assert!(
        throttle
            .start(ipv4_client(1), ACCOUNT)
            .unwrap()
            .is_guaranteed
    );
}

#[test]
fn a_postponed_client_is_guaranteed_a_check() {
    let (throttle, clock) = new_throttle();
    let wait = throttle
        .start(ipv4_client(1), ACCOUNT)
        .unwrap()
        .postpone()
        .unwrap();
    // The client may try earlier, but a check isn't guaranteed.
    assert!(
        !throttle
            .start(ipv4_client(1), ACCOUNT)
            .unwrap()
            .is_guaranteed
    );
    clock.advance(wait);
    let attempt = throttle.start(ipv4_client(1), ACCOUNT).unwrap();
    assert!(attempt.is_guaranteed);
    assert_eq!(attempt.fail(), None);
    assert!(
        !throttle
            .start(ipv4_client(1), ACCOUNT)
            .unwrap()
            .is_guaranteed
    );
}

#[test]
fn changing_the_64_prefix_within_a_48_prefix_does_not_help() {
    let (throttle, _) = new_throttle();
    let unthrottled = (0..100)
        .filter(|number| {
            let account = format!("user{number}@example.com");
            fail_sign_in(&throttle, ipv6_client(1, *number), &account).is_none()
        })
        .count();
    assert_eq!(unthrottled, 19);
    assert_eq!(
        fail_sign_in(&throttle, ipv6_client(2, 1), "grace@example.com"),
        None
    );
}

#[test]
fn strangers_cannot_evict_a_retry_window_from_the_table() {
    let (throttle, clock) = new_throttle();
    for number in 0..6 {
        fail_sign_in(&throttle, ipv4_client(number), ACCOUNT);
    }
    let owner = ipv4_client(200);
    let wait = throttle.start(owner, ACCOUNT).err().unwrap();
    for number in 0..u32::try_from(3 * CLIENTS_MAX).unwrap() {
        // The attempts come from several /48 prefixes of one /32 prefix.
        let group = u16::try_from(number >> 12).unwrap();
        let subnet = u16::try_from(number & 0xfff).unwrap();
        let _ = throttle.start(ipv6_client(group, subnet), ACCOUNT);
    }
    assert!(throttle.lock().clients.len() <= CLIENTS_MAX);
    clock.advance(wait);
    assert!(throttle.start(owner, ACCOUNT).unwrap().is_guaranteed);
}

/// The behavior of the attackers.
#[derive(Clone, Debug)]
struct Attack {
    addresses: u32,
    /// Whether the attempts come from IPv6 /64 prefixes of one /48 prefix. If not, they come from
    /// IPv4 addresses.
    is_ipv6: bool,
    interval: Duration,
    at_once: u32,
    /// Whether attackers wait for the `Retry-After` of an IP address before they use it again.
    waits_for_retry_after: bool,
}

impl Attack {
    fn client(&self, number: u32) -> Client {
        let number = number % self.addresses;
        if self.is_ipv6 {
            ipv6_client(1, u16::try_from(number).unwrap_or_default())
        } else {
            Client::from_ip(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)))
        }
    }
}

fn attack_strategy() -> impl Strategy<Value = Attack> {
    (
        prop_oneof![Just(1), Just(10), Just(10_000)],
        any::<bool>(),
        prop_oneof![Just(1_000), Just(50), 20..3_000_u64],
        prop_oneof![Just(1), Just(24), 1..24_u32],
        any::<bool>(),
    )
        .prop_map(
            |(addresses, is_ipv6, interval, at_once, waits_for_retry_after)| Attack {
                addresses,
                is_ipv6,
                interval: Duration::from_millis(interval),
                at_once,
                waits_for_retry_after,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The owner fails several times, waits for `Retry-After` or longer, and tries again. Each
    /// time, the owner's password is checked.
    #[test]
    fn a_client_that_waits_for_retry_after_is_checked(
        attack in attack_strategy(),
        late in prop::collection::vec(0..60_000_u64, 8),
        head_start in 0..30_000_u64,
        owner_is_known in any::<bool>(),
    ) {
        let (throttle, clock) = new_throttle();
        let owner = if owner_is_known { Client::from_identity("owner") } else { ipv4_client(7) };
        let tick = Duration::from_millis(10);
        let mut attacker = Attacker::new(&attack);
        let mut run = |until: Duration| {
            while monotonic_now(&throttle) < until {
                attacker.attempt_sign_ins(&throttle, &attack);
                clock.advance(tick);
            }
        };
        run(monotonic_now(&throttle) + Duration::from_millis(head_start));
        let (mut has_retry_after, mut last_wait) = (false, Duration::ZERO);
        for late in late {
            let started = throttle.start(owner, ACCOUNT);
            let wait = match started {
                Ok(attempt) => {
                    prop_assert!(attempt.is_guaranteed || !has_retry_after);
                    let wait = attempt.fail();
                    prop_assert!(wait.is_none_or(|wait| wait <= (last_wait * 2).max(tick * 100)));
                    last_wait = wait.unwrap_or_default();
                    wait
                }
                Err(wait) => {
                    prop_assert!(!has_retry_after, "no check after Retry-After");
                    prop_assert!(wait <= Duration::from_secs(60));
                    Some(wait)
                }
            };
            has_retry_after = wait.is_some();
            let wait = wait.unwrap_or_default();
            run(monotonic_now(&throttle) + wait + Duration::from_millis(late) + tick);
        }
    }
}

fn monotonic_now(throttle: &SignInThrottle) -> Duration {
    throttle.clock.monotonic_time()
}

struct Attacker {
    next_at: Duration,
    number: u32,
    /// The time from which each IP address may try again.
    retry_times: std::collections::HashMap<Client, Duration>,
}

impl Attacker {
    fn new(_: &Attack) -> Self {
        Self {
            next_at: Duration::ZERO,
            number: 0,
            retry_times: std::collections::HashMap::new(),
        }
    }

    fn attempt_sign_ins(&mut self, throttle: &SignInThrottle, attack: &Attack) {
        let now = monotonic_now(throttle);
        if now < self.next_at {
            return;
        }
        self.next_at = now + attack.interval;
        let mut running = Vec::new();
        for _ in 0..attack.at_once {
            let client = attack.client(self.number);
            self.number += 1;
            if attack.waits_for_retry_after
                && self.retry_times.get(&client).is_some_and(|due| now < *due)
            {
                continue;
            }
            match throttle.start(client, ACCOUNT) {
                Ok(attempt) => running.push((client, attempt)),
                Err(wait) => {
                    self.retry_times.insert(client, now + wait);
                }
            }
        }
        for (client, mut attempt) in running {
            if attempt.recheck().is_ok()
                && let Some(wait) = attempt.fail()
            {
                self.retry_times.insert(client, now + wait);
            }
        }
    }
}
