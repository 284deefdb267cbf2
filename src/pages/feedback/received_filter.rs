//! The "Received" filter of the feedback list: a period that ends now, or a range of days.
//!
//! Days begin at midnight in the browser's time zone.

use jiff::ToSpan;

use crate::clock::Timestamp;
use crate::pages::framework::day_range::{CUSTOM_RANGE, DayRange, ZoneOffsets};

/// The values of `received` and their labels.
const PERIODS: [(&str, &str); 4] = [
    ("today", "Today"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    (CUSTOM_RANGE, "Custom range…"),
];

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
    pub(super) days: DayRange,
    /// The value of `tz`, see [`ZoneOffsets`].
    pub(super) offsets: String,
    /// An explanation of the active filter, such as `Since 31 Mar 2026 in UTC`.
    pub(super) hint: String,
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
        let offsets = ZoneOffsets::parse(&text("tz"));
        let days_before = match period {
            "today" => 0,
            "7d" => 6,
            "30d" => 29,
            _ => {
                return Self {
                    period,
                    hint: format!("Dates are in {}", offsets.zone()),
                    days: DayRange::parse(first_day, last_day, &offsets),
                    offsets: offsets.text,
                };
            }
        };
        let day = offsets.today(now).saturating_sub(days_before.days());
        Self {
            period,
            hint: format!("Since {} in {}", day.strftime("%-d %b %Y"), offsets.zone()),
            days: DayRange {
                from: offsets.start_of_first_day(day),
                ..DayRange::default()
            },
            offsets: offsets.text,
        }
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
        (text(filter.days.from), text(filter.days.until))
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
            assert_eq!(filter.days.until, None);
        }
    }

    #[test]
    fn days_without_a_period_are_a_range() {
        for (query, from, until) in [
            (
                "from=2026-03-01&to=2026-03-31",
                "2026-03-01T00:00:00.000Z",
                "2026-04-01T00:00:00.000Z",
            ),
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
            let problem = filter.days.problem;
            assert!(filter.is_range() && problem.is_none(), "{query}");
        }
    }
}
