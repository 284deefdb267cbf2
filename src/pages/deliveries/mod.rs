//! The list of a webhook's deliveries, newest first, with filters and "Redeliver failed".

pub mod actions;
pub mod detail;
pub mod row;
pub mod totals;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use self::row::DeliveryRow;
use self::totals::DeliveryTotalsView;
use super::framework::context::RequestContext;
use super::framework::format::DisplayTime;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::{Ancestor, NavSection};
use super::framework::page_error::PageError;
use super::webhooks::row::{TestReportView, held_until};
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{WebhookId, parse_ulid};
use crate::domain::webhook::Webhook;
use crate::store::{DeliveryFilter, PageRequest, RedeliverError};

/// Number of deliveries per page.
const PAGE_SIZE: usize = 50;
/// The periods for "Redeliver failed", each as a number of hours and a label.
const REDELIVERY_PERIODS: [(u64, &str); 4] = [
    (1, "the last hour"),
    (24, "the last day"),
    (24 * 7, "the last week"),
    (24 * 30, "the last 30 days"),
];

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    layout: Layout,
    webhook: Webhook,
    filter: DeliveryFilter,
    totals: DeliveryTotalsView,
    held_until: Option<DisplayTime>,
    /// The result of a test that was just sent from this page.
    test_report: Option<TestReportView>,
    rows: Vec<DeliveryRow>,
    /// The cursor of the "Older" link.
    older: Option<String>,
}

impl DeliveriesPage {
    /// Returns the value and label of each state, and whether the list shows only this state.
    fn state_options(&self) -> Vec<(&'static str, &'static str, bool)> {
        let label = |state| match state {
            DeliveryState::Pending => "Pending",
            DeliveryState::Delivered => "Delivered",
            DeliveryState::Failed => "Failed",
            DeliveryState::Canceled => "Canceled",
        };
        DeliveryState::ALL
            .map(|state| {
                (
                    state.as_str(),
                    label(state),
                    self.filter.state == Some(state),
                )
            })
            .into()
    }

    fn event_options(&self) -> Vec<(&'static str, bool)> {
        EventType::all()
            .map(|event| (event.as_str(), self.filter.event == Some(event)))
            .collect()
    }

    fn path(&self) -> String {
        format!("/settings/notifications/{}/deliveries", self.webhook.id)
    }

    fn test_path(&self) -> String {
        format!("/settings/notifications/{}/test", self.webhook.id)
    }

    fn signature_check_path(&self) -> String {
        format!(
            "/settings/notifications/{}/signature-check",
            self.webhook.id
        )
    }

    fn older_page_path(&self, before: &str) -> String {
        let state = self.filter.state.map(DeliveryState::as_str);
        let event = self.filter.event.map(EventType::as_str);
        let pairs = [("state", state), ("event", event), ("before", Some(before))];
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        format!(
            "{}?{}",
            self.path(),
            serde_urlencoded::to_string(pairs).unwrap_or_default()
        )
    }

    fn is_filtered(&self) -> bool {
        self.filter.state.is_some() || self.filter.event.is_some()
    }

    fn redelivery_periods(&self) -> [(u64, &'static str); 4] {
        REDELIVERY_PERIODS
    }
}

pub(super) async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let parameter = |name| context.query_param(name).filter(|value| !value.is_empty());
    let filter = DeliveryFilter {
        state: parameter("state")
            .map(|text| DeliveryState::parse(&text).ok_or(PageError::NotFound))
            .transpose()?,
        event: parameter("event")
            .map(|text| EventType::parse(&text).ok_or(PageError::NotFound))
            .transpose()?,
    };
    let before =
        parameter("before").filter(|id| id.starts_with("dlv_") && parse_ulid(id).is_some());
    let found = context
        .app
        .store
        .deliveries(
            webhook.id.clone(),
            filter,
            PageRequest {
                limit: PAGE_SIZE,
                before,
            },
        )
        .await?;
    let totals = context
        .app
        .store
        .delivery_totals(webhook.id.clone())
        .await?
        .unwrap_or_default();
    let now = context.app.clock.now();
    let max_attempts = context.app.delivery.max_attempts(webhook.retries);
    let (mut layout, flash) = context.build_layout("Deliveries", NavSection::Notifications);
    layout.breadcrumb = vec![Ancestor::notifications(), Ancestor::webhook(&webhook)];
    let test_report = flash
        .test
        .filter(|(tested, _)| *tested == webhook.id)
        .map(|(_, report)| TestReportView::new(&report));
    let rows = found
        .items
        .iter()
        .map(|delivery| DeliveryRow::new(delivery, max_attempts, now))
        .collect();
    render(
        StatusCode::OK,
        &DeliveriesPage {
            layout,
            totals: DeliveryTotalsView::new(&webhook.id, totals),
            held_until: held_until(&webhook, now),
            test_report,
            webhook,
            filter,
            rows,
            older: found.next_cursor,
        },
    )
}

/// Redelivers the deliveries that failed in the selected period, except tests and deliveries of
/// deleted feedback.
pub(super) async fn redeliver_failed(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let id = WebhookId::new(id.into_inner());
    let hours: u64 = fields
        .get("hours")
        .parse()
        .map_err(|_| PageError::InvalidForm)?;
    let since = context
        .app
        .clock
        .now()
        .minus(Duration::from_secs(hours.min(24 * 366) * 3600));
    let message = match context
        .app
        .store
        .redeliver_since(id.clone(), since, false, true)
        .await
    {
        Ok(0) => "No failed deliveries in that period.".to_owned(),
        Ok(1) => "1 delivery queued.".to_owned(),
        Ok(count) => format!("{count} deliveries queued."),
        Err(RedeliverError::Store(error)) => return Err(error.into()),
        Err(error @ RedeliverError::Disabled) => error.to_string(),
        Err(
            RedeliverError::UnknownWebhook
            | RedeliverError::WebhookDeleted
            | RedeliverError::UnknownDelivery
            | RedeliverError::Pending
            | RedeliverError::FeedbackDeleted,
        ) => return Err(PageError::ItemNotFound),
    };
    context.add_flash_message(message);
    Ok(context.redirect(&format!("/settings/notifications/{id}/deliveries")))
}
