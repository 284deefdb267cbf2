//! What was made for a webhook and what became of it, as pages tell it.

use crate::domain::delivery::DeliveryState;
use crate::domain::id::WebhookId;
use crate::pages::framework::format::group_digits;
use crate::store::DeliveryTotals;

pub struct DeliveryTotalsView {
    /// `1,204 events`.
    pub events: String,
    /// Of the states that there are any in.
    pub states: Vec<StateTotal>,
    pub unexplained: Option<i64>,
    /// Of the list that the states lead to.
    pub list_path: String,
}

pub struct StateTotal {
    pub state: &'static str,
    /// `1,200 delivered`.
    pub text: String,
}

impl DeliveryTotalsView {
    pub fn new(webhook: &WebhookId, totals: DeliveryTotals) -> Self {
        let states = [
            (DeliveryState::Delivered, totals.delivered),
            (DeliveryState::Pending, totals.pending),
            (DeliveryState::Failed, totals.failed),
            (DeliveryState::Canceled, totals.canceled),
        ];
        Self {
            events: match totals.events {
                0 => "No event yet".to_owned(),
                1 => "1 event".to_owned(),
                many => format!("{} events", group_digits(many)),
            },
            states: states
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| StateTotal {
                    state: state.as_str(),
                    text: format!("{} {}", group_digits(count), state.as_str()),
                })
                .collect(),
            unexplained: Some(totals.discrepancy()).filter(|n| *n != 0),
            list_path: format!("/settings/notifications/{webhook}/deliveries"),
        }
    }
}
