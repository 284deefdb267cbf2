//! Reads what an admin's checklist is made from: webhooks, their last deliveries, projects and how much feedback.

use super::checklist::{Finding, Item};
use super::findings::Known;
use crate::domain::webhook::{WEBHOOKS_MAX, Webhook};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, PageRequest};

/// How many of a webhook's last deliveries are looked at.
const LOOKED_AT: usize = 20;

/// A webhook with what was found.
pub(super) struct Examined {
    pub(super) webhook: Webhook,
    pub(super) items: Vec<Item>,
    /// It is the one that was asked for, or the only one.
    pub(super) is_open: bool,
}

impl Examined {
    /// On how many things it says "look here".
    pub(super) fn to_look_at(&self) -> usize {
        let is_bad = |item: &&Item| item.finding == Some(Finding::LookHere);
        self.items.iter().filter(is_bad).count()
    }
}

/// All webhooks, or the one of `?webhook=ID`; one that is gone is none.
pub(super) async fn examine(context: &RequestContext) -> Result<Vec<Examined>, PageError> {
    let store = &context.app.store;
    let all = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let mut webhooks = store.webhooks(all).await?.items;
    webhooks.reverse();
    if let Some(asked) = context.query_param("webhook") {
        webhooks.retain(|webhook| webhook.id.as_str() == asked);
    }
    let projects = store.projects_by_name().await?;
    let counts = store.count_feedback_by_project().await?;
    let is_only = webhooks.len() == 1;
    let mut examined = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let last = PageRequest {
            limit: LOOKED_AT,
            before: None,
        };
        let deliveries = store
            .deliveries(webhook.id.clone(), DeliveryFilter::default(), last)
            .await?
            .items;
        let is_heard = |id| webhook.projects.is_empty() || webhook.projects.contains(id);
        let known = Known {
            webhook: &webhook,
            deliveries: &deliveries,
            projects: &projects,
            feedback: counts
                .iter()
                .filter(|(id, _)| is_heard(*id))
                .map(|(_, count)| count)
                .sum(),
            timeout: context.app.delivery.timeout(),
            now: context.app.clock.now(),
        };
        examined.push(Examined {
            items: known.examine(),
            webhook,
            is_open: is_only,
        });
    }
    Ok(examined)
}
