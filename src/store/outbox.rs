//! The outbox: which deliveries are due.
//!
//! A row stays `pending` until its attempt is recorded (`recording`); what is on its way is known to the delivery loop
//! alone, in memory. So a crash means that the row is found again and sent again: there is no recovery code.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use ulid::Ulid;

use super::error::StoreError;
use super::{Store, secrets, sql, webhooks};
use crate::clock::Timestamp;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId, parse_ulid};
use crate::domain::webhook::{CustomHeaders, Secrets};

/// How many bytes of bodies are read ahead for a webhook, at most (and one body of whatever length).
const AHEAD_MAX_BYTES: usize = 256 * 1024;

/// Where a webhook's deliveries go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct Target {
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
pub struct DueAt {
    pub webhook: WebhookId,
    /// `None`: as it was; see [`Wanted::has_target`].
    pub target: Option<Target>,
    pub deliveries: Vec<DueDelivery>,
    /// More is due than was read.
    pub more: bool,
}

/// What is due, and when to look again if nothing else happens.
#[derive(Clone, Debug, Default)]
pub struct Due {
    pub webhooks: Vec<DueAt>,
    pub next: Option<Timestamp>,
    /// What was read holds as long as this is [`Store::outbox_generation`]: after that it may be canceled or have
    /// another address.
    pub generation: u64,
}

/// What the delivery loop has of a webhook's already, and how many it wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub taken: HashSet<Ulid>,
    pub more: usize,
    /// The generation of which it has the target: one that is still of today is not read again.
    pub has_target: Option<u64>,
}

/// The index alone, which has them sorted: most of what is passed over is taken already.
const WAITING: &str =
    "SELECT id, due_at, rowid FROM deliveries WHERE webhook_id = ?1 AND state = 'pending'
     ORDER BY due_at, id";
const WAITING_ONE: &str = "SELECT type, attempts, events.created_at, body FROM deliveries
     CROSS JOIN events ON events.id = event_id WHERE deliveries.rowid = ?1";

impl Store {
    /// What is due at `now`. Each webhook is asked by itself, so one with a million rows waiting hides none of the
    /// others'. `wanted`: for those of which it is not `usual`; where nothing is usual, the others are not asked.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        wanted: HashMap<WebhookId, Wanted>,
        usual: Option<Wanted>,
    ) -> Result<Due, StoreError> {
        // Before anything is read: what changes meanwhile makes it stale.
        let generation = self.outbox_generation();
        let read = move |c: &Connection| due(c, generation, now, &wanted, usual.as_ref());
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
    wanted: &HashMap<WebhookId, Wanted>,
    usual: Option<&Wanted>,
) -> Result<Due, StoreError> {
    let mut due = Due {
        generation,
        ..Due::default()
    };
    let webhooks =
        "SELECT id, held_until FROM webhooks WHERE enabled AND deleted_at IS NULL ORDER BY id";
    let webhooks = sql::all(connection, webhooks, [], |row| {
        let held_until: Option<i64> = row.get(1)?;
        Ok((
            WebhookId::new(row.get::<_, String>(0)?),
            held_until.map(Timestamp::from_millis),
        ))
    })?;
    for (webhook, held_until) in webhooks {
        let Some(wanted) = wanted.get(&webhook).or(usual).filter(|w| w.more > 0) else {
            continue;
        };
        // Held back as a whole: looked at again when the hold ends, if anything waits then.
        let from = held_until.filter(|until| *until > now).unwrap_or(now);
        let read = waiting(connection, &webhook, wanted, now, from)?;
        due.next = due.next.into_iter().chain(read.next).min();
        if read.deliveries.is_empty() {
            continue;
        }
        let has_target = wanted.has_target == Some(generation);
        let target = if has_target {
            None
        } else {
            target(connection, &webhook)?
        };
        if has_target || target.is_some() {
            due.webhooks.push(DueAt {
                webhook,
                target,
                deliveries: read.deliveries,
                more: read.more,
            });
        }
    }
    Ok(due)
}

#[derive(Default)]
struct Waiting {
    deliveries: Vec<DueDelivery>,
    more: bool,
    next: Option<Timestamp>,
}

/// The first of a webhook's waiting deliveries, by when they are due; none counts as due before `from`.
fn waiting(
    connection: &Connection,
    webhook: &WebhookId,
    wanted: &Wanted,
    now: Timestamp,
    from: Timestamp,
) -> Result<Waiting, StoreError> {
    let (mut waiting, mut bytes) = (Waiting::default(), 0);
    let mut all = sql::prepare(connection, WAITING)?;
    let mut one = sql::prepare(connection, WAITING_ONE)?;
    let mut rows = all.query([webhook.as_str()])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if parse_ulid(id).is_some_and(|ulid| wanted.taken.contains(&ulid)) {
            continue;
        }
        let at = Timestamp::from_millis(row.get(1)?).max(from);
        if at > now {
            waiting.next = Some(at);
            break;
        }
        if waiting.deliveries.len() == wanted.more || bytes > AHEAD_MAX_BYTES {
            waiting.more = true;
            break;
        }
        let delivery = one.query_row([row.get::<_, i64>(2)?], |row| {
            Ok(DueDelivery {
                id: DeliveryId::new(id),
                event: sql::named(row, "type", EventType::parse)?,
                attempts: row.get(1)?,
                event_at: Timestamp::from_millis(row.get(2)?),
                body: row.get(3)?,
            })
        })?;
        bytes += delivery.body.len();
        waiting.deliveries.push(delivery);
    }
    Ok(waiting)
}

fn target(connection: &Connection, webhook: &WebhookId) -> Result<Option<Target>, StoreError> {
    let statement = "SELECT * FROM webhooks WHERE id = ?1";
    sql::first(connection, statement, [webhook.as_str()], |row| {
        Ok(Target {
            webhook: webhook.clone(),
            url: webhooks::read_url(row)?,
            secrets: secrets::read_secrets(row)?,
            headers: sql::from_json(row, "headers")?,
        })
    })
}
