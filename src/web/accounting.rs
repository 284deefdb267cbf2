//! What was made for a webhook and what became of it, as pages tell it.

use super::times::thousands;
use crate::domain::delivery::DeliveryState;
use crate::domain::id::WebhookId;
use crate::store::Accounting;

pub(super) struct AccountingView {
    /// `1,204 events`.
    pub(super) events: String,
    /// Of the states that there are any in.
    pub(super) parts: Vec<Part>,
    pub(super) unexplained: Option<i64>,
    /// Of the list that the parts lead to.
    pub(super) address: String,
}

pub(super) struct Part {
    pub(super) state: &'static str,
    /// `1,200 delivered`.
    pub(super) text: String,
}

impl AccountingView {
    pub(super) fn of(webhook: &WebhookId, accounting: Accounting) -> Self {
        let parts = [
            (DeliveryState::Delivered, accounting.delivered),
            (DeliveryState::Pending, accounting.pending),
            (DeliveryState::Failed, accounting.failed),
            (DeliveryState::Canceled, accounting.canceled),
        ];
        Self {
            events: match accounting.events {
                0 => "No event yet".to_owned(),
                1 => "1 event".to_owned(),
                many => format!("{} events", thousands(many)),
            },
            parts: parts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| Part {
                    state: state.as_str(),
                    text: format!("{} {}", thousands(count), state.as_str()),
                })
                .collect(),
            unexplained: Some(accounting.unexplained()).filter(|n| *n != 0),
            address: format!("/settings/notifications/{webhook}/deliveries"),
        }
    }
}
