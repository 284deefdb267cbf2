//! The dispatcher's queue for one webhook: the deliveries that are read ahead or in flight, and
//! their limits.
//!
//! A delivery is *claimed* from the read until its attempt is recorded: it is read ahead or in
//! flight. Reads of the outbox skip claimed deliveries.
//!
//! An attempt occupies a *slot*. A successful attempt frees its slot at once. A failed attempt
//! frees its slot when the failure is recorded, because consequences such as a hold apply only
//! then.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::target_client::{TargetClient, TargetSender};
use crate::clock::Timestamp;
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
/// The duration of an attempt at a quick endpoint (see [`EndpointQueue::is_quick`]).
const QUICK_ATTEMPT: Duration = Duration::from_millis(2);
/// The time after a quick attempt during which the endpoint can count as quick.
const QUICK_ATTEMPT_AGE_MAX: Duration = Duration::from_millis(100);
/// The maximum age of an attempt in a slot of a quick endpoint. It is greater than
/// [`QUICK_ATTEMPT`], because Miniback processes responses late when it is busy.
pub(super) const SLOT_AGE_MAX: Duration = Duration::from_millis(10);
/// The maximum age of a new delivery when its first attempt starts. An older delivery has waited
/// for something other than Miniback, such as the end of a hold or an outage.
const NEW_DELIVERY_AGE_MAX: Duration = Duration::from_secs(2);
/// The idle time after which a queue and its connections are dropped. The endpoint may have closed
/// these connections.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

pub(super) struct EndpointQueue {
    endpoint: Rc<EndpointConfig>,
    /// The outbox generation when `endpoint` was read.
    endpoint_generation: u64,
    client: Rc<TargetClient>,
    last_used: Instant,
    /// Deliveries that were read ahead and haven't been sent yet.
    ready: VecDeque<DueDelivery>,
    /// Whether more deliveries may be due than were read.
    has_more: bool,
    claimed: HashSet<DeliveryId>,
    /// The deliveries whose attempts occupy a slot, and the start of each attempt.
    slots: HashMap<DeliveryId, Instant>,
    concurrency_limit: usize,
    /// Whether the last attempt succeeded.
    is_healthy: bool,
    /// Whether a read of this webhook is running.
    is_reading: bool,
    last_started_if_new: Option<DeliveryId>,
    /// The time of the last success within [`QUICK_ATTEMPT`].
    last_quick_attempt: Option<Instant>,
    /// The number of unrecorded attempts whose response requested a hold. Sending stops until these
    /// attempts are recorded.
    unrecorded_holds: usize,
}

impl EndpointQueue {
    /// Creates the queue for the webhook of `batch`. Returns `None` if the batch has no
    /// [`EndpointConfig`], which the store omits only for an existing queue.
    pub(super) fn new(
        batch: DeliveryBatch,
        generation: u64,
        sender: &TargetSender,
    ) -> Option<Self> {
        let endpoint = batch.endpoint.clone()?;
        let mut queue = Self {
            client: Rc::new(sender.client_for(&endpoint.url)),
            endpoint: Rc::new(endpoint),
            endpoint_generation: generation,
            last_used: Instant::now(),
            ready: VecDeque::new(),
            has_more: false,
            claimed: HashSet::new(),
            slots: HashMap::new(),
            concurrency_limit: SLOTS_INITIAL,
            is_healthy: false,
            is_reading: false,
            last_started_if_new: None,
            last_quick_attempt: None,
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
    pub(super) fn refill(&mut self, batch: DeliveryBatch, generation: u64, sender: &TargetSender) {
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
        self.slots.len()
    }

    /// Returns the next delivery with its endpoint and client, and occupies a slot, if a delivery
    /// and a slot are available. Returns `None` while a requested hold isn't recorded yet. `free`
    /// is the number of free slots for all webhooks. A webhook without a slot in use ignores
    /// `free`, so other webhooks can't block it.
    pub(super) fn pop_next_delivery(
        &mut self,
        free: usize,
        now: Timestamp,
    ) -> Option<(DueDelivery, Rc<EndpointConfig>, Rc<TargetClient>)> {
        let has_slot =
            self.slots.len() < self.concurrency_limit && (free > 0 || self.slots.is_empty());
        if self.unrecorded_holds > 0 || !has_slot {
            return None;
        }
        let delivery = self.ready.pop_front()?;
        self.last_started_if_new = is_new(&delivery, now).then_some(delivery.id);
        self.last_used = Instant::now();
        self.slots.insert(delivery.id, self.last_used);
        Some((delivery, self.endpoint.clone(), self.client.clone()))
    }

    /// Returns whether new deliveries wait for Miniback. They wait for the endpoint instead while
    /// all slots are in use, unless the endpoint responds quickly. Nothing waits for Miniback if
    /// the last attempt failed.
    ///
    /// `free` is the number of free slots for all webhooks. `may_have_unread` is whether deliveries
    /// may be due that haven't been read.
    pub(super) fn waits_for_miniback(&self, free: usize, may_have_unread: bool) -> bool {
        let has_backlog = if self.ready.is_empty() {
            self.has_more || self.is_reading || may_have_unread
        } else {
            let has_slot = free > 0 && self.slots.len() < self.concurrency_limit;
            has_slot || self.is_quick()
        };
        has_backlog && self.is_healthy && self.unrecorded_holds == 0
    }

    /// Returns whether the endpoint responds faster than Miniback sends: the last quick attempt is
    /// at most [`QUICK_ATTEMPT_AGE_MAX`] old, and most attempts in slots are at most
    /// [`SLOT_AGE_MAX`] old.
    fn is_quick(&self) -> bool {
        let is_recent = |time: Instant| time.elapsed() <= QUICK_ATTEMPT_AGE_MAX;
        let is_young = |started: &&Instant| started.elapsed() <= SLOT_AGE_MAX;
        let young = self.slots.values().filter(is_young).count();
        self.last_quick_attempt.is_some_and(is_recent) && 2 * young > self.slots.len()
    }

    /// Returns the delivery that was started last. Returns `None` if it wasn't new, because older
    /// deliveries haven't waited for Miniback.
    pub(super) fn last_started_if_new(&self) -> Option<DeliveryId> {
        self.last_started_if_new
    }

    /// Frees the slot of a successful attempt, and adds a slot up to the maximum. The delivery
    /// stays claimed until the attempt is recorded.
    pub(super) fn on_attempt_succeeded(&mut self, delivery: &DeliveryId, duration: Duration) {
        if duration <= QUICK_ATTEMPT {
            self.last_quick_attempt = Some(Instant::now());
        }
        self.slots.remove(delivery);
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
        if has_failed {
            self.slots.remove(delivery);
        }
        self.unrecorded_holds -= usize::from(requested_hold);
    }

    /// Returns the host that identifies the webhook in the log.
    pub(super) fn host_for_log(&self) -> String {
        self.endpoint.url.host_for_log()
    }

    /// Returns whether the queue can be dropped. Dropping idle queues also removes the queues of
    /// deleted webhooks.
    pub(super) fn is_idle(&self) -> bool {
        self.claimed.is_empty() && !self.is_reading && self.last_used.elapsed() >= IDLE_TIMEOUT
    }
}

fn is_new(due: &DueDelivery, now: Timestamp) -> bool {
    due.attempts == 0 && now.since(due.event_at) <= NEW_DELIVERY_AGE_MAX
}

#[cfg(test)]
mod tests;
