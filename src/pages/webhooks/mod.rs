//! Settings → Notifications: the webhooks.
//!
//! What is open stands in the address (`?add`, `?open=ID`, `?reveal=ID`, `?rotate=ID`, `?delete=ID`), so each state of
//! the page survives a reload, can be linked to and works without a script.

mod actions;
mod endpoint_code;
mod headers;
mod receiver_examples;
pub(super) mod row;
mod sparkline;

pub(super) use actions::{
    add, delete, edit, plain_secret, rotate, set_enabled, set_topics, switch_now, test, test_draft,
};
pub(super) use endpoint_code::show as show_endpoint_code;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::flash::Draft;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::id::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::validation::ValidationErrors;
use crate::domain::webhook::WEBHOOKS_MAX;
use crate::random;
use crate::server::tokens;
use crate::store::PageRequest;
use row::{OpenSections, TestReportView, WebhookRow};

const PATH: &str = "/settings/notifications";

#[derive(Template)]
#[template(path = "webhooks.html")]
struct NotificationsPage {
    layout: Layout,
    add: Option<AddWebhookForm>,
    rows: Vec<WebhookRow>,
    alerts: Option<AlertsView>,
}

/// Who is told of webhooks that keep failing.
struct AlertsView {
    host: String,
    is_generated: bool,
    /// `None` before "Reveal".
    secret: Option<String>,
}

/// The form of a webhook that is not saved yet.
struct AddWebhookForm {
    url: String,
    problem: Option<String>,
    secret: String,
    key: String,
    test_report: Option<TestReportView>,
}

impl AddWebhookForm {
    fn new() -> Self {
        Self {
            url: String::new(),
            problem: None,
            secret: Secret::from_random(random::bytes()).as_str().to_owned(),
            key: tokens::random_token(),
            test_report: None,
        }
    }

    fn from_draft(draft: Draft) -> Self {
        Self {
            url: draft.url,
            problem: None,
            secret: draft.secret,
            key: draft.key,
            test_report: Some(TestReportView::of(&draft.report)),
        }
    }
}

/// The form of an open webhook that was refused, with what was typed.
struct RejectedWebhookForm {
    webhook: WebhookId,
    url: String,
    description: String,
    headers: String,
    invalid: ValidationErrors,
}

impl NotificationsPage {
    fn is_limit_reached(&self) -> bool {
        self.rows.len() >= WEBHOOKS_MAX
    }

    /// Something is being sent to it, in vain.
    fn is_failing(&self, row: &WebhookRow) -> bool {
        row.webhook.enabled && row.webhook.failing_since.is_some()
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render_page(&context, StatusCode::OK, None, None).await
}

/// The page; `add` and `refused` are forms that were not taken.
async fn render_page(
    context: &RequestContext,
    status: StatusCode,
    add: Option<AddWebhookForm>,
    rejected: Option<RejectedWebhookForm>,
) -> Result<HttpResponse, PageError> {
    let store = &context.app.store;
    let mut webhooks = store
        .webhooks(PageRequest {
            limit: WEBHOOKS_MAX,
            before: None,
        })
        .await?
        .items;
    // The oldest first: what one knows stays where it was.
    webhooks.reverse();
    let projects = store.projects_by_name().await?;
    let (layout, flash) = context.layout("Notifications", "notifications");
    let adding = context.query_param("add").is_some();
    let draft = flash.draft.filter(|_| adding);
    if let Some(draft) = draft.clone() {
        // Kept for a reload, until the form is left: what was tested is what is added.
        context.update_flash(|flash| flash.draft = Some(draft));
    }
    let add = add
        .or_else(|| draft.map(AddWebhookForm::from_draft))
        .or_else(|| adding.then(AddWebhookForm::new));
    let is_requested = |name, id: &WebhookId| {
        context
            .query_param(name)
            .is_some_and(|value| value == id.as_str())
    };
    let totals = store.all_delivery_totals().await?;
    let mut rows = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let id = &webhook.id;
        let report = flash
            .test
            .as_ref()
            .filter(|(tested, _)| tested == id)
            .map(|(_, report)| TestReportView::of(report));
        let rejected = rejected.as_ref().filter(|rejected| rejected.webhook == *id);
        let open = OpenSections {
            details: report.is_some()
                || rejected.is_some()
                || ["open", "reveal", "rotate"]
                    .iter()
                    .any(|name| is_requested(name, id)),
            secret: is_requested("reveal", id),
            rotation: is_requested("rotate", id),
            deletion: is_requested("delete", id),
        };
        let totals = totals.get(id).copied().unwrap_or_default();
        let row = WebhookRow::load(context, webhook, &projects, totals, open, report, rejected);
        rows.push(row.await?);
    }
    let alerts = context.app.alerts.as_ref().map(|target| AlertsView {
        host: target.url.host_and_port(),
        is_generated: target.is_secret_generated,
        secret: (target.is_secret_generated
            && context.query_param("reveal").as_deref() == Some("alerts"))
        .then(|| target.secret.as_str().to_owned()),
    });
    let page = NotificationsPage {
        layout,
        add,
        rows,
        alerts,
    };
    render(status, &page)
}
