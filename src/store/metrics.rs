//! The values of `/metrics` that come from the database, read in one snapshot, and the sizes of its
//! files.

use std::path::Path;

use rustix::fs::StatVfs;

use super::db::error::StoreError;
use super::db::{sql, wal};
use super::{DeliveryTotals, Store, database_path, delivery_totals, last_backup_at};
use crate::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::WebhookId;
use crate::domain::webhook_url::WebhookUrl;

#[derive(Clone, Debug)]
pub struct Metrics {
    /// The number of feedback items by status.
    pub feedback: Vec<(FeedbackStatus, u64)>,
    pub webhooks: Vec<WebhookMetrics>,
    /// The number of alerts that haven't been received yet.
    pub pending_alerts: u64,
    pub storage: StorageMetrics,
}

/// The sizes of the database and of its disk, and the time of the last backup. A size that can't be
/// determined is `None`.
#[derive(Clone, Copy, Debug)]
pub struct StorageMetrics {
    pub database_bytes: Option<u64>,
    pub wal_bytes: Option<u64>,
    /// The space that this process can still use.
    pub disk_free_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    /// The time of the last backup, if there was one.
    pub last_backup: Option<Timestamp>,
}

impl StorageMetrics {
    fn read(dir: &Path) -> Self {
        let size = |path: &Path| Some(std::fs::metadata(path).ok()?.len());
        let database = database_path(dir);
        let disk = rustix::fs::statvfs(dir).ok();
        let disk_bytes = |blocks: fn(&StatVfs) -> u64| {
            let disk = disk.as_ref()?;
            Some(blocks(disk).saturating_mul(disk.f_frsize))
        };
        Self {
            database_bytes: size(&database),
            wal_bytes: size(&wal::wal_path(&database)),
            disk_free_bytes: disk_bytes(|disk| disk.f_bavail),
            disk_bytes: disk_bytes(|disk| disk.f_blocks),
            last_backup: last_backup_at(dir),
        }
    }
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

    /// Returns the number of jobs in the writer's queue.
    pub fn queued_jobs(&self) -> usize {
        self.writer.queued_jobs()
    }

    pub async fn metrics(&self) -> Result<Metrics, StoreError> {
        let dir = self.dir.clone();
        self.reader
            .read_slow(move |c| {
                let by_status = "SELECT status, sum(count) FROM feedback_counts GROUP BY status";
                let feedback = sql::query_all(c, by_status, [], |row| row.try_into())?;
                let webhooks = "SELECT * FROM webhooks WHERE deleted_at IS NULL ORDER BY id";
                let mut webhooks = sql::query_all(c, webhooks, [], |row| {
                    Ok(WebhookMetrics {
                        id: row.get("id")?,
                        host: row.get::<_, WebhookUrl>("url")?.host_for_log(),
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
                    storage: StorageMetrics::read(&dir),
                })
            })
            .await
    }
}
