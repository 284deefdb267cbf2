//! Searches the delivery log for pages: by state, event, time, webhook, and feedback.
//!
//! A search reads at most [`SCANNED_ROWS_MAX`] rows, even if the log contains millions of
//! deliveries. If the matches in these rows don't fill the page, the page's cursor continues the
//! search.

use rusqlite::{Connection, params};
use ulid::Ulid;

use super::Store;
use super::db::error::StoreError;
use super::db::pagination::PageRequest;
use super::db::sql;
use super::deliveries::{
    self, DELIVERY_COLUMNS, DeliverySummary, OMITTED_RESPONSE_COLUMNS, WEBHOOK_NUMBER,
};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, FeedbackId, WebhookId, lowest_ulid_at};
use crate::domain::webhook::RetryPolicy;

/// Maximum number of rows that are read for one page. Reading them takes less than 50 ms.
const SCANNED_ROWS_MAX: usize = 10_000;
/// Maximum number of pending deliveries that are sorted to list the newest first. If there are
/// more, deliveries in all states are searched, newest first.
const SORTED_PENDING_MAX: i64 = 10_000;
/// Maximum number of failed or canceled deliveries that are counted.
pub const DELIVERY_COUNT_MAX: u64 = 1000;
/// Maximum length of a message in an [`EventSubject`], in characters. Longer messages are
/// truncated.
const MESSAGE_START_MAX_CHARS: i64 = 200;

/// The criteria of a search; `None` matches all deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliverySearch {
    pub webhook: Option<WebhookId>,
    pub feedback: Option<FeedbackId>,
    pub state: Option<DeliveryState>,
    pub event: Option<EventType>,
    /// Matches deliveries that were created at this time or later.
    pub created_from: Option<Timestamp>,
    /// Matches deliveries that were created before this time.
    pub created_until: Option<Timestamp>,
}

/// A page of the deliveries that match a search, newest first.
#[derive(Clone, Debug)]
pub struct DeliverySearchPage {
    pub items: Vec<FoundDelivery>,
    /// The cursor of the next page; `None` on the last page. If the search stopped at the maximum
    /// number of rows, the page isn't full, and the cursor continues the search.
    pub next_cursor: Option<String>,
}

/// A delivery with the data that a list shows.
#[derive(Clone, Debug)]
pub struct FoundDelivery {
    pub summary: DeliverySummary,
    pub subject: EventSubject,
    /// The webhook's description, which may be empty.
    pub description: String,
    /// The webhook's URL; empty if the webhook has been deleted.
    pub url: String,
    pub retries: RetryPolicy,
}

/// The subject of an event: a test, or the feedback that was created or updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSubject {
    Test,
    Feedback {
        id: FeedbackId,
        /// The start of the message.
        message: String,
        /// The name of the project.
        project: String,
    },
    DeletedFeedback,
}

/// The numbers of pending, failed, and canceled deliveries that match a search.
#[derive(Clone, Copy, Debug)]
pub struct StateCounts {
    /// `None` if the search is limited to a period.
    pub pending: Option<u64>,
    /// At most [`DELIVERY_COUNT_MAX`].
    pub failed: u64,
    /// At most [`DELIVERY_COUNT_MAX`].
    pub canceled: u64,
}

/// The ids of the deliveries on a page, and the cursor of the next page.
#[derive(Default)]
struct MatchingIds {
    ids: Vec<DeliveryId>,
    next_cursor: Option<String>,
}

impl DeliverySearch {
    /// Returns the inclusive lower bound for ids, as stored.
    fn id_lower_bound(&self) -> [u8; 16] {
        let first = self.created_from.map(lowest_ulid_at);
        first.unwrap_or(Ulid(u128::MIN)).to_bytes()
    }

    /// Returns the exclusive upper bound for ids, as stored.
    fn id_upper_bound(&self) -> [u8; 16] {
        let end = self.created_until.map(lowest_ulid_at);
        end.unwrap_or(Ulid(u128::MAX)).to_bytes()
    }
}

impl Store {
    /// Returns a page of the deliveries that match the search, newest first, with their attempts
    /// but without responses.
    pub async fn search_deliveries(
        &self,
        search: DeliverySearch,
        page: PageRequest,
    ) -> Result<DeliverySearchPage, StoreError> {
        self.reader
            .read(move |c| {
                let found = find_matching_ids(c, &search, &page)?;
                let mut items = Vec::with_capacity(found.ids.len());
                for id in &found.ids {
                    items.extend(read_found_delivery(c, id)?);
                }
                Ok(DeliverySearchPage {
                    items,
                    next_cursor: found.next_cursor,
                })
            })
            .await
    }

    /// Counts the deliveries that match the search, by state. The search's state is ignored.
    /// Returns `None` for a search by event type or feedback, because no index contains only its
    /// matches.
    pub async fn count_deliveries(
        &self,
        search: DeliverySearch,
    ) -> Result<Option<StateCounts>, StoreError> {
        if search.event.is_some() || search.feedback.is_some() {
            return Ok(None);
        }
        self.reader
            .read(move |c| {
                let is_period = search.created_from.is_some() || search.created_until.is_some();
                let pending = match is_period {
                    true => None,
                    false => Some(count_pending(c, search.webhook.as_ref())?.cast_unsigned()),
                };
                Ok(Some(StateCounts {
                    pending,
                    failed: count_unsuccessful(c, &search, DeliveryState::Failed)?,
                    canceled: count_unsuccessful(c, &search, DeliveryState::Canceled)?,
                }))
            })
            .await
    }

    /// Returns the webhook of a delivery; `None` if there is no such delivery.
    pub async fn webhook_of_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<WebhookId>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT webhooks.id FROM deliveries
                    JOIN webhooks ON webhooks.number = webhook_number WHERE deliveries.id = ?1";
                sql::query_optional(c, statement, [id], |row| row.get(0))
            })
            .await
    }

    /// Returns the ids of the next newer and the next older delivery of the webhook. A `state`
    /// (failed or canceled) limits them to deliveries in this state.
    pub async fn adjacent_deliveries(
        &self,
        webhook: WebhookId,
        id: DeliveryId,
        state: Option<DeliveryState>,
    ) -> Result<(Option<DeliveryId>, Option<DeliveryId>), StoreError> {
        self.reader
            .read(move |c| {
                let (index, condition) = match state {
                    None => ("INDEXED BY deliveries_by_webhook", String::new()),
                    Some(state) => (
                        unsuccessful_index(Some(&webhook)),
                        format!("state = '{}' AND ", state.as_str()),
                    ),
                };
                let find = |comparison: &str| {
                    let statement = format!(
                        "SELECT id FROM deliveries {index}
                         WHERE webhook_number = {WEBHOOK_NUMBER}
                         AND {condition}id {comparison} LIMIT 1"
                    );
                    sql::query_optional(c, &statement, params![webhook, id], |row| row.get(0))
                };
                Ok((find("> ?2 ORDER BY id")?, find("< ?2 ORDER BY id DESC")?))
            })
            .await
    }
}

/// Returns the statement that selects the rows to search, newest first. `?1` is the id of the
/// webhook or the feedback. The ids of the rows are less than `?2` and at least `?3`.
fn candidates_statement(
    connection: &Connection,
    search: &DeliverySearch,
) -> Result<String, StoreError> {
    if search.feedback.is_some() {
        return Ok("/* may sort the deliveries of one feedback item */
             SELECT deliveries.id, state, type, webhooks.id
             FROM events CROSS JOIN deliveries ON event_number = events.number
             CROSS JOIN webhooks ON webhooks.number = webhook_number
             WHERE feedback_id = ?1 AND deliveries.id < ?2 AND deliveries.id >= ?3
             ORDER BY deliveries.id DESC"
            .to_owned());
    }
    let webhook = search.webhook.as_ref();
    let (mut exemption, mut state) = ("", String::new());
    let index = match (search.state, webhook) {
        (Some(found @ (DeliveryState::Failed | DeliveryState::Canceled)), _) => {
            // Use a literal instead of a parameter, so that SQLite can use the partial index.
            state = format!("state = '{}' AND ", found.as_str());
            unsuccessful_index(webhook)
        }
        (Some(DeliveryState::Pending), _)
            if count_pending(connection, webhook)? <= SORTED_PENDING_MAX =>
        {
            exemption = "/* may sort a limited number of pending deliveries */ ";
            state = "state = 'pending' AND ".to_owned();
            "INDEXED BY deliveries_due"
        }
        (_, Some(_)) => "INDEXED BY deliveries_by_webhook",
        (_, None) => "",
    };
    let (event, join) = match search.event {
        Some(_) => ("type", "CROSS JOIN events ON events.number = event_number"),
        None => ("NULL", ""),
    };
    let webhook = webhook_condition(webhook);
    Ok(format!(
        "{exemption}SELECT deliveries.id, state, {event} FROM deliveries {index} {join}
         WHERE {webhook}{state}deliveries.id < ?2 AND deliveries.id >= ?3
         ORDER BY deliveries.id DESC"
    ))
}

/// Returns the condition for the webhook `?1`, followed by `AND`. `None` means all webhooks.
fn webhook_condition(webhook: Option<&WebhookId>) -> String {
    webhook.map_or_else(String::new, |_| {
        format!("webhook_number = {WEBHOOK_NUMBER} AND ")
    })
}

/// Returns the `INDEXED BY` clause for failed or canceled deliveries of a webhook. `None` means all
/// webhooks.
fn unsuccessful_index(webhook: Option<&WebhookId>) -> &'static str {
    match webhook {
        Some(_) => "INDEXED BY deliveries_unsuccessful",
        None => "INDEXED BY deliveries_unsuccessful_by_state",
    }
}

fn find_matching_ids(
    connection: &Connection,
    search: &DeliverySearch,
    page: &PageRequest,
) -> Result<MatchingIds, StoreError> {
    let mut statement = sql::prepare(connection, &candidates_statement(connection, search)?)?;
    let subject = match &search.feedback {
        Some(feedback) => Some(feedback.as_bytes()),
        None => search.webhook.as_ref().map(WebhookId::as_bytes),
    };
    let upper_bound = search.id_upper_bound().min(page.id_upper_bound());
    let mut rows = statement.query(params![subject, upper_bound, search.id_lower_bound()])?;
    let mut found = MatchingIds::default();
    let mut scanned = 0;
    while let Some(row) = rows.next()? {
        let state = |state| Ok::<_, rusqlite::Error>(row.get::<_, DeliveryState>(1)? == state);
        let event = |event| Ok::<_, rusqlite::Error>(row.get::<_, EventType>(2)? == event);
        let webhook =
            |webhook: &WebhookId| Ok::<_, rusqlite::Error>(row.get::<_, WebhookId>(3)? == *webhook);
        // Unless the search is limited to feedback, the statement already selects the webhook.
        let wanted_webhook = search.feedback.as_ref().and(search.webhook.as_ref());
        let is_match = search.state.map_or(Ok(true), state)?
            && search.event.map_or(Ok(true), event)?
            && wanted_webhook.map_or(Ok(true), webhook)?;
        if is_match && found.ids.len() == page.limit {
            found.next_cursor = found.ids.last().map(ToString::to_string);
            break;
        }
        scanned += 1;
        if scanned == SCANNED_ROWS_MAX {
            found.next_cursor = Some(row.get::<_, DeliveryId>(0)?.to_string());
        }
        if is_match {
            found.ids.push(row.get(0)?);
        }
        if found.next_cursor.is_some() {
            break;
        }
    }
    Ok(found)
}

fn count_pending(connection: &Connection, webhook: Option<&WebhookId>) -> Result<i64, StoreError> {
    let statement = "SELECT coalesce(sum(pending), 0) FROM delivery_totals
        WHERE webhook_id = coalesce(?1, webhook_id)";
    sql::query_value(connection, statement, [webhook])
}

fn count_unsuccessful(
    connection: &Connection,
    search: &DeliverySearch,
    state: DeliveryState,
) -> Result<u64, StoreError> {
    let webhook = search.webhook.as_ref();
    let statement = format!(
        "SELECT count(*) FROM (SELECT 1 FROM deliveries {index}
         WHERE {webhook}state = '{state}' AND id < ?2 AND id >= ?3 LIMIT ?4)",
        index = unsuccessful_index(webhook),
        webhook = webhook_condition(webhook),
        state = state.as_str(),
    );
    let values = params![
        webhook,
        search.id_upper_bound(),
        search.id_lower_bound(),
        DELIVERY_COUNT_MAX.cast_signed()
    ];
    sql::query_value(connection, &statement, values)
}

fn read_found_delivery(
    connection: &Connection,
    id: &DeliveryId,
) -> Result<Option<FoundDelivery>, StoreError> {
    let statement = format!(
        "SELECT {DELIVERY_COLUMNS}, url, description, retry_policy
        FROM deliveries CROSS JOIN events ON events.number = event_number
        CROSS JOIN webhooks ON webhooks.number = webhook_number
        WHERE deliveries.id = ?1"
    );
    let found = sql::query_optional(connection, &statement, [id], |row| {
        let found = FoundDelivery {
            summary: deliveries::delivery_from_row(row)?,
            subject: EventSubject::DeletedFeedback,
            description: row.get("description")?,
            url: row.get("url")?,
            retries: row.get("retry_policy")?,
        };
        Ok((found, row.get::<_, i64>("event_number")?))
    })?;
    let Some((mut found, event)) = found else {
        return Ok(None);
    };
    found.subject = event_subject(connection, event)?;
    found.summary.attempts = deliveries::attempts(connection, id, OMITTED_RESPONSE_COLUMNS)?;
    Ok(Some(found))
}

/// Returns the subject of an event. The feedback may have been deleted.
pub(super) fn event_subject(
    connection: &Connection,
    event: i64,
) -> Result<EventSubject, StoreError> {
    let statement = "SELECT feedback_id IS NULL, feedback.id, substr(message, 1, ?2), name
        FROM events
        LEFT JOIN feedback ON feedback.id = feedback_id
        LEFT JOIN projects ON projects.id = project_id
        WHERE events.number = ?1";
    let values = params![event, MESSAGE_START_MAX_CHARS];
    let subject = sql::query_optional(connection, statement, values, |row| {
        if row.get(0)? {
            return Ok(EventSubject::Test);
        }
        let Some(id) = row.get(1)? else {
            return Ok(EventSubject::DeletedFeedback);
        };
        Ok(EventSubject::Feedback {
            id,
            message: row.get(2)?,
            project: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
        })
    })?;
    Ok(subject.unwrap_or(EventSubject::DeletedFeedback))
}
