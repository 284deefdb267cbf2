//! One delivery: the request as it was sent, each attempt with where its time went and what was answered, and what
//! comes next.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::{TestHint, advice, format_duration, status_text};
use crate::domain::id::{DeliveryId, WebhookId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::page_error::PageError;
use crate::pages::webhooks::row::{DeliveryRow, held_until, max_attempts_of};
use crate::store::{DeliveryDetail, DeliverySummary, LoggedAttempt, RedeliverError};

/// How much of a body that is no text is shown, in bytes.
const HEX_BYTES_SHOWN: usize = 512;

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    layout: Layout,
    webhook: WebhookId,
    /// Empty where the webhook was deleted.
    url: String,
    row: DeliveryRow,
    status: StatusLine,
    can_redeliver: bool,
    /// The newest first.
    attempts: Vec<AttemptDetails>,
    request: Option<SentRequest>,
}

/// What comes next, or what came of it: `Next try at 14:05:12, in 9 s (3 of 4)`.
struct StatusLine {
    kind: &'static str,
    icon: &'static str,
    label: String,
    time: Option<DisplayTime>,
    /// Empty unless it is still to come.
    countdown: String,
    detail: String,
}

struct AttemptDetails {
    number: u32,
    title: String,
    is_success: bool,
    at: DisplayTime,
    duration: String,
    /// What happened, and what to do.
    problem: String,
    advice: &'static str,
    /// The endpoint refuses what it gets: its secret may be another one.
    is_rejected: bool,
    segments: Vec<TimingSegment>,
    headers: Vec<(String, String)>,
    body: Option<ResponseBody>,
    truncated: bool,
}

/// A part of an attempt's time, as it is drawn: in hundredths of the whole.
struct TimingSegment {
    kind: &'static str,
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
    let (webhook, delivery) = path.into_inner();
    let detail = context
        .app
        .store
        .delivery(DeliveryId::new(delivery))
        .await?
        .ok_or(PageError::ItemNotFound)?;
    if detail.summary.webhook.as_str() != webhook {
        return Err(PageError::ItemNotFound);
    }
    let configured = context
        .app
        .store
        .webhook(detail.summary.webhook.clone())
        .await?;
    let now = context.app.clock.now();
    let (layout, _) = context.layout("Delivery", "notifications");
    let url = configured
        .as_ref()
        .map(|webhook| webhook.url.as_str().to_owned())
        .unwrap_or_default();
    let enabled = configured.as_ref().is_some_and(|webhook| webhook.enabled);
    let is_held = configured
        .as_ref()
        .is_some_and(|webhook| held_until(webhook, now).is_some());
    // A webhook that is gone sends nothing any more: how many there would be plays no part.
    let webhook_max = configured.as_ref().map_or(1, |webhook| {
        context.app.delivery.max_attempts(webhook.retries)
    });
    let max_attempts = max_attempts_of(&detail.summary, webhook_max);
    let others_fail = configured.is_some_and(|webhook| webhook.failing_since.is_some());
    let hints = (detail.summary.event == EventType::Test).then_some(others_fail);
    let page = DeliveryPage {
        row: DeliveryRow::of(&detail.summary, max_attempts, now),
        status: status_line(&detail.summary, max_attempts, is_held, now),
        can_redeliver: enabled
            && detail.summary.state != DeliveryState::Pending
            && detail.request.is_some(),
        attempts: detail
            .summary
            .attempts
            .iter()
            .rev()
            .map(|attempt| AttemptDetails::of(attempt, hints, now))
            .collect(),
        request: sent_request(&detail, &url),
        webhook: detail.summary.webhook,
        url,
        layout,
    };
    render(StatusCode::OK, &page)
}

pub async fn redeliver(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook, delivery) = path.into_inner();
    context.push_message(
        match context
            .app
            .store
            .redeliver(DeliveryId::new(delivery.clone()))
            .await
        {
            Ok(()) => "It is sent again.".to_owned(),
            Err(RedeliverError::Store(error)) => return Err(error.into()),
            Err(RedeliverError::UnknownDelivery | RedeliverError::UnknownWebhook) => {
                return Err(PageError::ItemNotFound);
            }
            // Two presses: it is on its way, which is what was wanted.
            Err(error) => error.to_string(),
        },
    );
    let path = format!(
        "/settings/notifications/{}/deliveries/{}",
        WebhookId::new(webhook),
        DeliveryId::new(delivery)
    );
    Ok(context.redirect(&path))
}

/// `max_attempts`: how many attempts its webhook's retries allow; `is_held`: its endpoint asked for time.
fn status_line(
    record: &DeliverySummary,
    max_attempts: usize,
    is_held: bool,
    now: Timestamp,
) -> StatusLine {
    let ended = record
        .attempts
        .last()
        .map(|attempt| DisplayTime::new(attempt.started_at.plus(attempt.duration), now));
    let line = |kind, icon, label: &str, time, detail: String| StatusLine {
        kind,
        icon,
        label: label.to_owned(),
        time,
        countdown: String::new(),
        detail,
    };
    let attempts = match record.attempts.len() {
        1 => String::new(),
        many => format!(" after {many} attempts"),
    };
    match (record.state, record.next_attempt_at) {
        (DeliveryState::Pending, Some(due)) if due > now => {
            let nth = record.round_attempts + 1;
            let count = format!(" ({nth} of {max_attempts})");
            let first = record.attempts.is_empty();
            StatusLine {
                countdown: time_until(due, now),
                ..line(
                    "wait",
                    "wait",
                    if first { "First try at" } else { "Next try at" },
                    Some(DisplayTime::new(due, now)),
                    match is_held {
                        true => format!("{count}: the endpoint asked to wait"),
                        false => count,
                    },
                )
            }
        }
        (DeliveryState::Pending, _) => line("wait", "wait", "On its way", None, String::new()),
        (DeliveryState::Delivered, _) => line("good", "ok", "Delivered at", ended, attempts),
        (DeliveryState::Failed, _) if record.event == EventType::Test => line(
            "bad",
            "bad",
            "Failed at",
            ended,
            ": a test is tried once".into(),
        ),
        (DeliveryState::Failed, _) => {
            let dropped = format!("{attempts}: the event was dropped");
            line("bad", "bad", "Gave up at", ended, dropped)
        }
        (DeliveryState::Canceled, _) => {
            let why = ": the webhook was switched off or deleted, or the feedback is gone".into();
            line("", "off", "Canceled", None, why)
        }
    }
}

impl AttemptDetails {
    /// `test`: it is a test, and whether what is not a test fails there too.
    fn of(attempt: &LoggedAttempt, test: Option<bool>, now: Timestamp) -> Self {
        let is_success = attempt.error_code.is_none();
        let response = attempt.status.map(status_text);
        let code = attempt.error_code.as_deref().unwrap_or_default();
        let body = attempt.response_body.as_deref().unwrap_or_default();
        let hint = test
            .zip(attempt.status)
            .and_then(|(others_fail, status)| TestHint::from_response(status, body, others_fail));
        Self {
            number: attempt.number,
            title: format!(
                "{} try: {}",
                ordinal(attempt.number as usize),
                response.unwrap_or_else(|| code.replace('_', " "))
            ),
            is_success,
            at: DisplayTime::new(attempt.started_at, now),
            duration: format_duration(attempt.duration),
            problem: attempt.error.clone().unwrap_or_default(),
            advice: hint.map_or_else(|| advice(code, attempt.status), TestHint::advice),
            is_rejected: matches!(attempt.status, Some(401 | 403)),
            segments: timing_segments(attempt),
            headers: attempt.response_headers.clone(),
            body: attempt
                .response_body
                .as_deref()
                .filter(|body| !body.is_empty())
                .map(ResponseBody::of),
            truncated: attempt.response_truncated,
        }
    }
}

impl ResponseBody {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            // Cut within a character by the cap: still text.
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
        ("dns", "Name", timings.dns),
        ("connect", "Connection", timings.connect),
        ("tls", "TLS", timings.tls),
        ("waiting", "Waiting", timings.waiting),
    ];
    let known: Vec<(&str, &str, Duration)> = all
        .into_iter()
        .filter_map(|(kind, name, time)| Some((kind, name, time?)))
        .collect();
    let whole: f64 = known.iter().map(|(_, _, time)| time.as_secs_f64()).sum();
    let mut x = 0.0;
    known
        .into_iter()
        .filter(|_| whole > 0.0)
        .map(|(kind, name, time)| {
            let width = time.as_secs_f64() / whole * 100.0;
            let segment = TimingSegment {
                kind,
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

/// `1st`, `2nd`, `3rd`, `4th`, …
fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_those_of_english() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal),
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"
            ]
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_shown_as_hex_and_one_cut_in_a_character_as_text() {
        assert!(
            matches!(ResponseBody::of(&[0xff, 0x00, 0x10]), ResponseBody::Hex(hex) if hex == "ff 00 10")
        );
        assert!(
            matches!(ResponseBody::of(&"aü".as_bytes()[..2]), ResponseBody::Text(text) if text.starts_with('a'))
        );
    }
}
