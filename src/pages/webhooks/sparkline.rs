//! The bar chart of a webhook's last deliveries, next to its state.

use crate::domain::delivery::DeliveryState;
use crate::store::DeliverySummary;

/// A chart with one bar per delivery. If the delivery succeeded, the height of its bar shows the
/// duration of the last attempt. If it failed, the bar is red and has the full height. Other
/// deliveries have low bars.
pub(super) struct Sparkline {
    pub(super) paths: Vec<SparklinePath>,
    /// Text alternative for the chart.
    pub(super) description: String,
}

/// All bars of one state, as a single SVG path.
pub(super) struct SparklinePath {
    pub(super) css_class: &'static str,
    pub(super) path: String,
}

impl Sparkline {
    /// Height of the chart. The template uses the same value.
    const HEIGHT: u32 = 16;

    /// Minimum number of deliveries for a chart.
    const MIN_DELIVERIES: usize = 5;

    /// Draws the deliveries from oldest to newest. `deliveries` is sorted newest first. Returns
    /// `None` if there are fewer than [`MIN_DELIVERIES`](Self::MIN_DELIVERIES).
    pub(super) fn new(deliveries: &[DeliverySummary]) -> Option<Self> {
        if deliveries.len() < Self::MIN_DELIVERIES {
            return None;
        }
        let states = [
            DeliveryState::Delivered,
            DeliveryState::Failed,
            DeliveryState::Pending,
            DeliveryState::Canceled,
        ];
        let (mut paths, mut counts) = (Vec::new(), Vec::new());
        for state in states {
            let bars: Vec<String> = deliveries
                .iter()
                .rev()
                .enumerate()
                .filter(|(_, delivery)| delivery.state == state)
                .map(|(index, delivery)| {
                    format!(
                        "M{} {}v-{}",
                        index * 3 + 1,
                        Self::HEIGHT,
                        Self::bar_height(delivery)
                    )
                })
                .collect();
            if !bars.is_empty() {
                counts.push(format!("{} {}", bars.len(), state.as_str()));
                paths.push(SparklinePath {
                    css_class: state.as_str(),
                    path: bars.concat(),
                });
            }
        }
        let description = format!(
            "Last {} deliveries: {}",
            deliveries.len(),
            counts.join(", ")
        );
        Some(Self { paths, description })
    }

    fn bar_height(delivery: &DeliverySummary) -> u32 {
        match delivery.state {
            DeliveryState::Delivered => {
                let millis = delivery
                    .attempts
                    .last()
                    .map_or(1, |last| last.duration.as_millis());
                // The bar grows by one unit when the duration doubles, from 1 ms to about 2 s.
                let steps = u32::try_from(millis.max(1)).unwrap_or(u32::MAX).ilog2();
                (3 + steps).min(Self::HEIGHT - 2)
            }
            DeliveryState::Failed => Self::HEIGHT,
            DeliveryState::Pending | DeliveryState::Canceled => 3,
        }
    }
}
