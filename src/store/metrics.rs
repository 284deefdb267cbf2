//! What `/metrics` counts, read in one moment.

use rusqlite::Row;

use super::error::StoreError;
use super::{Store, sql, webhooks};
use crate::clock::Timestamp;
use crate::domain::delivery::State;
use crate::domain::feedback::Status;
use crate::domain::id::WebhookId;

#[derive(Clone, Debug)]
pub struct Metrics {
    pub feedback: Vec<(Status, u64)>,
    pub webhooks: Vec<WebhookMetrics>,
}

/// Of one webhook; named by id and host, never by path.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub id: WebhookId,
    pub host: String,
    pub enabled: bool,
    pub failing_since: Option<Timestamp>,
    pub held_until: Option<Timestamp>,
    /// Deliveries that are kept, by state.
    pub deliveries: Vec<(State, u64)>,
    /// When the delivery that has waited longest was made.
    pub oldest_pending: Option<Timestamp>,
}

impl Store {
    pub async fn metrics(&self) -> Result<Metrics, StoreError> {
        self.reader
            .read_long(|c| {
                let by_status = |row: &Row<'_>| Ok((sql::named(row, "status", |text| text.parse().ok())?, row.get("n")?));
                let feedback = sql::all(c, "SELECT status, sum(feedback) AS n FROM feedback_counts GROUP BY status", [], by_status)?;
                let statement = "SELECT * FROM webhooks WHERE deleted_at IS NULL ORDER BY id";
                let mut found = sql::all(c, statement, [], |row| {
                    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis));
                    Ok(WebhookMetrics {
                        id: WebhookId::new(row.get::<_, String>("id")?),
                        host: webhooks::read_url(row)?.host_for_log(),
                        enabled: row.get("enabled")?,
                        failing_since: time("failing_since")?,
                        held_until: time("held_until")?,
                        deliveries: Vec::new(),
                        oldest_pending: None,
                    })
                })?;
                for webhook in &mut found {
                    let id = [webhook.id.as_str()];
                    let by_state = "SELECT state, count(*) AS n FROM deliveries WHERE webhook_id = ?1 GROUP BY state";
                    webhook.deliveries =
                        sql::all(c, by_state, id, |row| Ok((sql::named(row, "state", State::parse)?, row.get("n")?)))?;
                    let oldest = "SELECT min(created_at) FROM deliveries WHERE webhook_id = ?1 AND state = 'pending'";
                    let oldest = sql::first(c, oldest, id, |row| row.get::<_, Option<i64>>(0))?.flatten();
                    webhook.oldest_pending = oldest.map(Timestamp::from_millis);
                }
                Ok(Metrics { feedback, webhooks: found })
            })
            .await
    }
}
