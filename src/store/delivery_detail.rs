//! A single delivery of the delivery log, with its request and responses.

use super::Store;
use super::db::error::StoreError;
use super::db::sql::{self, Json};
use super::deliveries::{
    DELIVERY_COLUMNS, DeliverySummary, FULL_RESPONSE_COLUMNS, attempts, delivery_from_row,
};
use super::delivery_search::{EventSubject, event_subject};
use super::events::DELIVERY_BODY;
use crate::clock::Timestamp;
use crate::domain::id::DeliveryId;
use crate::domain::request_headers::{LoggedHeaders, RequestSubject};

/// A delivery with its attempts, its body, and the headers of its last request.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    pub summary: DeliverySummary,
    pub subject: EventSubject,
    /// `None` if the feedback has been deleted.
    pub body: Option<Vec<u8>>,
    /// `None` if the delivery hasn't been attempted, or if the feedback has been deleted.
    pub request_headers: Option<Vec<(String, String)>>,
}

/// The last request of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct LoggedRequest<'a> {
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl DeliveryDetail {
    /// Returns the last request. Returns `None` if the delivery hasn't been attempted, or if the
    /// feedback has been deleted.
    pub fn request(&self) -> Option<LoggedRequest<'_>> {
        Some(LoggedRequest {
            headers: self.request_headers.as_deref()?,
            body: self.body.as_deref()?,
        })
    }
}

impl Store {
    /// Returns a delivery with its attempts, their responses, its body, and the headers of its last
    /// request.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryDetail>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = format!(
                    "SELECT {DELIVERY_COLUMNS}, {DELIVERY_BODY} AS body,
                     events.created_at AS event_at
                     FROM deliveries CROSS JOIN events ON events.number = event_number
                     CROSS JOIN webhooks ON webhooks.number = webhook_number
                     WHERE deliveries.id = ?1"
                );
                let found = sql::query_optional(c, &statement, [&id], |row| {
                    Ok((
                        delivery_from_row(row)?,
                        row.get::<_, Option<Vec<u8>>>("body")?,
                        row.get::<_, i64>("event_number")?,
                        row.get("event_at")?,
                    ))
                })?;
                let Some((mut summary, body, event, event_at)) = found else {
                    return Ok(None);
                };
                summary.attempts = attempts(c, &id, FULL_RESPONSE_COLUMNS)?;
                let headers = "SELECT request_headers FROM attempts
                    WHERE delivery_number = (SELECT number FROM deliveries WHERE id = ?1)
                    ORDER BY number DESC LIMIT 1";
                let headers: Option<Json<LoggedHeaders>> =
                    sql::query_optional(c, headers, [id], |row| row.get(0))?.flatten();
                let request_headers = render_headers(&summary, event_at, body.as_deref(), headers);
                Ok(Some(DeliveryDetail {
                    summary,
                    subject: event_subject(c, event)?,
                    body,
                    request_headers,
                }))
            })
            .await
    }
}

/// Renders the headers of a delivery's last request. Returns `None` if the delivery hasn't been
/// attempted, or if the feedback has been deleted.
fn render_headers(
    delivery: &DeliverySummary,
    event_at: Timestamp,
    body: Option<&[u8]>,
    headers: Option<Json<LoggedHeaders>>,
) -> Option<Vec<(String, String)>> {
    let Json(headers) = headers?;
    let subject = RequestSubject {
        delivery_id: &delivery.id.to_string(),
        event: delivery.event.as_str(),
        event_at,
        sent_at: delivery.attempts.last()?.started_at,
    };
    Some(headers.render(subject, body?.len()))
}
