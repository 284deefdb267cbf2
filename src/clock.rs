//! Time: [`Timestamp`] for stored and displayed times, [`Clock`] for the current time.
//!
//! Code receives the clock as an argument, so tests can move it instead of sleeping. Waits inside
//! the process are measured with the monotonic clock. Stored deadlines are timestamps; the store
//! moves them when the system clock jumps (`store/db/clock_jumps.rs`).

mod manual_clock;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

pub use manual_clock::ManualClock;

/// A point in time in whole milliseconds since the Unix epoch, UTC.
///
/// Displayed as ISO 8601 with exactly three decimals: `2025-10-31T12:34:56.789Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time earlier than every stored time.
    pub const MIN: Self = Self(i64::MIN);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_millis(duration)))
    }

    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_millis(duration)))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns whether a recorded time is older than `resolution` or in the future. A time can be
    /// in the future if the clock was set back.
    pub fn is_outdated(self, now: Self, resolution: Duration) -> bool {
        self < now.minus(resolution) || self > now
    }

    /// Parses an ISO 8601 or RFC 3339 timestamp that has an offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|t| Self(t.as_millisecond()))
    }

    /// Formats the date in UTC for people: `November 21, 2026`.
    pub fn format_date(self) -> String {
        self.to_jiff().strftime("%B %-d, %Y").to_string()
    }

    /// Converts to jiff's type for formatting. Clamps to jiff's range.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

/// Returns the whole milliseconds of a duration, at most `i64::MAX`.
pub fn saturating_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("ISO 8601 in UTC, with milliseconds."))
            .examples(["2025-10-31T12:34:56.789Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

/// The minimum difference between the system clock and a [`Clock`] that counts as a jump.
const JUMP_MIN: Duration = Duration::from_secs(1);
/// The time for which the system clock must run without a jump before it is trusted again.
const TRUST_DELAY: Duration = Duration::from_secs(3600);

/// The source of the current time. Clones share their state.
///
/// The current time is read from the system clock once, and then advances with the monotonic clock.
/// If somebody sets the system clock, this clock doesn't jump until the store has moved all
/// deadlines and the jump is [applied](Self::apply_jump).
#[derive(Clone, Debug)]
pub struct Clock(Arc<ClockState>);

#[derive(Debug)]
struct ClockState {
    source: ClockSource,
    /// The difference between the current time and the monotonic clock, in milliseconds.
    offset: AtomicI64,
    /// The first value of `offset`.
    first_offset: i64,
    /// The monotonic time from which the system clock is trusted, in milliseconds.
    trusted_from: AtomicI64,
    /// Locked for writing while a jump is applied.
    jump_lock: RwLock<()>,
}

#[derive(Debug)]
enum ClockSource {
    System,
    Manual(ManualClock),
}

/// A jump of the system clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockJump {
    /// The current time without the jump.
    pub from: Timestamp,
    /// The time of the system clock.
    pub to: Timestamp,
}

impl ClockJump {
    /// Returns a jump if `from` and `to` differ by 1 s or more.
    pub fn detect(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from.since(to).max(to.since(from)) >= JUMP_MIN).then_some(Self { from, to })
    }

    /// Returns the size of the jump in milliseconds; negative if the clock was set back.
    pub const fn millis(self) -> i64 {
        self.to.0.saturating_sub(self.from.0)
    }
}

impl Clock {
    /// Returns a clock that starts at the system clock's time.
    pub fn system() -> Self {
        Self::new(ClockSource::System)
    }

    /// Returns a clock that uses `clock` as its system clock and monotonic clock.
    pub fn manual(clock: &ManualClock) -> Self {
        Self::new(ClockSource::Manual(clock.clone()))
    }

    fn new(source: ClockSource) -> Self {
        let offset = source.wall_clock().0 - saturating_millis(source.monotonic_time());
        Self(Arc::new(ClockState {
            source,
            offset: offset.into(),
            first_offset: offset,
            trusted_from: i64::MIN.into(),
            jump_lock: RwLock::default(),
        }))
    }

    pub fn now(&self) -> Timestamp {
        self.time_at_offset(self.0.offset.load(Ordering::Acquire))
    }

    /// Calls `read` with the current time. No jump is applied during the call, so the time and the
    /// stored deadlines that `read` reads are consistent.
    pub fn with_current_time<T>(&self, read: impl FnOnce(Timestamp) -> T) -> T {
        let _guard = self
            .0
            .jump_lock
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        read(self.now())
    }

    /// Returns the current time without the jumps of the system clock since this clock was created.
    pub fn now_without_jumps(&self) -> Timestamp {
        self.time_at_offset(self.0.first_offset)
    }

    fn time_at_offset(&self, offset: i64) -> Timestamp {
        Timestamp(saturating_millis(self.monotonic_time()).saturating_add(offset))
    }

    /// Returns the time since an arbitrary start. This time never goes back and never jumps, even
    /// if somebody sets the system clock.
    pub fn monotonic_time(&self) -> Duration {
        self.0.source.monotonic_time()
    }

    /// Returns the jump of the system clock that hasn't been applied yet, if there is one.
    pub fn pending_jump(&self) -> Option<ClockJump> {
        let earliest = self.now();
        let to = self.0.source.wall_clock();
        // A pause of the thread between the readings isn't a jump.
        let latest = self.now().max(earliest);
        ClockJump::detect(to.clamp(earliest, latest), to)
    }

    /// Applies a jump: calls `shift_deadlines`, then adopts the system clock's time, and distrusts
    /// the system clock for an hour. If `shift_deadlines` fails, the jump isn't applied.
    pub fn apply_jump<E>(
        &self,
        jump: ClockJump,
        shift_deadlines: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let _guard = self
            .0
            .jump_lock
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shift_deadlines()?;
        self.0.offset.fetch_add(jump.millis(), Ordering::AcqRel);
        self.distrust_system_clock();
        Ok(())
    }

    /// Sets the current time. The difference from the system clock is then a jump that hasn't been
    /// applied yet.
    pub fn set_current_time(&self, time: Timestamp) {
        let offset = time
            .0
            .saturating_sub(saturating_millis(self.monotonic_time()));
        self.0.offset.store(offset, Ordering::Release);
    }

    /// Distrusts the system clock until it has run for an hour without a jump.
    pub fn distrust_system_clock(&self) {
        let from = self.monotonic_time().saturating_add(TRUST_DELAY);
        self.0
            .trusted_from
            .store(saturating_millis(from), Ordering::Release);
    }

    /// Returns whether the time is reliable enough to delete data permanently. The time isn't
    /// reliable for an hour after [`Self::distrust_system_clock`], for example after a jump.
    pub fn is_trusted(&self) -> bool {
        saturating_millis(self.monotonic_time()) >= self.0.trusted_from.load(Ordering::Acquire)
    }

    /// Sleeps until `due`, but for at most one minute, because the system clock may jump during the
    /// sleep. The caller must check the time again.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0.source {
            ClockSource::System => {
                tokio::time::sleep(due.since(self.now()).min(Duration::from_secs(60))).await
            }
            ClockSource::Manual(clock) => clock.wait_for(|| self.now() >= due).await,
        }
    }

    /// Like [`Self::sleep_until`], but never returns if `due` is `None`.
    pub async fn sleep_until_opt(&self, due: Option<Timestamp>) {
        match due {
            Some(due) => self.sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Sleeps for `duration`, even if the system clock jumps.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0.source {
            ClockSource::System => tokio::time::sleep(duration).await,
            ClockSource::Manual(clock) => {
                let end = clock.monotonic_time().saturating_add(duration);
                clock.wait_for(|| clock.monotonic_time() >= end).await;
            }
        }
    }
}

impl ClockSource {
    fn wall_clock(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(clock) => clock.wall_clock(),
        }
    }

    fn monotonic_time(&self) -> Duration {
        match self {
            Self::System => time_since_boot(),
            Self::Manual(clock) => clock.monotonic_time(),
        }
    }
}

/// Returns the time since the machine was started. It includes the time that the machine was
/// suspended, so that waking up isn't a jump of the system clock.
fn time_since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_timestamps_with_three_decimals() {
        assert_eq!(
            Timestamp::from_millis(1_761_914_096_789).to_string(),
            "2025-10-31T12:34:56.789Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_761_914_096_000).to_string(),
            "2025-10-31T12:34:56.000Z"
        );
        assert_eq!(
            Timestamp::parse("2025-10-31T12:34:56.789Z"),
            Some(Timestamp::from_millis(1_761_914_096_789))
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
    #[test]
    fn the_time_changes_only_after_a_jump_is_applied() {
        let manual = ManualClock::starting_at(Timestamp::from_millis(1_767_225_600_000));
        let clock = Clock::manual(&manual);
        let start = clock.now();
        let second = Duration::from_secs(1);
        manual.set_wall_clock(start.plus(second).minus(Duration::from_millis(1)));
        assert_eq!(clock.pending_jump(), None);
        for to in [start.minus(second), start.plus(second * 3600 * 24 * 365)] {
            let from = clock.now();
            manual.set_wall_clock(to);
            assert_eq!(clock.pending_jump(), Some(ClockJump { from, to }));
            assert_eq!(clock.now(), from);
            let failed = clock.apply_jump(ClockJump { from, to }, || Err(()));
            assert_eq!((failed, clock.now()), (Err(()), from));
            let applied = clock.apply_jump(ClockJump { from, to }, || Ok::<_, ()>(()));
            assert_eq!(applied, Ok(()));
            assert_eq!((clock.pending_jump(), clock.now()), (None, to));
            assert_eq!(clock.now_without_jumps(), start);
            assert_eq!(clock.monotonic_time(), Duration::ZERO);
        }
        assert!(!clock.is_trusted());
        manual.advance(TRUST_DELAY);
        assert!(clock.is_trusted());
    }

    #[test]
    fn a_read_sees_the_time_and_the_deadlines_of_one_side_of_a_jump() {
        let clock = Clock::manual(&ManualClock::starting_at(Timestamp::from_millis(0)));
        let deadline = AtomicI64::new(1000);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                (0..10_000).all(|_| {
                    clock.with_current_time(|now| {
                        std::thread::yield_now();
                        deadline.load(Ordering::Acquire) - now.millis() == 1000
                    })
                })
            });
            let mut by = 3_600_000;
            while !reader.is_finished() {
                let (from, to) = (clock.now(), Timestamp(clock.now().0 + by));
                let applied = clock.apply_jump(ClockJump { from, to }, || {
                    deadline.fetch_add(by, Ordering::AcqRel);
                    std::thread::yield_now();
                    Ok::<_, ()>(())
                });
                assert_eq!(applied, Ok(()));
                by = -by;
            }
            assert!(reader.join().expect("the reader doesn't panic"));
        });
    }
}
