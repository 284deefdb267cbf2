//! The bar chart of a webhook's last deliveries, in its row.

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::pages::deliveries::row::outcome_summary;
use crate::pages::framework::format::DisplayTime;
use crate::store::DeliverySummary;

/// A chart with one bar per delivery, from oldest to newest. The height of a bar shows the duration
/// of the last attempt. A dot above the bar marks a failed delivery. Deliveries without an attempt
/// have the lowest bar.
pub(super) struct Sparkline {
    pub(super) bars: Vec<SparklineBar>,
    /// The text alternative for the chart.
    pub(super) description: String,
}

pub(super) struct SparklineBar {
    pub(super) css_class: &'static str,
    /// The SVG path of the bar.
    pub(super) path: String,
    /// The SVG path of the area that shows the tooltip. It is as high as the chart.
    pub(super) area: String,
    /// The last response and its duration, such as `200 in 4 ms`, or the state if there was no
    /// attempt.
    pub(super) summary: String,
    pub(super) at: DisplayTime,
}

impl Sparkline {
    /// Maximum number of deliveries in the chart.
    pub(super) const DELIVERIES_MAX: usize = 30;

    /// Height of the chart, in SVG units. The template uses the same value.
    const HEIGHT: u32 = 16;
    /// Height of the lowest bar.
    const BAR_HEIGHT_MIN: u32 = 4;
    /// Width of a bar and the gap next to it.
    const BAR_WIDTH: usize = 5;

    /// Minimum number of deliveries for a chart.
    const DELIVERIES_MIN: usize = 5;

    /// Returns the width of the chart.
    pub(super) fn width(&self) -> usize {
        self.bars.len() * Self::BAR_WIDTH
    }

    /// Creates the chart. `deliveries` is sorted newest first. Returns `None` if there are fewer
    /// than [`DELIVERIES_MIN`](Self::DELIVERIES_MIN).
    pub(super) fn new(deliveries: &[DeliverySummary], now: Timestamp) -> Option<Self> {
        if deliveries.len() < Self::DELIVERIES_MIN {
            return None;
        }
        let counts: Vec<String> = DeliveryState::ALL
            .into_iter()
            .filter_map(|state| {
                let count = deliveries.iter().filter(|d| d.state == state).count();
                (count > 0).then(|| format!("{count} {}", state.as_str()))
            })
            .collect();
        Some(Self {
            description: format!(
                "Last {} deliveries: {}",
                deliveries.len(),
                counts.join(", ")
            ),
            bars: deliveries
                .iter()
                .rev()
                .enumerate()
                .map(|(index, delivery)| SparklineBar::new(index, delivery, now))
                .collect(),
        })
    }
}

impl SparklineBar {
    fn new(index: usize, delivery: &DeliverySummary, now: Timestamp) -> Self {
        let last = delivery.attempts.last();
        let left = index * Sparkline::BAR_WIDTH + 2;
        let height = last.map_or(Sparkline::BAR_HEIGHT_MIN, |last| {
            // The bar grows by one unit when the duration doubles, from 1 ms to about 0.1 s.
            let millis = u32::try_from(last.duration.as_millis()).unwrap_or(u32::MAX);
            (Sparkline::BAR_HEIGHT_MIN + millis.max(1).ilog2()).min(Sparkline::HEIGHT - 5)
        });
        let dot = match delivery.state {
            DeliveryState::Failed => format!("M{left} {}v-3", Sparkline::HEIGHT - height - 2),
            _ => String::new(),
        };
        Self {
            css_class: delivery.state.as_str(),
            path: format!("M{left} {}v-{height}{dot}", Sparkline::HEIGHT),
            area: format!("M{left} 0v{}", Sparkline::HEIGHT),
            summary: last.map_or_else(|| delivery.state.as_str().to_owned(), outcome_summary),
            at: DisplayTime::new(
                last.map_or(delivery.created_at, |last| last.started_at),
                now,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::event::EventType;
    use crate::domain::format::Format;
    use crate::domain::id::{DeliveryId, WebhookId};
    use crate::store::LoggedAttempt;

    fn delivery(state: DeliveryState, millis: Option<u64>, status: u16) -> DeliverySummary {
        let at = Timestamp::from_millis(0);
        let attempt = |millis| LoggedAttempt {
            number: 1,
            started_at: at,
            duration: Duration::from_millis(millis),
            status: Some(status),
            error: None,
            error_code: None,
            response_headers: Vec::new(),
            response_body: None,
            response_truncated: false,
            timings: Default::default(),
        };
        DeliverySummary {
            id: DeliveryId::from_bytes([1; 16]),
            webhook: WebhookId::from_bytes([1; 16]),
            event: EventType::Test,
            is_test: true,
            format: Format::Standard,
            state,
            created_at: at,
            next_attempt_at: None,
            finished_at: None,
            round_attempts: 1,
            cancel_reason: None,
            attempts: millis.map(attempt).into_iter().collect(),
        }
    }

    #[test]
    fn bar_heights_show_durations_and_dots_mark_failures() {
        let deliveries = [
            delivery(DeliveryState::Pending, None, 0),
            delivery(DeliveryState::Failed, Some(4_000), 500),
            delivery(DeliveryState::Failed, Some(4), 401),
            delivery(DeliveryState::Delivered, Some(256), 200),
            delivery(DeliveryState::Delivered, Some(4), 200),
        ];
        let sparkline = Sparkline::new(&deliveries, Timestamp::from_millis(0)).unwrap();
        assert_eq!(
            sparkline.description,
            "Last 5 deliveries: 1 pending, 2 delivered, 2 failed"
        );
        let bars: Vec<_> = sparkline
            .bars
            .iter()
            .map(|bar| (bar.summary.as_str(), bar.path.as_str()))
            .collect();
        let expected = [
            ("200 in 4 ms", "M2 16v-6"),
            ("200 in 256 ms", "M7 16v-11"),
            ("401 in 4 ms", "M12 16v-6M12 8v-3"),
            ("500 in 4 s", "M17 16v-11M17 3v-3"),
            ("pending", "M22 16v-4"),
        ];
        assert_eq!(bars, expected);
        assert!(Sparkline::new(&deliveries[..4], Timestamp::from_millis(0)).is_none());
    }
}
