//! Ranges of days in the browser's time zone, for the filters of lists.
//!
//! The page's script adds the offsets of the time zone to the query (`tz`). Without the script,
//! days begin at midnight UTC.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::clock::Timestamp;

/// The value of a period filter that selects a range of days.
pub const CUSTOM_RANGE: &str = "range";

/// The offsets of the browser's time zone from UTC at the start and the end of a period.
#[derive(Clone, Debug)]
pub struct ZoneOffsets {
    /// The offsets in minutes, or one number for both, as in the query string; empty if they are
    /// missing or invalid.
    pub text: String,
    start: Offset,
    end: Offset,
}

/// A range of days. A missing first or last day doesn't limit the range.
#[derive(Clone, Debug, Default)]
pub struct DayRange {
    /// The first day, as entered.
    pub first_day: String,
    /// The last day, as entered.
    pub last_day: String,
    /// The start of the first day.
    pub from: Option<Timestamp>,
    /// The end of the last day.
    pub until: Option<Timestamp>,
    /// The reason the range is invalid.
    pub problem: Option<&'static str>,
}

impl ZoneOffsets {
    /// Parses one or two offsets in minutes, such as `120,60`. Offsets east of UTC are positive.
    /// Uses UTC for any other text.
    pub fn parse(text: &str) -> Self {
        let parse = |minutes: &str| {
            let minutes: i32 = minutes.parse().ok()?;
            Offset::from_seconds(minutes.checked_mul(60)?).ok()
        };
        let offsets = match text.split_once(',') {
            Some((start, end)) => parse(start).zip(parse(end)),
            None => parse(text).map(|offset| (offset, offset)),
        };
        let (start, end) = offsets.unwrap_or((Offset::UTC, Offset::UTC));
        Self {
            text: offsets.map_or_else(String::new, |_| text.to_owned()),
            start,
            end,
        }
    }

    /// Returns the name of the time zone in a sentence.
    pub fn zone(&self) -> String {
        match self.text.as_str() {
            "" => "UTC".to_owned(),
            _ => format!("your time zone (UTC{})", self.end),
        }
    }

    /// Returns the date at `now`, which is the end of the period.
    pub fn today(&self, now: Timestamp) -> Date {
        self.end.to_datetime(now.to_jiff()).date()
    }

    /// Returns the start of `day`, the first day of the period.
    pub fn start_of_first_day(&self, day: Date) -> Option<Timestamp> {
        start_of_day(day, self.start)
    }
}

impl DayRange {
    pub fn parse(first_day: String, last_day: String, offsets: &ZoneOffsets) -> Self {
        let (first, last) = (parse_day(&first_day), parse_day(&last_day));
        let is_reversed = first.zip(last).is_some_and(|(first, last)| first > last);
        let problem =
            if first.is_some() == first_day.is_empty() || last.is_some() == last_day.is_empty() {
                Some("Enter dates as year, month, and day, such as 2026-03-31.")
            } else {
                is_reversed.then_some("The first day is after the last day.")
            };
        Self {
            from: first.and_then(|day| start_of_day(day, offsets.start)),
            until: last
                .and_then(|day| day.tomorrow().ok())
                .and_then(|day| start_of_day(day, offsets.end)),
            first_day,
            last_day,
            problem,
        }
    }
}

/// Parses a day in the format of date fields, `2026-03-31`.
fn parse_day(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn start_of_day(day: Date, offset: Offset) -> Option<Timestamp> {
    let time = offset.to_timestamp(day.to_datetime(Time::midnight()));
    Some(Timestamp::from_millis(time.ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(first: &str, last: &str, offsets: &str) -> (String, String) {
        let offsets = ZoneOffsets::parse(offsets);
        let range = DayRange::parse(first.to_owned(), last.to_owned(), &offsets);
        assert_eq!(range.problem, None, "{first} to {last}");
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        (text(range.from), text(range.until))
    }

    #[test]
    fn ranges_include_their_last_day() {
        for ((first, last, offsets), from, until) in [
            (
                ("2026-03-01", "2026-03-31", ""),
                "2026-03-01T00:00:00.000Z",
                "2026-04-01T00:00:00.000Z",
            ),
            (("", "2026-03-31", "-300"), "", "2026-04-01T05:00:00.000Z"),
            (("2026-03-01", "", "60,120"), "2026-02-28T23:00:00.000Z", ""),
            (("2026-03-01", "", "x"), "2026-03-01T00:00:00.000Z", ""),
            (("", "", ""), "", ""),
        ] {
            let expected = (from.to_owned(), until.to_owned());
            assert_eq!(times(first, last, offsets), expected, "{first} to {last}");
        }
    }

    #[test]
    fn invalid_and_reversed_dates_are_explained() {
        let offsets = ZoneOffsets::parse("");
        for (first, last) in [
            ("31.3.2026", ""),
            ("2026-02-30", ""),
            ("", "2026-11-28T00"),
            ("", "2026-11-2é"),
            ("2026-03-02", "2026-03-01"),
        ] {
            let range = DayRange::parse(first.to_owned(), last.to_owned(), &offsets);
            assert!(range.problem.is_some(), "{first} to {last}");
        }
    }
}
