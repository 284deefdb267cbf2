//! The page of one delivery: its state, its request, and each attempt with timings and response.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::{advice_for_code, format_duration, status_text, test_advice};
use crate::domain::id::{DeliveryId, WebhookId};
use crate::pages::deliveries::row::{DeliveryRow, failure_label, max_attempts_for};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::{Ancestor, NavSection};
use crate::pages::framework::page_error::PageError;
use crate::pages::webhooks::row::held_until;
use crate::store::{DeliveryDetail, DeliverySummary, LoggedAttempt};

/// Maximum number of bytes shown of a binary response body.
const HEX_BYTES_SHOWN: usize = 512;

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    layout: Layout,
    webhook: WebhookId,
    /// The webhook's URL; empty if the webhook was deleted.
    url: String,
    row: DeliveryRow,
    status: StateDescription,
    can_redeliver: bool,
    is_pending: bool,
    /// Newest first.
    attempts: Vec<AttemptDetails>,
    request: Option<SentRequest>,
}

/// The state of a delivery, shown as an icon with text such as `Next attempt at 14:05:12 UTC, in 9
/// s (3 of 4)`.
struct StateDescription {
    css_class: &'static str,
    icon: &'static str,
    label: String,
    time: Option<DisplayTime>,
    /// The time until the next attempt, such as `in 9 s`; empty if no attempt is scheduled.
    countdown: String,
    detail: String,
}

struct AttemptDetails {
    number: u32,
    title: String,
    is_success: bool,
    started_at: DisplayTime,
    duration: String,
    /// A description of the failure; empty after a success.
    error: String,
    /// Advice for fixing the failure.
    advice: &'static str,
    /// Whether the status is 401 or 403. These statuses often mean that the endpoint uses a
    /// different secret.
    is_rejected: bool,
    segments: Vec<TimingSegment>,
    headers: Vec<(String, String)>,
    body: Option<ResponseBody>,
    truncated: bool,
}

/// A phase of an attempt in the timing bar. `x` and `width` are percentages of the bar's width.
struct TimingSegment {
    css_class: &'static str,
    name: &'static str,
    duration: String,
    x: String,
    width: String,
}

struct SentRequest {
    headers: Vec<(String, String)>,
    pretty: String,
    raw: String,
    curl: Option<String>,
}

enum ResponseBody {
    Text(String),
    Hex(String),
}

pub async fn show(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook_id, delivery_id) = path.into_inner();
    let detail = context
        .app
        .store
        .delivery(DeliveryId::new(delivery_id))
        .await?
        .ok_or(PageError::ItemNotFound)?;
    if detail.summary.webhook.as_str() != webhook_id {
        return Err(PageError::ItemNotFound);
    }
    let webhook = context
        .app
        .store
        .webhook(detail.summary.webhook.clone())
        .await?;
    let now = context.app.clock.now();
    let (mut layout, _) = context.build_layout("Delivery", NavSection::Notifications);
    layout.breadcrumb = vec![Ancestor::notifications()];
    if let Some(webhook) = &webhook {
        let deliveries = Ancestor::deliveries(&webhook.id);
        layout
            .breadcrumb
            .extend([Ancestor::webhook(webhook), deliveries]);
    }
    let url = webhook
        .as_ref()
        .map(|webhook| webhook.url.as_str().to_owned())
        .unwrap_or_default();
    let enabled = webhook.as_ref().is_some_and(|webhook| webhook.enabled);
    let is_held = webhook
        .as_ref()
        .is_some_and(|webhook| held_until(webhook, now).is_some());
    // The maximum is shown only for pending deliveries, and a deleted webhook has none.
    let webhook_max = webhook.as_ref().map_or(1, |webhook| {
        context.app.delivery.max_attempts(webhook.retries)
    });
    let max_attempts = max_attempts_for(&detail.summary, webhook_max);
    let is_test = detail.summary.event == EventType::Test;
    let page = DeliveryPage {
        row: DeliveryRow::new(&detail.summary, max_attempts, now),
        status: describe_state(&detail.summary, max_attempts, is_held, now),
        can_redeliver: enabled
            && detail.summary.state != DeliveryState::Pending
            && detail.request.is_some(),
        is_pending: detail.summary.state == DeliveryState::Pending,
        attempts: detail
            .summary
            .attempts
            .iter()
            .rev()
            .map(|attempt| AttemptDetails::new(attempt, is_test, now))
            .collect(),
        request: sent_request(&detail, &url),
        webhook: detail.summary.webhook,
        url,
        layout,
    };
    render(StatusCode::OK, &page)
}

/// Describes the state of a delivery. `is_held` says whether its webhook is on hold.
fn describe_state(
    delivery: &DeliverySummary,
    max_attempts: usize,
    is_held: bool,
    now: Timestamp,
) -> StateDescription {
    let ended = delivery
        .attempts
        .last()
        .map(|attempt| DisplayTime::new(attempt.started_at.plus(attempt.duration), now));
    let line = |css_class, icon, label: &str, time, detail: String| StateDescription {
        css_class,
        icon,
        label: label.to_owned(),
        time,
        countdown: String::new(),
        detail,
    };
    let attempts = match delivery.attempts.len() {
        1 => String::new(),
        count => format!(" after {count} attempts"),
    };
    match (delivery.state, delivery.next_attempt_at) {
        (DeliveryState::Pending, Some(due)) if due > now => {
            let number = delivery.round_attempts + 1;
            let count = format!(" ({number} of {max_attempts})");
            let label = match delivery.attempts.as_slice() {
                [] => "First attempt at",
                _ => "Next attempt at",
            };
            let hold = if is_held {
                ", held by the endpoint"
            } else {
                ""
            };
            let time = Some(DisplayTime::new(due, now));
            StateDescription {
                countdown: time_until(due, now),
                ..line("wait", "wait", label, time, count + hold)
            }
        }
        (DeliveryState::Pending, _) => line("wait", "wait", "Sending", None, String::new()),
        (DeliveryState::Delivered, _) => line("good", "ok", "Delivered at", ended, attempts),
        (DeliveryState::Failed, _) if delivery.event == EventType::Test => {
            let reason = " (tests aren’t retried)".into();
            line("bad", "bad", "Failed at", ended, reason)
        }
        (DeliveryState::Failed, _) => line("bad", "bad", "Failed at", ended, attempts),
        (DeliveryState::Canceled, _) => {
            let reason =
                " because the webhook was disabled or deleted, the feedback was deleted, or a \
                          person canceled it"
                    .into();
            line("", "off", "Canceled", None, reason)
        }
    }
}

impl AttemptDetails {
    fn new(attempt: &LoggedAttempt, is_test: bool, now: Timestamp) -> Self {
        let is_success = attempt.error_code.is_none();
        let response = attempt.status.map(status_text);
        let code = attempt.error_code.as_deref().unwrap_or_default();
        let body = attempt.response_body.as_deref().unwrap_or_default();
        let hint = attempt
            .status
            .filter(|_| is_test)
            .and_then(|status| test_advice(status, body));
        Self {
            number: attempt.number,
            title: format!(
                "Attempt {}: {}",
                attempt.number,
                response
                    .or_else(|| failure_label(attempt))
                    .unwrap_or_default()
            ),
            is_success,
            started_at: DisplayTime::new(attempt.started_at, now),
            duration: format_duration(attempt.duration),
            error: attempt.error.clone().unwrap_or_default(),
            advice: hint.unwrap_or_else(|| advice_for_code(code, attempt.status)),
            is_rejected: matches!(attempt.status, Some(401 | 403)),
            segments: timing_segments(attempt),
            headers: attempt.response_headers.clone(),
            body: attempt
                .response_body
                .as_deref()
                .filter(|body| !body.is_empty())
                .map(ResponseBody::from_bytes),
            truncated: attempt.response_truncated,
        }
    }
}

impl ResponseBody {
    fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            // The body is text that ends in the middle of a character, for example because it was
            // truncated.
            Err(error) if error.error_len().is_none() => {
                Self::Text(String::from_utf8_lossy(bytes).into_owned())
            }
            Err(_) => {
                let rows = bytes.chunks(16).take(HEX_BYTES_SHOWN / 16);
                let row = |row: &[u8]| {
                    row.iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                Self::Hex(rows.map(row).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

fn timing_segments(attempt: &LoggedAttempt) -> Vec<TimingSegment> {
    let timings = &attempt.timings;
    let all = [
        ("dns", "DNS", timings.dns),
        ("connect", "Connection", timings.connect),
        ("tls", "TLS", timings.tls),
        ("waiting", "Waiting", timings.waiting),
    ];
    let phases: Vec<(&str, &str, Duration)> = all
        .into_iter()
        .filter_map(|(css_class, name, time)| Some((css_class, name, time?)))
        .collect();
    let total: f64 = phases.iter().map(|(_, _, time)| time.as_secs_f64()).sum();
    let mut x = 0.0;
    phases
        .into_iter()
        .filter(|_| total > 0.0)
        .map(|(css_class, name, time)| {
            let width = time.as_secs_f64() / total * 100.0;
            let segment = TimingSegment {
                css_class,
                name,
                duration: format_duration(time),
                x: format!("{x:.2}"),
                width: format!("{width:.2}"),
            };
            x += width;
            segment
        })
        .collect()
}

fn sent_request(detail: &DeliveryDetail, url: &str) -> Option<SentRequest> {
    let request = detail.request.as_ref()?;
    let raw = String::from_utf8_lossy(&request.body).into_owned();
    let pretty = serde_json::from_str::<serde_json::Value>(&raw)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| raw.clone());
    let curl = (!url.is_empty()).then(|| {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "Host" | "Content-Length"));
        let headers: String = headers
            .map(|(name, value)| format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))))
            .collect();
        format!(
            "curl {}{headers} \\\n  --data-raw {}",
            quoted(url),
            quoted(&raw)
        )
    });
    Some(SentRequest {
        headers: request.headers.clone(),
        pretty,
        raw,
        curl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_binary_body_as_hex_and_a_cut_character_as_text() {
        assert!(
            matches!(ResponseBody::from_bytes(&[0xff, 0x00, 0x10]), ResponseBody::Hex(hex) if hex == "ff 00 10")
        );
        assert!(
            matches!(ResponseBody::from_bytes(&"aü".as_bytes()[..2]), ResponseBody::Text(text) if text.starts_with('a'))
        );
    }
}
