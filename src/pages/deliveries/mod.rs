//! The delivery lists of one webhook and of all webhooks, newest first. Filters and the search by
//! id are query parameters.

pub mod actions;
mod attempt;
pub mod detail;
pub mod email_view;
mod empty_state;
pub mod failures;
pub mod query;
pub mod row;
pub mod totals;

pub(super) use failures::{redeliver_all_failed, redeliver_failed};

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use self::empty_state::{EmptyState, EmptyStateAction};
use self::failures::FailuresView;
use self::query::{DeliveryListQuery, RecentPeriod, SearchedId};
use self::row::{ListedDelivery, delivery_path, webhook_label};
use self::totals::DeliveryTotalsView;
use super::framework::context::RequestContext;
use super::framework::format::{DisplayTime, group_digits};
use super::framework::layout::{Layout, render};
use super::framework::navigation::{Breadcrumb, NavSection, with_query};
use super::framework::page_error::PageError;
use super::webhooks::row::{TestReportView, held_until};
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{Id, WebhookId};
use crate::domain::webhook::{WEBHOOKS_MAX, Webhook};
use crate::store::{
    DELIVERY_COUNT_MAX, DeliverySearch, DeliverySearchPage, DeliveryTotals, PageRequest,
    StateCounts,
};

const ALL_DELIVERIES_PATH: &str = "/settings/notifications/deliveries";
/// Number of deliveries per page.
const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    layout: Layout,
    /// `None` in the list of all webhooks' deliveries.
    webhook: Option<Webhook>,
    query: DeliveryListQuery,
    /// The options of the webhook filter: id and label. Empty in the list of one webhook.
    webhooks: Vec<(WebhookId, String)>,
    counts: Option<StateCounts>,
    totals: DeliveryTotalsView,
    held_until: Option<DisplayTime>,
    /// The result of a test that was just sent from this page.
    test_report: Option<TestReportView>,
    failures: Option<FailuresView>,
    rows: Vec<ListedDelivery>,
    /// The cursor of the "Older" link.
    older: Option<String>,
    empty: EmptyState,
}

/// An option of a filter.
struct FilterOption {
    value: String,
    label: String,
    is_selected: bool,
}

impl FilterOption {
    fn new(value: &str, label: String, is_selected: bool) -> Self {
        Self {
            value: value.to_owned(),
            label,
            is_selected,
        }
    }
}

impl DeliveriesPage {
    fn state_options(&self) -> Vec<FilterOption> {
        let option = |state: DeliveryState| {
            let (name, count) = match state {
                DeliveryState::Pending => ("Pending", self.counts.and_then(|all| all.pending)),
                DeliveryState::Delivered => ("Delivered", None),
                DeliveryState::Failed => ("Failed", self.counts.map(|all| all.failed)),
                DeliveryState::Canceled => ("Canceled", self.counts.map(|all| all.canceled)),
            };
            let is_capped = state != DeliveryState::Pending && count >= Some(DELIVERY_COUNT_MAX);
            let label = match count {
                None => name.to_owned(),
                Some(count) if is_capped => format!("{name} ({}+)", group_digits(count)),
                Some(count) => format!("{name} ({})", group_digits(count)),
            };
            FilterOption::new(state.as_str(), label, self.query.state == Some(state))
        };
        DeliveryState::ALL.map(option).into()
    }

    fn event_options(&self) -> Vec<FilterOption> {
        EventType::all()
            .map(|event| {
                let is_selected = self.query.event == Some(event);
                FilterOption::new(event.as_str(), event.as_str().to_owned(), is_selected)
            })
            .collect()
    }

    fn period_options(&self) -> Vec<FilterOption> {
        RecentPeriod::ALL
            .map(|period| {
                let is_selected = self.query.period == Some(period);
                FilterOption::new(period.key, period.label.to_owned(), is_selected)
            })
            .into()
    }

    fn webhook_options(&self) -> Vec<FilterOption> {
        let option = |(id, label): &(WebhookId, String)| {
            let is_selected = self.query.webhook.as_ref() == Some(id);
            FilterOption::new(&id.to_string(), label.clone(), is_selected)
        };
        self.webhooks.iter().map(option).collect()
    }

    /// Returns the path of the page that checks signatures; empty if deliveries aren't signed.
    fn signature_check_path(&self, webhook: &Webhook) -> String {
        match webhook.format.is_signed() {
            true => self
                .layout
                .path(self.webhook_path(webhook, "signature-check")),
            false => String::new(),
        }
    }

    /// Returns the name of the live updates that the page subscribes to.
    fn live_subscription_name(&self) -> String {
        match &self.webhook {
            Some(webhook) => format!("deliveries:{}", webhook.id),
            None => "deliveries".to_owned(),
        }
    }

    fn path(&self) -> String {
        list_path(self.webhook.as_ref())
    }

    /// Returns the path of the first page with the same filters.
    fn newest_page_path(&self) -> String {
        with_query(&self.path(), &self.query.query_string(None))
    }

    fn older_page_path(&self) -> Option<String> {
        let before = self.older.as_deref()?;
        let query = self.query.query_string(Some(("before", before)));
        Some(with_query(&self.path(), &query))
    }

    fn recover_path(&self) -> String {
        match &self.webhook {
            Some(webhook) => format!("/settings/notifications/{}/recover", webhook.id),
            None => "/settings/notifications/recover".to_owned(),
        }
    }

    /// Returns the path of a page or form of the webhook.
    fn webhook_path(&self, webhook: &Webhook, action: &str) -> String {
        format!("/settings/notifications/{}/{action}", webhook.id)
    }

    /// Returns the path of the feedback item whose id is in the search field.
    fn feedback_path(&self) -> Option<String> {
        match self.query.searched_id() {
            SearchedId::Feedback(id) => Some(format!("/feedback/{id}")),
            _ => None,
        }
    }

    /// Returns the path of a search for feedback with the text in the search field, unless the text
    /// is an id.
    fn message_search_path(&self) -> Option<String> {
        let is_text = self.query.searched_id() == SearchedId::Invalid;
        is_text.then(|| with_query("/feedback", &self.query.text_query_string()))
    }
}

fn list_path(webhook: Option<&Webhook>) -> String {
    match webhook {
        Some(webhook) => format!("/settings/notifications/{}/deliveries", webhook.id),
        None => ALL_DELIVERIES_PATH.to_owned(),
    }
}

/// Shows the deliveries of one webhook.
pub(super) async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    show_list(context, Some(webhook)).await
}

/// Shows the deliveries of all webhooks.
pub(super) async fn show_all(context: RequestContext) -> Result<HttpResponse, PageError> {
    show_list(context, None).await
}

async fn show_list(
    context: RequestContext,
    webhook: Option<Webhook>,
) -> Result<HttpResponse, PageError> {
    let mut query = DeliveryListQuery::parse(&context)?;
    if webhook.is_some() {
        query.webhook = None;
    }
    let store = &context.app.store;
    let now = context.app.clock.now();
    if let SearchedId::Delivery(id) = query.searched_id()
        && let Some(webhook) = store.webhook_of_delivery(id).await?
    {
        return Ok(context.redirect(&delivery_path(&webhook, &id)));
    }
    let search = query.to_search(webhook.as_ref().map(|webhook| &webhook.id), now);
    let found = find_deliveries(&context, &query, search.clone()).await?;
    let webhooks = match webhook {
        Some(_) => Vec::new(),
        None => load_webhook_labels(&context).await?,
    };
    let totals = load_totals(&context, search.webhook.as_ref()).await?;
    let totals_path = match &search.webhook {
        Some(id) => format!("/settings/notifications/{id}/deliveries"),
        None => ALL_DELIVERIES_PATH.to_owned(),
    };
    let failures = FailuresView::load(&context, &query, search.webhook).await?;
    let counts = store.count_deliveries(search).await?;
    let (layout, test_report) = build_list_layout(&context, webhook.as_ref());
    let page = DeliveriesPage {
        layout,
        totals: DeliveryTotalsView::new(&totals_path, totals),
        held_until: webhook
            .as_ref()
            .and_then(|webhook| held_until(webhook, now)),
        test_report,
        failures,
        rows: found
            .items
            .iter()
            .map(|found| {
                let max_attempts = context.app.delivery.max_attempts(found.retries);
                ListedDelivery::new(found, max_attempts, now)
            })
            .collect(),
        empty: EmptyState::new(
            &query,
            found.next_cursor.is_some(),
            webhook.is_some() || !webhooks.is_empty(),
        ),
        older: found.next_cursor,
        webhook,
        query,
        webhooks,
        counts,
    };
    render(StatusCode::OK, &page)
}

/// Returns the deliveries of the requested page. Returns none if a date is invalid, or if the
/// search field contains the id of an unknown delivery, or text that isn't an id.
async fn find_deliveries(
    context: &RequestContext,
    query: &DeliveryListQuery,
    search: DeliverySearch,
) -> Result<DeliverySearchPage, PageError> {
    let no_deliveries = DeliverySearchPage {
        items: Vec::new(),
        next_cursor: None,
    };
    Ok(match query.searched_id() {
        _ if query.date_problem().is_some() => no_deliveries,
        SearchedId::Delivery(_) | SearchedId::Invalid => no_deliveries,
        SearchedId::None | SearchedId::Feedback(_) => {
            let page = PageRequest {
                limit: PAGE_SIZE,
                before: query.before.map(Id::ulid),
            };
            context.app.store.search_deliveries(search, page).await?
        }
    })
}

/// Returns the layout of the list, and the result of a test that was just sent from the list of the
/// webhook.
fn build_list_layout(
    context: &RequestContext,
    webhook: Option<&Webhook>,
) -> (Layout, Option<TestReportView>) {
    let title = match webhook {
        Some(_) => "Deliveries",
        None => "All deliveries",
    };
    let (mut layout, flash) = context.build_layout(title, NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications()];
    let Some(webhook) = webhook else {
        return (layout, None);
    };
    layout.breadcrumb.push(Breadcrumb::webhook(webhook));
    layout.subject = webhook.title().to_owned();
    let report = flash.test.filter(|(tested, _)| webhook.id == *tested);
    let test_report = report.map(|(_, report)| TestReportView::new(&report, webhook.format));
    (layout, test_report)
}

/// Returns the id and the label of each webhook, oldest first.
async fn load_webhook_labels(
    context: &RequestContext,
) -> Result<Vec<(WebhookId, String)>, PageError> {
    let page = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let mut webhooks = context.app.store.webhooks(page).await?.items;
    webhooks.reverse();
    let option = |webhook: Webhook| {
        let label = webhook_label(&webhook.description, webhook.url.as_str());
        (webhook.id, label)
    };
    Ok(webhooks.into_iter().map(option).collect())
}

/// Returns the totals of a webhook, or the sums of all webhooks' totals.
async fn load_totals(
    context: &RequestContext,
    webhook: Option<&WebhookId>,
) -> Result<DeliveryTotals, PageError> {
    let store = &context.app.store;
    Ok(match webhook {
        Some(webhook) => store.delivery_totals(*webhook).await?.unwrap_or_default(),
        None => store.all_delivery_totals().await?.into_values().sum(),
    })
}
