//! The values of `/metrics` that come from the database, read in one snapshot.

use super::db::error::StoreError;
use super::db::sql;
use super::{DeliveryTotals, Store, delivery_totals};
use crate::clock::Timestamp;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::WebhookId;

#[derive(Clone, Debug)]
pub struct Metrics {
    /// The number of feedback items by status.
    pub feedback: Vec<(FeedbackStatus, u64)>,
    pub webhooks: Vec<WebhookMetrics>,
    /// The number of alerts that haven't been received yet.
    pub pending_alerts: u64,
}

/// Metrics of one webhook. The webhook is identified by its id and host, because the path of its
/// URL may contain a secret.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub id: WebhookId,
    pub host: String,
    pub enabled: bool,
    pub failing_since: Option<Timestamp>,
    pub held_until: Option<Timestamp>,
    /// The number of failed deliveries since the last successful attempt.
    pub consecutive_failures: u32,
    pub totals: DeliveryTotals,
    /// The creation time of the oldest pending delivery.
    pub oldest_pending: Option<Timestamp>,
}

impl Store {
    /// Returns the number of enabled webhooks whose last attempt failed.
    pub async fn count_failing_webhooks(&self) -> Result<u64, StoreError> {
        self.reader
            .read(|c| {
                let count = "SELECT count(*) FROM webhooks
                    WHERE failing_since IS NOT NULL AND enabled AND deleted_at IS NULL";
                sql::query_value(c, count, [])
            })
            .await
    }

    pub async fn metrics(&self) -> Result<Metrics, StoreError> {
        self.reader
            .read_slow(|c| {
                let by_status = "SELECT status, sum(count) FROM feedback_counts GROUP BY status";
                let feedback = sql::query_all(c, by_status, [], |row| row.try_into())?;
                let webhooks = "SELECT * FROM webhooks WHERE deleted_at IS NULL ORDER BY id";
                let mut webhooks = sql::query_all(c, webhooks, [], |row| {
                    Ok(WebhookMetrics {
                        id: row.get("id")?,
                        host: row.get::<_, EndpointUrl>("url")?.host_and_port(),
                        enabled: row.get("enabled")?,
                        failing_since: row.get("failing_since")?,
                        held_until: row.get("held_until")?,
                        consecutive_failures: row.get("consecutive_failures")?,
                        totals: DeliveryTotals::default(),
                        oldest_pending: None,
                    })
                })?;
                let totals = delivery_totals::read_all_totals(c)?;
                for webhook in &mut webhooks {
                    webhook.totals = totals.get(&webhook.id).copied().unwrap_or_default();
                    // Ids ascend with time, so the delivery with the lowest id is the oldest. The
                    // statement scans the index entries of all pending deliveries, but reads only
                    // one row.
                    let oldest = "SELECT created_at FROM deliveries WHERE id =
                        (SELECT min(id) FROM deliveries INDEXED BY deliveries_due
                         WHERE webhook_number = (SELECT number FROM webhooks WHERE id = ?1)
                         AND state = 'pending')";
                    webhook.oldest_pending =
                        sql::query_optional(c, oldest, [&webhook.id], |row| row.get(0))?;
                }
                Ok(Metrics {
                    feedback,
                    webhooks,
                    pending_alerts: sql::query_value(c, "SELECT count(*) FROM alerts", [])?,
                })
            })
            .await
    }
}
