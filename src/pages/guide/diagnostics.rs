//! Loads the last deliveries of each webhook and diagnoses them, for admins.

use super::checklist::{CheckStatus, ChecklistItem};
use super::webhook_checks::WebhookChecker;
use crate::domain::id::{Id, WebhookId};
use crate::domain::webhook::{WEBHOOKS_MAX, Webhook};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, PageRequest};

/// The number of deliveries that are checked for each webhook, newest first.
const DELIVERIES_CHECKED: usize = 20;

/// A webhook with its checklist.
pub(super) struct DiagnosedWebhook {
    pub(super) webhook: Webhook,
    /// The items that need an action: problems first, followed by inconclusive checks that link to
    /// a page.
    pub(super) open_items: Vec<ChecklistItem>,
    /// All other items, which are collapsed on the page.
    pub(super) other_items: Vec<ChecklistItem>,
    /// Whether the checklist is expanded.
    pub(super) is_open: bool,
}

impl DiagnosedWebhook {
    fn new(webhook: Webhook, items: Vec<ChecklistItem>) -> Self {
        let is_open = |item: &ChecklistItem| match item.status {
            Some(CheckStatus::Problem) => true,
            Some(CheckStatus::Unknown) => item.link.is_some(),
            _ => false,
        };
        let (mut open_items, other_items): (Vec<_>, Vec<_>) = items.into_iter().partition(is_open);
        // The stable sort keeps the order of the checks among the problems and among the other
        // items.
        open_items.sort_by_key(|item| item.status != Some(CheckStatus::Problem));
        Self {
            webhook,
            open_items,
            other_items,
            is_open: false,
        }
    }

    /// Returns the number of problems.
    pub(super) fn problem_count(&self) -> usize {
        count_items(&self.open_items, CheckStatus::Problem)
    }

    /// Returns the title of the collapsed items, such as `8 checks passed, 1 unknown`.
    pub(super) fn other_items_title(&self) -> String {
        let passed = match count_items(&self.other_items, CheckStatus::Ok) {
            1 => "1 check passed".to_owned(),
            count => format!("{count} checks passed"),
        };
        match count_items(&self.other_items, CheckStatus::Unknown) {
            0 => passed,
            unknown => format!("{passed}, {unknown} unknown"),
        }
    }
}

fn count_items(items: &[ChecklistItem], status: CheckStatus) -> usize {
    let has_status = |item: &&ChecklistItem| item.status == Some(status);
    items.iter().filter(has_status).count()
}

/// Diagnoses all webhooks or, with `?webhook=ID`, only that webhook. Returns an empty list if the
/// id is unknown. Webhooks with problems come first. The first webhook is expanded if it has
/// problems, or if it is the only webhook in the list.
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
        let id = WebhookId::parse_or_nil(id);
        webhooks.retain(|webhook| webhook.id == id);
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
            .deliveries(webhook.id, DeliveryFilter::default(), last)
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
        let items = checker.run_all_checks();
        diagnosed.push(DiagnosedWebhook::new(webhook, items));
    }
    diagnosed.sort_by_key(|webhook| webhook.problem_count() == 0);
    if let Some(first) = diagnosed.first_mut() {
        first.is_open = is_single || first.problem_count() > 0;
    }
    Ok(diagnosed)
}
