//! Formats times, numbers, and `mailto:` URLs for pages.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;

/// The ASCII characters that `mailto_url` encodes: all except letters, digits, `.`, `-`, `_`, and
/// `+`. Non-ASCII characters are always encoded.
const MAILTO_ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'+');

/// Returns a `mailto:` URL for an email. Special characters are encoded, so the email can't add
/// recipients or text to the message (RFC 6068).
pub fn mailto_url(email: &str) -> String {
    let encode = |part| utf8_percent_encode(part, MAILTO_ENCODE_SET);
    match email.rsplit_once('@') {
        Some((local, domain)) => format!("mailto:{}@{}", encode(local), encode(domain)),
        None => format!("mailto:{}", encode(email)),
    }
}

/// A time in the formats of a `<time>` element, in UTC. The page's script converts the element to
/// the browser's time zone.
#[derive(Clone, Debug)]
pub struct DisplayTime {
    pub iso: String,
    pub exact: String,
    pub relative: String,
    /// The time of day, such as `14:02 UTC`, with the date if it isn't today: `25 Nov, 14:02 UTC`.
    pub clock: String,
    /// The time of day with the date or `today`: `today, 14:02 UTC` or `25 Nov, 14:02 UTC`.
    pub day_and_clock: String,
    /// The time of day with seconds, such as `14:02:07 UTC`.
    pub with_seconds: String,
}

impl DisplayTime {
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.to_string(),
            exact: at.to_jiff().strftime("%-d %b %Y, %H:%M:%S UTC").to_string(),
            relative: format_relative_time(at, now),
            clock: format_clock_time(at, now),
            day_and_clock: match is_same_day(at, now) {
                true => format!("today, {}", format_clock_time(at, now)),
                false => format_clock_time(at, now),
            },
            with_seconds: at.to_jiff().strftime("%H:%M:%S UTC").to_string(),
        }
    }
}

/// Formats a time as `just now`, `2 min ago`, `3 h ago`, `yesterday`, or `4 days ago`. From 7 days
/// on, formats the date. The page's script updates the text in the same format.
fn format_relative_time(at: Timestamp, now: Timestamp) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match now.since(at).as_secs() {
        0..MINUTE => "just now".into(),
        seconds @ MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{} h ago", seconds / HOUR),
        seconds if seconds < 2 * DAY => "yesterday".into(),
        seconds if seconds < 7 * DAY => format!("{} days ago", seconds / DAY),
        _ => at.to_jiff().strftime("%-d %b %Y").to_string(),
    }
}

/// Returns whether both times are on the same day in UTC.
fn is_same_day(at: Timestamp, now: Timestamp) -> bool {
    at.to_jiff().strftime("%F").to_string() == now.to_jiff().strftime("%F").to_string()
}

fn format_clock_time(at: Timestamp, now: Timestamp) -> String {
    let format = if is_same_day(at, now) {
        "%H:%M UTC"
    } else {
        "%-d %b, %H:%M UTC"
    };
    at.to_jiff().strftime(format).to_string()
}

/// Formats the time until `due`, rounded up, such as `in 4 s`, `in 3 min`, or `in 2 h`; `now` if
/// `due` has passed.
pub fn time_until(due: Timestamp, now: Timestamp) -> String {
    match due.since(now) {
        Duration::ZERO => "now".into(),
        left if left < Duration::from_secs(100) => {
            format!("in {} s", left.as_millis().div_ceil(1000))
        }
        left if left < Duration::from_secs(100 * 60) => {
            format!("in {} min", left.as_secs().div_ceil(60))
        }
        left => format!("in {} h", left.as_secs().div_ceil(3600)),
    }
}

/// Formats a number with commas: `1,204`.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_emails_in_links() {
        for (email, url) in [
            ("sam+shop@example.com", "mailto:sam+shop@example.com"),
            (
                "sam?bcc=evil%40x.example&body=hi@x.example",
                "mailto:sam%3Fbcc%3Devil%2540x%2Eexample%26body%3Dhi@x.example",
            ),
            ("\"a@b,c\"@x.example", "mailto:%22a%40b%2Cc%22@x.example"),
            ("ada@müller.de", "mailto:ada@m%C3%BCller.de"),
        ] {
            assert_eq!(mailto_url(email), url.replace("%2E", "."));
        }
    }

    #[test]
    fn formats_times_and_numbers() {
        let now = Timestamp::from_millis(1_761_914_096_789);
        let ago = |seconds| format_relative_time(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(
            [0, 59, 60, 119, 120, 3599, 3600, 86399, 86400, 200_000].map(ago),
            [
                "just now",
                "just now",
                "1 min ago",
                "1 min ago",
                "2 min ago",
                "59 min ago",
                "1 h ago",
                "23 h ago",
                "yesterday",
                "2 days ago"
            ]
        );
        assert_eq!(ago(40 * 86400), "21 Sep 2025");
        assert_eq!(
            format_relative_time(now.plus(Duration::from_secs(9)), now),
            "just now"
        );
        let clock_text = |seconds| format_clock_time(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(clock_text(3600), "11:34 UTC");
        assert_eq!(clock_text(86400), "30 Oct, 12:34 UTC");
        let day_text =
            |seconds| DisplayTime::new(now.minus(Duration::from_secs(seconds)), now).day_and_clock;
        assert_eq!(day_text(3600), "today, 11:34 UTC");
        assert_eq!(day_text(86400), "30 Oct, 12:34 UTC");
        assert_eq!(
            time_until(now.plus(Duration::from_millis(3_100)), now),
            "in 4 s"
        );
        assert_eq!(time_until(now, now), "now");
        assert_eq!(
            [0, 999, 1_204, 1_000_000].map(group_digits),
            ["0", "999", "1,204", "1,000,000"]
        );
    }
}
