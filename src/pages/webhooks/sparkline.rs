//! The strip beside a webhook's state: its last deliveries at a glance, drawn by the server.

use crate::domain::delivery::DeliveryState;
use crate::store::DeliverySummary;

/// The last deliveries, a bar each: as high as the answer took long, whole and red where it failed.
pub(super) struct Sparkline {
    pub(super) paths: Vec<SparklinePath>,
    /// The same in words.
    pub(super) description: String,
}

/// All bars of one kind, as one path.
pub(super) struct SparklinePath {
    pub(super) kind: &'static str,
    pub(super) path: String,
}

impl Sparkline {
    /// How high a bar can be; the template draws with the same measure.
    const HEIGHT: u32 = 16;

    /// Fewer bars than these say nothing at a glance.
    const MIN_DELIVERIES: usize = 5;

    /// `deliveries` come newest first and are drawn the other way round. `None` for too few of them.
    pub(super) fn new(deliveries: &[DeliverySummary]) -> Option<Self> {
        if deliveries.len() < Self::MIN_DELIVERIES {
            return None;
        }
        let kinds = [
            (DeliveryState::Delivered, "delivered", "delivered"),
            (DeliveryState::Failed, "failed", "failed"),
            (DeliveryState::Pending, "pending", "on the way"),
            (DeliveryState::Canceled, "canceled", "canceled"),
        ];
        let (mut paths, mut counts) = (Vec::new(), Vec::new());
        for (state, kind, word) in kinds {
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
                counts.push(format!("{} {word}", bars.len()));
                let path = bars.concat();
                paths.push(SparklinePath { kind, path });
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
                let took = delivery
                    .attempts
                    .last()
                    .map_or(1, |last| last.duration.as_millis());
                // Each doubling is a step, from 1 ms to about 2 s; what takes longer is no higher.
                let steps = u32::try_from(took.max(1)).unwrap_or(u32::MAX).ilog2();
                (3 + steps).min(Self::HEIGHT - 2)
            }
            DeliveryState::Failed => Self::HEIGHT,
            DeliveryState::Pending | DeliveryState::Canceled => 3,
        }
    }
}
