//! Limits of how often something may be done, as they are written down: `10/1m,100/1h`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The most limits that can stand beside each other.
const LIMITS_MAX: usize = 5;
const PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub count: NonZeroU32,
    pub period: Duration,
}

/// Limits that all hold at once, the shortest time first; none at all: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits(Vec<RateLimit>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRateLimitError {
    #[error("write limits like 10/1m,100/1h, or none")]
    Syntax,
    #[error("a limit counts from 1 to 4294967295")]
    Count,
    #[error("the time of a limit is from 1s to 24h")]
    Period,
    #[error("give at most {LIMITS_MAX} limits")]
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
        let mut rates: Vec<RateLimit> =
            text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if rates.len() > LIMITS_MAX {
            return Err(ParseRateLimitError::TooMany);
        }
        rates.sort_by_key(|rate| rate.period);
        Ok(Self(rates))
    }
}

impl FromStr for RateLimit {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, ParseRateLimitError> {
        let (count, per) = text
            .trim()
            .split_once('/')
            .ok_or(ParseRateLimitError::Syntax)?;
        let (count, per) = (count.trim_end(), per.trim_start());
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseRateLimitError::Syntax);
        }
        let count = count.parse().map_err(|_| ParseRateLimitError::Count)?;
        match humantime::parse_duration(per).map_err(|_| ParseRateLimitError::Syntax)? {
            period if (Duration::from_secs(1)..=PERIOD_MAX).contains(&period) => {
                Ok(Self { count, period })
            }
            _ => Err(ParseRateLimitError::Period),
        }
    }
}

/// As it was written: `10/1m`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = humantime::format_duration(self.period).to_string();
        write!(f, "{}/{}", self.count, per.replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, ParseRateLimitError> {
        let rates: RateLimits = text.parse()?;
        let all: Vec<String> = rates.iter().map(RateLimit::to_string).collect();
        Ok(all.join(","))
    }

    #[test]
    fn limits_are_read_as_people_write_them_the_shortest_first() {
        assert_eq!(read("10/1m,100/1h").unwrap(), "10/1m,100/1h");
        assert_eq!(read(" 100 / 1h , 10/60s").unwrap(), "10/1m,100/1h");
        assert_eq!(read("1/90s").unwrap(), "1/1m30s");
        assert_eq!(read("none").unwrap(), "");
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_one_looks_like() {
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
            assert_eq!(read(text).unwrap_err(), error, "{text:?}");
        }
    }
}
