//! The delivery totals of one webhook or all webhooks, formatted for pages.

use crate::domain::delivery::DeliveryState;
use crate::pages::framework::format::group_digits;
use crate::store::DeliveryTotals;

/// Delivery totals as a sentence with links.
pub struct DeliveryTotalsView {
    /// The number of pending deliveries, such as `3 pending deliveries`; empty for 0.
    pub pending: String,
    /// The number of events, such as `1,204 deliveries`. Each event has one delivery.
    pub deliveries: String,
    /// The states with at least one delivery.
    pub states: Vec<StateTotal>,
    /// The number of events minus the number of deliveries in all states; `None` if the difference
    /// is 0.
    pub unexplained: Option<i64>,
    /// Path of the delivery list, which the states link to.
    pub list_path: String,
}

/// The number of deliveries in one state.
pub struct StateTotal {
    pub state: &'static str,
    /// The number and the state, such as `1,200 delivered`.
    pub text: String,
}

impl DeliveryTotalsView {
    /// Formats delivery totals. `list_path` is the path of the delivery list, without a query.
    pub fn new(list_path: &str, totals: DeliveryTotals) -> Self {
        let states = [
            (DeliveryState::Delivered, totals.delivered),
            (DeliveryState::Pending, totals.pending),
            (DeliveryState::Failed, totals.failed),
            (DeliveryState::Canceled, totals.canceled),
        ];
        Self {
            deliveries: match totals.events {
                0 => "No deliveries yet".to_owned(),
                1 => "1 delivery".to_owned(),
                count => format!("{} deliveries", group_digits(count)),
            },
            states: states
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| StateTotal {
                    state: state.as_str(),
                    text: format!("{} {}", group_digits(count), state.as_str()),
                })
                .collect(),
            pending: match totals.pending {
                0 => String::new(),
                1 => "1 pending delivery".to_owned(),
                count => format!("{} pending deliveries", group_digits(count)),
            },
            unexplained: Some(totals.unexplained_events()).filter(|n| *n != 0),
            list_path: list_path.to_owned(),
        }
    }
}
