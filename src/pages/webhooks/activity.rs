//! The state, the last deliveries, and the problem of a webhook, for its row and its page.

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::advice_for_code;
use crate::domain::webhook::Webhook;
use crate::pages::deliveries::row::{ListedDelivery, StateLabel, failure_label};
use crate::pages::deliveries::totals::DeliveryTotalsView;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::DisplayTime;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, DeliverySearch, DeliverySummary, DeliveryTotals, PageRequest};

use super::sparkline::Sparkline;

/// Maximum number of deliveries in the list of recent deliveries.
const RECENT_DELIVERIES_SHOWN: usize = 5;

pub(super) struct WebhookActivity {
    pub(super) state: StateLabel,
    pub(super) held_until: Option<DisplayTime>,
    /// `None` unless the webhook is failing.
    pub(super) problem: Option<WebhookProblem>,
    /// The time of the last attempt, if the state doesn't contain this time.
    pub(super) last_attempt: Option<DisplayTime>,
    pub(super) sparkline: Option<Sparkline>,
    pub(super) totals: DeliveryTotalsView,
    pub(super) recent: Vec<ListedDelivery>,
}

/// The problem of a failing webhook, with advice for fixing it.
pub(super) struct WebhookProblem {
    /// The reason for the last failure, such as `404 Not Found`; `None` if the failure isn't among
    /// the last deliveries.
    pub(super) reason: Option<String>,
    /// The advice for the last failure; empty if the failure isn't among the last deliveries.
    pub(super) advice: &'static str,
    /// Whether the last failure is a response with the status 401 or 403. These statuses often mean
    /// that the endpoint uses a different secret.
    pub(super) is_rejected: bool,
    /// The path and label of the button that sends the last failed delivery again; `None` if that
    /// delivery was canceled or isn't among the last deliveries.
    pub(super) action: Option<(String, &'static str)>,
}

impl WebhookActivity {
    pub(super) async fn load(
        context: &RequestContext,
        webhook: &Webhook,
        totals: DeliveryTotals,
    ) -> Result<Self, PageError> {
        let now = context.app.clock.now();
        let page = PageRequest {
            limit: Sparkline::DELIVERIES_MAX,
            before: None,
        };
        let store = &context.app.store;
        let deliveries = store
            .deliveries(webhook.id.clone(), DeliveryFilter::default(), page)
            .await?
            .items;
        let search = DeliverySearch {
            webhook: Some(webhook.id.clone()),
            ..DeliverySearch::default()
        };
        let page = PageRequest {
            limit: RECENT_DELIVERIES_SHOWN,
            before: None,
        };
        let recent = store.search_deliveries(search, page).await?.items;
        let max_attempts = context.app.delivery.max_attempts(webhook.retries);
        let state = state_label(webhook, &deliveries, now);
        let attempts = deliveries.iter().flat_map(|delivery| &delivery.attempts);
        let last_attempt = attempts.map(|attempt| attempt.started_at).max();
        Ok(Self {
            last_attempt: last_attempt
                .filter(|_| state.relative_time.is_none())
                .map(|at| DisplayTime::new(at, now)),
            state,
            held_until: held_until(webhook, now),
            problem: is_failing(webhook).then(|| WebhookProblem::new(webhook, &deliveries)),
            sparkline: Sparkline::new(&deliveries, now),
            totals: DeliveryTotalsView::new(
                &format!("{}/{}/deliveries", super::PATH, webhook.id),
                totals,
            ),
            recent: recent
                .iter()
                .map(|found| ListedDelivery::new(found, max_attempts, now))
                .collect(),
        })
    }
}

impl WebhookProblem {
    fn new(webhook: &Webhook, deliveries: &[DeliverySummary]) -> Self {
        let mut sent = without_tests(deliveries);
        let failed = sent.find(|delivery| {
            let last = delivery.attempts.last();
            last.is_some_and(|attempt| attempt.error_code.is_some())
        });
        let attempt = failed.and_then(|delivery| delivery.attempts.last());
        let code = attempt.and_then(|attempt| attempt.error_code.as_deref());
        let status = attempt.and_then(|attempt| attempt.status);
        let action = failed.and_then(|delivery| {
            let (action, label) = match delivery.state {
                DeliveryState::Pending => ("retry", "Retry now"),
                DeliveryState::Failed => ("redeliver", "Redeliver"),
                DeliveryState::Delivered | DeliveryState::Canceled => return None,
            };
            let deliveries = format!("{}/{}/deliveries", super::PATH, webhook.id);
            Some((format!("{deliveries}/{}/{action}", delivery.id), label))
        });
        Self {
            reason: attempt.and_then(failure_label),
            advice: code.map_or("", |code| advice_for_code(code, status)),
            is_rejected: matches!(status, Some(401 | 403)),
            action,
        }
    }
}

/// Returns the deliveries that affect the state of the webhook: all deliveries except tests.
fn without_tests(deliveries: &[DeliverySummary]) -> impl Iterator<Item = &DeliverySummary> {
    let is_test = |delivery: &DeliverySummary| delivery.event == EventType::Test;
    deliveries.iter().filter(move |delivery| !is_test(delivery))
}

/// Returns the end of an enabled webhook's hold, if there is a hold.
pub fn held_until(webhook: &Webhook, now: Timestamp) -> Option<DisplayTime> {
    let until = webhook.held_until.filter(|until| *until > now)?;
    webhook.enabled.then(|| DisplayTime::new(until, now))
}

pub(super) fn is_failing(webhook: &Webhook) -> bool {
    webhook.enabled && webhook.failing_since.is_some()
}

fn state_label(webhook: &Webhook, deliveries: &[DeliverySummary], now: Timestamp) -> StateLabel {
    let state = |css_class, icon, text: &str| StateLabel {
        css_class,
        icon,
        text: text.to_owned(),
        relative_time: None,
        clock_time: None,
        detail: String::new(),
    };
    if !webhook.enabled {
        return state("", "off", "Disabled");
    }
    // The state omits the end of the hold, because the notice below contains it.
    if held_until(webhook, now).is_some() {
        return state("wait", "hold", "On hold");
    }
    if let Some(since) = webhook.failing_since {
        return StateLabel {
            clock_time: Some(DisplayTime::new(since, now)),
            ..state("bad", "bad", "Failing since")
        };
    }
    if webhook.topics.is_empty() {
        return state("", "off", "No topics selected");
    }
    match without_tests(deliveries).find(|d| d.state == DeliveryState::Delivered) {
        Some(last) => StateLabel {
            relative_time: last
                .attempts
                .last()
                .map(|attempt| DisplayTime::new(attempt.started_at, now)),
            ..state("good", "ok", "Delivered")
        },
        None => state("", "wait", "No deliveries yet"),
    }
}
