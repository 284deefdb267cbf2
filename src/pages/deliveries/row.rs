//! A delivery as a table row: its state, attempts, and last response.

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::explanation::{format_duration, status_text};
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::webhook_url::WebhookUrl;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::store::{DeliverySummary, EventSubject, FoundDelivery, LoggedAttempt};

/// Maximum length of a delivery's title, in characters.
const TITLE_MAX_CHARS: usize = 100;

/// The state of a webhook or delivery, shown as an icon with text and an optional time.
pub struct StateLabel {
    /// The CSS class that sets the color. The icon and the text convey the state without color.
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
    /// The number of attempts, such as `2`, or the next or current attempt of a pending delivery,
    /// such as `Attempt 3 of 4`.
    pub attempts: String,
    pub response: String,
    pub created_at: DisplayTime,
}

/// Returns the maximum number of attempts before a delivery fails: 1 for a test, otherwise
/// `webhook_max`. A redelivery restarts the count.
fn max_attempts_for(delivery: &DeliverySummary, webhook_max: usize) -> usize {
    if delivery.is_test { 1 } else { webhook_max }
}

/// Returns the number of a pending delivery's next or current attempt, and the number of the last
/// attempt before the delivery fails. `webhook_max` is the maximum for the webhook's retry policy.
/// After a redelivery, the numbers continue from the previous attempts.
pub fn next_and_last_attempt(delivery: &DeliverySummary, webhook_max: usize) -> (usize, usize) {
    let made = delivery.attempts.len();
    let before_round = made.saturating_sub(delivery.round_attempts);
    let max = before_round + max_attempts_for(delivery, webhook_max);
    (made + 1, max.max(made + 1))
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
        let response = last.map_or_else(String::new, outcome_summary);
        Self {
            id: delivery.id.to_string(),
            state: StateLabel {
                css_class,
                icon,
                text,
                relative_time: None,
                clock_time: None,
                detail: String::new(),
            },
            event: delivery.event.as_str(),
            attempts: match delivery.state {
                DeliveryState::Pending => {
                    let (number, max) = next_and_last_attempt(delivery, max_attempts);
                    format!("Attempt {number} of {max}")
                }
                _ => delivery.attempts.len().to_string(),
            },
            response,
            created_at: DisplayTime::new(delivery.created_at, now),
        }
    }
}

/// Returns the outcome and the duration of an attempt, such as `200 in 4 ms`, `connection refused
/// after 2 ms`, or `recipient rejected (550) after 30 ms`.
pub fn outcome_summary(attempt: &LoggedAttempt) -> String {
    let duration = format_duration(attempt.duration);
    let failure = || failure_label(attempt).unwrap_or_default();
    match (attempt.status, mail_failure_label(attempt)) {
        (Some(status), Some(failure)) => format!("{failure} ({status}) after {duration}"),
        (Some(status), None) => format!("{status} in {duration}"),
        (None, _) => format!("{} after {duration}", failure()),
    }
}

/// One delivery in a list of deliveries.
pub struct ListedDelivery {
    pub row: DeliveryRow,
    pub path: String,
    /// The start of the message, or `Test event`, or `Deleted feedback`.
    pub title: String,
    /// Whether `title` is the start of a message, which a person wrote.
    pub is_message: bool,
    /// The name of the project; empty for tests and deleted feedback.
    pub project: String,
    /// The webhook's label, see [`webhook_label`].
    pub webhook: String,
    /// The attempts as a phrase, such as `2 attempts` or, for a pending delivery, `Attempt 3 of 4`.
    pub attempts: String,
}

impl ListedDelivery {
    pub fn new(found: &FoundDelivery, max_attempts: usize, now: Timestamp) -> Self {
        let summary = &found.summary;
        let row = DeliveryRow::new(summary, max_attempts, now);
        let attempts = match (summary.state, summary.attempts.len()) {
            (DeliveryState::Pending, _) => row.attempts.clone(),
            (_, 0) => "No attempts".to_owned(),
            (_, 1) => "1 attempt".to_owned(),
            (_, count) => format!("{count} attempts"),
        };
        let (title, project) = subject_label(&found.subject);
        Self {
            path: delivery_path(&summary.webhook, &summary.id),
            title,
            is_message: matches!(found.subject, EventSubject::Feedback { .. }),
            project,
            webhook: webhook_label(&found.description, &found.url),
            attempts,
            row,
        }
    }
}

/// Returns the path of a delivery's page.
pub fn delivery_path(webhook: &WebhookId, delivery: &DeliveryId) -> String {
    format!("/settings/notifications/{webhook}/deliveries/{delivery}")
}

/// Returns a title for an event's subject, and the name of its project. The name is empty for tests
/// and deleted feedback.
pub fn subject_label(subject: &EventSubject) -> (String, String) {
    match subject {
        EventSubject::Test => ("Test event".to_owned(), String::new()),
        EventSubject::DeletedFeedback => ("Deleted feedback".to_owned(), String::new()),
        EventSubject::Feedback {
            message, project, ..
        } => (truncate_message(message), project.clone()),
    }
}

/// Returns a label for a webhook: its description or, without a description, its email, or its URL
/// without `https://`. Returns `Deleted webhook` if both are empty.
pub fn webhook_label(description: &str, url: &str) -> String {
    match (description.trim(), url) {
        ("", "") => "Deleted webhook".to_owned(),
        ("", url) => match WebhookUrl::from_stored(url) {
            Ok(WebhookUrl::Mailto(url)) => url.email().to_owned(),
            _ => url.strip_prefix("https://").unwrap_or(url).to_owned(),
        },
        (description, _) => description.to_owned(),
    }
}

/// Returns the first [`TITLE_MAX_CHARS`] characters of a message on one line. Appends `…` if the
/// message is longer.
pub fn truncate_message(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE_MAX_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
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
        "send_timeout" => "sending the request timed out",
        "name_not_found" => "host name not found",
        "name_lookup" => "DNS lookup failed",
        "connection_refused" => "connection refused",
        "name_without_address" => "host has no IP address",
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
        "format_changed" => "format changed",
        _ => {
            return mail_failure_label(attempt)
                .map(str::to_owned)
                .or_else(|| attempt.error.clone());
        }
    };
    Some(label.to_owned())
}

/// Returns the reason why a mail server didn't accept an email; `None` for other outcomes.
fn mail_failure_label(attempt: &LoggedAttempt) -> Option<&'static str> {
    Some(match attempt.error_code.as_deref()? {
        "mail_closed" => "connection closed",
        "mail_deferred" => "deferred by the mail server",
        "mail_no_international_email" => "email not supported",
        "mail_no_sign_in" | "mail_sign_in" | "mail_sign_in_required" => "sign-in failed",
        "mail_no_starttls" | "mail_tls" => "TLS failed",
        "mail_not_configured" => "no mail server",
        "mail_not_smtp" => "invalid SMTP reply",
        "mail_recipient" => "recipient rejected",
        "mail_refused" => "refused by the mail server",
        "mail_rejected" => "email rejected",
        "mail_sender" => "sender rejected",
        "mail_timeout" => "timed out",
        "mail_too_large" => "email too large",
        code if code.starts_with("mail_") => "email failed",
        _ => return None,
    })
}
