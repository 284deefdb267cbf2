//! The accounting of webhooks: what was made for each, and what became of it.
//!
//! The counts are kept in the transaction of whatever changes a delivery (`counts`); retention takes rows away and leaves
//! them. `counters::audit` compares them with the rows, which is how a lost one would be found.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::domain::id::WebhookId;

/// What was made for a webhook since it exists, tests included: each event is one delivery, in one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryTotals {
    pub events: u64,
    pub delivered: u64,
    pub pending: u64,
    pub failed: u64,
    pub canceled: u64,
}

impl DeliveryTotals {
    /// Events that are in no state: 0, unless something is lost.
    pub fn discrepancy(&self) -> i64 {
        let states = self.delivered + self.pending + self.failed + self.canceled;
        self.events.cast_signed() - states.cast_signed()
    }
}

impl Store {
    /// `None`: there is no such webhook.
    pub async fn delivery_totals(
        &self,
        webhook: WebhookId,
    ) -> Result<Option<DeliveryTotals>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM delivery_totals WHERE webhook_id =
                    (SELECT id FROM webhooks WHERE id = ?1 AND deleted_at IS NULL)";
                sql::query_optional(c, statement, [webhook.as_str()], read)
            })
            .await
    }

    /// Of all webhooks, deleted ones too.
    pub async fn all_delivery_totals(
        &self,
    ) -> Result<HashMap<WebhookId, DeliveryTotals>, StoreError> {
        self.reader
            .read(|c| Ok(all(c)?.into_iter().collect()))
            .await
    }
}

pub(super) fn all(connection: &Connection) -> Result<Vec<(WebhookId, DeliveryTotals)>, StoreError> {
    sql::query_all(connection, "SELECT * FROM delivery_totals", [], |row| {
        let id = WebhookId::new(row.get::<_, String>("webhook_id")?);
        Ok((id, read(row)?))
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeliveryTotals> {
    Ok(DeliveryTotals {
        events: row.get("events")?,
        delivered: row.get("delivered")?,
        pending: row.get("pending")?,
        failed: row.get("failed")?,
        canceled: row.get("canceled")?,
    })
}
