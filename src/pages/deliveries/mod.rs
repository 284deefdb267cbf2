//! A webhook's deliveries: the list by state and event, newest first, and sending again what failed.

pub mod detail;
pub mod totals;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use self::totals::AccountingView;
use super::framework::context::RequestContext;
use super::framework::format::DisplayTime;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use super::webhooks::row::{DeliveryRow, ReportView, held};
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{WebhookId, parse_ulid};
use crate::domain::webhook::{Topic, Webhook};
use crate::server::form_data::FormData;
use crate::store::{DeliveryFilter, PageRequest, RedeliverError};

/// How many stand on a page.
const PAGE: usize = 50;
/// From when on what failed can be sent again: hours, and the words for it.
const SINCE: [(u64, &str); 4] = [
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
    accounting: AccountingView,
    held: Option<DisplayTime>,
    /// Of the test that was just sent from here.
    report: Option<ReportView>,
    rows: Vec<DeliveryRow>,
    older: Option<String>,
}

impl DeliveriesPage {
    /// Value, words and whether it is the one that is shown.
    fn states(&self) -> Vec<(&'static str, &'static str, bool)> {
        let words = |state| match state {
            DeliveryState::Pending => "Pending",
            DeliveryState::Delivered => "Delivered",
            DeliveryState::Failed => "Failed",
            DeliveryState::Canceled => "Canceled",
        };
        DeliveryState::ALL
            .map(|state| {
                (
                    state.as_str(),
                    words(state),
                    self.filter.state == Some(state),
                )
            })
            .into()
    }

    fn events(&self) -> Vec<(&'static str, bool)> {
        let topics = Topic::ALL.map(EventType::Topic);
        topics
            .into_iter()
            .chain([EventType::Test])
            .map(|event| (event.as_str(), self.filter.event == Some(event)))
            .collect()
    }

    fn address(&self) -> String {
        format!("/settings/notifications/{}/deliveries", self.webhook.id)
    }

    fn test(&self) -> String {
        format!("/settings/notifications/{}/test", self.webhook.id)
    }

    fn doctor(&self) -> String {
        format!("/settings/notifications/{}/doctor", self.webhook.id)
    }

    fn older_address(&self, before: &str) -> String {
        let state = self.filter.state.map(DeliveryState::as_str);
        let event = self.filter.event.map(EventType::as_str);
        let pairs = [("state", state), ("event", event), ("before", Some(before))];
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        format!(
            "{}?{}",
            self.address(),
            serde_urlencoded::to_string(pairs).unwrap_or_default()
        )
    }

    fn is_filtered(&self) -> bool {
        self.filter.state.is_some() || self.filter.event.is_some()
    }

    fn since(&self) -> [(u64, &'static str); 4] {
        SINCE
    }
}

pub(super) async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context
        .app
        .store
        .webhook(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(PageError::ItemNotFound)?;
    let given = |name| context.query_param(name).filter(|value| !value.is_empty());
    let filter = DeliveryFilter {
        state: given("state")
            .map(|text| DeliveryState::parse(&text).ok_or(PageError::NotFound))
            .transpose()?,
        event: given("event")
            .map(|text| EventType::parse(&text).ok_or(PageError::NotFound))
            .transpose()?,
    };
    let before = given("before").filter(|id| id.starts_with("dlv_") && parse_ulid(id).is_some());
    let found = context
        .app
        .store
        .deliveries(
            webhook.id.clone(),
            filter,
            PageRequest {
                limit: PAGE,
                before,
            },
        )
        .await?;
    let accounting = context
        .app
        .store
        .delivery_totals(webhook.id.clone())
        .await?
        .unwrap_or_default();
    let now = context.app.clock.now();
    let at_most = context.app.delivery.max_attempts(webhook.retries);
    let (layout, flash) = context.layout("Deliveries", "notifications");
    let report = flash
        .test
        .filter(|(tested, _)| *tested == webhook.id)
        .map(|(_, report)| ReportView::of(&report));
    let rows = found
        .items
        .iter()
        .map(|delivery| DeliveryRow::of(delivery, at_most, now))
        .collect();
    render(
        StatusCode::OK,
        &DeliveriesPage {
            layout,
            accounting: AccountingView::of(&webhook.id, accounting),
            held: held(&webhook, now),
            report,
            webhook,
            filter,
            rows,
            older: found.next_cursor,
        },
    )
}

/// Sends again all that failed in the chosen time.
pub(super) async fn recover(
    context: RequestContext,
    id: web::Path<String>,
    fields: FormData,
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
    let said = match context
        .app
        .store
        .recover(id.clone(), since, false, true)
        .await
    {
        Ok(0) => "Nothing failed in that time.".to_owned(),
        Ok(1) => "One delivery is sent again.".to_owned(),
        Ok(count) => format!("{count} deliveries are sent again."),
        Err(RedeliverError::Store(error)) => return Err(error.into()),
        Err(error @ RedeliverError::Disabled) => error.to_string(),
        Err(_) => return Err(PageError::ItemNotFound),
    };
    context.push_message(said);
    Ok(context.redirect(&format!("/settings/notifications/{id}/deliveries")))
}
