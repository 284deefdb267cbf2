//! What `/metrics` counts, read in one moment.

use std::collections::HashMap;

use rusqlite::Row;

use super::db::error::StoreError;
use super::db::sql;
use super::{DeliveryTotals, Store, delivery_totals, webhooks};
use crate::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::WebhookId;

#[derive(Clone, Debug)]
pub struct Metrics {
    pub feedback: Vec<(FeedbackStatus, u64)>,
    pub webhooks: Vec<WebhookMetrics>,
    /// Alerts that have not arrived yet.
    pub pending_alerts: u64,
}

/// Of one webhook; named by id and host, never by path.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub id: WebhookId,
    pub host: String,
    pub enabled: bool,
    pub failing_since: Option<Timestamp>,
    pub held_until: Option<Timestamp>,
    pub consecutive_failures: u32,
    pub totals: DeliveryTotals,
    /// When the delivery that has waited longest was made.
    pub oldest_pending: Option<Timestamp>,
}

impl Store {
    pub async fn metrics(&self) -> Result<Metrics, StoreError> {
        self.reader
            .read_slow(|c| {
                let by_status = |row: &Row<'_>| Ok((sql::parse_column(row, "status", |text| text.parse().ok())?, row.get("n")?));
                let feedback = sql::query_all(c, "SELECT status, sum(count) AS n FROM feedback_counts GROUP BY status", [], by_status)?;
                let statement = "SELECT * FROM webhooks WHERE deleted_at IS NULL ORDER BY id";
                let mut found = sql::query_all(c, statement, [], |row| {
                    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis));
                    Ok(WebhookMetrics {
                        id: WebhookId::new(row.get::<_, String>("id")?),
                        host: webhooks::read_url(row)?.host_and_port(),
                        enabled: row.get("enabled")?,
                        failing_since: time("failing_since")?,
                        held_until: time("held_until")?,
                        consecutive_failures: row.get("consecutive_failures")?,
                        totals: DeliveryTotals::default(),
                        oldest_pending: None,
                    })
                })?;
                let totals: HashMap<_, _> = delivery_totals::all(c)?.into_iter().collect();
                for webhook in &mut found {
                    let id = [webhook.id.as_str()];
                    webhook.totals = totals.get(&webhook.id).copied().unwrap_or_default();
                    // Ids have the order in which they were made. All that wait are looked at, in the index alone.
                    let oldest = "SELECT created_at FROM deliveries WHERE id =
                        (SELECT min(id) FROM deliveries INDEXED BY deliveries_due WHERE webhook_id = ?1 AND state = 'pending')";
                    let oldest = sql::query_optional(c, oldest, id, |row| row.get(0))?;
                    webhook.oldest_pending = oldest.map(Timestamp::from_millis);
                }
                let alerts = sql::query_optional(c, "SELECT count(*) FROM alerts", [], |row| row.get(0))?.unwrap_or(0);
                Ok(Metrics { feedback, webhooks: found, pending_alerts: alerts })
            })
            .await
    }
}
