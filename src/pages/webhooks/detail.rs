//! The page of a webhook: its state, statistics, and recent deliveries.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::PATH;
use super::activity::WebhookActivity;
use super::row::TestReportView;
use super::statistics::{StatisticsPeriod, StatisticsView};
use crate::domain::webhook::{Topic, Webhook};
use crate::pages::deliveries::failures::WeekFailures;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::{Breadcrumb, NavSection};
use crate::pages::framework::page_error::PageError;

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    layout: Layout,
    webhook: Webhook,
    activity: WebhookActivity,
    /// Whether the page asks whether to disable the webhook.
    is_disabling: bool,
    statistics: StatisticsView,
    /// The result of a test that was just sent from this page.
    test_report: Option<TestReportView>,
    /// The retention period of deliveries, such as `30 days`.
    retention: String,
}

impl WebhookPage {
    /// Returns the path of this page, followed by the path of a subpage or form.
    fn subpage_path(&self, subpath: &str) -> String {
        format!("{PATH}/{}{subpath}", self.webhook.id)
    }

    /// Returns the path of the page that checks signatures; empty if deliveries aren't signed.
    fn signature_check_path(&self) -> String {
        match self.webhook.format.is_signed() {
            true => self.layout.path(self.subpage_path("/signature-check")),
            false => String::new(),
        }
    }

    /// Returns the path and label of each period, and whether the charts show this period.
    fn period_tabs(&self) -> [(String, &'static str, bool); 2] {
        StatisticsPeriod::ALL.map(|period| {
            let path = format!("{PATH}/{}?period={}", self.webhook.id, period.as_str());
            (path, period.label(), period == self.statistics.period)
        })
    }

    fn topic_labels(&self) -> String {
        match self.webhook.topics.as_slice() {
            [] => "No topics selected".to_owned(),
            topics => Topic::join_labels(topics),
        }
    }
}

pub async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let store = &context.app.store;
    let now = context.app.clock.now();
    let period = StatisticsPeriod::parse(context.query_param("period").as_deref());
    let hours = store
        .attempt_statistics(webhook.id, StatisticsPeriod::Week.start(now))
        .await?;
    let totals = store.delivery_totals(webhook.id).await?;
    let mut failures = WeekFailures::load(&context, Some(webhook.id)).await?;
    let failures = failures.remove(&webhook.id);
    let totals = totals.unwrap_or_default();
    let activity = WebhookActivity::load(&context, &webhook, totals, failures).await?;
    let (mut layout, flash) = context.build_layout("Webhook", NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications()];
    layout.subject = webhook.title().to_owned();
    let test_report = flash
        .test
        .filter(|(tested, _)| *tested == webhook.id)
        .map(|(_, report)| TestReportView::new(&report, webhook.format));
    let page = WebhookPage {
        layout,
        activity,
        is_disabling: webhook.enabled && context.query_param("disable").is_some(),
        statistics: StatisticsView::new(period, &hours, now),
        test_report,
        retention: format_period(context.app.delivery_retention),
        webhook,
    };
    render(StatusCode::OK, &page)
}

/// Formats a period in the largest unit that needs no fraction: `30 days`, `36 hours`.
fn format_period(period: Duration) -> String {
    let seconds = period.as_secs();
    let units = [
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let (length, unit) = units
        .into_iter()
        .find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length))
        .unwrap_or((1, "second"));
    match seconds / length {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_periods_in_the_largest_exact_unit() {
        let format = |hours: u64| format_period(Duration::from_secs(hours * 3600));
        assert_eq!(
            [24, 720, 36, 1].map(format),
            ["1 day", "30 days", "36 hours", "1 hour"]
        );
        assert_eq!(format_period(Duration::from_secs(90)), "90 seconds");
    }
}
