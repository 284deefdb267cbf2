//! The strip beside a webhook's state: its last deliveries at a glance, drawn by the server.

use crate::domain::delivery::DeliveryState;
use crate::store::DeliverySummary;

/// The last deliveries, a bar each: as high as the answer took long, whole and red where it failed.
pub(super) struct Strip {
    pub(super) lines: Vec<Line>,
    /// The same in words.
    pub(super) words: String,
}

/// All bars of one kind, as one path.
pub(super) struct Line {
    pub(super) kind: &'static str,
    pub(super) path: String,
}

impl Strip {
    /// How high a bar can be; the template draws with the same measure.
    const WHOLE: u32 = 16;

    /// Fewer bars than these say nothing at a glance.
    const LEAST: usize = 5;

    /// `deliveries` come newest first and are drawn the other way round. `None` for too few of them.
    pub(super) fn of(deliveries: &[DeliverySummary]) -> Option<Self> {
        if deliveries.len() < Self::LEAST {
            return None;
        }
        let kinds = [
            (DeliveryState::Delivered, "delivered", "delivered"),
            (DeliveryState::Failed, "failed", "failed"),
            (DeliveryState::Pending, "pending", "on the way"),
            (DeliveryState::Canceled, "canceled", "canceled"),
        ];
        let (mut lines, mut counts) = (Vec::new(), Vec::new());
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
                        Self::WHOLE,
                        Self::height(delivery)
                    )
                })
                .collect();
            if !bars.is_empty() {
                counts.push(format!("{} {word}", bars.len()));
                let path = bars.concat();
                lines.push(Line { kind, path });
            }
        }
        let words = format!(
            "Last {} deliveries: {}",
            deliveries.len(),
            counts.join(", ")
        );
        Some(Self { lines, words })
    }

    fn height(delivery: &DeliverySummary) -> u32 {
        match delivery.state {
            DeliveryState::Delivered => {
                let took = delivery
                    .attempts
                    .last()
                    .map_or(1, |last| last.duration.as_millis());
                // Each doubling is a step, from 1 ms to about 2 s; what takes longer is no higher.
                let steps = u32::try_from(took.max(1)).unwrap_or(u32::MAX).ilog2();
                (3 + steps).min(Self::WHOLE - 2)
            }
            DeliveryState::Failed => Self::WHOLE,
            DeliveryState::Pending | DeliveryState::Canceled => 3,
        }
    }
}
