//! One webhook's part of the delivery loop: what was read of its outbox, what is on its way, what is not recorded yet.
//!
//! A delivery is *taken* from when it is read until its attempt is recorded; the outbox is not asked for it meanwhile.
//! It needs a *slot* while it is being sent. One that succeeded gives its slot back at once, one that failed when the
//! failure is recorded: what follows from it, a hold above all, is known by then.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::client::{EndpointClient, HttpSender};
use crate::domain::id::DeliveryId;
use crate::store::{DueAt, DueDelivery, Target, Wanted};

/// How many attempts a webhook may have in flight.
const SLOTS_MAX: usize = 16;
/// One of which nothing is known begins with these, and gets one more with each success: if it hangs, each slot is held
/// for the whole timeout, and costs the others time.
const SLOTS_INITIAL: usize = 2;
/// After a timeout it begins again.
const SLOTS_AFTER_TIMEOUT: usize = 1;
/// How many deliveries are read ahead, so that the outbox is not asked for each.
const READ_AHEAD: usize = 64;
/// A client that was not used for this long is dropped, and with it sockets that the endpoint has closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

pub(super) struct EndpointQueue {
    target: Rc<Target>,
    /// Of the outbox, when the target was read.
    target_generation: u64,
    client: Rc<EndpointClient>,
    last_used: Instant,
    ready: VecDeque<DueDelivery>,
    /// More is due than was read.
    has_more: bool,
    taken: HashSet<Ulid>,
    slots_in_use: usize,
    concurrency_limit: usize,
    /// The last attempt succeeded.
    is_healthy: bool,
    /// It is being read.
    is_reading: bool,
    /// Attempts whose answer asked for a hold, not recorded yet: nothing is sent meanwhile.
    unrecorded_holds: usize,
}

impl EndpointQueue {
    /// `None`: the target was not read, as it was known to one that has ended since.
    pub(super) fn new(due: DueAt, generation: u64, sender: &HttpSender) -> Option<Self> {
        let target = due.target.clone()?;
        let mut queue = Self {
            client: Rc::new(sender.endpoint(&target.url)),
            target: Rc::new(target),
            target_generation: generation,
            last_used: Instant::now(),
            ready: VecDeque::new(),
            has_more: false,
            taken: HashSet::new(),
            slots_in_use: 0,
            concurrency_limit: SLOTS_INITIAL,
            is_healthy: false,
            is_reading: false,
            unrecorded_holds: 0,
        };
        queue.refill(due, generation, sender);
        Some(queue)
    }

    /// What a webhook of which nothing is known wants.
    pub(super) fn default_request() -> Wanted {
        Wanted {
            more: READ_AHEAD,
            ..Wanted::default()
        }
    }

    /// What it wants, if it is to be read now and is not being read already.
    pub(super) fn batch_request(&mut self, now: bool) -> Wanted {
        if !now || self.is_reading {
            self.has_more |= now;
            return Wanted::default();
        }
        let more = self.read_ahead().saturating_sub(self.ready.len());
        // What is not asked for now may be there later.
        self.has_more |= more == 0;
        self.is_reading = more > 0;
        Wanted {
            taken: self.taken.clone(),
            more,
            has_target: Some(self.target_generation),
        }
    }

    /// The read that it was part of is over.
    pub(super) fn read_finished(&mut self) {
        self.is_reading = false;
    }

    /// Takes what was read; connections go on unless the address has changed.
    pub(super) fn refill(&mut self, due: DueAt, generation: u64, sender: &HttpSender) {
        if let Some(target) = due.target {
            if target.url.as_str() != self.target.url.as_str() {
                self.client = Rc::new(sender.endpoint(&target.url));
            }
            self.target = Rc::new(target);
            self.target_generation = generation;
        }
        self.has_more = due.more;
        for delivery in due.deliveries {
            if self.taken.insert(delivery.id.ulid()) {
                self.ready.push_back(delivery);
            }
        }
    }

    /// Forgets what was read and not sent: it may be canceled, or have changed.
    pub(super) fn clear_ready(&mut self) {
        for delivery in self.ready.drain(..) {
            self.taken.remove(&delivery.id.ulid());
        }
        self.has_more = false;
    }

    /// Whether the outbox has more than what was read, and it is nearly used up.
    pub(super) fn needs_refill(&self) -> bool {
        self.has_more && !self.is_reading && self.ready.len() < self.concurrency_limit
    }

    /// How many deliveries are read ahead.
    fn read_ahead(&self) -> usize {
        if self.concurrency_limit == SLOTS_AFTER_TIMEOUT {
            SLOTS_AFTER_TIMEOUT
        } else {
            READ_AHEAD
        }
    }

    /// Whether its endpoint is known to answer: such ones are sent to before those of which nothing is known.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    pub(super) fn slots_in_use(&self) -> usize {
        self.slots_in_use
    }

    /// The next to be sent, if there is a slot for it; `free`: how many there are for all webhooks. The first slot is
    /// always there: nobody is kept waiting by what others have in flight.
    pub(super) fn next_attempt(
        &mut self,
        free: usize,
    ) -> Option<(DueDelivery, Rc<Target>, Rc<EndpointClient>)> {
        let room =
            self.slots_in_use < self.concurrency_limit && (free > 0 || self.slots_in_use == 0);
        if self.unrecorded_holds > 0 || !room {
            return None;
        }
        let delivery = self.ready.pop_front()?;
        self.slots_in_use += 1;
        self.last_used = Instant::now();
        Some((delivery, self.target.clone(), self.client.clone()))
    }

    /// An attempt has succeeded; it is taken until it is recorded.
    pub(super) fn attempt_succeeded(&mut self) {
        self.slots_in_use -= 1;
        self.concurrency_limit = SLOTS_MAX.min(self.concurrency_limit + 1);
        self.is_healthy = true;
    }

    /// An attempt has failed; it keeps its slot until it is recorded.
    pub(super) fn attempt_failed(&mut self, timed_out: bool, asks_for_hold: bool) {
        if timed_out {
            self.concurrency_limit = SLOTS_AFTER_TIMEOUT;
        }
        self.is_healthy = false;
        if asks_for_hold {
            self.unrecorded_holds += 1;
            self.clear_ready();
        }
    }

    pub(super) fn attempt_recorded(
        &mut self,
        delivery: &DeliveryId,
        had_failed: bool,
        asked_for_hold: bool,
    ) {
        self.taken.remove(&delivery.ulid());
        self.slots_in_use -= usize::from(had_failed);
        self.unrecorded_holds -= usize::from(asked_for_hold);
    }

    pub(super) fn host(&self) -> String {
        self.target.url.host_for_log()
    }

    /// What is remembered of a webhook goes with its connections: a deleted one is not kept for ever.
    pub(super) fn is_idle(&self) -> bool {
        self.taken.is_empty() && !self.is_reading && self.last_used.elapsed() >= IDLE_TIMEOUT
    }
}
