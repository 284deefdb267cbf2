//! A manually controlled clock for tests and the demo.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Timestamp;

/// A clock for tests and the demo's history. It changes only when its owner advances or sets it.
/// Clones share the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<ManualClockState>>);

#[derive(Clone, Copy, Debug)]
struct ManualClockState {
    wall_clock: Timestamp,
    monotonic: Duration,
}

impl ManualClock {
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(ManualClockState {
            wall_clock: start,
            monotonic: Duration::ZERO,
        })))
    }

    /// Advances the wall clock and the monotonic clock.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|times| {
            times.wall_clock = times.wall_clock.plus(by);
            times.monotonic += by;
        });
    }

    /// Makes the wall clock jump to `time`. The monotonic clock doesn't change.
    pub fn set_wall_clock(&self, time: Timestamp) {
        self.0.send_modify(|times| times.wall_clock = time);
    }

    pub fn wall_clock(&self) -> Timestamp {
        self.0.borrow().wall_clock
    }

    pub(super) fn monotonic_time(&self) -> Duration {
        self.0.borrow().monotonic
    }

    /// Waits until `condition` is true. Checks `condition` whenever the clock changes.
    pub(super) async fn wait_for(&self, condition: impl Fn() -> bool) {
        let mut times = self.0.subscribe();
        // Don't borrow the value of `times` here, because `condition` borrows the same value.
        while !condition() {
            // This can't fail: `self` owns the sender, so the channel stays open.
            let _ = times.changed().await;
        }
    }
}
