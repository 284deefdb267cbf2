//! The delivery log: deliveries and their attempts.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::pagination::{Page, PageRequest};
use super::db::sql::{self, Json};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, AttemptTimings, CancelReason, DeliveryState};
use crate::domain::event::EventType;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId};
use crate::domain::request_headers::LoggedHeaders;
use crate::domain::webhook::RetryPolicy;

/// Filters a webhook's deliveries; `None` matches all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub event: Option<EventType>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug)]
pub struct DeliverySummary {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub event: EventType,
    /// Whether a person sent the event to try out the webhook.
    pub is_test: bool,
    /// The format of the body. The format of the webhook may have changed since.
    pub format: Format,
    pub state: DeliveryState,
    pub created_at: Timestamp,
    /// The time when the delivery was delivered, failed, or canceled; `None` while it is pending.
    pub finished_at: Option<Timestamp>,
    /// The time of the next attempt; `None` unless the delivery is pending.
    pub next_attempt_at: Option<Timestamp>,
    /// The number of attempts since the delivery was created or last redelivered.
    pub round_attempts: usize,
    /// Only meaningful if the delivery is canceled.
    pub cancel_reason: Option<CancelReason>,
    pub attempts: Vec<LoggedAttempt>,
}

/// A delivery of a feedback item's event, with its webhook's URL and retry policy.
#[derive(Clone, Debug)]
pub struct FeedbackDelivery {
    pub summary: DeliverySummary,
    /// Empty if the webhook has been deleted.
    pub url: String,
    pub retries: RetryPolicy,
}

/// An attempt in the delivery log.
#[derive(Clone, Debug)]
pub struct LoggedAttempt {
    /// The number of the attempt, from 1. Numbering continues after a redelivery.
    pub number: u32,
    pub started_at: Timestamp,
    pub duration: Duration,
    /// The HTTP status of the response.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_code: Option<String>,
    /// Empty in lists, if there was no response, or if the feedback has been deleted.
    pub response_headers: Vec<(String, String)>,
    pub response_body: Option<Vec<u8>>,
    pub response_truncated: bool,
    pub timings: AttemptTimings,
}

/// The data of an attempt to be recorded.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    pub started_at: Timestamp,
    pub result: AttemptResult,
    /// A description of the failure, or of an invalid or incomplete response body after a success.
    pub error: Option<String>,
    /// `None` if nothing was sent.
    pub request_headers: Option<LoggedHeaders>,
    /// The length of the hold that the endpoint requested, from the end of the attempt.
    pub hold: Option<Duration>,
}

impl AttemptRecord {
    pub fn is_success(&self) -> bool {
        self.result.outcome.is_success()
    }
}

/// Columns for [`attempts`] that include the responses, which can be long.
pub(super) const FULL_RESPONSE_COLUMNS: &str = "response_headers, response_body";
/// Columns for [`attempts`] that leave the responses out.
pub(super) const OMITTED_RESPONSE_COLUMNS: &str = "NULL AS response_headers, NULL AS response_body";

/// The columns for [`delivery_from_row`]. `next_attempt_at` isn't before the end of a hold, unless
/// a person requested a retry. A test has no feedback.
pub(super) const DELIVERY_COLUMNS: &str =
    "deliveries.*, webhooks.id AS webhook_id, type, feedback_id IS NULL AS is_test,
    ifnull((SELECT format FROM event_bodies WHERE event_bodies.number = body_number), 'standard')
        AS delivery_format,
    max(due_at, iif(retry_requested, 0, coalesce(held_until, 0))) AS next_attempt_at";

/// Selects the number of the webhook whose id is `?1`.
pub(super) const WEBHOOK_NUMBER: &str = "(SELECT number FROM webhooks WHERE id = ?1)";

impl Store {
    /// Returns a page of a webhook's deliveries, newest first, with their attempts but without
    /// responses.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliverySummary>, StoreError> {
        self.reader
            .read(move |c| {
                let mut rows = match filter.state {
                    Some(DeliveryState::Pending) => {
                        list_pending_deliveries(c, &webhook, filter.event, &page)?
                    }
                    _ => list_deliveries(c, &webhook, filter, &page)?,
                };
                for delivery in &mut rows {
                    delivery.attempts = attempts(c, &delivery.id, OMITTED_RESPONSE_COLUMNS)?;
                }
                Ok(page.build_page(rows, |delivery| delivery.id))
            })
            .await
    }

    /// Returns the latest 50 deliveries of a feedback item's events, newest first.
    pub async fn deliveries_of_feedback(
        &self,
        feedback: FeedbackId,
    ) -> Result<Vec<FeedbackDelivery>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = format!(
                    "/* may sort the deliveries of one feedback item */
                    SELECT {DELIVERY_COLUMNS}, url, retry_policy
                    FROM events CROSS JOIN deliveries ON event_number = events.number
                    CROSS JOIN webhooks ON webhooks.number = webhook_number
                    WHERE feedback_id = ?1 ORDER BY deliveries.id DESC LIMIT 50"
                );
                let mut rows = sql::query_all(c, &statement, [feedback], |row| {
                    Ok(FeedbackDelivery {
                        summary: delivery_from_row(row)?,
                        url: row.get("url")?,
                        retries: row.get("retry_policy")?,
                    })
                })?;
                for delivery in &mut rows {
                    delivery.summary.attempts =
                        attempts(c, &delivery.summary.id, OMITTED_RESPONSE_COLUMNS)?;
                }
                Ok(rows)
            })
            .await
    }
}

/// Selects deliveries. `CROSS` fixes the order of the tables, so that rows are read in the order of
/// the index.
pub(super) fn select_deliveries() -> String {
    format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries
         CROSS JOIN events ON events.number = event_number
         CROSS JOIN webhooks ON webhooks.number = webhook_number"
    )
}

fn list_deliveries(
    connection: &Connection,
    webhook: &WebhookId,
    filter: DeliveryFilter,
    page: &PageRequest,
) -> Result<Vec<DeliverySummary>, StoreError> {
    let select_deliveries = select_deliveries();
    let mut statement = format!(
        "{select_deliveries} WHERE webhook_number = {WEBHOOK_NUMBER} AND deliveries.id < ?2"
    );
    if let Some(state) = filter.state {
        // Use a literal instead of a parameter, so that SQLite can use the partial index.
        statement.push_str(&format!(" AND state = '{}'", state.as_str()));
    }
    statement.push_str(" AND type = coalesce(?3, type) ORDER BY deliveries.id DESC LIMIT ?4");
    let values = params![
        webhook,
        page.id_upper_bound(),
        filter.event,
        page.row_limit()
    ];
    sql::query_all(connection, &statement, values, delivery_from_row)
}

/// Lists pending deliveries, newest first, although their index is sorted by due time. First
/// searches the 2,000 newest deliveries before the cursor. Reads all pending deliveries of the
/// webhook only if this search doesn't fill the page.
fn list_pending_deliveries(
    connection: &Connection,
    webhook: &WebhookId,
    event: Option<EventType>,
    page: &PageRequest,
) -> Result<Vec<DeliverySummary>, StoreError> {
    const PENDING_AMONG_NEWEST: (&str, &str) = (
        "",
        "(SELECT id, event_number, state FROM deliveries
        WHERE webhook_number = (SELECT number FROM webhooks WHERE id = ?1) AND id < ?2
        ORDER BY id DESC LIMIT 2000) WHERE state = 'pending'",
    );
    const ALL_PENDING: (&str, &str) = (
        "/* may sort pending deliveries */ ",
        "deliveries INDEXED BY deliveries_due
        WHERE webhook_number = (SELECT number FROM webhooks WHERE id = ?1)
        AND state = 'pending' AND id < ?2",
    );
    let select_deliveries = select_deliveries();
    let mut rows = Vec::new();
    for (exemption, source) in [PENDING_AMONG_NEWEST, ALL_PENDING] {
        let statement = format!(
            "{exemption}{select_deliveries} WHERE deliveries.id IN (SELECT id FROM {source}
               AND (?3 IS NULL
                 OR EXISTS (SELECT 1 FROM events WHERE events.number = event_number AND type = ?3))
               ORDER BY id DESC LIMIT ?4)
             ORDER BY deliveries.id DESC"
        );
        let values = params![webhook, page.id_upper_bound(), event, page.row_limit()];
        rows = sql::query_all(connection, &statement, values, delivery_from_row)?;
        if rows.len() > page.limit {
            break;
        }
    }
    Ok(rows)
}

/// Stores an attempt. `keep_content` is `false` if the feedback has been deleted. In this case,
/// headers, response bodies, and errors aren't stored, because they may quote the feedback.
pub(super) fn insert_attempt(
    connection: &Connection,
    delivery: &DeliveryId,
    number: u32,
    attempt: &AttemptRecord,
    keep_content: bool,
) -> Result<(), StoreError> {
    let result = &attempt.result;
    let response = result.response.as_ref();
    let content = response.filter(|_| keep_content);
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    sql::execute(
        connection,
        "INSERT INTO attempts (delivery_number, number, started_at, duration_us, status, error,
         error_code, request_headers, response_headers, response_body, response_truncated, dns_us,
         connect_us, tls_us, waiting_us)
         VALUES ((SELECT number FROM deliveries WHERE id = ?1),
         ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            delivery,
            number,
            attempt.started_at,
            micros(result.duration),
            response.map(|response| response.status),
            // The error may contain a redirect URL or an invalid response that quotes the feedback.
            attempt.error.as_ref().filter(|_| keep_content),
            result.outcome.error_code(),
            attempt
                .request_headers
                .as_ref()
                .filter(|_| keep_content)
                .map(Json),
            content.map(|response| Json(&response.headers)),
            content.map(|response| &response.body),
            response.is_some_and(|response| response.truncated),
            result.timings.dns.map(micros),
            result.timings.connect.map(micros),
            result.timings.tls.map(micros),
            result.timings.waiting.map(micros)
        ],
    )?;
    Ok(())
}

/// Returns the attempts of a delivery. `response_columns` is [`FULL_RESPONSE_COLUMNS`] or
/// [`OMITTED_RESPONSE_COLUMNS`].
pub(super) fn attempts(
    connection: &Connection,
    delivery: &DeliveryId,
    response_columns: &str,
) -> Result<Vec<LoggedAttempt>, StoreError> {
    let statement = format!(
        "SELECT number, started_at, duration_us, status, error, error_code, response_truncated,
         dns_us, connect_us, tls_us, waiting_us, {response_columns}
         FROM attempts WHERE delivery_number = (SELECT number FROM deliveries WHERE id = ?1)
         ORDER BY number"
    );
    sql::query_all(connection, &statement, [delivery], |row| {
        let duration = |column| {
            let micros: Option<u64> = row.get(column)?;
            Ok::<_, rusqlite::Error>(micros.map(Duration::from_micros))
        };
        let headers: Option<Json<_>> = row.get("response_headers")?;
        Ok(LoggedAttempt {
            number: row.get("number")?,
            started_at: row.get("started_at")?,
            duration: duration("duration_us")?.unwrap_or_default(),
            status: row.get("status")?,
            error: row.get("error")?,
            error_code: row.get("error_code")?,
            response_headers: headers.map(|Json(headers)| headers).unwrap_or_default(),
            response_body: row.get("response_body")?,
            response_truncated: row.get("response_truncated")?,
            timings: AttemptTimings {
                dns: duration("dns_us")?,
                connect: duration("connect_us")?,
                tls: duration("tls_us")?,
                waiting: duration("waiting_us")?,
            },
        })
    })
}

pub(super) fn delivery_from_row(row: &Row<'_>) -> rusqlite::Result<DeliverySummary> {
    Ok(DeliverySummary {
        id: row.get("id")?,
        webhook: row.get("webhook_id")?,
        event: row.get("type")?,
        is_test: row.get("is_test")?,
        format: row.get("delivery_format")?,
        state: row.get("state")?,
        created_at: row.get("created_at")?,
        finished_at: row.get("finished_at")?,
        next_attempt_at: row.get("next_attempt_at")?,
        round_attempts: row.get("round_attempts")?,
        cancel_reason: row.get("cancel_reason")?,
        attempts: Vec::new(),
    })
}
