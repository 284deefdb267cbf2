//! The notice about failed or canceled deliveries above a delivery list, and its "Redeliver" form,
//! which redelivers the deliveries that failed or were canceled in a period.

use std::collections::{BTreeSet, HashMap};

use actix_web::{HttpResponse, web};

use super::query::{DeliveryListQuery, RecentPeriod};
use super::row::webhook_label;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::id::{Id, WebhookId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::group_digits;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::page_error::PageError;
use crate::server::security_events::{set_event_count, set_event_subject};
use crate::store::{RedeliverError, UnsuccessfulDeliveries};

/// The deliveries that failed or were canceled in the longest [`RecentPeriod`], except tests and
/// deliveries of deleted feedback.
pub struct FailuresView {
    /// `Failed`, or `Canceled` in a list of canceled deliveries.
    pub state: DeliveryState,
    /// The periods with failures, shortest first. A period with the same failures as a shorter
    /// period is omitted.
    pub periods: Vec<PeriodFailures>,
    /// The number of deliveries that can't be redelivered because their webhooks are disabled, such
    /// as `3 deliveries`; empty for 0.
    pub disabled: String,
    /// The verb after `disabled`, see [`PeriodFailures::verb`].
    pub disabled_verb: &'static str,
    /// The confirmation for the requested period, if enabled webhooks have failures in this period.
    pub confirmation: Option<RedeliverConfirmation>,
}

/// The deliveries of one webhook that failed in the last 7 days, except tests and deliveries of
/// deleted feedback.
pub struct WeekFailures {
    number: u64,
    is_capped: bool,
    /// `8` or `1,000+`.
    pub count: String,
    /// `8 deliveries`.
    pub deliveries: String,
    /// Whether exactly one delivery failed.
    pub is_one: bool,
    /// The path of the confirmation that asks whether to redeliver the deliveries.
    pub confirmation_path: String,
}

impl WeekFailures {
    /// Loads the failures of a webhook or of all webhooks. Omits webhooks without failures.
    pub async fn load(
        context: &RequestContext,
        webhook: Option<WebhookId>,
    ) -> Result<HashMap<WebhookId, Self>, PageError> {
        let since = RecentPeriod::WEEK.start(context.app.clock.now());
        let failed = DeliveryState::Failed;
        let store = &context.app.store;
        let failures = store
            .unsuccessful_deliveries(webhook, failed, since)
            .await?;
        Ok(failures
            .into_iter()
            .map(|failures| (failures.webhook, Self::new(&failures)))
            .collect())
    }

    /// Returns the number of failed deliveries of all webhooks, such as `8 deliveries`; empty
    /// for 0.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> String {
        let (count, is_capped) = all.fold((0, false), |(count, is_capped), failures| {
            (count + failures.number, is_capped || failures.is_capped)
        });
        match count {
            0 => String::new(),
            _ => format_delivery_count(count, is_capped),
        }
    }

    fn new(failures: &UnsuccessfulDeliveries) -> Self {
        let (count, is_capped) = (failures.finished_at.len() as u64, failures.is_capped);
        Self {
            number: count,
            is_capped,
            count: format_count(count, is_capped),
            deliveries: format_delivery_count(count, is_capped),
            is_one: count == 1 && !is_capped,
            confirmation_path: format!(
                "/settings/notifications/{}/deliveries?redeliver={}#failures",
                failures.webhook,
                RecentPeriod::WEEK.key
            ),
        }
    }
}

/// The failures of enabled webhooks in one period.
pub struct PeriodFailures {
    pub period: RecentPeriod,
    /// `8` or `1,000+`.
    pub count: String,
    /// `8 deliveries`.
    pub deliveries: String,
    /// The verb after `deliveries`: `failed`, `was canceled`, or `were canceled`.
    pub verb: &'static str,
    /// `1 webhook`.
    pub webhooks: String,
}

/// The confirmation before deliveries are redelivered.
pub struct RedeliverConfirmation {
    pub failures: PeriodFailures,
    /// The start of the period at the time of rendering. The form contains this time, so all listed
    /// deliveries are redelivered even if the user confirms later.
    pub since: Timestamp,
    /// The label of each webhook, and its number of deliveries.
    pub webhooks: Vec<(String, String)>,
}

impl FailuresView {
    /// Loads the failed deliveries of a webhook or of all webhooks. If the list shows only canceled
    /// deliveries, loads the canceled deliveries instead. Returns `None` if the longest
    /// [`RecentPeriod`] contains no such deliveries.
    pub async fn load(
        context: &RequestContext,
        query: &DeliveryListQuery,
        webhook: Option<WebhookId>,
    ) -> Result<Option<Self>, PageError> {
        let now = context.app.clock.now();
        let state = match query.state {
            Some(DeliveryState::Canceled) => DeliveryState::Canceled,
            _ => DeliveryState::Failed,
        };
        let [.., longest] = RecentPeriod::ALL;
        let failures =
            context
                .app
                .store
                .unsuccessful_deliveries(webhook, state, longest.start(now));
        let (enabled, disabled): (Vec<_>, Vec<_>) = failures
            .await?
            .into_iter()
            .partition(|failures| failures.enabled);
        if enabled.is_empty() && disabled.is_empty() {
            return Ok(None);
        }
        let mut periods: Vec<(u64, PeriodFailures)> = Vec::new();
        for period in RecentPeriod::ALL {
            let (count, failures) = PeriodFailures::new(&enabled, state, period, now);
            if count > periods.last().map_or(0, |(count, _)| *count) {
                periods.push((count, failures));
            }
        }
        let confirmation = query.redeliver.map(|period| RedeliverConfirmation {
            failures: PeriodFailures::new(&enabled, state, period, now).1,
            since: period.start(now),
            webhooks: count_by_webhook(&enabled, period.start(now))
                .map(|(failures, count, is_capped)| {
                    let label = webhook_label(&failures.description, &failures.url);
                    (label, format_count(count, is_capped))
                })
                .collect(),
        });
        let (count, is_capped) = sum_counts(&disabled, longest.start(now));
        Ok(Some(Self {
            state,
            disabled_verb: state_verb(state, count),
            periods: periods.into_iter().map(|(_, failures)| failures).collect(),
            disabled: match count {
                0 => String::new(),
                _ => format_delivery_count(count, is_capped),
            },
            confirmation: confirmation.filter(|confirmation| !confirmation.webhooks.is_empty()),
        }))
    }

    pub fn is_canceled(&self) -> bool {
        self.state == DeliveryState::Canceled
    }

    /// Returns the shortest period in which enabled webhooks have failures.
    pub fn shortest_period(&self) -> Option<&PeriodFailures> {
        self.periods.first()
    }
}

impl PeriodFailures {
    /// Returns the number of failures in a period, and the view of these failures.
    fn new(
        failures: &[UnsuccessfulDeliveries],
        state: DeliveryState,
        period: RecentPeriod,
        now: Timestamp,
    ) -> (u64, Self) {
        let since = period.start(now);
        let (count, is_capped) = sum_counts(failures, since);
        let view = Self {
            period,
            count: format_count(count, is_capped),
            deliveries: format_delivery_count(count, is_capped),
            verb: state_verb(state, count),
            webhooks: match count_by_webhook(failures, since).count() {
                1 => "1 webhook".to_owned(),
                count => format!("{count} webhooks"),
            },
        };
        (count, view)
    }
}

/// Returns each webhook with failures since a time, the number of these failures, and whether there
/// may be more.
fn count_by_webhook(
    failures: &[UnsuccessfulDeliveries],
    since: Timestamp,
) -> impl Iterator<Item = (&UnsuccessfulDeliveries, u64, bool)> {
    failures.iter().filter_map(move |failures| {
        let count = failures.finished_at.iter().take_while(|at| **at >= since);
        let count = count.count();
        let is_capped = failures.is_capped && count == failures.finished_at.len();
        (count > 0).then_some((failures, count as u64, is_capped))
    })
}

fn state_verb(state: DeliveryState, count: u64) -> &'static str {
    match (state, count) {
        (DeliveryState::Canceled, 1) => "was canceled",
        (DeliveryState::Canceled, _) => "were canceled",
        _ => "failed",
    }
}

fn sum_counts(failures: &[UnsuccessfulDeliveries], since: Timestamp) -> (u64, bool) {
    let counts = count_by_webhook(failures, since);
    counts.fold((0, false), |(sum, any_capped), (_, count, is_capped)| {
        (sum + count, any_capped || is_capped)
    })
}

fn format_count(count: u64, is_capped: bool) -> String {
    let plus = if is_capped { "+" } else { "" };
    format!("{}{plus}", group_digits(count))
}

fn format_delivery_count(count: u64, is_capped: bool) -> String {
    match (count, is_capped) {
        (1, false) => "1 delivery".to_owned(),
        _ => format!("{} deliveries", format_count(count, is_capped)),
    }
}

/// Redelivers one webhook's deliveries that reached the state in the form since the time in the
/// form, except tests and deliveries of deleted feedback.
pub async fn redeliver_failed(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    let (state, since) = (parse_state(&fields), parse_since(&fields)?);
    let message = match redeliver(&context, &id, state, since).await? {
        Ok(count) => {
            set_event_count(&context.request, count);
            redelivery_result_message(state, count, 1)
        }
        Err(reason) => reason,
    };
    context.add_flash_message(message);
    Ok(context.redirect(&format!("/settings/notifications/{id}/deliveries")))
}

/// Redelivers the failed or canceled deliveries of the webhook in the form. If the form contains no
/// webhook, redelivers the deliveries of all enabled webhooks. See [`redeliver_failed`].
pub async fn redeliver_all_failed(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let (state, since) = (parse_state(&fields), parse_since(&fields)?);
    let only = Some(fields.get("webhook")).filter(|id| !id.is_empty());
    let failures =
        context
            .app
            .store
            .unsuccessful_deliveries(only.map(WebhookId::parse_or_nil), state, since);
    let (mut total, mut webhooks, mut problems) = (0, 0, BTreeSet::new());
    for failures in failures.await?.iter().filter(|failures| failures.enabled) {
        match redeliver(&context, &failures.webhook, state, since).await? {
            Ok(0) => {}
            Ok(count) => {
                total += count;
                webhooks += 1;
            }
            // The webhook was disabled after the failures were read.
            Err(reason) => {
                problems.insert(reason);
            }
        }
    }
    set_event_count(&context.request, total);
    if let Some(id) = only {
        set_event_subject(&context.request, id);
    }
    let result = redelivery_result_message(state, total, webhooks);
    let sentences: Vec<String> = [result].into_iter().chain(problems).collect();
    context.add_flash_message(sentences.join(" "));
    let query = match only {
        Some(id) => format!("?webhook={}", WebhookId::parse_or_nil(id)),
        None => String::new(),
    };
    Ok(context.redirect(&format!("/settings/notifications/deliveries{query}")))
}

fn parse_since(fields: &IdempotentForm) -> Result<Timestamp, PageError> {
    Timestamp::parse(fields.get("since")).ok_or(PageError::InvalidForm)
}

/// Returns `Canceled` if the form contains this state, otherwise `Failed`.
fn parse_state(fields: &IdempotentForm) -> DeliveryState {
    match DeliveryState::parse(fields.get("state")) {
        Some(DeliveryState::Canceled) => DeliveryState::Canceled,
        _ => DeliveryState::Failed,
    }
}

/// Redelivers a webhook's deliveries that reached `state` since a time. Returns their number, or an
/// error message if the webhook is disabled.
async fn redeliver(
    context: &RequestContext,
    webhook: &WebhookId,
    state: DeliveryState,
    since: Timestamp,
) -> Result<Result<usize, String>, PageError> {
    let store = &context.app.store;
    match store.redeliver_since(*webhook, since, vec![state]).await {
        Ok(count) => Ok(Ok(count)),
        Err(RedeliverError::Store(error)) => Err(error.into()),
        Err(error @ RedeliverError::Disabled) => Ok(Err(error.to_string())),
        Err(
            RedeliverError::UnknownWebhook
            | RedeliverError::WebhookDeleted
            | RedeliverError::UnknownDelivery
            | RedeliverError::Pending
            | RedeliverError::FeedbackDeleted
            | RedeliverError::WebhookChanged,
        ) => Err(PageError::ItemNotFound),
    }
}

fn redelivery_result_message(state: DeliveryState, count: usize, webhooks: usize) -> String {
    match (count, webhooks) {
        (0, _) => format!("No {} deliveries in that period.", state.as_str()),
        (count, 0..=1) => format!("{} queued.", format_delivery_count(count as u64, false)),
        (count, webhooks) => {
            let deliveries = format_delivery_count(count as u64, false);
            format!("{deliveries} to {webhooks} webhooks queued.")
        }
    }
}
