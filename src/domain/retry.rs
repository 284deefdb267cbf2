//! Retry delays, and the holds that endpoints request.

use std::time::Duration;

use serde::Deserialize;

use super::delivery::EndpointResponse;
use super::format::Format;
use super::webhook::RetryPolicy;
use crate::clock::Timestamp;

/// The delays that `patient` adds after the standard delays: 1 min, 5 min, 30 min, 2 h, 6 h, 24 h.
const PATIENT_DELAYS: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
];
/// The maximum length of a hold. A longer `Retry-After` is shortened to this length.
const HOLD_MAX: Duration = Duration::from_secs(3600);

/// The first retry delays of both retry policies. For deliveries, `--retry-delays` sets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

impl RetrySchedule {
    pub fn new(delays: Vec<Duration>) -> Self {
        Self(delays)
    }

    /// Returns the maximum number of attempts in one round: from the creation of a delivery, or
    /// from its redelivery, until it is finished.
    pub fn max_attempts(&self, retries: RetryPolicy) -> usize {
        1 + self.delays(retries).len()
    }

    /// Returns the delays before the retries of one round, without jitter.
    pub fn delays(&self, retries: RetryPolicy) -> Vec<Duration> {
        let patient: &[Duration] = match retries {
            RetryPolicy::Standard => &[],
            RetryPolicy::Patient => &PATIENT_DELAYS,
        };
        [&self.0, patient].concat()
    }

    /// Returns the delay before the next attempt, or `None` if there are no retries left.
    /// `failed_attempts` is the number of failed attempts in this round.
    ///
    /// `jitter` (0 to 1) extends the additional delays of `patient` by up to 10%, so that
    /// deliveries that failed together aren't retried together. The standard delays are exact.
    pub fn next_delay(
        &self,
        retries: RetryPolicy,
        failed_attempts: usize,
        jitter: f64,
    ) -> Option<Duration> {
        let index = failed_attempts.checked_sub(1)?;
        if let Some(delay) = self.0.get(index) {
            return Some(*delay);
        }
        let patient = (retries == RetryPolicy::Patient)
            .then(|| PATIENT_DELAYS.get(index - self.0.len()))
            .flatten()?;
        Some(patient.mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0)))
    }
}

/// Returns the length of the hold that a response requests, at most 1 h: the value of
/// `Retry-After`, or the `retry_after` of Discord. If Discord sends both, the longer time counts,
/// because a request that is too early is rejected again.
pub fn requested_hold(
    format: Format,
    response: &EndpointResponse,
    retry_after: Option<&str>,
    now: Timestamp,
) -> Option<Duration> {
    let header = retry_after.and_then(|text| hold_length(response.status, text, now));
    let body = (format == Format::Discord && requests_hold(response.status))
        .then(|| parse_discord_retry_after(&response.body))
        .flatten();
    header.into_iter().chain(body).max()
}

/// Parses the `Retry-After` of a 429 or 503: seconds or a date (RFC 9110, section 10.2.3).
///
/// Returns the length of the hold, at most 1 h. Returns `None` for another status, an invalid
/// value, 0 seconds, or a date that isn't in the future.
pub fn hold_length(status: u16, retry_after: &str, now: Timestamp) -> Option<Duration> {
    if !requests_hold(status) {
        return None;
    }
    let text = retry_after.trim();
    let length = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        Timestamp::from_millis(0).plus(since_epoch).since(now)
    };
    (length > Duration::ZERO).then_some(length.min(HOLD_MAX))
}

/// Returns whether a response with this status can request a hold.
fn requests_hold(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Parses the `retry_after` in the JSON of Discord: seconds, with a fraction
/// (<https://docs.discord.com/developers/topics/rate-limits>).
fn parse_discord_retry_after(body: &[u8]) -> Option<Duration> {
    #[derive(Deserialize)]
    struct RateLimit {
        retry_after: f64,
    }
    let limit: RateLimit = serde_json::from_slice(body).ok()?;
    // A number that is too great for a duration is longer than the maximum.
    let seconds = limit.retry_after.min(HOLD_MAX.as_secs_f64());
    let length = Duration::try_from_secs_f64(seconds).ok()?;
    (length > Duration::ZERO).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule_of(list: &[u64]) -> RetrySchedule {
        RetrySchedule::new(list.iter().map(|s| Duration::from_secs(*s)).collect())
    }

    #[test]
    fn retries_after_1_5_and_15_seconds() {
        let schedule = schedule_of(&[1, 5, 15]);
        let delay = |attempts| {
            schedule
                .next_delay(RetryPolicy::Standard, attempts, 1.0)
                .map(|delay| delay.as_millis())
        };
        assert_eq!(
            [1, 2, 3, 4].map(delay),
            [Some(1_000), Some(5_000), Some(15_000), None]
        );
        assert_eq!(
            schedule_of(&[]).next_delay(RetryPolicy::Standard, 1, 0.0),
            None
        );
    }

    #[test]
    fn patient_retries_continue_for_more_than_a_day() {
        let schedule = schedule_of(&[1, 5, 15]);
        let due = |attempts, jitter| {
            schedule
                .next_delay(RetryPolicy::Patient, attempts, jitter)
                .map(|delay| delay.as_secs())
        };
        assert_eq!(due(3, 1.0), Some(15));
        assert_eq!(
            [4, 5, 6, 7, 8, 9, 10].map(|m| due(m, 0.0)),
            [60, 300, 1800, 7200, 21600, 86400]
                .map(Some)
                .into_iter()
                .chain([None])
                .collect::<Vec<_>>()[..]
        );
        assert_eq!(due(4, 1.0), Some(66));
        assert_eq!(schedule.max_attempts(RetryPolicy::Patient), 10);
    }

    #[test]
    fn retry_after_accepts_seconds_or_a_date_up_to_one_hour() {
        let now = Timestamp::parse("2015-10-21T07:27:00Z").unwrap();
        let held = |status, text| hold_length(status, text, now).map(|length| length.as_secs());
        assert_eq!(held(503, "120"), Some(120));
        assert_eq!(held(429, " 7 "), Some(7));
        assert_eq!(held(429, "Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(held(429, "Wednesday, 21-Oct-15 07:28:00 GMT"), Some(60));
        assert_eq!(held(429, "Wed Oct 21 07:28:00 2015"), Some(60));
        assert_eq!(held(429, "Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600));
        assert_eq!(held(429, "99999999999999999999999"), Some(3600));
        assert_eq!(held(429, "7200"), Some(3600));
        for (status, text) in [
            (500, "120"),
            (429, "0"),
            (429, "-5"),
            (429, "soon"),
            (429, ""),
            (503, "Wed, 21 Oct 2015 07:26:00 GMT"),
        ] {
            assert_eq!(held(status, text), None, "{status} {text}");
        }
    }

    #[test]
    fn discord_sends_the_seconds_to_wait_in_json() {
        let now = Timestamp::from_millis(0);
        let held = |format, status, header, body: &str| {
            let response = EndpointResponse {
                status,
                body: body.into(),
                ..EndpointResponse::default()
            };
            let length = requested_hold(format, &response, header, now);
            length.map(|length| length.as_millis())
        };
        let discord = |header, body| held(Format::Discord, 429, header, body);
        let limit = r#"{"message": "You are being rate limited.", "retry_after": 64.57}"#;
        assert_eq!(discord(None, limit), Some(64_570));
        assert_eq!(discord(Some("65"), limit), Some(65_000));
        assert_eq!(discord(Some("1"), limit), Some(64_570));
        assert_eq!(discord(None, r#"{"retry_after": 7200}"#), Some(3_600_000));
        assert_eq!(discord(None, r#"{"retry_after": 1e300}"#), Some(3_600_000));
        assert_eq!(discord(None, r#"{"retry_after": 2}"#), Some(2_000));
        for invalid in [
            "",
            "[]",
            "{}",
            r#"{"retry_after": "2"}"#,
            r#"{"retry_after": -1}"#,
            r#"{"retry_after": 0}"#,
            r#"{"retry_after": null}"#,
            r#"{"retry_after": 1e999}"#,
        ] {
            assert_eq!(discord(None, invalid), None, "{invalid}");
            assert_eq!(discord(Some("3"), invalid), Some(3_000), "{invalid}");
        }
        assert_eq!(held(Format::Discord, 503, None, limit), Some(64_570));
        assert_eq!(held(Format::Discord, 500, None, limit), None);
        assert_eq!(held(Format::Slack, 429, None, limit), None);
    }
}
