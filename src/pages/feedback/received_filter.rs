//! The "Received" filter of the feedback list: a period that ends now, or a range of days.
//!
//! Days begin at midnight in the browser's time zone. The page's script adds the offsets of the
//! time zone to the query (`tz`). Without the script, days begin at midnight UTC.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::clock::Timestamp;

/// The values of `received` and their labels.
const PERIODS: [(&str, &str); 4] = [
    ("today", "Today"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    (CUSTOM_RANGE, "Custom range…"),
];
const CUSTOM_RANGE: &str = "range";

/// An option of the "Received" list.
pub(super) struct PeriodOption {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) is_selected: bool,
}

#[derive(Clone, Default)]
pub(super) struct ReceivedFilter {
    /// A value from [`PERIODS`]; empty without a filter.
    pub(super) period: &'static str,
    /// The first day of a range, as entered.
    pub(super) first_day: String,
    /// The last day of the range, as entered.
    pub(super) last_day: String,
    /// The value of `tz`: the offsets from UTC at the start and the end of the period, in minutes,
    /// or one number for both.
    pub(super) offsets: String,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// An explanation of the active filter, such as `Since 31 Mar 2026 in UTC`.
    pub(super) hint: String,
    /// The reason the range is invalid.
    pub(super) problem: Option<&'static str>,
}

impl ReceivedFilter {
    pub(super) fn parse(param: impl Fn(&str) -> Option<String>, now: Timestamp) -> Self {
        let text = |name| param(name).unwrap_or_default();
        let (first_day, last_day) = (text("from"), text("to"));
        let received = text("received");
        let period = PERIODS.iter().map(|(value, _)| *value);
        let has_days = !first_day.is_empty() || !last_day.is_empty();
        let period = match period.into_iter().find(|value| *value == received) {
            Some(period) => period,
            None if has_days => CUSTOM_RANGE,
            None => return Self::default(),
        };
        let (offsets, start_offset, end_offset) = match parse_utc_offsets(&text("tz")) {
            Some((start, end)) => (text("tz"), start, end),
            None => (String::new(), Offset::UTC, Offset::UTC),
        };
        let mut filter = Self {
            period,
            offsets,
            ..Self::default()
        };
        let zone = match filter.offsets.is_empty() {
            true => "UTC".to_owned(),
            false => format!("your time zone (UTC{end_offset})"),
        };
        let today = end_offset.to_datetime(now.to_jiff()).date();
        let days_before = match period {
            "today" => 0,
            "7d" => 6,
            "30d" => 29,
            _ => {
                filter.hint = format!("Dates are in {zone}");
                filter.set_range(first_day, last_day, start_offset, end_offset);
                return filter;
            }
        };
        let day = today.saturating_sub(days_before.days());
        filter.hint = format!("Since {} in {zone}", day.strftime("%-d %b %Y"));
        filter.from = start_of_day(day, start_offset);
        filter
    }

    fn set_range(&mut self, first: String, last: String, start_offset: Offset, end_offset: Offset) {
        let (first_day, last_day) = (parse_day(&first), parse_day(&last));
        self.from = first_day.and_then(|day| start_of_day(day, start_offset));
        self.until = last_day
            .and_then(|day| day.tomorrow().ok())
            .and_then(|day| start_of_day(day, end_offset));
        if first_day.is_some() == first.is_empty() || last_day.is_some() == last.is_empty() {
            self.problem = Some("Enter dates as year, month, and day, such as 2026-03-31.");
        } else if first_day
            .zip(last_day)
            .is_some_and(|(first, last)| first > last)
        {
            self.problem = Some("The first day is after the last day.");
        }
        (self.first_day, self.last_day) = (first, last);
    }

    pub(super) fn is_range(&self) -> bool {
        self.period == CUSTOM_RANGE
    }

    pub(super) fn period_options(&self) -> [PeriodOption; 4] {
        PERIODS.map(|(value, label)| PeriodOption {
            value,
            label,
            is_selected: value == self.period,
        })
    }
}

/// Parses one or two offsets from UTC in minutes, such as `120,60`. Offsets east of UTC are
/// positive.
fn parse_utc_offsets(text: &str) -> Option<(Offset, Offset)> {
    let parse = |minutes: &str| {
        let minutes: i32 = minutes.parse().ok()?;
        Offset::from_seconds(minutes.checked_mul(60)?).ok()
    };
    match text.split_once(',') {
        Some((start, end)) => Some((parse(start)?, parse(end)?)),
        None => parse(text).map(|offset| (offset, offset)),
    }
}

/// Parses a day in the format of date fields, `2026-03-31`.
fn parse_day(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn start_of_day(day: Date, offset: Offset) -> Option<Timestamp> {
    let time = offset.to_timestamp(day.to_datetime(jiff::civil::Time::midnight()));
    Some(Timestamp::from_millis(time.ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> ReceivedFilter {
        let now = Timestamp::parse("2026-03-31T22:30:00Z").unwrap();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap();
        let param = |name: &str| {
            let mut values = pairs.iter().filter(|(key, _)| key == name);
            values.next().map(|(_, value)| value.clone())
        };
        ReceivedFilter::parse(param, now)
    }

    fn times(filter: &ReceivedFilter) -> (String, String) {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        (text(filter.from), text(filter.until))
    }

    #[test]
    fn periods_start_at_midnight_in_the_browsers_time_zone() {
        for (query, from, hint) in [
            (
                "received=today",
                "2026-03-31T00:00:00.000Z",
                "Since 31 Mar 2026 in UTC",
            ),
            (
                "received=7d",
                "2026-03-25T00:00:00.000Z",
                "Since 25 Mar 2026 in UTC",
            ),
            (
                "received=today&tz=120",
                "2026-03-31T22:00:00.000Z",
                "Since 1 Apr 2026 in your time zone (UTC+02)",
            ),
            // Daylight saving time began on March 29.
            (
                "received=7d&tz=60,120",
                "2026-03-25T23:00:00.000Z",
                "Since 26 Mar 2026 in your time zone (UTC+02)",
            ),
            (
                "received=30d&tz=x",
                "2026-03-02T00:00:00.000Z",
                "Since 2 Mar 2026 in UTC",
            ),
            ("received=never", "", ""),
        ] {
            let filter = parse(query);
            assert_eq!(
                (times(&filter).0.as_str(), filter.hint.as_str()),
                (from, hint),
                "{query}"
            );
            assert_eq!(filter.until, None);
        }
    }

    #[test]
    fn ranges_include_their_last_day() {
        for (query, from, until) in [
            (
                "from=2026-03-01&to=2026-03-31",
                "2026-03-01T00:00:00.000Z",
                "2026-04-01T00:00:00.000Z",
            ),
            ("to=2026-03-31&tz=-300", "", "2026-04-01T05:00:00.000Z"),
            (
                "received=range&from=2026-03-01&tz=60,120",
                "2026-02-28T23:00:00.000Z",
                "",
            ),
            ("received=range", "", ""),
        ] {
            let filter = parse(query);
            assert_eq!(
                times(&filter),
                (from.to_owned(), until.to_owned()),
                "{query}"
            );
            assert!(filter.is_range() && filter.problem.is_none(), "{query}");
        }
        for query in [
            "from=31.3.2026",
            "from=2026-02-30",
            "from=2026-03-02&to=2026-03-01",
        ] {
            assert!(parse(query).problem.is_some(), "{query}");
        }
    }
}
