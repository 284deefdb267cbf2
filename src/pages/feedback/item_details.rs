//! The details of a feedback item: time, status history, and deliveries.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::account::Role;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::pages::deliveries::row::DeliveryRow;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, mailto_url};
use crate::pages::framework::page_error::PageError;
use crate::store::{FeedbackDelivery, StatusHistoryEntry};

/// The data that an item shows only if it is expanded or on its own page.
pub(super) struct FeedbackDetails {
    /// The time at which the feedback was received.
    pub(super) received: String,
    pub(super) reply_url: Option<String>,
    pub(super) history: Vec<StatusChangeView>,
    /// The deliveries of the feedback; `None` if the user isn't an admin.
    pub(super) deliveries: Option<Vec<FeedbackDeliveryView>>,
    /// The number of deliveries in each state, such as `2 deliveries: 1 delivered,
    /// 1 failed`; empty if the user isn't an admin.
    pub(super) delivery_counts: String,
}

pub(super) struct StatusChangeView {
    pub(super) previous: FeedbackStatus,
    pub(super) status: FeedbackStatus,
    pub(super) email: String,
    pub(super) token: Option<String>,
    pub(super) at: DisplayTime,
}

pub(super) struct FeedbackDeliveryView {
    pub(super) row: DeliveryRow,
    pub(super) path: String,
    /// The webhook's URL; empty if the webhook was deleted.
    pub(super) url: String,
}

impl FeedbackDetails {
    pub(super) async fn load(
        context: &RequestContext,
        feedback: &Feedback,
    ) -> Result<Self, PageError> {
        let store = &context.app.store;
        let now = context.app.clock.now();
        let is_admin = context.user()?.role == Role::Admin;
        let deliveries = match is_admin {
            true => Some(store.deliveries_of_feedback(feedback.id).await?),
            false => None,
        };
        let delivery_counts = deliveries.as_deref().map(format_delivery_counts);
        let history = store.status_history(feedback.id).await?;
        let at = DisplayTime::new(feedback.created_at, now);
        let entry = |entry: StatusHistoryEntry| StatusChangeView {
            previous: entry.previous,
            status: entry.status,
            email: entry.by.email,
            token: entry.by.token,
            at: DisplayTime::new(entry.changed_at, now),
        };
        let delivery = |delivery: FeedbackDelivery| FeedbackDeliveryView {
            row: DeliveryRow::new(
                &delivery.summary,
                context.app.delivery.max_attempts(delivery.retries),
                now,
            ),
            path: context.app.urls.path(&format!(
                "/settings/notifications/{}/deliveries/{}",
                delivery.summary.webhook, delivery.summary.id
            )),
            url: delivery.url,
        };
        Ok(Self {
            received: at.exact,
            reply_url: feedback
                .email
                .as_deref()
                .map(|to| reply_mailto_url(to, feedback)),
            history: history.into_iter().map(entry).collect(),
            deliveries: deliveries.map(|all| all.into_iter().map(delivery).collect()),
            delivery_counts: delivery_counts.unwrap_or_default(),
        })
    }
}

/// Returns a `mailto:` URL for a reply that quotes the first 1,000 characters of the message.
fn reply_mailto_url(to: &str, feedback: &Feedback) -> String {
    let quoted_text: String = feedback.message.chars().take(1000).collect();
    let quoted: String = quoted_text
        .lines()
        .map(|line| format!("> {line}\r\n"))
        .collect();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!(
        "{}?subject={}&body={}",
        mailto_url(to),
        encoded(&format!("Your feedback on {}", feedback.project.name)),
        encoded(&format!("\r\n\r\n{quoted}"))
    )
}

fn format_delivery_counts(deliveries: &[FeedbackDelivery]) -> String {
    let count = |state| {
        let in_state = deliveries
            .iter()
            .filter(|delivery| delivery.summary.state == state);
        Some((in_state.count(), state)).filter(|(count, _)| *count > 0)
    };
    let counts = DeliveryState::ALL.into_iter().filter_map(count);
    let counts: Vec<String> = counts
        .map(|(count, state)| format!("{count} {}", state.as_str()))
        .collect();
    let noun = match deliveries.len() {
        1 => "delivery",
        _ => "deliveries",
    };
    format!("{} {noun}: {}", deliveries.len(), counts.join(", "))
}
