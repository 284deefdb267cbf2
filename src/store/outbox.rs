//! The outbox: reads due deliveries for the dispatcher.
//!
//! A row stays `pending` until it is canceled or its last attempt is recorded (`attempts`).
//! Attempts in flight are known only to the dispatcher, in memory. After a crash, the normal query
//! finds the remaining rows; there is no recovery code.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::db::error::StoreError;
use super::db::sql::{self, Json};
use super::events::{DELIVERY_BODY, DELIVERY_FORMAT};
use super::{Store, secrets};
use crate::clock::{Clock, Timestamp};
use crate::domain::event::EventType;
use crate::domain::format::Format;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::webhook::{CustomHeaders, Secrets};
use crate::domain::webhook_url::WebhookUrl;

/// Maximum total size, in bytes, of the bodies read for one webhook at once. The body that exceeds
/// the maximum is the last body that is read.
const READ_AHEAD_MAX_BYTES: usize = 256 * 1024;

/// The settings of a webhook that its deliveries need: URL, secrets, and custom headers.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub webhook: WebhookId,
    pub url: WebhookUrl,
    /// Can contain an overlap that has ended; call [`Secrets::active_at`] for each attempt.
    pub secrets: Secrets,
    pub headers: CustomHeaders,
}

/// A delivery to be attempted.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub event: EventType,
    pub is_test: bool,
    /// The format of `body`. The format of the webhook may have changed since.
    pub format: Format,
    /// The number of attempts so far.
    pub attempts: u32,
    pub event_at: Timestamp,
    pub body: Vec<u8>,
    /// Whether a person requested this attempt. Such an attempt neither starts nor ends a hold.
    pub is_requested_retry: bool,
}

/// Due deliveries of one webhook.
#[derive(Clone, Debug)]
pub struct DeliveryBatch {
    pub webhook: WebhookId,
    /// `None` if the caller already has the current config; see
    /// [`DeliveryBatchRequest::endpoint_generation`].
    pub endpoint: Option<EndpointConfig>,
    pub deliveries: Vec<DueDelivery>,
    /// Whether more deliveries are due than were read.
    pub has_more: bool,
}

/// Due deliveries of all webhooks.
#[derive(Clone, Debug, Default)]
pub struct DueDeliveryBatches {
    pub batches: Vec<DeliveryBatch>,
    /// The earliest time when a delivery that isn't due yet becomes due.
    pub next_due_at: Option<Timestamp>,
    /// The batches are valid while this number equals [`Store::outbox_generation`]. After the
    /// number has changed, a delivery may be canceled, or its [`EndpointConfig`] may be outdated.
    pub generation: u64,
}

/// A request for due deliveries of one webhook.
#[derive(Clone, Debug, Default)]
pub struct DeliveryBatchRequest {
    /// Deliveries to skip, because the caller has read them ahead or they are in flight.
    pub skip: HashSet<DeliveryId>,
    /// Maximum number of deliveries; 0 skips the webhook.
    pub limit: usize,
    /// Generation of the [`EndpointConfig`] that the caller already has. If it is current, the
    /// config isn't read again.
    pub endpoint_generation: Option<u64>,
}

/// Selects pending deliveries. Reads only the index, which is sorted by due time. Therefore,
/// skipping deliveries that are already read ahead or in flight is cheap.
const SELECT_PENDING_IDS: &str = "SELECT id, due_at, number FROM deliveries
    WHERE webhook_number = ?1 AND state = 'pending' ORDER BY due_at, id";
/// Selects pending deliveries whose retry a person requested. These deliveries are sent even during
/// a hold.
const SELECT_REQUESTED_RETRIES: &str = "SELECT id, due_at, number FROM deliveries
    WHERE webhook_number = ?1 AND state = 'pending' AND retry_requested = 1 ORDER BY due_at, id";

impl Store {
    /// Reads the deliveries that are due now.
    ///
    /// `requests` contains the requests for individual webhooks. All other webhooks are read with
    /// `default_request`, or aren't read if it is `None`. Each webhook is read with its own query,
    /// so a backlog at one webhook can't starve the others.
    pub async fn due_deliveries(
        &self,
        clock: Clock,
        requests: HashMap<WebhookId, DeliveryBatchRequest>,
        default_request: Option<DeliveryBatchRequest>,
    ) -> Result<DueDeliveryBatches, StoreError> {
        // Get the generation before the read, so that a change during the read makes the result
        // outdated.
        let generation = self.outbox_generation();
        let read = move |connection: &Connection| {
            clock.with_current_time(|now| {
                let default_request = default_request.as_ref();
                read_due_batches(connection, generation, now, &requests, default_request)
            })
        };
        self.reader.read(read).await
    }

    /// Returns a number that changes with every commit that invalidates deliveries read earlier.
    /// Such a commit cancels a delivery, changes a webhook or its secret, or starts or extends a
    /// hold.
    pub fn outbox_generation(&self) -> u64 {
        self.notifiers.outbox_generation.load(Ordering::Acquire)
    }
}

fn read_due_batches(
    connection: &Connection,
    generation: u64,
    now: Timestamp,
    requests: &HashMap<WebhookId, DeliveryBatchRequest>,
    default_request: Option<&DeliveryBatchRequest>,
) -> Result<DueDeliveryBatches, StoreError> {
    let mut due = DueDeliveryBatches {
        generation,
        ..DueDeliveryBatches::default()
    };
    let webhooks = "SELECT number, id, held_until FROM webhooks
        WHERE enabled AND deleted_at IS NULL ORDER BY id";
    let webhooks: Vec<(i64, WebhookId, Option<Timestamp>)> =
        sql::query_all(connection, webhooks, [], |row| row.try_into())?;
    for (number, webhook, held_until) in webhooks {
        let request = requests.get(&webhook).or(default_request);
        let Some(request) = request.filter(|request| request.limit > 0) else {
            continue;
        };
        let held_until = held_until.filter(|until| *until > now);
        let statement = held_until.map_or(SELECT_PENDING_IDS, |_| SELECT_REQUESTED_RETRIES);
        let mut found = read_due_deliveries(connection, statement, number, request, now)?;
        if let Some(until) = held_until {
            found.next_due_at = next_due_after_hold(connection, number, until)?;
        }
        due.next_due_at = due.next_due_at.into_iter().chain(found.next_due_at).min();
        if found.deliveries.is_empty() {
            continue;
        }
        let has_endpoint = request.endpoint_generation == Some(generation);
        let endpoint = if has_endpoint {
            None
        } else {
            read_endpoint_config(connection, &webhook)?
        };
        if has_endpoint || endpoint.is_some() {
            due.batches.push(DeliveryBatch {
                webhook,
                endpoint,
                deliveries: found.deliveries,
                has_more: found.has_more,
            });
        }
    }
    Ok(due)
}

#[derive(Default)]
struct DueDeliveries {
    deliveries: Vec<DueDelivery>,
    has_more: bool,
    next_due_at: Option<Timestamp>,
}

/// Returns the time when the next delivery is due, or the end of the hold if the hold ends later.
/// Returns `None` if no delivery is pending.
fn next_due_after_hold(
    connection: &Connection,
    webhook_number: i64,
    held_until: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let statement = "SELECT due_at FROM deliveries
        WHERE webhook_number = ?1 AND state = 'pending' ORDER BY due_at LIMIT 1";
    let next: Option<Timestamp> =
        sql::query_optional(connection, statement, [webhook_number], |row| row.get(0))?;
    Ok(next.map(|due_at| due_at.max(held_until)))
}

/// Reads a webhook's due deliveries in the order of their due times. `statement` is
/// [`SELECT_PENDING_IDS`] or [`SELECT_REQUESTED_RETRIES`].
fn read_due_deliveries(
    connection: &Connection,
    statement: &str,
    webhook_number: i64,
    request: &DeliveryBatchRequest,
    now: Timestamp,
) -> Result<DueDeliveries, StoreError> {
    let (mut found, mut bytes) = (DueDeliveries::default(), 0);
    let mut ids = sql::prepare(connection, statement)?;
    let mut delivery = sql::prepare(connection, &select_delivery_by_number())?;
    let mut rows = ids.query([webhook_number])?;
    while let Some(row) = rows.next()? {
        let id: DeliveryId = row.get(0)?;
        if request.skip.contains(&id) {
            continue;
        }
        let due_at: Timestamp = row.get(1)?;
        if due_at > now {
            found.next_due_at = Some(due_at);
            break;
        }
        if found.deliveries.len() == request.limit || bytes > READ_AHEAD_MAX_BYTES {
            found.has_more = true;
            break;
        }
        let due = delivery.query_row([row.get::<_, i64>(2)?], |row| {
            Ok(DueDelivery {
                id,
                event: row.get(0)?,
                is_test: row.get(1)?,
                format: row.get(2)?,
                attempts: row.get(3)?,
                event_at: row.get(4)?,
                body: row.get(5)?,
                is_requested_retry: row.get(6)?,
            })
        })?;
        bytes += due.body.len();
        found.deliveries.push(due);
    }
    Ok(found)
}

fn select_delivery_by_number() -> String {
    format!(
        "SELECT type, feedback_id IS NULL, {DELIVERY_FORMAT}, attempts, events.created_at,
         {DELIVERY_BODY}, retry_requested
         FROM deliveries CROSS JOIN events ON events.number = event_number
         WHERE deliveries.number = ?1"
    )
}

fn read_endpoint_config(
    connection: &Connection,
    webhook: &WebhookId,
) -> Result<Option<EndpointConfig>, StoreError> {
    let statement = "SELECT * FROM webhooks WHERE id = ?1";
    sql::query_optional(connection, statement, [webhook], |row| {
        Ok(EndpointConfig {
            webhook: *webhook,
            url: row.get("url")?,
            secrets: secrets::secrets_from_row(row)?,
            headers: row.get::<_, Json<_>>("headers")?.0,
        })
    })
}
