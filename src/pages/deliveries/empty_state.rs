//! The text and button of an empty delivery list, which depend on the filters.

use super::query::{DeliveryListQuery, SearchedId};
use crate::domain::delivery::DeliveryState;

pub struct EmptyState {
    pub title: &'static str,
    pub text: &'static str,
    pub action: EmptyStateAction,
}

/// The action of the button in an empty list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyStateAction {
    None,
    AddWebhook,
    ClearFilters,
    /// Continues a search that stopped before it read the whole delivery log.
    SearchOlder,
}

impl EmptyState {
    /// Chooses the text and the button. `has_more` says whether the search can be continued with
    /// older deliveries.
    pub fn new(query: &DeliveryListQuery, has_more: bool, has_webhooks: bool) -> Self {
        let state = |title, text, action| Self {
            title,
            text,
            action,
        };
        let clear = EmptyStateAction::ClearFilters;
        let is_only_state = query.state.is_some()
            && !DeliveryListQuery {
                state: None,
                ..query.clone()
            }
            .is_filtered();
        if let Some(problem) = query.date_problem() {
            return state("No matches", problem, clear);
        }
        match query.searched_id() {
            _ if has_more => state(
                "No matches so far",
                "The newest deliveries don’t match these filters. Older deliveries may match.",
                EmptyStateAction::SearchOlder,
            ),
            SearchedId::Invalid => state(
                "Not an ID",
                "Enter a complete delivery ID (dlv_…) or feedback ID (fb_…).",
                clear,
            ),
            SearchedId::Delivery(_) => state(
                "Delivery not found",
                "No delivery has this ID, or the delivery was deleted after the retention period.",
                clear,
            ),
            SearchedId::Feedback(_) => state(
                "No deliveries found",
                "No deliveries of this feedback match these filters.",
                clear,
            ),
            SearchedId::None if query.before.is_some() => state(
                "No older deliveries",
                "This is the end of the list.",
                EmptyStateAction::None,
            ),
            SearchedId::None if is_only_state => {
                let (title, text) = text_for_state(query.state);
                state(title, text, clear)
            }
            SearchedId::None if query.is_filtered() => {
                state("No matches", "No deliveries match these filters.", clear)
            }
            SearchedId::None if !has_webhooks => state(
                "No webhooks yet",
                "Add a webhook to send events to your own systems. Its deliveries appear here.",
                EmptyStateAction::AddWebhook,
            ),
            SearchedId::None => state(
                "No deliveries yet",
                "Deliveries appear here after a test or new feedback.",
                EmptyStateAction::None,
            ),
        }
    }
}

/// Returns the title and the text of an empty list whose only filter is a state.
fn text_for_state(state: Option<DeliveryState>) -> (&'static str, &'static str) {
    match state {
        Some(DeliveryState::Failed) => (
            "No failed deliveries",
            "Deliveries that failed after their last retry appear here.",
        ),
        Some(DeliveryState::Pending) => ("No pending deliveries", "Nothing is waiting to be sent."),
        _ => ("No matches", "No deliveries match these filters."),
    }
}
