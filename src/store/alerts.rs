//! Creates alerts for `--alert-url` when they are due, and stores them until they are received or
//! expire.
//!
//! The module `attempts` updates a webhook's health when it records an attempt. This module creates
//! one alert when a webhook has failed for too long or too often, and another alert when it has
//! recovered. An alert is stored before it is sent, so that no alert is lost in a crash.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::deliveries::WEBHOOK_NUMBER;
use crate::clock::Timestamp;
use crate::domain::alert::{
    self, ALERT_AFTER_FAILURES, ALERT_DELAY, AlertData, AlertEvent, AlertedWebhook, LastFailure,
};
use crate::domain::id::{AlertId, DeliveryId, WebhookId};
use crate::domain::webhook_url::WebhookUrl;

/// Maximum age of an alert. Older alerts are deleted, even if they haven't been received.
const ALERT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// SQL condition for enabled webhooks that are failing and have no alert yet.
const FAILING_WITHOUT_ALERT: &str =
    "enabled AND deleted_at IS NULL AND alerted_at IS NULL AND failing_since IS NOT NULL";
/// SQL condition for webhooks that have recovered after an alert.
const RECOVERED_AFTER_ALERT: &str =
    "deleted_at IS NULL AND alerted_at IS NOT NULL AND failing_since IS NULL";

/// An alert to be sent.
#[derive(Clone, Debug)]
pub struct Alert {
    pub id: AlertId,
    pub event: String,
    pub body: Vec<u8>,
    pub created_at: Timestamp,
    /// The number of failed attempts to send the alert.
    pub attempts: usize,
    pub due_at: Timestamp,
}

/// The alert to send first, and the time of the next check.
#[derive(Clone, Debug)]
pub struct NextAlert {
    /// The oldest alert. Later alerts wait for it, so that `webhook.recovered` never arrives before
    /// `webhook.failing`.
    pub alert: Option<Alert>,
    /// The earliest time when a failing webhook without an alert will have failed for
    /// `ALERT_DELAY`. `None` if there is no such webhook.
    pub next_check_at: Option<Timestamp>,
}

impl Store {
    /// Creates the alerts that are due now, and deletes expired alerts. Returns the alert to send
    /// first, and the time of the next check. `public_url` is the value of `--base-url`.
    pub async fn create_due_alerts(
        &self,
        now: Timestamp,
        public_url: Option<String>,
    ) -> Result<NextAlert, StoreError> {
        let expired_before = now.minus(ALERT_MAX_AGE);
        let has_changes = self
            .reader
            .read(move |c| {
                let changes = format!(
                    "SELECT 1 FROM webhooks WHERE {FAILING_WITHOUT_ALERT}
                     UNION ALL SELECT 1 FROM webhooks WHERE {RECOVERED_AFTER_ALERT}
                     UNION ALL SELECT 1 FROM alerts WHERE created_at < ?1"
                );
                sql::exists(c, &changes, [expired_before])
            })
            .await?;
        if has_changes {
            self.writer
                .write_with_backpressure(move |tx| insert_due_alerts(tx, public_url.as_deref()))
                .await?;
        }
        self.reader.read(next_alert).await
    }

    /// Deletes an alert after its endpoint has accepted it.
    pub async fn delete_alert(&self, id: AlertId) -> Result<(), StoreError> {
        self.writer
            .write_with_backpressure(move |tx| {
                sql::execute(tx, "DELETE FROM alerts WHERE id = ?1", [id]).map(|_| ())
            })
            .await
    }

    /// Records a failed attempt to send an alert. The next attempt is due after `delay`.
    pub async fn reschedule_alert(&self, id: AlertId, delay: Duration) -> Result<(), StoreError> {
        self.writer
            .write_with_backpressure(move |tx| {
                let statement =
                    "UPDATE alerts SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1";
                sql::execute(tx, statement, params![id, tx.now.plus(delay)]).map(|_| ())
            })
            .await
    }
}

fn insert_due_alerts(tx: &mut WriteTx<'_>, public_url: Option<&str>) -> Result<(), StoreError> {
    let now = tx.now;
    let expired = "DELETE FROM alerts WHERE created_at < ?1";
    sql::execute(tx, expired, [tx.expiry_cutoff(ALERT_MAX_AGE)])?;
    let failing = format!(
        "SELECT * FROM webhooks WHERE {FAILING_WITHOUT_ALERT}
         AND (failing_since <= ?1 OR consecutive_failures >= ?2) ORDER BY id"
    );
    let limits = params![now.minus(ALERT_DELAY), ALERT_AFTER_FAILURES];
    let failing = sql::query_all(tx, &failing, limits, |row| {
        let data = alert_data_from_row(row, "failing_since", public_url)?;
        Ok((data, row.get("last_failed_delivery")?))
    })?;
    for (mut data, last_failed) in failing {
        data.last_failure = last_failure(tx, last_failed)?;
        insert_alert(tx, AlertEvent::Failing, &data)?;
        // Copy `failing_since` for the recovery alert, because a success resets the column before
        // that alert is created.
        let statement = "UPDATE webhooks SET alerted_at = ?2, alerted_failing_since = failing_since
             WHERE id = ?1";
        sql::execute(tx, statement, params![data.webhook.id, now])?;
    }
    let recovered = format!("SELECT * FROM webhooks WHERE {RECOVERED_AFTER_ALERT} ORDER BY id");
    let recovered = sql::query_all(tx, &recovered, [], |row| {
        alert_data_from_row(row, "alerted_failing_since", public_url)
    })?;
    for mut data in recovered {
        data.failed_in_a_row = None;
        data.failed_deliveries = Some(count_failed_deliveries(tx, &data)?);
        insert_alert(tx, AlertEvent::Recovered, &data)?;
        let statement =
            "UPDATE webhooks SET alerted_at = NULL, alerted_failing_since = NULL WHERE id = ?1";
        sql::execute(tx, statement, [&data.webhook.id])?;
    }
    Ok(())
}

fn insert_alert(
    tx: &mut WriteTx<'_>,
    event: AlertEvent,
    data: &AlertData,
) -> Result<(), StoreError> {
    let id: AlertId = tx.next_id();
    sql::execute(
        tx,
        "INSERT INTO alerts (id, webhook_id, event, body, attempts, due_at, created_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)",
        params![
            id,
            data.webhook.id,
            event.as_str(),
            alert::render_body(event, tx.now, data),
            tx.now
        ],
    )?;
    Ok(())
}

fn next_alert(connection: &Connection) -> Result<NextAlert, StoreError> {
    let oldest = "SELECT * FROM alerts ORDER BY id LIMIT 1";
    let alert = sql::query_optional(connection, oldest, [], |row| {
        Ok(Alert {
            id: row.get("id")?,
            event: row.get("event")?,
            body: row.get("body")?,
            created_at: row.get("created_at")?,
            attempts: row.get("attempts")?,
            due_at: row.get("due_at")?,
        })
    })?;
    let failing_since =
        format!("SELECT min(failing_since) FROM webhooks WHERE {FAILING_WITHOUT_ALERT}");
    let failing_since: Option<Timestamp> = sql::query_value(connection, &failing_since, [])?;
    Ok(NextAlert {
        alert,
        next_check_at: failing_since.map(|since| since.plus(ALERT_DELAY)),
    })
}

fn alert_data_from_row(
    row: &Row<'_>,
    since: &str,
    public_url: Option<&str>,
) -> rusqlite::Result<AlertData> {
    let id: WebhookId = row.get("id")?;
    Ok(AlertData {
        failing_since: row.get(since)?,
        failed_in_a_row: Some(row.get("consecutive_failures")?),
        failed_deliveries: None,
        last_failure: None,
        deliveries_url: public_url
            .map(|public_url| format!("{public_url}/settings/notifications/{id}/deliveries")),
        webhook: AlertedWebhook {
            id,
            host: row.get::<_, WebhookUrl>("url")?.host_for_log(),
            description: row.get("description")?,
        },
    })
}

/// Returns the last failed attempt of a delivery.
fn last_failure(
    connection: &Connection,
    delivery: Option<DeliveryId>,
) -> Result<Option<LastFailure>, StoreError> {
    let statement = "SELECT started_at, status, error, error_code FROM attempts
        WHERE delivery_number = (SELECT number FROM deliveries WHERE id = ?1)
        AND error_code IS NOT NULL ORDER BY number DESC LIMIT 1";
    sql::query_optional(connection, statement, [delivery], |row| {
        Ok(LastFailure {
            at: row.get("started_at")?,
            status: row.get("status")?,
            error: row.get("error")?,
            error_code: row.get("error_code")?,
        })
    })
}

/// Returns the number of a webhook's deliveries that have failed since the webhook started failing,
/// and that haven't been redelivered since. Tests don't count.
fn count_failed_deliveries(connection: &Connection, data: &AlertData) -> Result<u64, StoreError> {
    let statement = format!(
        "SELECT count(*) FROM deliveries JOIN events ON events.number = event_number
         WHERE webhook_number = {WEBHOOK_NUMBER} AND state = 'failed' AND finished_at >= ?2
         AND feedback_id IS NOT NULL"
    );
    let values = params![data.webhook.id, data.failing_since];
    sql::query_value(connection, &statement, values)
}
