//! The delivery loop: `run(wake | due | done | stop)` around [`Worker::tick`].

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use super::client::{Endpoint, Sender};
use super::request::{self, Parts};
use super::{Command, Settings};
use crate::clock::{Clock, Timestamp};
use crate::domain::delivery::Outcome;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::retry::{self, Schedule};
use crate::random;
use crate::store::{AttemptRecord, DueDelivery, Slots, Store, StoreError};

/// How many attempts a webhook may have in flight.
const PER_WEBHOOK: usize = 16;
/// One whose last attempt timed out gets a single slot: each more would be held for the whole timeout.
const PER_SLOW_WEBHOOK: usize = 1;
/// How many all together may have; each webhook has its first slot beyond that.
const TOTAL: usize = 512;
/// A client that was not used for this long is dropped, and with it sockets that the endpoint has closed.
const CLIENT_IDLE: Duration = Duration::from_secs(6);
/// How long to wait before reading or storing is tried again after it failed.
const STORE_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Store,
    clock: Clock,
    sender: Sender,
    schedule: Schedule,
    clients: HashMap<WebhookId, Client>,
    in_flight: HashMap<WebhookId, HashSet<DeliveryId>>,
    slow: HashSet<WebhookId>,
    attempts: FuturesUnordered<LocalBoxFuture<'static, Ended>>,
    /// Outcomes that could not be stored yet. While there are any, nothing new is sent: it could not be stored either,
    /// and would be sent again and again.
    unstored: Rc<Cell<usize>>,
}

struct Client {
    url: String,
    endpoint: Rc<Endpoint>,
    used: Instant,
}

/// An attempt that is over and recorded.
enum Ended {
    Delivery {
        webhook: WebhookId,
        delivery: DeliveryId,
        timed_out: bool,
    },
    /// A test, or an attempt that panicked: it frees no slot.
    Other,
}

/// What one look at the outbox led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TickOutcome {
    pub(super) started: usize,
    /// When to look again if nothing else happens.
    pub(super) next: Option<Timestamp>,
}

impl Worker {
    pub(super) fn new(store: Store, clock: Clock, settings: Settings) -> Self {
        Self {
            store,
            clock,
            sender: Sender::new(settings.tls, settings.policy, settings.timeout),
            schedule: settings.schedule,
            clients: HashMap::new(),
            in_flight: HashMap::new(),
            slow: HashSet::new(),
            attempts: FuturesUnordered::new(),
            unstored: Rc::default(),
        }
    }

    /// Runs until it is told to stop and what was in flight is recorded.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let wake = self.store.deliveries_due();
        let mut stopping = false;
        loop {
            let mut next = None;
            if stopping {
                if self.attempts.is_empty() {
                    return;
                }
            } else {
                match self.tick().await {
                    Ok(outcome) => next = outcome.next,
                    Err(error) => {
                        tracing::error!(%error, "what is due could not be read");
                        next = Some(self.clock.now().plus(STORE_RETRY));
                    }
                }
            }
            // A wake-up that comes before this line is kept by the `Notify`: none is lost.
            tokio::select! {
                () = wake.notified(), if !stopping => {}
                () = self.clock.sleep_until_some(next) => {}
                Some(ended) = self.attempts.next() => self.finish(ended),
                () = tokio::time::sleep(CLIENT_IDLE), if !self.clients.is_empty() => self.drop_idle_clients(),
                command = commands.recv() => match command {
                    Some(Command::Send { url, request, answer }) => {
                        let endpoint = self.sender.endpoint(&url);
                        self.attempts.push(Box::pin(async move {
                            // Who asked may have gone away; the test was sent all the same.
                            let _ = answer.send(endpoint.attempt(&request).await);
                            Ended::Other
                        }));
                    }
                    Some(Command::Ping(answer)) => {
                        // While outcomes cannot be stored nothing is sent: the loop does not do its work.
                        let _ = answer.send(self.unstored.get() == 0);
                    }
                    Some(Command::Stop) | None => stopping = true,
                },
            }
        }
    }

    /// Looks once for what is due and starts it.
    pub(super) async fn tick(&mut self) -> Result<TickOutcome, StoreError> {
        if self.unstored.get() > 0 {
            return Ok(TickOutcome {
                started: 0,
                next: None,
            });
        }
        let slots = Slots {
            in_flight: self.in_flight.clone(),
            per_webhook: PER_WEBHOOK,
            narrowed: self
                .slow
                .iter()
                .map(|webhook| (webhook.clone(), PER_SLOW_WEBHOOK))
                .collect(),
            total: TOTAL,
        };
        let due = self.store.due_deliveries(self.clock.now(), slots).await?;
        let started = due.deliveries.len();
        for delivery in due.deliveries {
            self.start(delivery);
        }
        Ok(TickOutcome {
            started,
            next: due.next,
        })
    }

    fn start(&mut self, due: DueDelivery) {
        self.in_flight
            .entry(due.webhook.clone())
            .or_default()
            .insert(due.id.clone());
        let endpoint = self.endpoint(&due);
        let context = Context {
            store: self.store.clone(),
            clock: self.clock.clone(),
            schedule: self.schedule.clone(),
            unstored: self.unstored.clone(),
        };
        let id = due.id.clone();
        // A panic is our own fault, and must not end the loop for all: the delivery stays in flight, and is sent again
        // after the next start.
        let attempt = AssertUnwindSafe(context.attempt(endpoint, due)).catch_unwind();
        self.attempts.push(Box::pin(async move {
            attempt.await.unwrap_or_else(|_| {
                tracing::error!(delivery = %id, "an attempt panicked");
                Ended::Other
            })
        }));
    }

    /// The webhook's client, or a new one where there is none or its address has changed.
    fn endpoint(&mut self, due: &DueDelivery) -> Rc<Endpoint> {
        let used = Instant::now();
        if let Some(client) = self.clients.get_mut(&due.webhook)
            && client.url == due.url.as_str()
        {
            client.used = used;
            return client.endpoint.clone();
        }
        let endpoint = Rc::new(self.sender.endpoint(&due.url));
        let client = Client {
            url: due.url.as_str().to_owned(),
            endpoint: endpoint.clone(),
            used,
        };
        self.clients.insert(due.webhook.clone(), client);
        endpoint
    }

    fn finish(&mut self, ended: Ended) {
        let Ended::Delivery {
            webhook,
            delivery,
            timed_out,
        } = ended
        else {
            return;
        };
        if let Some(in_flight) = self.in_flight.get_mut(&webhook) {
            in_flight.remove(&delivery);
            if in_flight.is_empty() {
                self.in_flight.remove(&webhook);
            }
        }
        if timed_out {
            self.slow.insert(webhook);
        } else {
            self.slow.remove(&webhook);
        }
    }

    fn drop_idle_clients(&mut self) {
        let in_flight = &self.in_flight;
        self.clients.retain(|webhook, client| {
            in_flight.contains_key(webhook) || client.used.elapsed() < CLIENT_IDLE
        });
        // What is remembered of slow webhooks goes with their clients: a deleted one is not kept for ever.
        let clients = &self.clients;
        self.slow.retain(|webhook| clients.contains_key(webhook));
    }
}

/// What one attempt needs beside its delivery.
struct Context {
    store: Store,
    clock: Clock,
    schedule: Schedule,
    unstored: Rc<Cell<usize>>,
}

impl Context {
    async fn attempt(self, endpoint: Rc<Endpoint>, due: DueDelivery) -> Ended {
        let started_at = self.clock.now();
        let parts = Parts {
            id: due.id.as_str(),
            event: due.event.as_str(),
            event_at: due.event_at,
            body: due.body,
            secrets: &due.secrets,
            headers: &due.headers,
        };
        let request = request::sign(parts, started_at);
        let request_headers = request::logged(&request, &due.headers, due.url.host_header());
        let result = endpoint.attempt(&request).await;
        let ended_at = self.clock.now();
        let retry_after = result.answer.as_ref().and_then(|answer| {
            let header = answer
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
            retry::hold_until(answer.status, &header.1, ended_at)
        });
        let timed_out = matches!(result.outcome, Outcome::Timeout { .. });
        let error = result.problem();
        let attempt = AttemptRecord {
            started_at,
            ended_at,
            result,
            error,
            request_headers,
            hold_until: retry_after,
        };
        self.store_outcome(&due.id, &due.webhook, due.url.host_for_log(), attempt)
            .await;
        Ended::Delivery {
            webhook: due.webhook,
            delivery: due.id,
            timed_out,
        }
    }

    /// Stores what came of an attempt; an outcome that cannot be stored is kept and tried again until it can.
    async fn store_outcome(
        &self,
        delivery: &DeliveryId,
        webhook: &WebhookId,
        host: String,
        attempt: AttemptRecord,
    ) {
        let jitter = f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX);
        let mut failed = false;
        loop {
            let stored = self
                .store
                .record_attempt(
                    delivery.clone(),
                    attempt.clone(),
                    self.schedule.clone(),
                    jitter,
                )
                .await;
            match stored {
                Ok(finished) => {
                    tracing::debug!(
                        %webhook,
                        host,
                        %delivery,
                        state = finished.state.as_str(),
                        code = attempt.result.outcome.code(),
                        ms = attempt.result.duration.as_millis(),
                        "attempt"
                    );
                    break;
                }
                // There is nothing left to record on. Any other fault may pass: the row would be due, and sent again.
                Err(error @ (StoreError::DeliveryGone | StoreError::Closed)) => {
                    tracing::warn!(%error, %delivery, "an attempt could not be recorded");
                    break;
                }
                Err(error) => {
                    if !failed {
                        tracing::error!(%error, %delivery, "an attempt cannot be stored; nothing is sent until it is");
                        failed = true;
                        self.unstored.set(self.unstored.get() + 1);
                    }
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
        if failed {
            self.unstored.set(self.unstored.get() - 1);
        }
    }
}
