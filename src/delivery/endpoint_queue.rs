//! The dispatcher's queue for one webhook: the deliveries that are read ahead or in flight, and
//! their limits.
//!
//! A delivery is *claimed* from the read until its attempt is recorded: it is read ahead or in
//! flight. Reads of the outbox skip claimed deliveries.
//!
//! An attempt occupies a *slot*. A successful attempt frees its slot at once. A failed attempt
//! frees its slot when the failure is recorded, because consequences such as a hold apply only
//! then.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::client::{EndpointClient, HttpSender};
use crate::domain::id::DeliveryId;
use crate::store::{DeliveryBatch, DeliveryBatchRequest, DueDelivery, EndpointConfig};

/// The maximum number of slots of one webhook.
const SLOTS_MAX: usize = 16;
/// The number of slots of a new queue. Each success adds a slot. If the endpoint hangs, each slot
/// is occupied for the whole timeout and delays other webhooks.
const SLOTS_INITIAL: usize = 2;
/// The number of slots after a timeout. Each success adds a slot again.
const SLOTS_AFTER_TIMEOUT: usize = 1;
/// The maximum number of deliveries read ahead for one webhook. Reading ahead avoids a query for
/// each delivery.
const READ_AHEAD_MAX: usize = 64;
/// The idle time after which a queue and its connections are dropped. The endpoint may have closed
/// these connections.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

pub(super) struct EndpointQueue {
    endpoint: Rc<EndpointConfig>,
    /// The outbox generation when `endpoint` was read.
    endpoint_generation: u64,
    client: Rc<EndpointClient>,
    last_used: Instant,
    /// Deliveries that were read ahead and haven't been sent yet.
    ready: VecDeque<DueDelivery>,
    /// Whether more deliveries may be due than were read.
    has_more: bool,
    claimed: HashSet<DeliveryId>,
    slots_in_use: usize,
    concurrency_limit: usize,
    /// Whether the last attempt succeeded.
    is_healthy: bool,
    /// Whether a read of this webhook is running.
    is_reading: bool,
    /// The number of unrecorded attempts whose response requested a hold. Sending stops until these
    /// attempts are recorded.
    unrecorded_holds: usize,
}

impl EndpointQueue {
    /// Creates the queue for the webhook of `batch`. Returns `None` if the batch has no
    /// [`EndpointConfig`], which the store omits only for an existing queue.
    pub(super) fn new(batch: DeliveryBatch, generation: u64, sender: &HttpSender) -> Option<Self> {
        let endpoint = batch.endpoint.clone()?;
        let mut queue = Self {
            client: Rc::new(sender.client_for(&endpoint.url)),
            endpoint: Rc::new(endpoint),
            endpoint_generation: generation,
            last_used: Instant::now(),
            ready: VecDeque::new(),
            has_more: false,
            claimed: HashSet::new(),
            slots_in_use: 0,
            concurrency_limit: SLOTS_INITIAL,
            is_healthy: false,
            is_reading: false,
            unrecorded_holds: 0,
        };
        queue.refill(batch, generation, sender);
        Some(queue)
    }

    /// Returns the batch request for a webhook that has no queue.
    pub(super) fn default_batch_request() -> DeliveryBatchRequest {
        DeliveryBatchRequest {
            limit: READ_AHEAD_MAX,
            ..DeliveryBatchRequest::default()
        }
    }

    /// Returns this webhook's batch request for the next read. The limit is 0 if `is_included` is
    /// false, a read is running, or the maximum number of deliveries is read ahead. A limit above 0
    /// marks a read as running.
    pub(super) fn start_batch_read(&mut self, is_included: bool) -> DeliveryBatchRequest {
        if !is_included || self.is_reading {
            self.has_more |= is_included;
            return DeliveryBatchRequest::default();
        }
        let limit = self.read_ahead_limit().saturating_sub(self.ready.len());
        self.is_reading = limit > 0;
        // A read finds out whether more deliveries are due. If the maximum number of deliveries is
        // read ahead, more may be due.
        self.has_more = limit == 0;
        DeliveryBatchRequest {
            skip: self.claimed.clone(),
            limit,
            endpoint_generation: Some(self.endpoint_generation),
        }
    }

    /// Handles the end of the read that included this webhook.
    pub(super) fn on_read_finished(&mut self) {
        self.is_reading = false;
    }

    /// Updates the endpoint's configuration and adds the deliveries that were read. Keeps
    /// connections open unless the URL has changed.
    pub(super) fn refill(&mut self, batch: DeliveryBatch, generation: u64, sender: &HttpSender) {
        if let Some(endpoint) = batch.endpoint {
            if endpoint.url.as_str() != self.endpoint.url.as_str() {
                self.client = Rc::new(sender.client_for(&endpoint.url));
            }
            self.endpoint = Rc::new(endpoint);
            self.endpoint_generation = generation;
        }
        // `has_more` is already set if new deliveries were reported during the read.
        self.has_more |= batch.has_more;
        for delivery in batch.deliveries {
            if self.claimed.insert(delivery.id) {
                self.ready.push_back(delivery);
            }
        }
    }

    /// Discards the deliveries that were read ahead, because they may have been canceled or
    /// changed.
    pub(super) fn discard_read_ahead(&mut self) {
        for delivery in self.ready.drain(..) {
            self.claimed.remove(&delivery.id);
        }
        self.has_more = false;
    }

    /// Returns whether the delivery's attempt has started and isn't recorded yet.
    pub(super) fn is_in_flight(&self, delivery: &DeliveryId) -> bool {
        self.claimed.contains(delivery) && self.ready.iter().all(|due| due.id != *delivery)
    }

    /// Returns whether a read is necessary: more deliveries may be due, no read is running, and the
    /// number of deliveries read ahead is below the concurrency limit.
    pub(super) fn needs_refill(&self) -> bool {
        self.has_more && !self.is_reading && self.ready.len() < self.concurrency_limit
    }

    /// Returns the maximum number of deliveries to read ahead.
    fn read_ahead_limit(&self) -> usize {
        if self.concurrency_limit == SLOTS_AFTER_TIMEOUT {
            SLOTS_AFTER_TIMEOUT
        } else {
            READ_AHEAD_MAX
        }
    }

    /// Returns whether the last attempt succeeded. Healthy webhooks are served first.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    pub(super) fn slots_in_use(&self) -> usize {
        self.slots_in_use
    }

    /// Returns the next delivery with its endpoint and client, and occupies a slot, if a delivery
    /// and a slot are available. Returns `None` while a requested hold isn't recorded yet. `free`
    /// is the number of free slots for all webhooks. A webhook without a slot in use ignores
    /// `free`, so other webhooks can't block it.
    pub(super) fn pop_next_delivery(
        &mut self,
        free: usize,
    ) -> Option<(DueDelivery, Rc<EndpointConfig>, Rc<EndpointClient>)> {
        let has_slot =
            self.slots_in_use < self.concurrency_limit && (free > 0 || self.slots_in_use == 0);
        if self.unrecorded_holds > 0 || !has_slot {
            return None;
        }
        let delivery = self.ready.pop_front()?;
        self.slots_in_use += 1;
        self.last_used = Instant::now();
        Some((delivery, self.endpoint.clone(), self.client.clone()))
    }

    /// Frees the slot of a successful attempt, and adds a slot up to the maximum. The delivery
    /// stays claimed until the attempt is recorded.
    pub(super) fn on_attempt_succeeded(&mut self) {
        self.slots_in_use -= 1;
        self.concurrency_limit = SLOTS_MAX.min(self.concurrency_limit + 1);
        self.is_healthy = true;
    }

    /// Handles a failed attempt. The attempt keeps its slot until the failure is recorded. A
    /// timeout reduces the number of slots to one. A requested hold discards the deliveries read
    /// ahead, and stops sending until the attempt is recorded.
    pub(super) fn on_attempt_failed(&mut self, timed_out: bool, requests_hold: bool) {
        if timed_out {
            self.concurrency_limit = SLOTS_AFTER_TIMEOUT;
        }
        self.is_healthy = false;
        if requests_hold {
            self.unrecorded_holds += 1;
            self.discard_read_ahead();
        }
    }

    /// Releases a delivery after its attempt is recorded, and frees the slot of a failed attempt.
    pub(super) fn release_recorded_delivery(
        &mut self,
        delivery: &DeliveryId,
        has_failed: bool,
        requested_hold: bool,
    ) {
        self.claimed.remove(delivery);
        self.slots_in_use -= usize::from(has_failed);
        self.unrecorded_holds -= usize::from(requested_hold);
    }

    /// Returns the endpoint's host and port, for the log.
    pub(super) fn host_and_port(&self) -> String {
        self.endpoint.url.host_and_port()
    }

    /// Returns whether the queue can be dropped. Dropping idle queues also removes the queues of
    /// deleted webhooks.
    pub(super) fn is_idle(&self) -> bool {
        self.claimed.is_empty() && !self.is_reading && self.last_used.elapsed() >= IDLE_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::delivery::tls::tls_config;
    use crate::domain::endpoint_url::EndpointUrl;
    use crate::domain::event::EventType;
    use ulid::Ulid;

    use crate::domain::id::{Id, WebhookId};
    use crate::domain::secret::Secret;
    use crate::domain::webhook::{CustomHeaders, Secrets};

    fn batch(ulid: u128, has_more: bool) -> DeliveryBatch {
        let webhook = WebhookId::from_bytes([1; 16]);
        DeliveryBatch {
            endpoint: Some(EndpointConfig {
                webhook,
                url: EndpointUrl::parse("http://127.0.0.1:9/").unwrap(),
                secrets: Secrets {
                    current: Secret::from_random([1; 32]),
                    next: None,
                },
                headers: CustomHeaders::default(),
            }),
            webhook,
            deliveries: vec![DueDelivery {
                id: DeliveryId::from_ulid(Ulid(ulid)),
                event: EventType::Test,
                attempts: 0,
                event_at: Timestamp::from_millis(0),
                body: Vec::new(),
                is_requested_retry: false,
            }],
            has_more,
        }
    }

    /// Returns a queue with one delivery in flight.
    fn queue(sender: &HttpSender) -> EndpointQueue {
        let mut queue = EndpointQueue::new(batch(1, false), 0, sender).unwrap();
        assert!(queue.pop_next_delivery(1).is_some());
        queue
    }

    fn sender() -> HttpSender {
        let tls = Arc::new(tls_config(&[]).unwrap());
        HttpSender::new(tls, Arc::default(), Duration::from_secs(5))
    }

    #[test]
    fn a_delivery_that_becomes_due_during_a_read_is_read_afterwards() {
        let sender = sender();
        let mut queue = queue(&sender);
        assert!(queue.start_batch_read(true).limit > 0);
        // The webhook becomes healthy, and a read of the healthy webhooks finds that the previous
        // read is still running. That read doesn't contain the newest deliveries.
        queue.on_attempt_succeeded();
        assert_eq!(queue.start_batch_read(true).limit, 0);
        queue.on_read_finished();
        queue.refill(batch(2, false), 0, &sender);
        assert!(queue.needs_refill());
        assert!(queue.start_batch_read(true).limit > 0);
        queue.on_read_finished();
        assert!(!queue.needs_refill(), "the queue would be read forever");
    }

    #[test]
    fn a_read_without_more_deliveries_is_not_repeated() {
        let sender = sender();
        let mut queue = queue(&sender);
        for (has_more, ulid) in [(true, 2), (false, 3)] {
            queue.start_batch_read(true);
            queue.on_read_finished();
            queue.refill(batch(ulid, has_more), 0, &sender);
            assert_eq!(queue.needs_refill(), has_more);
        }
    }
}
