//! Delivery totals: the number of deliveries of a webhook since its creation, by state.
//!
//! `db::counters` maintains the totals in the transaction that changes a delivery. Retention
//! deletes deliveries but doesn't reduce the totals.

use std::collections::HashMap;
use std::iter::Sum;

use rusqlite::{Connection, Row};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::domain::id::WebhookId;

/// The totals of a webhook since it was created, including tests. `events` is the number of
/// deliveries that were created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryTotals {
    pub events: u64,
    pub delivered: u64,
    pub pending: u64,
    pub failed: u64,
    pub canceled: u64,
}

impl DeliveryTotals {
    /// Returns the number of events minus the number of deliveries in all states; 0 unless an event
    /// was lost.
    pub fn unexplained_events(&self) -> i64 {
        let states = self.delivered + self.pending + self.failed + self.canceled;
        self.events.cast_signed() - states.cast_signed()
    }
}

impl Sum for DeliveryTotals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, totals| Self {
            events: sum.events + totals.events,
            delivered: sum.delivered + totals.delivered,
            pending: sum.pending + totals.pending,
            failed: sum.failed + totals.failed,
            canceled: sum.canceled + totals.canceled,
        })
    }
}

impl Store {
    /// Returns the totals of a webhook, or `None` if there is no such webhook.
    pub async fn delivery_totals(
        &self,
        webhook: WebhookId,
    ) -> Result<Option<DeliveryTotals>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM delivery_totals WHERE webhook_id =
                    (SELECT id FROM webhooks WHERE id = ?1 AND deleted_at IS NULL)";
                sql::query_optional(c, statement, [webhook], totals_from_row)
            })
            .await
    }

    /// Returns the totals of all webhooks, including deleted webhooks.
    pub async fn all_delivery_totals(
        &self,
    ) -> Result<HashMap<WebhookId, DeliveryTotals>, StoreError> {
        self.reader.read(read_all_totals).await
    }
}

pub(super) fn read_all_totals(
    connection: &Connection,
) -> Result<HashMap<WebhookId, DeliveryTotals>, StoreError> {
    let rows = sql::query_all(connection, "SELECT * FROM delivery_totals", [], |row| {
        Ok((row.get("webhook_id")?, totals_from_row(row)?))
    })?;
    Ok(rows.into_iter().collect())
}

fn totals_from_row(row: &Row<'_>) -> rusqlite::Result<DeliveryTotals> {
    Ok(DeliveryTotals {
        events: row.get("events")?,
        delivered: row.get("delivered")?,
        pending: row.get("pending")?,
        failed: row.get("failed")?,
        canceled: row.get("canceled")?,
    })
}
