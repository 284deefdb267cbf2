//! What was made for a webhook and what became of it, as pages tell it.

use crate::domain::delivery::DeliveryState;
use crate::domain::id::WebhookId;
use crate::pages::framework::format::group_digits;
use crate::store::DeliveryTotals;

pub struct AccountingView {
    /// `1,204 events`.
    pub events: String,
    /// Of the states that there are any in.
    pub parts: Vec<Part>,
    pub unexplained: Option<i64>,
    /// Of the list that the parts lead to.
    pub address: String,
}

pub struct Part {
    pub state: &'static str,
    /// `1,200 delivered`.
    pub text: String,
}

impl AccountingView {
    pub fn of(webhook: &WebhookId, accounting: DeliveryTotals) -> Self {
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
                many => format!("{} events", group_digits(many)),
            },
            parts: parts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| Part {
                    state: state.as_str(),
                    text: format!("{} {}", group_digits(count), state.as_str()),
                })
                .collect(),
            unexplained: Some(accounting.discrepancy()).filter(|n| *n != 0),
            address: format!("/settings/notifications/{webhook}/deliveries"),
        }
    }
}
