//! The log: deliveries and their attempts, as they are read and as an attempt is written.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::db::error::StoreError;
use super::db::page::{Page, PageRequest};
use super::db::sql;
use super::{Store, webhooks};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, DeliveryState, Timings};
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId};
use crate::domain::webhook::RetryPolicy;

/// Which deliveries of a webhook a list shows; `None` = any.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub event: Option<EventType>,
}

/// A delivery as lists show it.
#[derive(Clone, Debug)]
pub struct DeliverySummary {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub event: EventType,
    pub state: DeliveryState,
    pub created_at: Timestamp,
    /// `None` unless pending.
    pub next_attempt_at: Option<Timestamp>,
    /// Attempts made since it was created or last sent again.
    pub round_attempts: usize,
    pub attempts: Vec<LoggedAttempt>,
}

/// A delivery that a feedback caused, with what is told of its webhook; no address where it was deleted.
#[derive(Clone, Debug)]
pub struct FeedbackDelivery {
    pub record: DeliverySummary,
    pub url: String,
    pub retries: RetryPolicy,
}

/// One attempt in the log.
#[derive(Clone, Debug)]
pub struct LoggedAttempt {
    /// From 1; goes on after a redelivery.
    pub number: u32,
    pub started_at: Timestamp,
    pub duration: Duration,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_code: Option<String>,
    /// Empty in lists, and where the feedback was deleted.
    pub response_headers: Vec<(String, String)>,
    pub response_body: Option<Vec<u8>>,
    pub response_truncated: bool,
    pub timings: Timings,
}

/// A delivery with the last request as it was sent; `None` for one not tried yet, or whose feedback was deleted.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    pub record: DeliverySummary,
    pub request: Option<LoggedRequest>,
}

#[derive(Clone, Debug)]
pub struct LoggedRequest {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An attempt that is over, to be written.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub result: AttemptResult,
    /// What failed (or, for a success, what was wrong with the answer's body), in a sentence.
    pub error: Option<String>,
    /// As sent, with the values of the webhook's own headers masked.
    pub request_headers: Vec<(String, String)>,
    /// Until when the endpoint asked to be left alone.
    pub hold_until: Option<Timestamp>,
}

impl AttemptRecord {
    pub fn is_success(&self) -> bool {
        self.result.outcome.is_success()
    }
}

/// `next_attempt_at`: when the next attempt is made, a hold of the webhook included. `CROSS` keeps the order of the tables, and with it that
/// of the index.
const SELECT: &str = "SELECT deliveries.*, type, max(due_at, coalesce(held_until, 0)) AS next_attempt_at
    FROM deliveries CROSS JOIN events ON events.id = event_id CROSS JOIN webhooks ON webhooks.id = webhook_id";

impl Store {
    /// A webhook's deliveries, newest first, with their attempts in short.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliverySummary>, StoreError> {
        self.reader
            .read(move |c| {
                let mut rows = match filter.state {
                    Some(DeliveryState::Pending) => pending(c, &webhook, filter.event, &page)?,
                    _ => listed(c, &webhook, filter, &page)?,
                };
                rows.iter_mut().try_for_each(|row| {
                    row.attempts = attempts(
                        c,
                        &row.id,
                        "NULL AS response_headers, NULL AS response_body",
                    )?;
                    Ok::<_, StoreError>(())
                })?;
                Ok(page.page(rows, |delivery| delivery.id.as_str()))
            })
            .await
    }

    /// The last deliveries of a feedback's events, newest first.
    pub async fn deliveries_of_feedback(
        &self,
        feedback: FeedbackId,
    ) -> Result<Vec<FeedbackDelivery>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "/* may sort those of one feedback */
                     SELECT deliveries.*, type, max(due_at, coalesce(held_until, 0)) AS next_attempt_at, url, retry_policy
                     FROM events CROSS JOIN deliveries ON event_id = events.id CROSS JOIN webhooks ON webhooks.id = webhook_id
                     WHERE feedback_id = ?1 ORDER BY deliveries.id DESC LIMIT 50";
                let mut rows = sql::query_all(c, statement, [feedback.as_str()], |row| {
                    Ok(FeedbackDelivery {
                        record: read(row)?,
                        url: row.get("url")?,
                        retries: webhooks::read_retries(row)?,
                    })
                })?;
                for caused in &mut rows {
                    let shortly = "NULL AS response_headers, NULL AS response_body";
                    caused.record.attempts = attempts(c, &caused.record.id, shortly)?;
                }
                Ok(rows)
            })
            .await
    }

    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryDetail>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = format!("SELECT d.*, body FROM ({SELECT} WHERE deliveries.id = ?1) d JOIN events ON events.id = event_id");
                let found = sql::query_optional(c, &statement, [id.as_str()], |row| {
                    let body: Option<Vec<u8>> = row.get("body")?;
                    Ok((read(row)?, body))
                })?;
                let Some((mut record, body)) = found else { return Ok(None) };
                record.attempts = attempts(c, &record.id, "response_headers, response_body")?;
                let headers = "SELECT request_headers FROM attempts WHERE delivery_id = ?1 ORDER BY number DESC LIMIT 1";
                let headers = sql::query_optional(c, headers, [id.as_str()], |row| row.get::<_, Option<String>>(0))?;
                let request = match (headers.flatten(), body) {
                    (Some(headers), Some(body)) => {
                        let headers = serde_json::from_str(&headers).map_err(|e| StoreError::InvalidValue(e.to_string()))?;
                        Some(LoggedRequest { headers, body })
                    }
                    _ => None,
                };
                Ok(Some(DeliveryDetail { record, request }))
            })
            .await
    }
}

fn listed(
    connection: &Connection,
    webhook: &WebhookId,
    filter: DeliveryFilter,
    page: &PageRequest,
) -> Result<Vec<DeliverySummary>, StoreError> {
    let mut statement = format!("{SELECT} WHERE webhook_id = ? AND deliveries.id < ?");
    if let Some(state) = filter.state {
        // In words, not as a value: an index of some states only is used where the state is known.
        statement.push_str(&format!(" AND state = '{}'", state.as_str()));
    }
    statement.push_str(" AND type = coalesce(?, type) ORDER BY deliveries.id DESC LIMIT ?");
    let event = filter.event.map(EventType::as_str);
    let values = params![webhook.as_str(), page.before(), event, page.rows()];
    sql::query_all(connection, &statement, values, read)
}

/// Those that are pending stand in their index by when they are due. Where there are many, enough are among the newest
/// deliveries of all; else all that wait are looked at, in the index alone.
fn pending(
    connection: &Connection,
    webhook: &WebhookId,
    event: Option<EventType>,
    page: &PageRequest,
) -> Result<Vec<DeliverySummary>, StoreError> {
    const NEWEST: (&str, &str) = (
        "",
        "(SELECT id, event_id, state FROM deliveries WHERE webhook_id = ?1 AND id < ?2
        ORDER BY id DESC LIMIT 2000) WHERE state = 'pending'",
    );
    const PENDING_IDS: (&str, &str) = (
        "/* may sort what waits */ ",
        "deliveries INDEXED BY deliveries_due WHERE webhook_id = ?1 AND state = 'pending' AND id < ?2",
    );
    let event = event.map(EventType::as_str);
    let mut rows = Vec::new();
    for (may, among) in [NEWEST, PENDING_IDS] {
        let statement = format!(
            "{may}{SELECT} WHERE deliveries.id IN (SELECT id FROM {among}
               AND (?3 IS NULL OR EXISTS (SELECT 1 FROM events WHERE events.id = event_id AND type = ?3))
               ORDER BY id DESC LIMIT ?4)
             ORDER BY deliveries.id DESC"
        );
        let values = params![webhook.as_str(), page.before(), event, page.rows()];
        rows = sql::query_all(connection, &statement, values, read)?;
        if rows.len() > page.limit {
            break;
        }
    }
    Ok(rows)
}

/// Writes attempt `number`; `keep_content`: false where the feedback was deleted meanwhile, whose words an answer may
/// repeat.
pub(super) fn insert_attempt(
    connection: &Connection,
    delivery: &DeliveryId,
    number: u32,
    attempt: &AttemptRecord,
    keep_content: bool,
) -> Result<(), StoreError> {
    let result = &attempt.result;
    let answer = result.response.as_ref();
    let kept = answer.filter(|_| keep_content);
    let micros = |duration: Option<Duration>| {
        duration.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    };
    sql::execute(
        connection,
        "INSERT INTO attempts (delivery_id, number, started_at, duration_us, status, error, error_code, request_headers,
         response_headers, response_body, response_truncated, dns_us, connect_us, tls_us, waiting_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            delivery.as_str(),
            number,
            attempt.started_at.millis(),
            micros(Some(result.duration)),
            answer.map(|a| a.status),
            // A redirect's address, or the start of a broken answer, may repeat the words.
            attempt.error.as_ref().filter(|_| keep_content),
            result.outcome.code(),
            keep_content
                .then(|| sql::to_json(&attempt.request_headers))
                .transpose()?,
            kept.map(|a| sql::to_json(&a.headers)).transpose()?,
            kept.map(|a| &a.body),
            answer.is_some_and(|a| a.truncated),
            micros(result.timings.dns),
            micros(result.timings.connect),
            micros(result.timings.tls),
            micros(result.timings.waiting)
        ],
    )?;
    Ok(())
}

pub(super) fn attempts(
    connection: &Connection,
    delivery: &DeliveryId,
    answer: &str,
) -> Result<Vec<LoggedAttempt>, StoreError> {
    let statement = format!(
        "SELECT number, started_at, duration_us, status, error, error_code, response_truncated, dns_us, connect_us, tls_us,
         waiting_us, {answer} FROM attempts WHERE delivery_id = ?1 ORDER BY number"
    );
    sql::query_all(connection, &statement, [delivery.as_str()], |row| {
        let time = |column| {
            Ok::<_, rusqlite::Error>(
                row.get::<_, Option<u64>>(column)?
                    .map(Duration::from_micros),
            )
        };
        let headers: Option<String> = row.get("response_headers")?;
        Ok(LoggedAttempt {
            number: row.get("number")?,
            started_at: Timestamp::from_millis(row.get("started_at")?),
            duration: time("duration_us")?.unwrap_or_default(),
            status: row.get("status")?,
            error: row.get("error")?,
            error_code: row.get("error_code")?,
            response_headers: headers
                .map(|text| {
                    serde_json::from_str(&text)
                        .map_err(|e| sql::conversion_error("response_headers", e))
                })
                .transpose()?
                .unwrap_or_default(),
            response_body: row.get("response_body")?,
            response_truncated: row.get("response_truncated")?,
            timings: Timings {
                dns: time("dns_us")?,
                connect: time("connect_us")?,
                tls: time("tls_us")?,
                waiting: time("waiting_us")?,
            },
        })
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeliverySummary> {
    Ok(DeliverySummary {
        id: DeliveryId::new(row.get::<_, String>("id")?),
        webhook: WebhookId::new(row.get::<_, String>("webhook_id")?),
        event: sql::parse_column(row, "type", EventType::parse)?,
        state: sql::parse_column(row, "state", DeliveryState::parse)?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        next_attempt_at: row
            .get::<_, Option<i64>>("next_attempt_at")?
            .map(Timestamp::from_millis),
        round_attempts: row.get("round_attempts")?,
        attempts: Vec::new(),
    })
}
