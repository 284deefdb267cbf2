//! Jumps of the system clock, by an hour and by a year.

use std::time::Duration;

use miniback::clock::{ManualClock, Timestamp};

use serde_json::Value;

use super::api::millis;
use super::in_process::InProcess;

pub const SECOND: i64 = 1000;
pub const HOUR: i64 = 3600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
pub const YEAR: i64 = 365 * DAY;

pub fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).expect("a positive duration"))
}

/// A jump of the system clock by `by` milliseconds. A negative `by` sets the clock back.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    pub by: i64,
    /// Whether the clock jumps while the program isn't running.
    pub is_across_restart: bool,
}

impl Jump {
    pub const ALL: [Self; 8] = [
        Self::running(-YEAR),
        Self::running(-HOUR),
        Self::running(HOUR),
        Self::running(YEAR),
        Self::across_restart(-YEAR),
        Self::across_restart(-HOUR),
        Self::across_restart(HOUR),
        Self::across_restart(YEAR),
    ];

    pub const fn running(by: i64) -> Self {
        Self {
            by,
            is_across_restart: false,
        }
    }

    pub const fn across_restart(by: i64) -> Self {
        Self {
            by,
            is_across_restart: true,
        }
    }

    /// Returns whether the program can't tell the jump from elapsed time.
    pub fn looks_like_elapsed_time(self) -> bool {
        self.is_across_restart && self.by > 0
    }

    pub fn perform(self, app: &mut InProcess) {
        let time = Timestamp::from_millis(app.clock.wall_clock().millis() + self.by);
        if self.is_across_restart {
            app.restart(|clock: &ManualClock| clock.set_wall_clock(time));
        } else {
            app.set_clock(time);
        }
    }

    pub fn undo(self, app: &mut InProcess) {
        Self::running(-self.by).perform(app);
    }
}

/// Returns the time from now until `at`, in milliseconds.
pub fn millis_until(app: &InProcess, at: &Value) -> i64 {
    millis(at) - app.clock.wall_clock().millis()
}
