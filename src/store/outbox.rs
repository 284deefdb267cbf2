//! The outbox: which deliveries are due, and what came of an attempt.
//!
//! A row stays `pending` until its attempt is recorded; what is in flight is known to the delivery loop alone, in
//! memory. So a crash means that the row is found again and sent again: there is no recovery code.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row, params};

use super::changes::Change;
use super::deliveries::{self, AttemptRecord};
use super::error::StoreError;
use super::writer::Write;
use super::{Store, events, secrets, sql, webhooks};
use crate::clock::Timestamp;
use crate::domain::alert::FAILED_IN_A_ROW;
use crate::domain::delivery::State;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::retry::Schedule;
use crate::domain::webhook::{Headers, Retries, Secrets};

/// A delivery to be attempted now, with all that the attempt needs; its secrets are those of this moment.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub url: EndpointUrl,
    pub secrets: Secrets,
    pub headers: Headers,
    pub event: EventType,
    pub event_at: Timestamp,
    pub body: Vec<u8>,
}

/// What is due, and when to look again if nothing else happens.
#[derive(Clone, Debug, Default)]
pub struct Due {
    pub deliveries: Vec<DueDelivery>,
    pub next: Option<Timestamp>,
}

/// What the loop has in flight, and how much more it may take.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    pub in_flight: HashMap<WebhookId, HashSet<DeliveryId>>,
    /// How many a webhook may have in flight.
    pub per_webhook: usize,
    /// Webhooks with a cap of their own.
    pub narrowed: HashMap<WebhookId, usize>,
    /// How many all together may have; a webhook with nothing in flight gets one slot beyond that.
    pub total: usize,
}

/// What a recorded attempt made of its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    pub state: State,
    /// Of the next attempt.
    pub due_at: Option<Timestamp>,
}

impl Store {
    /// What is due at `now` within `slots`. Each webhook is asked by itself, so one with a million rows waiting hides
    /// none of the others'.
    pub async fn due_deliveries(&self, now: Timestamp, slots: Slots) -> Result<Due, StoreError> {
        self.reader.read(move |c| due(c, now, &slots)).await
    }

    /// Records an attempt and what follows from it, in one transaction.
    ///
    /// `jitter` (0 to 1) is for the delays of `patient`.
    pub async fn record_attempt(
        &self,
        delivery: DeliveryId,
        attempt: AttemptRecord,
        schedule: Schedule,
        jitter: f64,
    ) -> Result<Finished, StoreError> {
        self.writer
            .write_in_turn(move |write| record(write, &delivery, &attempt, &schedule, jitter))
            .await
    }

    /// An id for a test's delivery, which is logged when its one attempt is over; and the time of its event.
    pub async fn begin_test(&self) -> Result<(DeliveryId, Timestamp), StoreError> {
        self.writer
            .write(|write| Ok((write.next_id(), write.now)))
            .await
    }

    /// Logs a test of a saved webhook. One that succeeded ends the hold that the endpoint asked for.
    pub async fn record_test(
        &self,
        webhook: WebhookId,
        delivery: DeliveryId,
        body: Vec<u8>,
        attempt: AttemptRecord,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                let event = events::insert(write, EventType::Test.as_str(), None, &body)?;
                let state = if attempt.is_success() { State::Delivered } else { State::Failed };
                sql::run(
                    write,
                    "INSERT INTO deliveries (id, event_id, webhook_id, state, attempts, round_attempts, created_at,
                     finished_at, request_headers) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6, ?7)",
                    params![
                        delivery.as_str(),
                        event.as_str(),
                        webhook.as_str(),
                        state.as_str(),
                        attempt.started_at.millis(),
                        write.now.millis(),
                        sql::to_json(&attempt.request_headers)?
                    ],
                )?;
                deliveries::insert_attempt(write, &delivery, 1, &attempt, true)?;
                write.changed(Change::Deliveries(webhook.clone()));
                if attempt.is_success() {
                    let held = "UPDATE webhooks SET held_until = NULL WHERE id = ?1 AND held_until IS NOT NULL";
                    if sql::run(write, held, [webhook.as_str()])? > 0 {
                        write.wake_deliveries();
                    }
                }
                Ok(())
            })
            .await
    }
}

fn due(connection: &Connection, now: Timestamp, slots: &Slots) -> Result<Due, StoreError> {
    let mut due = Due::default();
    let mut free = slots
        .total
        .saturating_sub(slots.in_flight.values().map(HashSet::len).sum());
    let webhooks = sql::all(
        connection,
        "SELECT id, held_until FROM webhooks WHERE enabled AND deleted_at IS NULL ORDER BY id",
        [],
        |row| {
            Ok((
                WebhookId::new(row.get::<_, String>(0)?),
                row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
            ))
        },
    )?;
    let nothing = HashSet::new();
    for (webhook, held_until) in webhooks {
        let in_flight = slots.in_flight.get(&webhook).unwrap_or(&nothing);
        let cap = slots
            .narrowed
            .get(&webhook)
            .copied()
            .unwrap_or(slots.per_webhook);
        // Nobody is kept waiting by what others have in flight: the first slot is always there.
        let room = cap
            .saturating_sub(in_flight.len())
            .min(if in_flight.is_empty() {
                free.max(1)
            } else {
                free
            });
        if room == 0 {
            continue;
        }
        // Held back as a whole: looked at again when the hold ends, if anything waits then.
        let from = held_until.filter(|until| *until > now).unwrap_or(now);
        let mut taken = 0;
        for (id, due_at) in waiting(connection, &webhook, room + in_flight.len() + 1)? {
            if in_flight.contains(&id) {
                continue;
            }
            let at = due_at.max(from);
            if at > now {
                due.next = Some(due.next.map_or(at, |next| next.min(at)));
                break;
            }
            if taken == room {
                break;
            }
            if let Some(delivery) = load(connection, &id, now)? {
                due.deliveries.push(delivery);
                taken += 1;
            }
        }
        free = free.saturating_sub(taken);
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

fn load(
    connection: &Connection,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<Option<DueDelivery>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(DueDelivery {
            id: id.clone(),
            webhook: WebhookId::new(row.get::<_, String>("webhook_id")?),
            url: webhooks::read_url(row)?,
            secrets: secrets::read_secrets(row)?.at(now),
            headers: sql::from_json(row, "headers")?,
            event: sql::named(row, "type", EventType::parse)?,
            event_at: Timestamp::from_millis(row.get("event_at")?),
            body: row.get("body")?,
        })
    };
    sql::first(
        connection,
        "SELECT webhook_id, url, secret, next_secret, overlap_ends_at, headers, type, events.created_at AS event_at, body
         FROM deliveries JOIN events ON events.id = event_id JOIN webhooks ON webhooks.id = webhook_id
         WHERE deliveries.id = ?1",
        [id.as_str()],
        read,
    )
}

fn record(
    write: &mut Write<'_>,
    id: &DeliveryId,
    attempt: &AttemptRecord,
    schedule: &Schedule,
    jitter: f64,
) -> Result<Finished, StoreError> {
    struct Before {
        webhook: String,
        state: State,
        attempts: u32,
        round_attempts: usize,
        retries: Retries,
        has_words: bool,
        is_test: bool,
    }
    let before = sql::first(
        write,
        "SELECT webhook_id, state, attempts, round_attempts, retries, body IS NOT NULL AS has_words, type
         FROM deliveries JOIN events ON events.id = event_id JOIN webhooks ON webhooks.id = webhook_id
         WHERE deliveries.id = ?1",
        [id.as_str()],
        |row| {
            Ok(Before {
                webhook: row.get("webhook_id")?,
                state: sql::named(row, "state", State::parse)?,
                attempts: row.get("attempts")?,
                round_attempts: row.get("round_attempts")?,
                retries: webhooks::read_retries(row)?,
                has_words: row.get("has_words")?,
                is_test: row.get::<_, String>("type")? == EventType::Test.as_str(),
            })
        },
    )?;
    let Some(before) = before else {
        return Err(StoreError::DeliveryGone);
    };
    // A test that is sent again is one attempt, as ever.
    let next = if before.state == State::Pending && !attempt.is_success() && !before.is_test {
        schedule.next(
            before.retries,
            before.round_attempts + 1,
            attempt.ended_at,
            jitter,
        )
    } else {
        None
    };
    // What was canceled while it was in flight ends here: delivered if it was, else it stays canceled.
    let state = match (attempt.is_success(), before.state, next) {
        (true, ..) => State::Delivered,
        (false, State::Pending, Some(_)) => State::Pending,
        (false, State::Pending, None) => State::Failed,
        (false, other, _) => other,
    };
    // A hold stands on the webhook, not here: when a test ends it, what waited goes out by its own schedule.
    let due_at = next;
    let finished_at = (state != State::Pending).then_some(write.now.millis());
    let headers = before
        .has_words
        .then(|| sql::to_json(&attempt.request_headers))
        .transpose()?;
    sql::run(
        write,
        "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, round_attempts = ?5, finished_at = ?6,
         request_headers = ?7 WHERE id = ?1",
        params![
            id.as_str(),
            state.as_str(),
            due_at.map(Timestamp::millis),
            before.attempts + 1,
            before.round_attempts + 1,
            finished_at,
            headers
        ],
    )?;
    deliveries::insert_attempt(write, id, before.attempts + 1, attempt, before.has_words)?;
    write.changed(Change::Deliveries(WebhookId::new(before.webhook.clone())));
    if !before.is_test {
        note_health(write, &before.webhook, attempt, state)?;
    }
    Ok(Finished { state, due_at })
}

/// Marks the webhook as failing since this attempt, or as well again; holds it back where the endpoint asked for it.
fn note_health(
    write: &mut Write<'_>,
    webhook: &str,
    attempt: &AttemptRecord,
    state: State,
) -> Result<(), StoreError> {
    if attempt.is_success() {
        let well = "UPDATE webhooks SET failing_since = NULL, failed_in_a_row = 0 WHERE id = ?1 AND failing_since IS NOT NULL";
        if sql::run(write, well, [webhook])? > 0 {
            write.wake_alerts();
        }
        return Ok(());
    }
    let failing = "UPDATE webhooks SET failing_since = ?2 WHERE id = ?1 AND failing_since IS NULL";
    let since = params![webhook, attempt.started_at.millis()];
    if sql::run(write, failing, since)? > 0 {
        write.wake_alerts();
    }
    if state == State::Failed {
        let given_up = "UPDATE webhooks SET failed_in_a_row = failed_in_a_row + 1 WHERE id = ?1 RETURNING failed_in_a_row";
        if sql::first(write, given_up, [webhook], |row| row.get(0))? == Some(FAILED_IN_A_ROW) {
            write.wake_alerts();
        }
    }
    if let Some(until) = attempt.hold_until {
        let held =
            "UPDATE webhooks SET held_until = max(coalesce(held_until, 0), ?2) WHERE id = ?1";
        sql::run(write, held, params![webhook, until.millis()])?;
    }
    Ok(())
}
