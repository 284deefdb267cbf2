//! Statistics of a webhook's attempts: their number, success rate, and response times.

use std::collections::BTreeMap;
use std::time::Duration;

/// Statistics about the attempts of a webhook in one or more hours. Tests aren't counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptStatistics {
    pub succeeded: u64,
    pub failed: u64,
    /// The number of responses for each rounded response time, in milliseconds.
    response_times: BTreeMap<u32, u64>,
}

impl AttemptStatistics {
    /// Adds `count` attempts with the same result. `response_ms` is the rounded response time;
    /// `None` if there was no response.
    pub fn add(&mut self, is_success: bool, response_ms: Option<u32>, count: u64) {
        if is_success {
            self.succeeded += count;
        } else {
            self.failed += count;
        }
        if let Some(response_ms) = response_ms {
            *self.response_times.entry(response_ms).or_default() += count;
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        for (response_ms, count) in &other.response_times {
            *self.response_times.entry(*response_ms).or_default() += count;
        }
    }

    pub fn attempts(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Returns the share of successful attempts in tenths of a percent, rounded. Only 1000 means
    /// that all attempts succeeded, and only 0 means that none did. Returns `None` without
    /// attempts.
    pub fn success_per_mille(&self) -> Option<u64> {
        let attempts = self.attempts();
        let rounded = (self.succeeded * 1000 + attempts / 2).checked_div(attempts)?;
        let (min, max) = (u64::from(self.succeeded > 0), u64::from(self.failed > 0));
        Some(rounded.clamp(min, 1000 - max))
    }

    /// Returns the response time that `percent` of all responses didn't exceed (the nearest-rank
    /// percentile), or `None` if there are no responses.
    pub fn response_time_percentile(&self, percent: u64) -> Option<Duration> {
        let responses: u64 = self.response_times.values().sum();
        let rank = (responses * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.response_times.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        })?;
        Some(Duration::from_millis(u64::from(*found.0)))
    }
}

/// Rounds a response time to milliseconds with two significant digits, the precision that pages
/// show. Therefore, any number of attempts has at most a few hundred different response times.
pub fn round_response_time(duration: Duration) -> u32 {
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX / 2);
    let mut unit = 1;
    while millis / unit >= 100 {
        unit *= 10;
    }
    (millis + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_response_times_to_two_digits() {
        let round = |micros| round_response_time(Duration::from_micros(micros));
        assert_eq!([0, 999, 4_200, 99_900].map(round), [0, 0, 4, 99]);
        assert_eq!([104_000, 105_000, 995_000].map(round), [100, 110, 1000]);
        assert_eq!([4_949_000, 29_999_000].map(round), [4900, 30_000]);
    }

    #[test]
    fn computes_success_rates_and_percentiles() {
        let mut statistics = AttemptStatistics::default();
        assert_eq!(statistics.success_per_mille(), None);
        assert_eq!(statistics.response_time_percentile(50), None);
        statistics.add(true, Some(10), 90);
        let mut slow = AttemptStatistics::default();
        slow.add(false, Some(500), 9);
        slow.add(false, None, 1);
        statistics.merge(&slow);
        assert_eq!(statistics.attempts(), 100);
        assert_eq!(statistics.success_per_mille(), Some(900));
        let millis = |percent| {
            statistics
                .response_time_percentile(percent)
                .unwrap()
                .as_millis()
        };
        assert_eq!(
            [1, 50, 90, 91, 95, 100].map(millis),
            [10, 10, 10, 500, 500, 500]
        );
    }

    #[test]
    fn a_rate_with_failures_is_never_rounded_up_to_100_percent() {
        let mut statistics = AttemptStatistics::default();
        statistics.add(true, Some(10), 99_999);
        statistics.add(false, None, 1);
        assert_eq!(statistics.success_per_mille(), Some(999));
        statistics.add(false, None, 1_000_000_000);
        assert_eq!(statistics.success_per_mille(), Some(1));
        let mut statistics = AttemptStatistics::default();
        statistics.add(true, Some(10), 1);
        statistics.add(false, None, 5);
        assert_eq!(statistics.success_per_mille(), Some(167));
    }
}
