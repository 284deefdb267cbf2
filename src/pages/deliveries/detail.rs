//! The page of one delivery: its state, its request, and each attempt with the response and advice.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::attempt::{AttemptDetails, format_json};
use super::email_view::EmailView;
use super::query::is_unsuccessful;
use super::row::{DeliveryRow, delivery_path, next_and_last_attempt, subject_label};
use crate::clock::Timestamp;
use crate::domain::delivery::{CancelReason, DeliveryState};
use crate::domain::event::EventType;
use crate::domain::explanation::format_duration;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, Id, WebhookId};
use crate::domain::webhook::Webhook;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::{Breadcrumb, NavSection, state_query_string};
use crate::pages::framework::page_error::PageError;
use crate::pages::webhooks::row::held_until;
use crate::store::{DeliveryDetail, DeliverySummary, EventSubject};

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    layout: Layout,
    webhook: WebhookId,
    /// The webhook's URL or email; empty if the webhook was deleted.
    url: String,
    /// The format in which the delivery is sent.
    format: Format,
    row: DeliveryRow,
    status: StateDescription,
    subject: EventSubject,
    /// The start of the message, or `Test event`, or `Deleted feedback`.
    title: String,
    can_redeliver: bool,
    is_pending: bool,
    /// Newest first.
    attempts: Vec<AttemptDetails>,
    time_limit: String,
    request: RequestView,
    /// The state in the query string, `Failed` or `Canceled`. If the query string contains a state,
    /// `newer` and `older` are the nearest deliveries in this state.
    listed_state: Option<DeliveryState>,
    newer: Option<DeliveryId>,
    older: Option<DeliveryId>,
}

/// The state of a delivery, shown as an icon with text.
///
/// Example: `Next attempt at 14:05:12 UTC, in 9 s (3 of 4)`.
struct StateDescription {
    css_class: &'static str,
    icon: &'static str,
    label: String,
    time: Option<DisplayTime>,
    /// The time until the next attempt, such as `in 9 s`; empty if the attempt is already due.
    countdown: String,
    detail: String,
}

/// The request of the last attempt or, before the first attempt, the body to be sent.
struct RequestView {
    /// A note that says whether the request was sent, or why there is no request.
    note: &'static str,
    headers: Vec<(String, String)>,
    /// The body, formatted if it is a JSON object or array; `None` if it has been removed.
    body: Option<String>,
    /// The body as it is sent; empty if it has been removed.
    raw: String,
    curl: Option<String>,
    /// The body as an email, for a delivery by email.
    email: Option<EmailView>,
}

impl DeliveryPage {
    fn webhook_path(&self, page: &str) -> String {
        format!("/settings/notifications/{}/{page}", self.webhook)
    }

    fn path(&self) -> String {
        self.webhook_path(&format!("deliveries/{}", self.row.id))
    }

    fn neighbor_path(&self, id: &DeliveryId) -> String {
        delivery_path(&self.webhook, id) + &state_query_string(self.listed_state)
    }

    fn neighbors_label(&self) -> &'static str {
        match self.listed_state {
            None => "Deliveries of this webhook",
            Some(DeliveryState::Canceled) => "Canceled deliveries of this webhook",
            Some(_) => "Failed deliveries of this webhook",
        }
    }

    /// Returns the last attempt if it failed.
    fn last_failure(&self) -> Option<&AttemptDetails> {
        self.attempts.first().filter(|attempt| !attempt.is_success)
    }

    fn is_webhook_deleted(&self) -> bool {
        self.url.is_empty()
    }
}

pub async fn show(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook_id, delivery_id) = path.into_inner();
    let store = &context.app.store;
    let detail = store
        .delivery(DeliveryId::parse_or_nil(delivery_id))
        .await?;
    let detail = detail.ok_or(PageError::ItemNotFound)?;
    let summary = &detail.summary;
    if summary.webhook != WebhookId::parse_or_nil(webhook_id) {
        return Err(PageError::ItemNotFound);
    }
    let webhook = store.webhook(summary.webhook).await?;
    let listed_state = context
        .query_param("state")
        .and_then(|state| DeliveryState::parse(&state))
        .filter(|state| is_unsuccessful(*state));
    let (newer, older) = store
        .adjacent_deliveries(summary.webhook, summary.id, listed_state)
        .await?;
    let now = context.app.clock.now();
    let delivery = &context.app.delivery;
    let (mut layout, _) = context.build_layout("Delivery", NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications()];
    if let Some(webhook) = &webhook {
        let deliveries = Breadcrumb::deliveries(&webhook.id, listed_state);
        layout
            .breadcrumb
            .extend([Breadcrumb::webhook(webhook), deliveries]);
    }
    // Only pending deliveries show the maximum, and a deleted webhook has no pending deliveries.
    let max_attempts = webhook
        .as_ref()
        .map_or(1, |webhook| delivery.max_attempts(webhook.retries));
    let url = webhook
        .as_ref()
        .map(|webhook| webhook.url.display_text().to_owned())
        .unwrap_or_default();
    let format = detail.summary.format;
    let (title, _) = subject_label(&detail.subject);
    layout.subject.clone_from(&title);
    let is_pending = summary.state == DeliveryState::Pending;
    let is_without_feedback = summary.event == EventType::Test;
    let attempts = summary.attempts.iter().rev();
    let page = DeliveryPage {
        row: DeliveryRow::new(summary, max_attempts, now),
        status: describe_state(&detail, webhook.as_ref(), max_attempts, now),
        can_redeliver: webhook.as_ref().is_some_and(|webhook| webhook.enabled)
            && !is_pending
            && detail.body.is_some(),
        is_pending,
        attempts: attempts
            .map(|attempt| {
                let timeout = delivery.timeout();
                AttemptDetails::new(attempt, format, is_without_feedback, timeout, now)
            })
            .collect(),
        time_limit: format_duration(delivery.timeout()),
        request: RequestView::new(&detail, &url),
        format,
        webhook: summary.webhook,
        subject: detail.subject.clone(),
        title,
        listed_state,
        newer,
        older,
        url,
        layout,
    };
    render(StatusCode::OK, &page)
}

fn describe_state(
    detail: &DeliveryDetail,
    webhook: Option<&Webhook>,
    max_attempts: usize,
    now: Timestamp,
) -> StateDescription {
    let delivery = &detail.summary;
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
    match (delivery.state, delivery.next_attempt_at) {
        (DeliveryState::Pending, Some(due)) if due > now => {
            let is_held = webhook.is_some_and(|webhook| held_until(webhook, now).is_some());
            let (label, detail) = describe_next_attempt(delivery, max_attempts, is_held);
            let time = Some(DisplayTime::new(due, now));
            StateDescription {
                countdown: time_until(due, now),
                ..line("wait", "wait", label, time, detail)
            }
        }
        (DeliveryState::Pending, _) => line("wait", "wait", "Sending", None, String::new()),
        (DeliveryState::Delivered, _) => line(
            "good",
            "ok",
            "Delivered at",
            ended,
            attempt_phrase(delivery),
        ),
        (DeliveryState::Failed, _) if delivery.is_test => {
            let reason = " (tests aren’t retried)".into();
            line("bad", "bad", "Failed at", ended, reason)
        }
        (DeliveryState::Failed, _) => {
            line("bad", "bad", "Failed at", ended, attempt_phrase(delivery))
        }
        (DeliveryState::Canceled, _) => {
            let time = delivery.finished_at.map(|at| DisplayTime::new(at, now));
            let reason = cancel_reason_phrase(delivery).to_owned();
            line("", "off", "Canceled at", time, reason)
        }
    }
}

/// Returns the label and the details of a pending delivery's next attempt.
fn describe_next_attempt(
    delivery: &DeliverySummary,
    max_attempts: usize,
    is_held: bool,
) -> (&'static str, String) {
    let (number, max) = next_and_last_attempt(delivery, max_attempts);
    let label = match delivery.attempts.as_slice() {
        [] => "First attempt at",
        _ => "Next attempt at",
    };
    let hold = if is_held {
        ", delayed by the endpoint’s Retry-After"
    } else {
        ""
    };
    (label, format!(" ({number} of {max}){hold}"))
}

/// Returns the number of attempts of a delivered or failed delivery as a phrase, such as
/// ` on attempt 2 (redelivered)` or ` after 4 attempts`. Returns an empty string if there was at
/// most one attempt.
fn attempt_phrase(delivery: &DeliverySummary) -> String {
    let count = delivery.attempts.len();
    let redelivered = match delivery.round_attempts < count {
        true => " (redelivered)",
        false => "",
    };
    match delivery.state {
        _ if count < 2 => String::new(),
        DeliveryState::Delivered => format!(" on attempt {count}{redelivered}"),
        _ => format!(" after {count} attempts{redelivered}"),
    }
}

/// Returns a phrase with the reason for the cancellation of a delivery.
fn cancel_reason_phrase(delivery: &DeliverySummary) -> &'static str {
    match delivery.cancel_reason {
        None => "",
        Some(CancelReason::User) => " by a user",
        Some(CancelReason::WebhookDisabled) => " because the webhook was disabled",
        Some(CancelReason::WebhookDeleted) => " because the webhook was deleted",
        Some(CancelReason::WebhookChanged) => {
            " because the webhook’s URL changed between HTTP and email"
        }
        Some(CancelReason::FeedbackDeleted) => " because the feedback was deleted",
    }
}

impl RequestView {
    fn new(detail: &DeliveryDetail, url: &str) -> Self {
        let request = detail.request();
        let raw = detail.body.as_deref().map(String::from_utf8_lossy);
        let raw = raw.map(std::borrow::Cow::into_owned);
        let is_attempted = !detail.summary.attempts.is_empty();
        let headers = request
            .map(|request| request.headers.to_vec())
            .unwrap_or_default();
        let body = detail.body.as_deref();
        let body = body.filter(|_| detail.summary.format.is_email());
        Self {
            note: match (&raw, is_attempted, detail.summary.state) {
                (None, true, _) => "The request was removed because the feedback was deleted.",
                (None, false, _) => {
                    "Nothing was sent. The feedback was deleted before the first attempt."
                }
                (Some(_), true, _) if detail.summary.format.is_signed() => {
                    "As sent in the last attempt. The signature covers the raw body."
                }
                (Some(_), true, _) => "As sent in the last attempt.",
                (Some(_), false, DeliveryState::Pending) => {
                    "Not sent yet. Each attempt sends this body with new headers."
                }
                (Some(_), false, _) => "Nothing was sent. A redelivery sends this body.",
            },
            email: body.map(|body| EmailView::new(&headers, body)),
            curl: request
                .filter(|_| !url.is_empty() && !detail.summary.format.is_email())
                .map(|request| curl_command(url, request.headers, request.body)),
            headers,
            body: raw
                .as_ref()
                .map(|raw| format_json(raw).unwrap_or_else(|| raw.clone())),
            raw: raw.unwrap_or_default(),
        }
    }
}

/// Returns a curl command that sends the request again, quoted for POSIX shells.
fn curl_command(url: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let headers: String = headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "Host" | "Content-Length"))
        .map(|(name, value)| format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))))
        .collect();
    let body = String::from_utf8_lossy(body);
    format!(
        "curl {}{headers} \\\n  --data-raw {}",
        quoted(url),
        quoted(&body)
    )
}
