//! Sending again, by hand: one delivery, or all of a webhook that failed since a time.
//!
//! The same delivery, with the same id and body, gets a fresh set of retries; the numbers of its attempts go on.

use rusqlite::{Connection, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::id::{DeliveryId, WebhookId};

#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    #[error("There is no such delivery.")]
    UnknownDelivery,
    #[error("There is no such webhook.")]
    UnknownWebhook,
    #[error("It is on its way already.")]
    Pending,
    #[error("Its webhook is switched off; switch it on first.")]
    Disabled,
    #[error("Its webhook is deleted.")]
    WebhookDeleted,
    #[error("Its feedback is deleted, and its words with it.")]
    FeedbackDeleted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is pending from now on, due at once.
const SET_PENDING: &str =
    "UPDATE deliveries SET state = 'pending', due_at = ?2, round_attempts = 0, finished_at = NULL";

impl Store {
    /// Sends one delivery again.
    pub async fn redeliver(&self, id: DeliveryId) -> Result<(), RedeliverError> {
        self.writer
            .write(move |write| {
                let found = sql::query_optional(
                    write,
                    "SELECT state, webhook_id, body IS NOT NULL FROM deliveries JOIN events ON events.id = event_id
                     WHERE deliveries.id = ?1",
                    [id.as_str()],
                    |row| Ok((sql::parse_column(row, "state", DeliveryState::parse)?, WebhookId::new(row.get::<_, String>(1)?), row.get::<_, bool>(2)?)),
                )?;
                let (state, webhook, has_body) = found.ok_or(RedeliverError::UnknownDelivery)?;
                if state == DeliveryState::Pending {
                    return Err(RedeliverError::Pending);
                }
                ensure_accepts_deliveries(write, &webhook)?;
                if !has_body {
                    return Err(RedeliverError::FeedbackDeleted);
                }
                sql::execute(write, &format!("{SET_PENDING} WHERE id = ?1"), params![id.as_str(), write.now.millis()])?;
                write.delivery_states_changed(&webhook, state, DeliveryState::Pending, 1);
                write.notify_deliveries();
                Ok(())
            })
            .await
    }

    /// Sends again all of a webhook that failed since `since` (or, with `canceled`, was canceled); returns how many.
    /// Tests are not among them, nor what tells of deleted feedback.
    pub async fn recover(
        &self,
        webhook: WebhookId,
        since: Timestamp,
        canceled: bool,
        failed: bool,
    ) -> Result<usize, RedeliverError> {
        self.writer
            .write(move |write| {
                ensure_accepts_deliveries(write, &webhook)?;
                let mut all = 0;
                let asked = [(DeliveryState::Failed, failed), (DeliveryState::Canceled, canceled)];
                for (state, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
                    let count = sql::execute(
                        write,
                        &format!(
                            "{SET_PENDING} WHERE webhook_id = ?1 AND state = '{}' AND finished_at >= ?3
                             AND EXISTS (SELECT 1 FROM events WHERE events.id = event_id AND type <> 'test' AND body IS NOT NULL)",
                            state.as_str()
                        ),
                        params![webhook.as_str(), write.now.millis(), since.millis()],
                    )?;
                    if count > 0 {
                        write.delivery_states_changed(&webhook, state, DeliveryState::Pending, count);
                        write.notify_deliveries();
                    }
                    all += count;
                }
                Ok(all)
            })
            .await
    }
}

fn ensure_accepts_deliveries(
    connection: &Connection,
    webhook: &WebhookId,
) -> Result<(), RedeliverError> {
    let statement = "SELECT enabled, deleted_at IS NOT NULL FROM webhooks WHERE id = ?1";
    let found = sql::query_optional(connection, statement, [webhook.as_str()], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?))
    })?;
    match found {
        None => Err(RedeliverError::UnknownWebhook),
        Some((_, true)) => Err(RedeliverError::WebhookDeleted),
        Some((false, false)) => Err(RedeliverError::Disabled),
        Some((true, false)) => Ok(()),
    }
}
