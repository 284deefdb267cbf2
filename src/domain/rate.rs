//! Limits of how often something may be done, as they are written down: `10/1m,100/1h`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The most limits that can stand beside each other.
const LIMITS_MAX: usize = 5;
const PER_MAX: Duration = Duration::from_secs(24 * 3600);

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Duration,
}

/// Limits that all hold at once, the shortest time first; none at all: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(Vec<Rate>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("write limits like 10/1m,100/1h, or none")]
    Form,
    #[error("a limit counts from 1 to 4294967295")]
    Count,
    #[error("the time of a limit is from 1s to 24h")]
    Per,
    #[error("give at most {LIMITS_MAX} limits")]
    TooMany,
}

impl Rates {
    pub fn iter(&self) -> impl Iterator<Item = &Rate> {
        self.0.iter()
    }
}

impl FromStr for Rates {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut rates: Vec<Rate> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if rates.len() > LIMITS_MAX {
            return Err(RateError::TooMany);
        }
        rates.sort_by_key(|rate| rate.per);
        Ok(Self(rates))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, per) = text.trim().split_once('/').ok_or(RateError::Form)?;
        let (count, per) = (count.trim_end(), per.trim_start());
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Form);
        }
        let count = count.parse().map_err(|_| RateError::Count)?;
        match humantime::parse_duration(per).map_err(|_| RateError::Form)? {
            per if (Duration::from_secs(1)..=PER_MAX).contains(&per) => Ok(Self { count, per }),
            _ => Err(RateError::Per),
        }
    }
}

/// As it was written: `10/1m`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = humantime::format_duration(self.per).to_string();
        write!(f, "{}/{}", self.count, per.replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, RateError> {
        let rates: Rates = text.parse()?;
        let all: Vec<String> = rates.iter().map(Rate::to_string).collect();
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
            ("", RateError::Form),
            ("10", RateError::Form),
            ("10/", RateError::Form),
            ("/1m", RateError::Form),
            ("10/1m,", RateError::Form),
            ("-1/1m", RateError::Form),
            ("+1/1m", RateError::Form),
            ("1.5/1m", RateError::Form),
            ("10/minute", RateError::Form),
            ("0/1m", RateError::Count),
            ("99999999999/1m", RateError::Count),
            ("1/0s", RateError::Per),
            ("1/1ms", RateError::Per),
            ("1/25h", RateError::Per),
            ("1/1s,1/2s,1/3s,1/4s,1/5s,1/6s", RateError::TooMany),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text:?}");
        }
    }
}
