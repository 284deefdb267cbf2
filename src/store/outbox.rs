//! The outbox: which deliveries are due.
//!
//! A row stays `pending` until its attempt is recorded (`recording`); what is on its way is known to the delivery loop
//! alone, in memory. So a crash means that the row is found again and sent again: there is no recovery code.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use ulid::Ulid;

use super::db::error::StoreError;
use super::db::sql;
use super::{Store, secrets, webhooks};
use crate::clock::Timestamp;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId, parse_ulid};
use crate::domain::webhook::{CustomHeaders, Secrets};

/// How many bytes of bodies are read ahead for a webhook, at most (and one body of whatever length).
const READ_AHEAD_MAX_BYTES: usize = 256 * 1024;

/// Where a webhook's deliveries go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct DeliveryTarget {
    pub webhook: WebhookId,
    pub url: EndpointUrl,
    /// With an overlap that may have ended: an attempt asks for those of its own moment.
    pub secrets: Secrets,
    pub headers: CustomHeaders,
}

/// A delivery to be attempted.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub event: EventType,
    /// How many attempts were made of it.
    pub attempts: u32,
    pub event_at: Timestamp,
    pub body: Vec<u8>,
}

/// What is due at one webhook.
#[derive(Clone, Debug)]
pub struct WebhookBatch {
    pub webhook: WebhookId,
    /// `None`: as it was; see [`BatchRequest::target_generation`].
    pub target: Option<DeliveryTarget>,
    pub deliveries: Vec<DueDelivery>,
    /// More is due than was read.
    pub has_more: bool,
}

/// What is due, and when to look again if nothing else happens.
#[derive(Clone, Debug, Default)]
pub struct DueBatches {
    pub batches: Vec<WebhookBatch>,
    pub next_due_at: Option<Timestamp>,
    /// What was read holds as long as this is [`Store::outbox_generation`]: after that it may be canceled or have
    /// another address.
    pub generation: u64,
}

/// What the delivery loop has of a webhook's already, and how many it wants.
#[derive(Clone, Debug, Default)]
pub struct BatchRequest {
    pub taken: HashSet<Ulid>,
    pub limit: usize,
    /// The generation of which it has the target: one that is still of today is not read again.
    pub target_generation: Option<u64>,
}

/// The index alone, which has them sorted: most of what is passed over is taken already.
const PENDING_IDS: &str =
    "SELECT id, due_at, rowid FROM deliveries WHERE webhook_id = ?1 AND state = 'pending'
     ORDER BY due_at, id";
const PENDING_DELIVERY: &str = "SELECT type, attempts, events.created_at, body FROM deliveries
     CROSS JOIN events ON events.id = event_id WHERE deliveries.rowid = ?1";

impl Store {
    /// What is due at `now`. Each webhook is asked by itself, so one with a million rows waiting hides none of the
    /// others'. `wanted`: for those of which it is not `default_request`; where nothing is default_request, the others are not asked.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        wanted: HashMap<WebhookId, BatchRequest>,
        default_request: Option<BatchRequest>,
    ) -> Result<DueBatches, StoreError> {
        // Before anything is read: what changes meanwhile makes it stale.
        let generation = self.outbox_generation();
        let read = move |c: &Connection| due(c, generation, now, &wanted, default_request.as_ref());
        self.reader.read(read).await
    }

    /// Changes with every commit by which a delivery may not be sent any more, or not as it was read: one is canceled,
    /// a webhook or its secret changed, an endpoint asked to be left alone.
    pub fn outbox_generation(&self) -> u64 {
        self.wakes.outbox_generation.load(Ordering::Acquire)
    }
}

fn due(
    connection: &Connection,
    generation: u64,
    now: Timestamp,
    wanted: &HashMap<WebhookId, BatchRequest>,
    default_request: Option<&BatchRequest>,
) -> Result<DueBatches, StoreError> {
    let mut due = DueBatches {
        generation,
        ..DueBatches::default()
    };
    let webhooks =
        "SELECT id, held_until FROM webhooks WHERE enabled AND deleted_at IS NULL ORDER BY id";
    let webhooks = sql::query_all(connection, webhooks, [], |row| {
        let held_until: Option<i64> = row.get(1)?;
        Ok((
            WebhookId::new(row.get::<_, String>(0)?),
            held_until.map(Timestamp::from_millis),
        ))
    })?;
    for (webhook, held_until) in webhooks {
        let Some(wanted) = wanted
            .get(&webhook)
            .or(default_request)
            .filter(|w| w.limit > 0)
        else {
            continue;
        };
        // Held back as a whole: looked at again when the hold ends, if anything waits then.
        let from = held_until.filter(|until| *until > now).unwrap_or(now);
        let read = pending_for(connection, &webhook, wanted, now, from)?;
        due.next_due_at = due.next_due_at.into_iter().chain(read.next).min();
        if read.deliveries.is_empty() {
            continue;
        }
        let target_generation = wanted.target_generation == Some(generation);
        let target = if target_generation {
            None
        } else {
            target(connection, &webhook)?
        };
        if target_generation || target.is_some() {
            due.batches.push(WebhookBatch {
                webhook,
                target,
                deliveries: read.deliveries,
                has_more: read.has_more,
            });
        }
    }
    Ok(due)
}

#[derive(Default)]
struct PendingDeliveries {
    deliveries: Vec<DueDelivery>,
    has_more: bool,
    next: Option<Timestamp>,
}

/// The first of a webhook's waiting deliveries, by when they are due; none counts as due before `from`.
fn pending_for(
    connection: &Connection,
    webhook: &WebhookId,
    wanted: &BatchRequest,
    now: Timestamp,
    from: Timestamp,
) -> Result<PendingDeliveries, StoreError> {
    let (mut pending, mut bytes) = (PendingDeliveries::default(), 0);
    let mut all = sql::prepare(connection, PENDING_IDS)?;
    let mut one = sql::prepare(connection, PENDING_DELIVERY)?;
    let mut rows = all.query([webhook.as_str()])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if parse_ulid(id).is_some_and(|ulid| wanted.taken.contains(&ulid)) {
            continue;
        }
        let at = Timestamp::from_millis(row.get(1)?).max(from);
        if at > now {
            pending.next = Some(at);
            break;
        }
        if pending.deliveries.len() == wanted.limit || bytes > READ_AHEAD_MAX_BYTES {
            pending.has_more = true;
            break;
        }
        let delivery = one.query_row([row.get::<_, i64>(2)?], |row| {
            Ok(DueDelivery {
                id: DeliveryId::new(id),
                event: sql::parse_column(row, "type", EventType::parse)?,
                attempts: row.get(1)?,
                event_at: Timestamp::from_millis(row.get(2)?),
                body: row.get(3)?,
            })
        })?;
        bytes += delivery.body.len();
        pending.deliveries.push(delivery);
    }
    Ok(pending)
}

fn target(
    connection: &Connection,
    webhook: &WebhookId,
) -> Result<Option<DeliveryTarget>, StoreError> {
    let statement = "SELECT * FROM webhooks WHERE id = ?1";
    sql::query_optional(connection, statement, [webhook.as_str()], |row| {
        Ok(DeliveryTarget {
            webhook: webhook.clone(),
            url: webhooks::read_url(row)?,
            secrets: secrets::read_secrets(row)?,
            headers: sql::from_json(row, "headers")?,
        })
    })
}
