//! The accounting of webhooks: what was made for each, and what became of it.
//!
//! The counts are kept in the transaction of whatever changes a delivery (`counts`); retention takes rows away and leaves
//! them. [`audit`] compares them with the rows, which is how a lost one would be found.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::domain::id::WebhookId;

/// What was made for a webhook since it exists, tests included: each event is one delivery, in one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    pub events: u64,
    pub delivered: u64,
    pub pending: u64,
    pub failed: u64,
    pub canceled: u64,
}

impl Accounting {
    /// Events that are in no state: 0, unless something is lost.
    pub fn unexplained(&self) -> i64 {
        let states = self.delivered + self.pending + self.failed + self.canceled;
        self.events.cast_signed() - states.cast_signed()
    }
}

impl Store {
    /// `None`: there is no such webhook.
    pub async fn accounting(&self, webhook: WebhookId) -> Result<Option<Accounting>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM webhook_accounting WHERE webhook_id =
                    (SELECT id FROM webhooks WHERE id = ?1 AND deleted_at IS NULL)";
                sql::first(c, statement, [webhook.as_str()], read)
            })
            .await
    }

    /// Of all webhooks, deleted ones too.
    pub async fn all_accounting(&self) -> Result<HashMap<WebhookId, Accounting>, StoreError> {
        self.reader
            .read(|c| Ok(all(c)?.into_iter().collect()))
            .await
    }
}

pub(super) fn all(connection: &Connection) -> Result<Vec<(WebhookId, Accounting)>, StoreError> {
    sql::all(connection, "SELECT * FROM webhook_accounting", [], |row| {
        let id = WebhookId::new(row.get::<_, String>("webhook_id")?);
        Ok((id, read(row)?))
    })
}

/// How many events of all webhooks are not explained: in no state, or counted without a row that retention has not
/// removed, or the other way round.
pub(super) fn audit(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT coalesce(sum(abs(events - pending - delivered - failed - canceled)
           + abs(events - removed - (SELECT count(*) FROM deliveries d WHERE d.webhook_id = a.webhook_id))
           + abs(pending - (SELECT count(*) FROM deliveries d WHERE d.webhook_id = a.webhook_id AND state = 'pending'))), 0)
         FROM webhook_accounting a",
        [],
        |row| row.get(0),
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Accounting> {
    Ok(Accounting {
        events: row.get("events")?,
        delivered: row.get("delivered")?,
        pending: row.get("pending")?,
        failed: row.get("failed")?,
        canceled: row.get("canceled")?,
    })
}
