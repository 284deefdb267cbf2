//! Waiting for a condition, with a deadline; the only place where a test sleeps.

use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen soon. Generous, because the machine may be busy:
/// it is reached only by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something, or panics with what was waited for.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, look)
}

#[track_caller]
pub fn until_within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < deadline,
            "waited {deadline:?} in vain: {what}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}
