//! The outbox: which deliveries are due.
//!
//! A row stays `pending` until its attempt is recorded (`recording`); what is on its way is known to the delivery loop
//! alone, in memory. So a crash means that the row is found again and sent again: there is no recovery code.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::{Store, secrets, sql, webhooks};
use crate::clock::Timestamp;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::webhook::{Headers, Secrets};

/// How many bytes of bodies are read ahead for a webhook, at most (and one body of whatever length).
const AHEAD_MAX_BYTES: usize = 256 * 1024;

/// Where a webhook's deliveries go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct Target {
    pub webhook: WebhookId,
    pub url: EndpointUrl,
    /// With an overlap that may have ended: an attempt asks for those of its own moment.
    pub secrets: Secrets,
    pub headers: Headers,
}

/// A delivery to be attempted.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub event: EventType,
    pub event_at: Timestamp,
    pub body: Vec<u8>,
}

/// What is due at one webhook.
#[derive(Clone, Debug)]
pub struct DueAt {
    pub target: Target,
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
    pub taken: HashSet<DeliveryId>,
    pub more: usize,
}

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
        let read = move |c: &Connection| due(c, now, &wanted, usual.as_ref());
        let mut due = self.reader.read(read).await?;
        due.generation = generation;
        Ok(due)
    }

    /// Changes with every commit by which a delivery may not be sent any more, or not as it was read: one is canceled,
    /// a webhook or its secret changed, an endpoint asked to be left alone.
    pub fn outbox_generation(&self) -> u64 {
        self.wakes.outbox_generation.load(Ordering::Acquire)
    }
}

fn due(
    connection: &Connection,
    now: Timestamp,
    wanted: &HashMap<WebhookId, Wanted>,
    usual: Option<&Wanted>,
) -> Result<Due, StoreError> {
    let mut due = Due::default();
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
        let (mut deliveries, mut bytes, mut more) = (Vec::new(), 0, false);
        for (id, due_at) in waiting(connection, &webhook, wanted.taken.len() + wanted.more + 1)? {
            if wanted.taken.contains(&id) {
                continue;
            }
            let at = due_at.max(from);
            if at > now {
                due.next = Some(due.next.map_or(at, |next| next.min(at)));
                break;
            }
            if deliveries.len() == wanted.more || bytes > AHEAD_MAX_BYTES {
                more = true;
                break;
            }
            if let Some(delivery) = load(connection, id)? {
                bytes += delivery.body.len();
                deliveries.push(delivery);
            }
        }
        if !deliveries.is_empty()
            && let Some(target) = target(connection, webhook)?
        {
            due.webhooks.push(DueAt {
                target,
                deliveries,
                more,
            });
        }
    }
    Ok(due)
}

/// The first of a webhook's waiting deliveries, by when they are due.
fn waiting(
    connection: &Connection,
    webhook: &WebhookId,
    limit: usize,
) -> Result<Vec<(DeliveryId, Timestamp)>, StoreError> {
    sql::all(
        connection,
        "SELECT id, due_at FROM deliveries WHERE webhook_id = ?1 AND state = 'pending' ORDER BY due_at, id LIMIT ?2",
        params![webhook.as_str(), i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok((
                DeliveryId::new(row.get::<_, String>(0)?),
                Timestamp::from_millis(row.get(1)?),
            ))
        },
    )
}

fn target(connection: &Connection, webhook: WebhookId) -> Result<Option<Target>, StoreError> {
    let statement = "SELECT * FROM webhooks WHERE id = ?1";
    let id = webhook.as_str().to_owned();
    sql::first(connection, statement, [id], |row| {
        Ok(Target {
            webhook,
            url: webhooks::read_url(row)?,
            secrets: secrets::read_secrets(row)?,
            headers: sql::from_json(row, "headers")?,
        })
    })
}

fn load(connection: &Connection, id: DeliveryId) -> Result<Option<DueDelivery>, StoreError> {
    let statement = "SELECT type, events.created_at AS event_at, body FROM deliveries
        JOIN events ON events.id = event_id WHERE deliveries.id = ?1";
    let key = id.as_str().to_owned();
    sql::first(connection, statement, [key], |row| {
        Ok(DueDelivery {
            id,
            event: sql::named(row, "type", EventType::parse)?,
            event_at: Timestamp::from_millis(row.get("event_at")?),
            body: row.get("body")?,
        })
    })
}
