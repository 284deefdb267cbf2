//! Waits for conditions. Besides [`poll`], only tests of slow or idle connections, and receivers
//! with delayed replies, call `sleep`.

use std::time::{Duration, Instant};

/// The default time limit. It's long enough for a busy machine, so only failing tests reach it.
pub const DEADLINE: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `check` until it returns a value, and panics after [`DEADLINE`]. In the panic message,
/// `what` follows "waiting until".
#[track_caller]
pub fn wait_until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    wait_until_within(DEADLINE, what, check)
}

/// Calls `check` like [`wait_until`], but with another deadline.
#[track_caller]
pub fn wait_until_within<T>(deadline: Duration, what: &str, check: impl FnMut() -> Option<T>) -> T {
    let found = poll(deadline, check);
    found.unwrap_or_else(|| panic!("timed out after {deadline:?} waiting until {what}"))
}

/// Calls `check` until it returns a value. Returns `None` after `deadline`.
pub fn poll<T>(deadline: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = check();
        if found.is_some() || start.elapsed() >= deadline {
            return found;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
