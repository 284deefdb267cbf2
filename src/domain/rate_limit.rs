//! Rate limits and their text format: `10/1m,100/1h`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The maximum number of limits in a list.
const RATE_LIMITS_MAX: usize = 5;
/// The maximum period of a limit.
const PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);

/// A maximum number of requests per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub count: NonZeroU32,
    pub period: Duration,
}

impl RateLimit {
    /// Returns the time in which the quota regains one request. The result is at least 1 ns.
    pub fn time_per_request(&self) -> Duration {
        (self.period / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// Limits that apply together, sorted by period, shortest first. An empty list means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits(Vec<RateLimit>);

/// The reason a string isn't a list of rate limits. The message shows the expected format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRateLimitError {
    #[error("expected limits such as 10/1m,100/1h, or none")]
    Syntax,
    #[error("the count of a limit must be from 1 to 4294967295")]
    Count,
    #[error("the period of a limit must be from 1s to 24h")]
    Period,
    #[error("at most {RATE_LIMITS_MAX} limits are allowed")]
    TooMany,
}

impl RateLimits {
    pub fn iter(&self) -> impl Iterator<Item = &RateLimit> {
        self.0.iter()
    }
}

impl FromStr for RateLimits {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, ParseRateLimitError> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut limits: Vec<RateLimit> =
            text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if limits.len() > RATE_LIMITS_MAX {
            return Err(ParseRateLimitError::TooMany);
        }
        limits.sort_by_key(|limit| limit.period);
        Ok(Self(limits))
    }
}

impl FromStr for RateLimit {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, ParseRateLimitError> {
        let (count, period) = text
            .trim()
            .split_once('/')
            .ok_or(ParseRateLimitError::Syntax)?;
        let (count, period) = (count.trim_end(), period.trim_start());
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseRateLimitError::Syntax);
        }
        let count = count.parse().map_err(|_| ParseRateLimitError::Count)?;
        match humantime::parse_duration(period).map_err(|_| ParseRateLimitError::Syntax)? {
            period if (Duration::from_secs(1)..=PERIOD_MAX).contains(&period) => {
                Ok(Self { count, period })
            }
            _ => Err(ParseRateLimitError::Period),
        }
    }
}

/// Formats the limit in the format that the options accept: `10/1m`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = humantime::format_duration(self.period).to_string();
        write!(f, "{}/{}", self.count, period.replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_and_format(text: &str) -> Result<String, ParseRateLimitError> {
        let limits: RateLimits = text.parse()?;
        let all: Vec<String> = limits.iter().map(RateLimit::to_string).collect();
        Ok(all.join(","))
    }

    #[test]
    fn parses_limits_and_sorts_them_by_period() {
        assert_eq!(parse_and_format("10/1m,100/1h").unwrap(), "10/1m,100/1h");
        assert_eq!(
            parse_and_format(" 100 / 1h , 10/60s").unwrap(),
            "10/1m,100/1h"
        );
        assert_eq!(parse_and_format("1/90s").unwrap(), "1/1m30s");
        assert_eq!(parse_and_format("none").unwrap(), "");
    }

    #[test]
    fn rejects_invalid_limits() {
        for (text, error) in [
            ("", ParseRateLimitError::Syntax),
            ("10", ParseRateLimitError::Syntax),
            ("10/", ParseRateLimitError::Syntax),
            ("/1m", ParseRateLimitError::Syntax),
            ("10/1m,", ParseRateLimitError::Syntax),
            ("-1/1m", ParseRateLimitError::Syntax),
            ("+1/1m", ParseRateLimitError::Syntax),
            ("1.5/1m", ParseRateLimitError::Syntax),
            ("10/minute", ParseRateLimitError::Syntax),
            ("0/1m", ParseRateLimitError::Count),
            ("99999999999/1m", ParseRateLimitError::Count),
            ("1/0s", ParseRateLimitError::Period),
            ("1/1ms", ParseRateLimitError::Period),
            ("1/25h", ParseRateLimitError::Period),
            (
                "1/1s,1/2s,1/3s,1/4s,1/5s,1/6s",
                ParseRateLimitError::TooMany,
            ),
        ] {
            assert_eq!(parse_and_format(text).unwrap_err(), error, "{text:?}");
        }
    }
}
