//! The state, the last deliveries, and the problems of a webhook, for its row and its page.

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::explanation::{attempt_advice, is_auth_failure};
use crate::domain::webhook::Webhook;
use crate::pages::deliveries::failures::WeekFailures;
use crate::pages::deliveries::query::RecentPeriod;
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
    pub(super) is_enabled: bool,
    pub(super) state: StateLabel,
    pub(super) held_until: Option<DisplayTime>,
    /// `None` unless the webhook is failing.
    pub(super) problem: Option<WebhookProblem>,
    /// The deliveries that failed recently, if any, even if the webhook isn't failing any more.
    pub(super) failures: Option<WeekFailures>,
    /// The button that sends the last failed delivery again, if only this delivery failed.
    pub(super) send_again: Option<SendAgainButton>,
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
    /// Whether deliveries are signed, and the last failure is a response with the status 401 or
    /// 403. These statuses often mean that the endpoint uses a different secret.
    pub(super) is_auth_failure: bool,
}

/// A button that sends one delivery again.
pub(super) struct SendAgainButton {
    /// The path of the form.
    pub(super) path: String,
    pub(super) label: &'static str,
    /// Whether the delivery is pending. Other deliveries that failed then have their own button.
    is_retry: bool,
}

impl WebhookActivity {
    pub(super) async fn load(
        context: &RequestContext,
        webhook: &Webhook,
        totals: DeliveryTotals,
        failures: Option<WeekFailures>,
    ) -> Result<Self, PageError> {
        let now = context.app.clock.now();
        let page = PageRequest {
            limit: Sparkline::DELIVERIES_MAX,
            before: None,
        };
        let store = &context.app.store;
        let deliveries = store
            .deliveries(webhook.id, DeliveryFilter::default(), page)
            .await?
            .items;
        let search = DeliverySearch {
            webhook: Some(webhook.id),
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
            is_enabled: webhook.enabled,
            held_until: held_until(webhook, now),
            problem: is_failing(webhook).then(|| WebhookProblem::new(webhook, &deliveries)),
            send_again: SendAgainButton::new(webhook, &deliveries, failures.as_ref(), now),
            failures,
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

impl WebhookActivity {
    /// Returns the failed deliveries that are redelivered after a confirmation, if any.
    pub(super) fn failures_to_confirm(&self) -> Option<&WeekFailures> {
        let is_alone = |send_again: &SendAgainButton| !send_again.is_retry;
        self.failures
            .as_ref()
            .filter(|_| self.is_enabled && !self.send_again.as_ref().is_some_and(is_alone))
    }
}

impl WebhookProblem {
    fn new(webhook: &Webhook, deliveries: &[DeliverySummary]) -> Self {
        let delivery = last_failed_delivery(deliveries);
        let attempt = delivery.and_then(|delivery| delivery.attempts.last());
        let format = delivery.map_or(webhook.format, |delivery| delivery.format);
        let code = attempt.and_then(|attempt| attempt.error_code.as_deref());
        let status = attempt.and_then(|attempt| attempt.status);
        Self {
            reason: attempt.and_then(failure_label),
            advice: code.map_or("", |code| attempt_advice(format, false, code, status, &[])),
            is_auth_failure: webhook.format.is_signed() && is_auth_failure(status),
        }
    }
}

impl SendAgainButton {
    /// Returns the button for the last failed delivery: "Retry now" if the webhook is failing and
    /// the delivery is pending, or "Redeliver" if no other delivery failed in the last 7 days.
    fn new(
        webhook: &Webhook,
        deliveries: &[DeliverySummary],
        failures: Option<&WeekFailures>,
        now: Timestamp,
    ) -> Option<Self> {
        if !webhook.enabled {
            return None;
        }
        let button = |delivery: &DeliverySummary, action, label| Self {
            path: format!(
                "{}/{}/deliveries/{}/{action}",
                super::PATH,
                webhook.id,
                delivery.id
            ),
            label,
            is_retry: delivery.state == DeliveryState::Pending,
        };
        let last = last_failed_delivery(deliveries)
            .filter(|delivery| is_failing(webhook) && delivery.state == DeliveryState::Pending);
        if let Some(delivery) = last {
            return Some(button(delivery, "retry", "Retry now"));
        }
        let week_start = RecentPeriod::WEEK.start(now);
        let mut failed = without_tests(deliveries).filter(|d| d.state == DeliveryState::Failed);
        let last = failed.next()?;
        let is_recent = last.finished_at.is_some_and(|at| at >= week_start);
        // If no delivery failed recently, the last failure is older or can't be redelivered,
        // because its feedback was deleted.
        let is_only_failure = match failures {
            Some(failures) => failures.is_one && is_recent && failed.next().is_none(),
            None => is_failing(webhook) && !is_recent,
        };
        is_only_failure.then(|| button(last, "redeliver", "Redeliver"))
    }
}

/// Returns the last delivery whose last attempt failed, except tests.
fn last_failed_delivery(deliveries: &[DeliverySummary]) -> Option<&DeliverySummary> {
    without_tests(deliveries).find(|delivery| {
        let last = delivery.attempts.last();
        last.is_some_and(|attempt| attempt.error_code.is_some())
    })
}

/// Returns the deliveries that affect the state of the webhook: all deliveries except tests.
fn without_tests(deliveries: &[DeliverySummary]) -> impl Iterator<Item = &DeliverySummary> {
    deliveries.iter().filter(|delivery| !delivery.is_test)
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
    let failing_since = webhook.failing_since.map(|at| DisplayTime::new(at, now));
    let is_failing = failing_since.is_some();
    // The state omits the end of the hold, because the notice below contains it.
    let (css_class, icon, text) = match (held_until(webhook, now).is_some(), is_failing) {
        (true, true) => ("wait", "hold", "On hold, failing since"),
        (true, false) => ("wait", "hold", "On hold"),
        (false, true) => ("bad", "bad", "Failing since"),
        (false, false) => ("", "", ""),
    };
    if !text.is_empty() {
        return StateLabel {
            clock_time: failing_since,
            ..state(css_class, icon, text)
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
        None => state("", "wait", state_without_success(deliveries)),
    }
}

/// Returns the state of a webhook that isn't failing, if no recent delivery succeeded.
fn state_without_success(deliveries: &[DeliverySummary]) -> &'static str {
    let last = without_tests(deliveries).next();
    match last.map(|delivery| delivery.state) {
        Some(DeliveryState::Pending | DeliveryState::Delivered) => "Sending",
        Some(DeliveryState::Canceled) => "Last delivery canceled",
        Some(DeliveryState::Failed) => "Last delivery failed",
        None if deliveries.is_empty() => "No deliveries yet",
        None if deliveries.len() < Sparkline::DELIVERIES_MAX => "Only tests so far",
        None => "Only tests recently",
    }
}
