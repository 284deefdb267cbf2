//! Statistics of a webhook's attempts over 24 hours and 7 days: the numbers and the charts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::attempt_statistics::AttemptStatistics;
use crate::domain::explanation::format_duration;
use crate::pages::framework::format::{DisplayTime, group_digits};

const HOUR: Duration = Duration::from_secs(3600);

/// The period that the charts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatisticsPeriod {
    Day,
    Week,
}

impl StatisticsPeriod {
    pub(super) const ALL: [Self; 2] = [Self::Day, Self::Week];

    /// Returns the period of a `?period=` value. The default is 24 hours.
    pub(super) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("7d") => Self::Week,
            _ => Self::Day,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Day => "Last 24 hours",
            Self::Week => "Last 7 days",
        }
    }

    const fn hours(self) -> u32 {
        match self {
            Self::Day => 24,
            Self::Week => 7 * 24,
        }
    }

    /// Returns the start of the period's first hour. The last hour contains `now`.
    pub(super) fn start(self, now: Timestamp) -> Timestamp {
        let hour_millis = HOUR.as_millis() as i64;
        let current = now.millis() - now.millis().rem_euclid(hour_millis);
        Timestamp::from_millis(current).minus(HOUR * (self.hours() - 1))
    }
}

/// The numbers of one period, as text. Without attempts, the success rate is `–`. Without
/// responses, the response times are `–`.
pub(super) struct PeriodSummary {
    pub(super) label: &'static str,
    pub(super) attempts: String,
    pub(super) failed: String,
    pub(super) success_rate: String,
    /// The median response time.
    pub(super) median: String,
    /// The 95th percentile of the response times.
    pub(super) percentile: String,
}

impl PeriodSummary {
    fn new(label: &'static str, statistics: &AttemptStatistics) -> Self {
        let response_time = |percent| {
            statistics
                .response_time_percentile(percent)
                .map_or("–".to_owned(), format_duration)
        };
        Self {
            label,
            attempts: group_digits(statistics.attempts()),
            failed: group_digits(statistics.failed),
            success_rate: statistics
                .success_per_mille()
                .map_or("–".to_owned(), format_per_mille),
            median: response_time(50),
            percentile: response_time(95),
        }
    }
}

/// The charts of one period, and the numbers of both periods.
pub(super) struct StatisticsView {
    pub(super) period: StatisticsPeriod,
    pub(super) summaries: Vec<PeriodSummary>,
    /// The hours with attempts, oldest first.
    pub(super) hours: Vec<HourView>,
    /// The times below the charts: the start of the period, its middle, and the current time.
    pub(super) axis: [DisplayTime; 3],
    /// Width of the charts: [`HourView::WIDTH`] for each hour.
    pub(super) chart_width: u32,
    /// The y coordinate of the line between the bars of successful and failed attempts. It is
    /// measured from the top of the chart.
    pub(super) baseline: u64,
    /// The maximum number of successful attempts in any hour of the period.
    pub(super) max_succeeded: String,
    /// The maximum number of failed attempts in any hour of the period.
    pub(super) max_failed: String,
    /// The highest 95th percentile of the response times in any hour of the period.
    pub(super) max_response_time: String,
    /// The text alternative for the chart of attempts.
    pub(super) attempts_description: String,
    /// The text alternative for the chart of response times.
    pub(super) response_times_description: String,
}

/// One hour in the charts and in the table of numbers.
pub(super) struct HourView {
    pub(super) at: DisplayTime,
    pub(super) summary: PeriodSummary,
    /// The SVG path of the area that shows the tooltip. It is as high as the chart.
    pub(super) area: String,
    /// The SVG path of the bar of successful attempts.
    pub(super) succeeded: String,
    /// The SVG path of the bar of failed attempts.
    pub(super) failed: String,
    /// The SVG path of the bar of the median response time.
    pub(super) median: String,
    /// The SVG path of the line of the 95th percentile.
    pub(super) percentile: String,
}

/// The maximum of each value in any hour of the period. `response_time` is the highest 95th
/// percentile, in milliseconds.
struct ChartScale {
    succeeded: u64,
    failed: u64,
    response_time: u64,
}

impl ChartScale {
    fn new<'a>(hours: impl Iterator<Item = &'a AttemptStatistics>) -> Self {
        let mut scale = Self {
            succeeded: 0,
            failed: 0,
            response_time: 1,
        };
        for hour in hours {
            scale.succeeded = scale.succeeded.max(hour.succeeded);
            scale.failed = scale.failed.max(hour.failed);
            scale.response_time = scale.response_time.max(percentile_millis(hour, 95));
        }
        scale
    }

    /// Returns the height of a bar for a number of attempts.
    fn attempts_height(&self, count: u64) -> u64 {
        scaled_height(count, self.succeeded + self.failed)
    }

    fn response_time_height(&self, millis: u64) -> u64 {
        scaled_height(millis, self.response_time)
    }
}

/// Returns the height of a bar. It is at least 3 unless the value is 0, so that a single failure
/// among thousands of attempts is visible.
fn scaled_height(value: u64, max: u64) -> u64 {
    match value {
        0 => 0,
        value => (value * HourView::HEIGHT / max.max(1)).max(3),
    }
}

/// Returns a percentile of the response times in milliseconds; 0 without responses.
fn percentile_millis(statistics: &AttemptStatistics, percent: u64) -> u64 {
    let time = statistics
        .response_time_percentile(percent)
        .unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl HourView {
    const WIDTH: u32 = 10;
    /// Height of the charts, in SVG units. The template uses the same value.
    const HEIGHT: u64 = 100;

    fn new(
        index: u32,
        at: DisplayTime,
        statistics: &AttemptStatistics,
        scale: &ChartScale,
        baseline: u64,
    ) -> Self {
        let left = index * Self::WIDTH;
        let bar = |bottom: u64, height: u64| match height {
            0 => String::new(),
            height => format!("M{} {bottom}v-{height}h8v{height}z", left + 1),
        };
        let failed_height = scale.attempts_height(statistics.failed);
        let (median, percentile) = (
            percentile_millis(statistics, 50),
            percentile_millis(statistics, 95),
        );
        let has_responses = statistics.response_time_percentile(50).is_some();
        let line = Self::HEIGHT - scale.response_time_height(percentile).max(3);
        Self {
            at,
            summary: PeriodSummary::new("", statistics),
            area: format!("M{left} 0h{}v{}h-{0}z", Self::WIDTH, Self::HEIGHT),
            succeeded: bar(baseline, scale.attempts_height(statistics.succeeded)),
            failed: bar(baseline + failed_height + 1, failed_height),
            median: bar(
                Self::HEIGHT,
                scale
                    .response_time_height(median)
                    .max(u64::from(has_responses) * 3),
            ),
            percentile: match has_responses {
                true => format!("M{left} {line}h{}", Self::WIDTH),
                false => String::new(),
            },
        }
    }
}

impl StatisticsView {
    /// Creates the view of a period. `hours` contains the statistics of the last 7 days, by the
    /// start of the hour.
    pub(super) fn new(
        period: StatisticsPeriod,
        hours: &BTreeMap<Timestamp, AttemptStatistics>,
        now: Timestamp,
    ) -> Self {
        let start = period.start(now);
        let total = |period: StatisticsPeriod| {
            let mut total = AttemptStatistics::default();
            for hour in hours.range(period.start(now)..).map(|(_, hour)| hour) {
                total.merge(hour);
            }
            total
        };
        let shown = || hours.range(start..).filter(|(at, _)| **at <= now);
        let scale = ChartScale::new(shown().map(|(_, hour)| hour));
        let baseline = scale
            .attempts_height(scale.succeeded)
            .min(HourView::HEIGHT - 4);
        let hour_views: Vec<HourView> = shown()
            .map(|(at, hour)| {
                let index = at.since(start).as_secs() / HOUR.as_secs();
                let index = u32::try_from(index).unwrap_or(0);
                HourView::new(index, DisplayTime::new(*at, now), hour, &scale, baseline)
            })
            .collect();
        let max_attempts = shown().map(|(_, hour)| hour.attempts()).max().unwrap_or(0);
        let max_response_time = format_duration(Duration::from_millis(scale.response_time));
        let sum = PeriodSummary::new(period.label(), &total(period));
        let middle = start.plus(HOUR * (period.hours() / 2));
        Self {
            period,
            summaries: StatisticsPeriod::ALL
                .map(|period| PeriodSummary::new(period.label(), &total(period)))
                .into(),
            hours: hour_views,
            axis: [start, middle, now].map(|at| DisplayTime::new(at, now)),
            chart_width: period.hours() * HourView::WIDTH,
            baseline,
            attempts_description: format!(
                "{}: {} attempts, {} failed, at most {} in one hour.",
                period.label(),
                sum.attempts,
                sum.failed,
                group_digits(max_attempts)
            ),
            response_times_description: format!(
                "{}: median {}, 95th percentile {} (highest in one hour: {max_response_time}).",
                period.label(),
                sum.median,
                sum.percentile
            ),
            max_succeeded: group_digits(scale.succeeded),
            max_failed: group_digits(scale.failed),
            max_response_time,
        }
    }
}

/// Formats tenths of a percent: `98.5%`, `100%`.
fn format_per_mille(per_mille: u64) -> String {
    match per_mille % 10 {
        0 => format!("{}%", per_mille / 10),
        tenth => format!("{}.{tenth}%", per_mille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-10-31T12:30:00Z.
    const NOW: Timestamp = Timestamp::from_millis(1_761_913_800_000);

    fn view(period: StatisticsPeriod, hours: &[(u64, u64, u64)]) -> StatisticsView {
        let hours: BTreeMap<_, _> = hours
            .iter()
            .map(|(hours_ago, succeeded, failed)| {
                let mut statistics = AttemptStatistics::default();
                statistics.add(true, Some(40), *succeeded);
                statistics.add(false, Some(80), *failed);
                let current = StatisticsPeriod::Day.start(NOW).plus(HOUR * 23);
                (
                    current.minus(HOUR * u32::try_from(*hours_ago).unwrap()),
                    statistics,
                )
            })
            .collect();
        StatisticsView::new(period, &hours, NOW)
    }

    #[test]
    fn a_period_ends_with_the_current_hour() {
        assert_eq!(
            StatisticsPeriod::Day.start(NOW).to_string(),
            "2025-10-30T13:00:00.000Z"
        );
        assert_eq!(
            StatisticsPeriod::Week.start(NOW).to_string(),
            "2025-10-24T13:00:00.000Z"
        );
        let hours = [(0, 5, 0), (23, 5, 0), (24, 5, 0), (167, 5, 5), (168, 9, 9)];
        let (day, week) = (
            view(StatisticsPeriod::Day, &hours),
            view(StatisticsPeriod::Week, &hours),
        );
        assert_eq!((day.hours.len(), week.hours.len()), (2, 4));
        assert!(day.hours[0].area.starts_with("M0 0") && day.hours[1].area.starts_with("M230 0"));
        assert!(
            week.hours[0].area.starts_with("M0 0") && week.hours[3].area.starts_with("M1670 0")
        );
        let attempts = |view: &StatisticsView| {
            let summaries = view.summaries.iter();
            summaries
                .map(|s| (s.attempts.clone(), s.success_rate.clone()))
                .collect::<Vec<_>>()
        };
        let expected = [("10", "100%"), ("25", "80%")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(attempts(&day), expected);
        assert_eq!(attempts(&week), expected);
    }

    #[test]
    fn a_single_failure_is_visible_and_described() {
        let view = view(StatisticsPeriod::Day, &[(1, 100_000, 1), (0, 2, 0)]);
        assert_eq!(view.hours[0].failed, "M221 100v-3h8v3z");
        assert_eq!(view.hours[1].failed, "");
        assert_eq!(
            view.attempts_description,
            "Last 24 hours: 100,003 attempts, 1 failed, at most 100,001 in one hour."
        );
        assert_eq!(
            view.response_times_description,
            "Last 24 hours: median 40 ms, 95th percentile 40 ms (highest in one hour: 40 ms)."
        );
        assert_eq!(view.summaries[0].success_rate, "99.9%");
    }

    #[test]
    fn shows_a_dash_instead_of_rates_without_attempts() {
        let view = view(StatisticsPeriod::Week, &[]);
        assert!(view.hours.is_empty());
        let summary = &view.summaries[1];
        assert_eq!(
            (summary.attempts.as_str(), summary.median.as_str()),
            ("0", "–")
        );
        assert_eq!(summary.success_rate, "–");
    }
}
