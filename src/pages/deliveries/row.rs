//! A delivery as a table row: its state, attempts, and last response.

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::{format_duration, status_text};
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::store::{DeliverySummary, LoggedAttempt};

/// The state of a webhook or delivery, shown as an icon with text and an optional time.
pub struct StateLabel {
    /// The CSS class that sets the color. The icon and the text convey the state to people who
    /// can't see colors.
    pub css_class: &'static str,
    pub icon: &'static str,
    pub text: String,
    /// A time that is shown after the text, as a relative time.
    pub relative_time: Option<DisplayTime>,
    /// A time that is shown after the text, as a time of day. The date is shown too, unless it is
    /// today's date.
    pub clock_time: Option<DisplayTime>,
    /// Text that is shown after the time.
    pub detail: String,
}

/// One delivery in a table.
pub struct DeliveryRow {
    pub id: String,
    pub state: StateLabel,
    pub event: &'static str,
    /// The number of attempts, such as `1`. A pending delivery that was never redelivered shows the
    /// maximum too: `1 of 4`.
    pub attempts: String,
    pub response: String,
    pub created_at: DisplayTime,
}

/// Returns the maximum number of attempts before a delivery fails: 1 for a test, otherwise
/// `webhook_max`. A redelivery restarts the count.
pub fn max_attempts_for(delivery: &DeliverySummary, webhook_max: usize) -> usize {
    match delivery.event {
        EventType::Test => 1,
        EventType::Topic(_) => webhook_max,
    }
}

impl DeliveryRow {
    /// Creates the row. `max_attempts` is the maximum for the webhook's retry policy.
    pub fn new(delivery: &DeliverySummary, max_attempts: usize, now: Timestamp) -> Self {
        let (css_class, icon, text) = match delivery.state {
            DeliveryState::Pending => (
                "wait",
                "wait",
                match delivery.next_attempt_at {
                    Some(due) if !delivery.attempts.is_empty() => {
                        format!("Next attempt {}", time_until(due, now))
                    }
                    Some(due) if due > now => format!("First attempt {}", time_until(due, now)),
                    _ => "Sending".to_owned(),
                },
            ),
            DeliveryState::Delivered => ("good", "ok", "Delivered".into()),
            DeliveryState::Failed => ("bad", "bad", "Failed".into()),
            DeliveryState::Canceled => ("", "off", "Canceled".into()),
        };
        let last = delivery.attempts.last();
        let response = last.map_or_else(String::new, response_summary);
        Self {
            id: delivery.id.as_str().to_owned(),
            state: StateLabel {
                css_class,
                icon,
                text,
                relative_time: None,
                clock_time: None,
                detail: String::new(),
            },
            event: delivery.event.as_str(),
            attempts: match delivery.attempts.len() {
                count
                    if delivery.state == DeliveryState::Pending
                        && count == delivery.round_attempts =>
                {
                    format!("{count} of {}", max_attempts_for(delivery, max_attempts))
                }
                count => count.to_string(),
            },
            response,
            created_at: DisplayTime::new(delivery.created_at, now),
        }
    }
}

/// Returns the response and the duration of an attempt, such as `200 in 4 ms` or `connection
/// refused after 2 ms`.
pub fn response_summary(attempt: &LoggedAttempt) -> String {
    let duration = format_duration(attempt.duration);
    match attempt.status {
        Some(status) => format!("{status} in {duration}"),
        None => format!(
            "{} after {duration}",
            failure_label(attempt).unwrap_or_default()
        ),
    }
}

/// Returns the reason an attempt failed, such as `404 Not Found` or `connection refused`, or `None`
/// if it succeeded.
pub fn failure_label(attempt: &LoggedAttempt) -> Option<String> {
    let label = match attempt.error_code.as_deref()? {
        "status" => return attempt.status.map(status_text),
        "redirect" => return attempt.status.map(|status| format!("redirects ({status})")),
        "timeout" => "timed out",
        "name_lookup_timeout" => "DNS lookup timed out",
        "connect_timeout" => "connection timed out",
        "tls_timeout" => "TLS handshake timed out",
        "send_timeout" => "request not read in time",
        "name_not_found" => "host name not found",
        "name_lookup" => "DNS lookup failed",
        "connection_refused" => "connection refused",
        "name_without_address" => "host without IP address",
        "unreachable" | "no_ipv6" => "IP address unreachable",
        "connection_forbidden" | "no_local_port" | "too_many_files" | "internal" => {
            "failed on Miniback’s machine"
        }
        "connection_closed" => "connection closed",
        "certificate_expired" => "certificate expired",
        "certificate_not_yet_valid" => "certificate not valid yet",
        "certificate_wrong_name" => "certificate for a different host",
        "certificate_unknown_issuer" => "untrusted certificate",
        "certificate_self_signed" => "self-signed certificate",
        code if code.starts_with("certificate") => "invalid certificate",
        "tls_expected" => "TLS instead of plain HTTP",
        "tls_plain_http" => "plain HTTP instead of TLS",
        code if code.starts_with("tls") => "TLS failed",
        "broken_answer" => "invalid HTTP response",
        "target_not_allowed" => "target not allowed",
        _ => return attempt.error.clone(),
    };
    Some(label.to_owned())
}
