//! One attempt on a delivery's page: its result, the duration of each phase, and the response.

use std::time::Duration;

use super::row::failure_label;
use crate::clock::Timestamp;
use crate::domain::explanation::{attempt_advice, format_duration, is_auth_failure, status_text};
use crate::domain::format::Format;
use crate::pages::framework::format::DisplayTime;
use crate::store::LoggedAttempt;

/// Maximum number of bytes of a binary response body that the page shows.
const HEX_BYTES_SHOWN: usize = 512;
/// Minimum duration of an attempt with a timing bar.
const TIMING_BAR_DURATION_MIN: Duration = Duration::from_millis(10);
/// Minimum width of a phase in the timing bar, in percent.
const PHASE_WIDTH_MIN: f64 = 0.5;

pub struct AttemptDetails {
    pub number: u32,
    /// The result, such as `500 Internal Server Error`.
    pub result: String,
    pub is_success: bool,
    /// Whether the request was signed, and the response is 401 or 403, which often means that the
    /// endpoint uses a different secret.
    pub is_auth_failure: bool,
    pub started_at: DisplayTime,
    pub duration: String,
    /// A description of the failure; empty after a success.
    pub error: String,
    /// Advice for fixing the failure.
    pub advice: &'static str,
    pub phases: Vec<AttemptPhase>,
    pub has_timing_bar: bool,
    pub response: Option<ResponseView>,
}

/// A phase of an attempt, and its segment of the timing bar. `x` and `width` are percentages of
/// the time limit.
pub struct AttemptPhase {
    pub css_class: &'static str,
    pub name: &'static str,
    pub duration: String,
    pub x: String,
    pub width: String,
}

pub struct ResponseView {
    pub headers: Vec<(String, String)>,
    /// The body, formatted if it is a JSON object or array; empty if there is no body.
    pub body: String,
    /// The body as received, if `body` is formatted.
    pub raw: Option<String>,
    pub is_truncated: bool,
}

impl AttemptDetails {
    /// Creates the view of an attempt. The full width of the timing bar represents `time_limit`,
    /// the time limit of an attempt. The event `test` contains no feedback.
    pub fn new(
        attempt: &LoggedAttempt,
        format: Format,
        is_without_feedback: bool,
        time_limit: Duration,
        now: Timestamp,
    ) -> Self {
        let code = attempt.error_code.as_deref().unwrap_or_default();
        let body = attempt.response_body.as_deref().unwrap_or_default();
        let advice = attempt_advice(format, is_without_feedback, code, attempt.status, body);
        let result = attempt.status.map(|status| match format {
            Format::Email => format!("SMTP reply {status}"),
            _ => status_text(status),
        });
        Self {
            number: attempt.number,
            result: result
                .or_else(|| failure_label(attempt))
                .unwrap_or_default(),
            is_success: attempt.error_code.is_none(),
            is_auth_failure: format.is_signed() && is_auth_failure(attempt.status),
            started_at: DisplayTime::new(attempt.started_at, now),
            duration: format_duration(attempt.duration),
            error: attempt.error.clone().unwrap_or_default(),
            advice,
            phases: phases(attempt, time_limit),
            has_timing_bar: attempt.duration >= TIMING_BAR_DURATION_MIN,
            response: ResponseView::new(attempt),
        }
    }
}

impl ResponseView {
    /// Returns `None` if the log contains neither headers nor a body: the endpoint didn't respond,
    /// or the response has been removed.
    fn new(attempt: &LoggedAttempt) -> Option<Self> {
        let received = attempt.response_body.as_deref().unwrap_or_default();
        if attempt.response_headers.is_empty() && received.is_empty() {
            return None;
        }
        let raw = body_text(received);
        let formatted = format_json(&raw);
        Some(Self {
            headers: attempt.response_headers.clone(),
            raw: formatted.is_some().then(|| raw.clone()),
            body: formatted.unwrap_or(raw),
            is_truncated: attempt.response_truncated,
        })
    }
}

/// Formats a JSON object or array. Returns `None` for any other text, and for JSON that is already
/// formatted.
pub fn format_json(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if !value.is_object() && !value.is_array() {
        return None;
    }
    let formatted = serde_json::to_string_pretty(&value).ok()?;
    (formatted != text.trim_end()).then_some(formatted)
}

/// Converts a body to text. For a binary body, returns the first [`HEX_BYTES_SHOWN`] bytes as
/// hexadecimal numbers.
fn body_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // The text ends in the middle of a character, for example because it was truncated.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => {
            let rows = bytes.chunks(16).take(HEX_BYTES_SHOWN / 16);
            let row = |row: &[u8]| {
                let numbers = row.iter().map(|byte| format!("{byte:02x}"));
                numbers.collect::<Vec<_>>().join(" ")
            };
            rows.map(row).collect::<Vec<_>>().join("\n")
        }
    }
}

fn phases(attempt: &LoggedAttempt, time_limit: Duration) -> Vec<AttemptPhase> {
    let timings = &attempt.timings;
    let all = [
        ("dns", "DNS", timings.dns),
        ("connect", "Connection", timings.connect),
        ("tls", "TLS", timings.tls),
        ("waiting", "Waiting", timings.waiting),
    ];
    let limit = time_limit.as_secs_f64().max(f64::MIN_POSITIVE);
    let mut x = 0.0;
    all.into_iter()
        .filter_map(|(css_class, name, time)| {
            let time = time?;
            let share = time.as_secs_f64() / limit * 100.0;
            let width = share.max(PHASE_WIDTH_MIN).min(100.0 - x);
            let phase = AttemptPhase {
                css_class,
                name,
                duration: format_duration(time),
                x: format!("{x:.2}"),
                width: format!("{width:.2}"),
            };
            x += width;
            Some(phase)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_binary_bodies_as_hex_and_truncated_utf8_as_text() {
        assert_eq!(body_text(&[0xff, 0x00, 0x10]), "ff 00 10");
        assert!(body_text(&"aü".as_bytes()[..2]).starts_with('a'));
    }

    #[test]
    fn formats_objects_and_arrays_only() {
        assert_eq!(format_json("{\"a\":1}").unwrap(), "{\n  \"a\": 1\n}");
        for text in ["", "ok", "1", "\"a\"", "{\"a\":", "{\n  \"a\": 1\n}\n"] {
            assert_eq!(format_json(text), None, "{text}");
        }
    }
}
