//! Settings → Notifications: the page that lists and edits webhooks.
//!
//! Query parameters (`?add`, `?add-email`, `?open=ID`, `?reveal=ID`, `?rotate=ID`, `?disable=ID`,
//! `?delete=ID`) open forms and rows, and `?failing` shows only failing webhooks. Every state of
//! the page can therefore be reloaded and linked to, and works without JavaScript.

mod actions;
mod activity;
mod add;
mod detail;
mod edit;
mod endpoint_code;
mod format_field;
mod headers;
mod preview;
pub(super) mod row;
mod settings_form;
mod sparkline;
mod statistics;

pub(super) use actions::{
    delete, end_secret_overlap, rotate_secret, send_test, set_enabled, show_plain_secret,
};
pub(super) use add::{add, add_email, preview_draft, test_draft, test_email_draft};
pub(super) use detail::show as show_webhook;
pub(super) use edit::{edit, preview_settings, set_topics};
pub(super) use endpoint_code::{
    show as show_endpoint_code, show_for_draft as show_endpoint_code_for_draft,
};

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::deliveries::failures::WeekFailures;
use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use super::getting_started::Checklist;
use crate::domain::explanation::format_duration;
use crate::domain::id::WebhookId;
use crate::domain::webhook::{RetryPolicy, Topic, WEBHOOKS_MAX, Webhook};
use crate::domain::webhook_url::WebhookUrl;
use crate::store::PageRequest;
use activity::{WebhookActivity, is_failing};
use add::{AddForm, AddKind};
use row::{OpenSections, TestReportView, WebhookRow};
use settings_form::SettingsForm;

const PATH: &str = "/settings/notifications";
/// The name of the query parameter and the form field that limit the list to failing webhooks.
const FAILING_PARAM: &str = "failing";

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    layout: Layout,
    getting_started: Option<Checklist>,
    /// The form "Add Webhook".
    add: Option<AddForm>,
    /// The form "Add Email".
    add_email: Option<AddForm>,
    /// All webhooks or, if `is_failing_only` is set, the failing webhooks and the webhooks
    /// that were just opened, tested, or submitted with an error.
    rows: Vec<WebhookRow>,
    is_failing_only: bool,
    /// Whether emails can be sent, because `--smtp-url` is set.
    can_send_email: bool,
    /// The numbers of all webhooks and of failing webhooks.
    webhook_count: usize,
    failing_count: usize,
    /// The same numbers for the webhooks that send email.
    email_count: usize,
    failing_email_count: usize,
    /// The number of deliveries that failed in the last 7 days, such as `8 deliveries`; empty
    /// for 0.
    failed_deliveries: String,
    alerts: Option<AlertEndpointView>,
    /// The retries of the policy `standard`, such as `3 retries over 21 seconds`.
    standard_retries: String,
    patient_retries: String,
}

/// The endpoint of `--alert-url`, which receives alerts about failing webhooks.
struct AlertEndpointView {
    /// The host, or the email of a person.
    target: String,
    is_signed: bool,
    is_secret_generated: bool,
    /// The secret that signs alerts; `None` until "Reveal" is pressed. Only a generated secret can
    /// be revealed.
    secret: Option<String>,
}

impl AlertEndpointView {
    /// Returns `None` without `--alert-url`.
    fn new(context: &RequestContext) -> Option<Self> {
        let target = context.app.alerts.as_ref()?;
        let is_secret_shown = target.is_secret_generated
            && context.query_param("reveal").as_deref() == Some("alerts");
        Some(Self {
            target: match &target.url {
                WebhookUrl::Endpoint(url) => url.host_and_port(),
                WebhookUrl::Mailto(url) => url.email().to_owned(),
            },
            is_signed: target.url.endpoint().is_some(),
            is_secret_generated: target.is_secret_generated,
            secret: is_secret_shown.then(|| target.secret.as_str().to_owned()),
        })
    }
}

impl WebhooksPage {
    fn endpoint_rows(&self) -> Vec<&WebhookRow> {
        self.rows.iter().filter(|row| !row.is_email()).collect()
    }

    fn email_rows(&self) -> Vec<&WebhookRow> {
        self.rows.iter().filter(|row| row.is_email()).collect()
    }

    /// Returns the number of webhooks to HTTP endpoints.
    fn endpoint_count(&self) -> usize {
        self.webhook_count - self.email_count
    }

    fn failing_endpoint_count(&self) -> usize {
        self.failing_count - self.failing_email_count
    }

    fn is_webhook_limit_reached(&self) -> bool {
        self.webhook_count >= WEBHOOKS_MAX
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render_page(&context, StatusCode::OK, None, None).await
}

/// Renders the page. `add` and `rejected` are forms that failed validation.
async fn render_page(
    context: &RequestContext,
    status: StatusCode,
    add: Option<AddForm>,
    mut rejected: Option<(WebhookId, SettingsForm)>,
) -> Result<HttpResponse, PageError> {
    let store = &context.app.store;
    let webhooks = load_webhooks(context).await?;
    let projects = store.projects_by_name().await?;
    let (layout, flash) = context.build_layout("Notifications", NavSection::Notifications);
    let opened = AddForm::open(context).await?;
    let add = add.or(opened);
    let (add_email, add) = match add {
        Some(form) if form.kind == AddKind::Email => (Some(form), None),
        form => (None, form),
    };
    let is_failing_only = context.query_param(FAILING_PARAM).is_some();
    let webhook_count = webhooks.len();
    let is_email = |webhook: &&Webhook| webhook.format.is_email();
    let failing = webhooks.iter().filter(|webhook| is_failing(webhook));
    let failing_count = failing.clone().count();
    let failing_email_count = failing.filter(is_email).count();
    let email_count = webhooks.iter().filter(is_email).count();
    let totals = store.all_delivery_totals().await?;
    let mut failures = WeekFailures::load(context, None).await?;
    let failed_deliveries = WeekFailures::sum(failures.values());
    let mut rows = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let id = &webhook.id;
        let report = flash
            .test
            .as_ref()
            .filter(|(tested, _)| tested == id)
            .map(|(_, report)| TestReportView::new(report, webhook.format));
        let form = rejected.take_if(|(rejected, _)| rejected == id);
        let form = form.map(|(_, form)| form);
        let mut open = OpenSections::from_query(context, id);
        open.details |= form.is_some();
        let is_used = open.is_requested || report.is_some() || form.is_some();
        if is_failing_only && !is_failing(&webhook) && !is_used {
            continue;
        }
        let totals = totals.get(id).copied().unwrap_or_default();
        let failures = failures.remove(id);
        let activity = WebhookActivity::load(context, &webhook, totals, failures).await?;
        let row = WebhookRow::load(context, webhook, &projects, activity, open, report, form);
        rows.push(row.await?);
    }
    let retries = |policy| summarize_retry_delays(&context.app.delivery.retry_delays(policy));
    let page = WebhooksPage {
        layout,
        getting_started: Checklist::load(context, PATH).await?,
        add,
        add_email,
        rows,
        is_failing_only,
        can_send_email: context.app.can_send_email,
        webhook_count,
        failing_count,
        email_count,
        failing_email_count,
        failed_deliveries,
        alerts: AlertEndpointView::new(context),
        standard_retries: retries(RetryPolicy::Standard),
        patient_retries: retries(RetryPolicy::Patient),
    };
    render(status, &page)
}

/// Returns all webhooks: failing webhooks first, then the others. In both groups, the oldest
/// webhook comes first, so that existing webhooks keep their position.
async fn load_webhooks(context: &RequestContext) -> Result<Vec<Webhook>, PageError> {
    let page = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let mut webhooks = context.app.store.webhooks(page).await?.items;
    webhooks.reverse();
    webhooks.sort_by_key(|webhook| !is_failing(webhook));
    Ok(webhooks)
}

/// Summarizes retry delays: `3 retries over 21 seconds`.
fn summarize_retry_delays(delays: &[Duration]) -> String {
    let total: Duration = delays.iter().sum();
    let span = match total.as_secs() {
        0 => format_duration(total),
        1 => "1 second".to_owned(),
        seconds @ 2..120 => format!("{seconds} seconds"),
        seconds @ 120..7200 => format!("about {} minutes", (seconds + 30) / 60),
        seconds => format!("about {} hours", (seconds + 1800) / 3600),
    };
    match delays.len() {
        0 => "no retries".to_owned(),
        1 => format!("1 retry after {span}"),
        count => format!("{count} retries over {span}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarizes_retry_delays() {
        let summary = |seconds: &[u64]| {
            let delays: Vec<Duration> = seconds.iter().map(|s| Duration::from_secs(*s)).collect();
            summarize_retry_delays(&delays)
        };
        assert_eq!(summary(&[]), "no retries");
        assert_eq!(summary(&[1]), "1 retry after 1 second");
        assert_eq!(summary(&[1, 5, 15]), "3 retries over 21 seconds");
        let patient = [1, 5, 15, 60, 300, 1800, 7200, 21_600, 86_400];
        assert_eq!(summary(&patient), "9 retries over about 33 hours");
    }
}
