//! Time: [`Timestamp`] for stored and displayed times, [`Clock`] for the current time.
//!
//! Code receives the clock as an argument, so tests can move it instead of sleeping. Elapsed times,
//! such as the duration of an attempt, are measured with the system's monotonic clock instead.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use tokio::sync::watch;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A point in time in whole milliseconds since the Unix epoch, UTC.
///
/// Displayed as ISO 8601 with exactly three decimals: `2025-10-31T12:34:56.789Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
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

fn saturating_millis(duration: Duration) -> i64 {
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

/// The source of the current time. Tests use a manual clock.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Advances only when a test moves it.
    Manual(ManualClock),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(clock) => Timestamp(*clock.0.borrow()),
        }
    }

    /// Returns the time since an arbitrary start. It never goes back, even if somebody sets the
    /// system clock.
    pub fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::System => START.elapsed(),
            Self::Manual(clock) => {
                Duration::from_millis(u64::try_from(*clock.0.borrow()).unwrap_or(0))
            }
        }
    }

    /// Sleeps until `due`, but for at most one minute, because somebody may set the system clock in
    /// the meantime. The caller must check the time again.
    pub async fn sleep_until(&self, due: Timestamp) {
        match self {
            Self::System => {
                tokio::time::sleep(due.since(self.now()).min(Duration::from_secs(60))).await
            }
            Self::Manual(clock) => {
                // Can't fail: `clock` owns the sender, so the channel stays open.
                let _ = clock.0.subscribe().wait_for(|now| *now >= due.0).await;
            }
        }
    }

    /// Like [`Self::sleep_until`], but never returns if `due` is `None`.
    pub async fn sleep_until_opt(&self, due: Option<Timestamp>) {
        match due {
            Some(due) => self.sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

/// A clock that tests move. Clones share the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(std::sync::Arc<watch::Sender<i64>>);

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(start.0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += saturating_millis(by));
    }
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
}
