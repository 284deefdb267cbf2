//! Settings → Notifications: the webhooks.
//!
//! What is open stands in the address (`?add`, `?open=ID`, `?reveal=ID`, `?rotate=ID`, `?delete=ID`), so each state of
//! the page survives a reload, can be linked to and works without a script.

mod actions;
mod headers;
mod receive;
pub(super) mod row;
mod snippets;
mod sparkline;

pub(super) use actions::{
    add, delete, edit, rotate, secret, set_enabled, set_topics, switch_now, test, test_draft,
};
pub(super) use receive::receive;

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
use row::{HookView, Opened, ReportView};

const ADDRESS: &str = "/settings/notifications";

#[derive(Template)]
#[template(path = "webhooks.html")]
struct NotificationsPage {
    layout: Layout,
    add: Option<AddForm>,
    hooks: Vec<HookView>,
    alerts: Option<AlertsView>,
}

/// Who is told of webhooks that keep failing.
struct AlertsView {
    host: String,
    is_ours: bool,
    /// `None` before "Reveal".
    secret: Option<String>,
}

/// The form of a webhook that is not saved yet.
struct AddForm {
    url: String,
    problem: Option<String>,
    secret: String,
    key: String,
    report: Option<ReportView>,
}

impl AddForm {
    fn new() -> Self {
        Self {
            url: String::new(),
            problem: None,
            secret: Secret::from_random(random::bytes()).as_str().to_owned(),
            key: tokens::random_token(),
            report: None,
        }
    }

    fn of(draft: Draft) -> Self {
        Self {
            url: draft.url,
            problem: None,
            secret: draft.secret,
            key: draft.key,
            report: Some(ReportView::of(&draft.report)),
        }
    }
}

/// The form of an open webhook that was refused, with what was typed.
struct Refused {
    webhook: WebhookId,
    url: String,
    description: String,
    headers: String,
    invalid: ValidationErrors,
}

impl NotificationsPage {
    fn is_full(&self) -> bool {
        self.hooks.len() >= WEBHOOKS_MAX
    }

    /// Something is being sent to it, in vain.
    fn is_failing(&self, hook: &HookView) -> bool {
        hook.webhook.enabled && hook.webhook.failing_since.is_some()
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    page(&context, StatusCode::OK, None, None).await
}

/// The page; `add` and `refused` are forms that were not taken.
async fn page(
    context: &RequestContext,
    status: StatusCode,
    add: Option<AddForm>,
    refused: Option<Refused>,
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
        .or_else(|| draft.map(AddForm::of))
        .or_else(|| adding.then(AddForm::new));
    let asked = |name, id: &WebhookId| {
        context
            .query_param(name)
            .is_some_and(|asked| asked == id.as_str())
    };
    let accounting = store.all_delivery_totals().await?;
    let mut hooks = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let id = &webhook.id;
        let report = flash
            .test
            .as_ref()
            .filter(|(tested, _)| tested == id)
            .map(|(_, report)| ReportView::of(report));
        let refused = refused.as_ref().filter(|refused| refused.webhook == *id);
        let opened = Opened {
            row: report.is_some()
                || refused.is_some()
                || ["open", "reveal", "rotate"]
                    .iter()
                    .any(|name| asked(name, id)),
            reveal: asked("reveal", id),
            rotate: asked("rotate", id),
            delete: asked("delete", id),
        };
        let accounting = accounting.get(id).copied().unwrap_or_default();
        let hook = HookView::load(
            context, webhook, &projects, accounting, opened, report, refused,
        );
        hooks.push(hook.await?);
    }
    let alerts = context.app.alerts.as_ref().map(|target| AlertsView {
        host: target.url.host_and_port(),
        is_ours: target.is_secret_generated,
        secret: (target.is_secret_generated
            && context.query_param("reveal").as_deref() == Some("alerts"))
        .then(|| target.secret.as_str().to_owned()),
    });
    let page = NotificationsPage {
        layout,
        add,
        hooks,
        alerts,
    };
    render(status, &page)
}
