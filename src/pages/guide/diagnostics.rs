//! Loads the last deliveries of each webhook and diagnoses them, for admins.

use super::checklist::{CheckStatus, ChecklistItem};
use super::webhook_checks::WebhookChecker;
use crate::domain::webhook::{WEBHOOKS_MAX, Webhook};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, PageRequest};

/// The number of deliveries that are checked for each webhook, newest first.
const DELIVERIES_CHECKED: usize = 20;

/// A webhook with its checklist.
pub(super) struct DiagnosedWebhook {
    pub(super) webhook: Webhook,
    pub(super) items: Vec<ChecklistItem>,
    /// Whether the checklist is expanded. It is expanded only if the page shows a single webhook.
    pub(super) is_open: bool,
}

impl DiagnosedWebhook {
    /// Number of items that need attention.
    pub(super) fn issue_count(&self) -> usize {
        let is_problem = |item: &&ChecklistItem| item.status == Some(CheckStatus::Problem);
        self.items.iter().filter(is_problem).count()
    }
}

/// Diagnoses all webhooks or, with `?webhook=ID`, only that webhook. Returns an empty list if the
/// id is unknown.
pub(super) async fn diagnose_webhooks(
    context: &RequestContext,
) -> Result<Vec<DiagnosedWebhook>, PageError> {
    let store = &context.app.store;
    let all = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let mut webhooks = store.webhooks(all).await?.items;
    webhooks.reverse();
    if let Some(id) = context.query_param("webhook") {
        webhooks.retain(|webhook| webhook.id.as_str() == id);
    }
    let projects = store.projects_by_name().await?;
    let counts = store.count_feedback_by_project().await?;
    let is_single = webhooks.len() == 1;
    let mut diagnosed = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let last = PageRequest {
            limit: DELIVERIES_CHECKED,
            before: None,
        };
        let deliveries = store
            .deliveries(webhook.id.clone(), DeliveryFilter::default(), last)
            .await?
            .items;
        let is_subscribed = |id| webhook.projects.is_empty() || webhook.projects.contains(id);
        let checker = WebhookChecker {
            webhook: &webhook,
            deliveries: &deliveries,
            projects: &projects,
            feedback_count: counts
                .iter()
                .filter(|(id, _)| is_subscribed(*id))
                .map(|(_, count)| count)
                .sum(),
            timeout: context.app.delivery.timeout(),
            now: context.app.clock.now(),
        };
        diagnosed.push(DiagnosedWebhook {
            items: checker.run_all_checks(),
            webhook,
            is_open: is_single,
        });
    }
    Ok(diagnosed)
}
