//! Redelivers, retries, and cancels deliveries.
//!
//! A redelivery sends one finished delivery again, or all deliveries of a webhook that failed or
//! were canceled since a given time.
//!
//! A redelivered delivery keeps its id and body and has a new set of retries. Attempt numbering
//! continues.

use std::sync::LazyLock;

use rusqlite::{Connection, params};

use super::Store;
use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use super::deliveries::WEBHOOK_NUMBER;
use super::events::DELIVERY_FORMAT;
use crate::clock::Timestamp;
use crate::domain::delivery::{CancelReason, DeliveryState};
use crate::domain::id::{DeliveryId, WebhookId};

#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    #[error("Delivery not found.")]
    UnknownDelivery,
    #[error("Webhook not found.")]
    UnknownWebhook,
    #[error("This delivery is still pending.")]
    Pending,
    #[error("The webhook is disabled. Enable it first.")]
    Disabled,
    #[error("The webhook has been deleted.")]
    WebhookDeleted,
    #[error("The feedback has been deleted, so there is nothing to send.")]
    FeedbackDeleted,
    #[error(
        "The webhook’s URL has changed between HTTP and email since this event, so this delivery can’t be sent again."
    )]
    WebhookChanged,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the webhook still sends the way that a delivery's body was rendered for: over HTTP or by
/// email. For a statement that reads `deliveries`.
static IS_SENDABLE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "({DELIVERY_FORMAT} = 'email') = (SELECT webhooks.format = 'email' FROM webhooks
          WHERE webhooks.number = webhook_number)"
    )
});

/// Makes deliveries pending and due at `?2`.
const SET_PENDING: &str =
    "UPDATE deliveries SET state = 'pending', due_at = ?2, round_attempts = 0, finished_at = NULL,
     retry_requested = 0";

/// Cancels deliveries. `?2` is the time of the cancellation, and `?3` is the reason.
pub(super) const SET_CANCELED: &str =
    "UPDATE deliveries SET state = 'canceled', due_at = NULL, finished_at = ?2, cancel_reason = ?3";

/// The reason a pending delivery can't be retried or canceled.
#[derive(Debug, thiserror::Error)]
pub enum PendingDeliveryError {
    #[error("Delivery not found.")]
    Unknown,
    #[error("This delivery isn’t pending.")]
    NotPending,
    #[error("An attempt of this delivery is in progress.")]
    InFlight,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A webhook's deliveries that failed or were canceled since a given time. Tests and deliveries of
/// deleted feedback aren't included, because [`Store::redeliver_since`] skips them.
#[derive(Clone, Debug)]
pub struct UnsuccessfulDeliveries {
    pub webhook: WebhookId,
    pub url: String,
    /// May be empty.
    pub description: String,
    pub enabled: bool,
    /// The times of the failures or cancellations, newest first.
    pub finished_at: Vec<Timestamp>,
    /// Whether the maximum number was read, so that older deliveries may be missing.
    pub is_capped: bool,
}

/// Maximum number of deliveries that [`Store::unsuccessful_deliveries`] reads for all webhooks
/// together.
const UNSUCCESSFUL_DELIVERIES_MAX: usize = 10_000;
/// Maximum number of deliveries that [`Store::unsuccessful_deliveries`] reads for one webhook.
const UNSUCCESSFUL_DELIVERIES_PER_WEBHOOK_MAX: usize = 1000;

impl Store {
    /// Returns the deliveries that reached `state` (failed or canceled) at or after `since`,
    /// grouped by webhook, for one webhook or for all webhooks. Omits deleted webhooks and webhooks
    /// without such deliveries. Includes disabled webhooks, although their deliveries can't be
    /// redelivered.
    pub async fn unsuccessful_deliveries(
        &self,
        webhook: Option<WebhookId>,
        state: DeliveryState,
        since: Timestamp,
    ) -> Result<Vec<UnsuccessfulDeliveries>, StoreError> {
        self.reader
            .read(move |c| {
                let webhooks = "SELECT id, url, description, enabled FROM webhooks
                    WHERE deleted_at IS NULL AND id = coalesce(?1, id) ORDER BY id";
                let mut found = sql::query_all(c, webhooks, [webhook], |row| {
                    Ok(UnsuccessfulDeliveries {
                        webhook: row.get("id")?,
                        url: row.get("url")?,
                        description: row.get("description")?,
                        enabled: row.get("enabled")?,
                        finished_at: Vec::new(),
                        is_capped: false,
                    })
                })?;
                let limit = (UNSUCCESSFUL_DELIVERIES_MAX / found.len().max(1))
                    .min(UNSUCCESSFUL_DELIVERIES_PER_WEBHOOK_MAX);
                for deliveries in &mut found {
                    read_unsuccessful_deliveries(c, deliveries, state, since, limit)?;
                }
                found.retain(|deliveries| !deliveries.finished_at.is_empty());
                Ok(found)
            })
            .await
    }

    /// Makes a finished delivery pending and due now.
    pub async fn redeliver(&self, id: DeliveryId) -> Result<(), RedeliverError> {
        self.writer
            .write(move |tx| {
                let statement = format!(
                    "SELECT state, webhooks.id, body IS NOT NULL, {} FROM deliveries
                     JOIN events ON events.number = event_number
                     JOIN webhooks ON webhooks.number = webhook_number WHERE deliveries.id = ?1",
                    *IS_SENDABLE
                );
                let found: Option<(DeliveryState, WebhookId, bool, bool)> =
                    sql::query_optional(tx, &statement, [&id], |row| row.try_into())?;
                let (state, webhook, has_body, is_sendable) =
                    found.ok_or(RedeliverError::UnknownDelivery)?;
                if state == DeliveryState::Pending {
                    return Err(RedeliverError::Pending);
                }
                ensure_accepts_deliveries(tx, &webhook)?;
                if !has_body {
                    return Err(RedeliverError::FeedbackDeleted);
                }
                if !is_sendable {
                    return Err(RedeliverError::WebhookChanged);
                }
                let update = format!("{SET_PENDING} WHERE id = ?1");
                sql::execute(tx, &update, params![id, tx.now])?;
                tx.record_delivery_state_changes(&webhook, state, DeliveryState::Pending, 1);
                tx.notify_deliveries();
                Ok(())
            })
            .await
    }

    /// Makes a pending delivery due now, even during a hold.
    pub async fn request_retry(&self, id: DeliveryId) -> Result<(), PendingDeliveryError> {
        self.writer
            .write(move |tx| {
                let webhook = ensure_pending(tx, &id)?;
                let update = "UPDATE deliveries SET due_at = ?2, retry_requested = 1 WHERE id = ?1";
                sql::execute(tx, update, params![id, tx.now])?;
                tx.publish_change(ChangeKind::Deliveries(webhook));
                tx.notify_deliveries();
                Ok(())
            })
            .await
    }

    /// Cancels a pending delivery. An attempt in flight continues. If it succeeds, the delivery
    /// becomes `delivered`.
    pub async fn cancel_delivery(&self, id: DeliveryId) -> Result<(), PendingDeliveryError> {
        self.writer
            .write(move |tx| {
                let webhook = ensure_pending(tx, &id)?;
                let update = format!("{SET_CANCELED} WHERE id = ?1");
                sql::execute(tx, &update, params![id, tx.now, CancelReason::User])?;
                let (from, to) = (DeliveryState::Pending, DeliveryState::Canceled);
                tx.record_delivery_state_changes(&webhook, from, to, 1);
                tx.invalidate_read_ahead();
                Ok(())
            })
            .await
    }

    /// Redelivers all deliveries of a webhook that reached one of `states` (failed or canceled)
    /// since a given time. Skips tests, deliveries of deleted feedback, and deliveries from before
    /// the webhook's URL changed between HTTP and email. Returns the number of redelivered
    /// deliveries.
    pub async fn redeliver_since(
        &self,
        webhook: WebhookId,
        since: Timestamp,
        states: Vec<DeliveryState>,
    ) -> Result<usize, RedeliverError> {
        self.writer
            .write(move |tx| {
                ensure_accepts_deliveries(tx, &webhook)?;
                let mut total = 0;
                for state in states {
                    let update = format!(
                        "{SET_PENDING} WHERE webhook_number = {WEBHOOK_NUMBER} AND state = '{}'
                         AND finished_at >= ?3 AND {}
                         AND EXISTS (SELECT 1 FROM events WHERE events.number = event_number
                                     AND feedback_id IS NOT NULL AND body IS NOT NULL)",
                        state.as_str(),
                        *IS_SENDABLE
                    );
                    let count = sql::execute(tx, &update, params![webhook, tx.now, since])?;
                    if count > 0 {
                        tx.record_delivery_state_changes(
                            &webhook,
                            state,
                            DeliveryState::Pending,
                            count,
                        );
                        tx.notify_deliveries();
                    }
                    total += count;
                }
                Ok(total)
            })
            .await
    }
}

fn read_unsuccessful_deliveries(
    connection: &Connection,
    deliveries: &mut UnsuccessfulDeliveries,
    state: DeliveryState,
    since: Timestamp,
    limit: usize,
) -> Result<(), StoreError> {
    let statement = format!(
        "SELECT finished_at, feedback_id IS NOT NULL AND body IS NOT NULL AND {}
         FROM deliveries INDEXED BY deliveries_unsuccessful_since
         CROSS JOIN events ON events.number = event_number
         WHERE webhook_number = {WEBHOOK_NUMBER} AND state = '{}' AND finished_at >= ?2
         ORDER BY finished_at DESC LIMIT ?3",
        *IS_SENDABLE,
        state.as_str()
    );
    let row_limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<(Timestamp, bool)> = sql::query_all(
        connection,
        &statement,
        params![deliveries.webhook, since, row_limit],
        |row| row.try_into(),
    )?;
    deliveries.is_capped = rows.len() == limit;
    let can_redeliver = rows.into_iter().filter(|(_, can_redeliver)| *can_redeliver);
    deliveries.finished_at = can_redeliver.map(|(finished_at, _)| finished_at).collect();
    Ok(())
}

/// Returns the webhook of a delivery. Fails if the delivery isn't pending.
fn ensure_pending(
    connection: &Connection,
    id: &DeliveryId,
) -> Result<WebhookId, PendingDeliveryError> {
    let statement = "SELECT state, webhooks.id FROM deliveries
        JOIN webhooks ON webhooks.number = webhook_number WHERE deliveries.id = ?1";
    let found: Option<(DeliveryState, WebhookId)> =
        sql::query_optional(connection, statement, [id], |row| row.try_into())?;
    match found {
        None => Err(PendingDeliveryError::Unknown),
        Some((DeliveryState::Pending, webhook)) => Ok(webhook),
        Some(_) => Err(PendingDeliveryError::NotPending),
    }
}

/// Fails if the webhook doesn't exist, is disabled, or has been deleted.
fn ensure_accepts_deliveries(
    connection: &Connection,
    webhook: &WebhookId,
) -> Result<(), RedeliverError> {
    let statement = "SELECT enabled, deleted_at IS NOT NULL FROM webhooks WHERE id = ?1";
    let found: Option<(bool, bool)> =
        sql::query_optional(connection, statement, [webhook], |row| row.try_into())?;
    match found {
        None => Err(RedeliverError::UnknownWebhook),
        Some((_, true)) => Err(RedeliverError::WebhookDeleted),
        Some((false, false)) => Err(RedeliverError::Disabled),
        Some((true, false)) => Ok(()),
    }
}
