//! Waiting for a condition with a deadline. Nothing else in the tests sleeps, except scripted
//! replies.

use std::time::{Duration, Instant};

/// The deadline for anything that should happen soon. Long enough for a busy machine; only a
/// failing test reaches it.
pub const DEADLINE: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `check` until it returns a value, and panics after [`DEADLINE`]. `what` completes the
/// sentence "timed out waiting until".
#[track_caller]
pub fn wait_until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    wait_until_within(DEADLINE, what, check)
}

/// Like [`wait_until`], with another deadline.
#[track_caller]
pub fn wait_until_within<T>(
    deadline: Duration,
    what: &str,
    mut check: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(
            start.elapsed() < deadline,
            "timed out after {deadline:?} waiting until {what}"
        );
        std::thread::sleep(POLL_INTERVAL);
    }
}
