//! Alerts on their way to `--alert-url`: when one is due, and a small outbox of their own.
//!
//! Recording an attempt keeps a webhook's health (`outbox`). Here it is looked whether somebody has to be told of it:
//! once when it fails, once when it is well again. What is told is stored before it is sent, so a crash loses none.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::{Store, webhooks};
use crate::clock::Timestamp;
use crate::domain::alert::{
    self, ALERT_AFTER, ALERT_AFTER_FAILURES, AlertData, AlertEvent, AlertedWebhook, LastFailure,
};
use crate::domain::id::{AlertId, WebhookId};

/// One that has not arrived for so long is of no use any more.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Webhooks of which a failure has not been told, although it should be at ?1.
const ALERT_DUE: &str =
    "enabled AND deleted_at IS NULL AND alerted_at IS NULL AND failing_since IS NOT NULL";
/// Webhooks of which a failure was told, and that are well again.
const RECOVERED: &str = "deleted_at IS NULL AND alerted_at IS NOT NULL AND failing_since IS NULL";

/// An alert to be sent.
#[derive(Clone, Debug)]
pub struct Alert {
    pub id: AlertId,
    pub event: String,
    pub body: Vec<u8>,
    pub created_at: Timestamp,
    /// Made so far.
    pub attempts: usize,
    pub due_at: Timestamp,
}

/// What there is to do about alerts.
#[derive(Clone, Debug)]
pub struct DueAlerts {
    /// The oldest that has not arrived; others wait for it, so that "recovered" never comes before "failing".
    pub first: Option<Alert>,
    /// When a webhook that fails now has to be told of, if it goes on.
    pub next_check_at: Option<Timestamp>,
}

impl Store {
    /// Makes the alerts that are due now. `public_url`: the public address of our public_url, if it is known.
    pub async fn create_due_alerts(
        &self,
        public_url: Option<String>,
    ) -> Result<DueAlerts, StoreError> {
        let stale = self
            .reader
            .read(|c| {
                let any = format!("SELECT 1 FROM webhooks WHERE {ALERT_DUE} UNION ALL SELECT 1 FROM webhooks WHERE {RECOVERED}");
                Ok::<_, StoreError>(sql::query_optional(c, &any, [], |_| Ok(()))?.is_some())
            })
            .await?;
        if stale {
            self.writer
                .write_when_free(move |write| create_due(write, public_url.as_deref()))
                .await?;
        }
        self.reader.read(due).await
    }

    /// The alert has arrived.
    pub async fn delete_alert(&self, id: AlertId) -> Result<(), StoreError> {
        self.writer
            .write_when_free(move |write| {
                sql::execute(write, "DELETE FROM alerts WHERE id = ?1", [id.as_str()]).map(|_| ())
            })
            .await
    }

    /// The alert has not arrived; it is sent again at `due`.
    pub async fn reschedule_alert(&self, id: AlertId, due: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write_when_free(move |write| {
                let statement =
                    "UPDATE alerts SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1";
                sql::execute(write, statement, params![id.as_str(), due.millis()]).map(|_| ())
            })
            .await
    }
}

fn create_due(write: &mut WriteTx<'_>, public_url: Option<&str>) -> Result<(), StoreError> {
    let (now, failed_for) = (write.now, write.now.minus(ALERT_AFTER));
    let too_old = "DELETE FROM alerts WHERE created_at < ?1";
    sql::execute(write, too_old, [now.minus(MAX_AGE).millis()])?;
    let failing = format!(
        "SELECT * FROM webhooks WHERE {ALERT_DUE} AND (failing_since <= ?1 OR consecutive_failures >= ?2) ORDER BY id"
    );
    let failing = sql::query_all(
        write,
        &failing,
        params![failed_for.millis(), ALERT_AFTER_FAILURES],
        |row| read_data(row, "failing_since", public_url),
    )?;
    for mut data in failing {
        data.last_failure = last_failure(write, &data.webhook.id)?;
        insert(write, AlertEvent::Failing, &data)?;
        // Kept for the other alert, which tells of the same time.
        let told = "UPDATE webhooks SET alerted_at = ?2, alerted_failing_since = failing_since WHERE id = ?1";
        sql::execute(write, told, params![data.webhook.id.as_str(), now.millis()])?;
    }
    let well = format!("SELECT * FROM webhooks WHERE {RECOVERED} ORDER BY id");
    let well = sql::query_all(write, &well, [], |row| {
        read_data(row, "alerted_failing_since", public_url)
    })?;
    for mut data in well {
        data.failed_in_a_row = None;
        insert(write, AlertEvent::Recovered, &data)?;
        let told =
            "UPDATE webhooks SET alerted_at = NULL, alerted_failing_since = NULL WHERE id = ?1";
        sql::execute(write, told, [data.webhook.id.as_str()])?;
    }
    Ok(())
}

fn insert(write: &mut WriteTx<'_>, event: AlertEvent, data: &AlertData) -> Result<(), StoreError> {
    let id: AlertId = write.next_id();
    sql::execute(
        write,
        "INSERT INTO alerts (id, webhook_id, event, body, attempts, due_at, created_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)",
        params![
            id.as_str(),
            data.webhook.id.as_str(),
            event.as_str(),
            alert::body(event, write.now, data),
            write.now.millis()
        ],
    )?;
    Ok(())
}

fn due(connection: &Connection) -> Result<DueAlerts, StoreError> {
    let first = "SELECT * FROM alerts ORDER BY id LIMIT 1";
    let first = sql::query_optional(connection, first, [], |row| {
        Ok(Alert {
            id: AlertId::new(row.get::<_, String>("id")?),
            event: row.get("event")?,
            body: row.get("body")?,
            created_at: Timestamp::from_millis(row.get("created_at")?),
            attempts: row.get("attempts")?,
            due_at: Timestamp::from_millis(row.get("due_at")?),
        })
    })?;
    let oldest = format!("SELECT min(failing_since) FROM webhooks WHERE {ALERT_DUE}");
    let oldest =
        sql::query_optional(connection, &oldest, [], |row| row.get::<_, Option<i64>>(0))?.flatten();
    Ok(DueAlerts {
        first,
        next_check_at: oldest.map(|since| Timestamp::from_millis(since).plus(ALERT_AFTER)),
    })
}

fn read_data(row: &Row<'_>, since: &str, public_url: Option<&str>) -> rusqlite::Result<AlertData> {
    let id = WebhookId::new(row.get::<_, String>("id")?);
    Ok(AlertData {
        failing_since: Timestamp::from_millis(row.get(since)?),
        failed_in_a_row: Some(row.get("consecutive_failures")?),
        last_failure: None,
        deliveries_url: public_url
            .map(|public_url| format!("{public_url}/settings/notifications/{id}/deliveries")),
        webhook: AlertedWebhook {
            id,
            host: webhooks::read_url(row)?.host_and_port(),
            description: row.get("description")?,
        },
    })
}

/// Of the newest delivery that was not a test and did not succeed.
fn last_failure(
    connection: &Connection,
    webhook: &WebhookId,
) -> Result<Option<LastFailure>, StoreError> {
    let statement = "SELECT started_at, status, error, error_code FROM deliveries
        JOIN events ON events.id = event_id JOIN attempts ON attempts.delivery_id = deliveries.id
        WHERE webhook_id = ?1 AND type <> 'test' AND error_code IS NOT NULL
        ORDER BY deliveries.id DESC, number DESC LIMIT 1";
    sql::query_optional(connection, statement, [webhook.as_str()], |row| {
        Ok(LastFailure {
            at: Timestamp::from_millis(row.get("started_at")?),
            status: row.get("status")?,
            error: row.get("error")?,
            error_code: row.get("error_code")?,
        })
    })
}
