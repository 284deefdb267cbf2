//! One webhook's part of the delivery loop: what was read of its outbox, what is on its way, what is not recorded yet.
//!
//! A delivery is *taken* from when it is read until its attempt is recorded; the outbox is not asked for it meanwhile.
//! It needs a *slot* while it is being sent. One that succeeded gives its slot back at once, one that failed when the
//! failure is recorded: what follows from it, a hold above all, is known by then.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::client::{Endpoint, Sender};
use crate::domain::id::DeliveryId;
use crate::store::{DueAt, DueDelivery, Target, Wanted};

/// How many attempts a webhook may have in flight.
const SLOTS: usize = 16;
/// One of which nothing is known begins with these, and gets one more with each success: if it hangs, each slot is held
/// for the whole timeout, and costs the others time.
const SLOTS_AT_FIRST: usize = 2;
/// After a timeout it begins again.
const SLOTS_WHEN_SLOW: usize = 1;
/// How many deliveries are read ahead, so that the outbox is not asked for each.
const AHEAD: usize = 64;
/// A client that was not used for this long is dropped, and with it sockets that the endpoint has closed.
pub(super) const IDLE: Duration = Duration::from_secs(6);

pub(super) struct Lane {
    target: Rc<Target>,
    /// Of the outbox, when the target was read.
    generation: u64,
    endpoint: Rc<Endpoint>,
    used: Instant,
    ready: VecDeque<DueDelivery>,
    /// More is due than was read.
    more: bool,
    taken: HashSet<Ulid>,
    slots: usize,
    most_slots: usize,
    /// The last attempt succeeded.
    well: bool,
    /// It is being read.
    read: bool,
    /// Attempts whose answer asked for a hold, not recorded yet: nothing is sent meanwhile.
    holds: usize,
}

impl Lane {
    /// `None`: the target was not read, as it was known to one that has ended since.
    pub(super) fn new(due: DueAt, generation: u64, sender: &Sender) -> Option<Self> {
        let target = due.target.clone()?;
        let mut lane = Self {
            endpoint: Rc::new(sender.endpoint(&target.url)),
            target: Rc::new(target),
            generation,
            used: Instant::now(),
            ready: VecDeque::new(),
            more: false,
            taken: HashSet::new(),
            slots: 0,
            most_slots: SLOTS_AT_FIRST,
            well: false,
            read: false,
            holds: 0,
        };
        lane.refill(due, generation, sender);
        Some(lane)
    }

    /// What a webhook of which nothing is known wants.
    pub(super) fn usual() -> Wanted {
        Wanted {
            more: AHEAD,
            ..Wanted::default()
        }
    }

    /// What it wants, if it is to be read now and is not being read already.
    pub(super) fn wanted(&mut self, now: bool) -> Wanted {
        if !now || self.read {
            self.more |= now;
            return Wanted::default();
        }
        let more = self.ahead().saturating_sub(self.ready.len());
        // What is not asked for now may be there later.
        self.more |= more == 0;
        self.read = more > 0;
        Wanted {
            taken: self.taken.clone(),
            more,
            has_target: Some(self.generation),
        }
    }

    /// The read that it was part of is over.
    pub(super) fn was_read(&mut self) {
        self.read = false;
    }

    /// Takes what was read; connections go on unless the address has changed.
    pub(super) fn refill(&mut self, due: DueAt, generation: u64, sender: &Sender) {
        if let Some(target) = due.target {
            if target.url.as_str() != self.target.url.as_str() {
                self.endpoint = Rc::new(sender.endpoint(&target.url));
            }
            self.target = Rc::new(target);
            self.generation = generation;
        }
        self.more = due.more;
        for delivery in due.deliveries {
            if self.taken.insert(delivery.id.ulid()) {
                self.ready.push_back(delivery);
            }
        }
    }

    /// Forgets what was read and not sent: it may be canceled, or have changed.
    pub(super) fn forget_ready(&mut self) {
        for delivery in self.ready.drain(..) {
            self.taken.remove(&delivery.id.ulid());
        }
        self.more = false;
    }

    /// Whether the outbox has more than what was read, and it is nearly used up.
    pub(super) fn runs_dry(&self) -> bool {
        self.more && !self.read && self.ready.len() < self.most_slots
    }

    /// How many deliveries are read ahead.
    fn ahead(&self) -> usize {
        if self.most_slots == SLOTS_WHEN_SLOW {
            SLOTS_WHEN_SLOW
        } else {
            AHEAD
        }
    }

    /// Whether its endpoint is known to answer: such ones are sent to before those of which nothing is known.
    pub(super) fn is_well(&self) -> bool {
        self.well
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The next to be sent, if there is a slot for it; `free`: how many there are for all webhooks. The first slot is
    /// always there: nobody is kept waiting by what others have in flight.
    pub(super) fn take(&mut self, free: usize) -> Option<(DueDelivery, Rc<Target>, Rc<Endpoint>)> {
        let room = self.slots < self.most_slots && (free > 0 || self.slots == 0);
        if self.holds > 0 || !room {
            return None;
        }
        let delivery = self.ready.pop_front()?;
        self.slots += 1;
        self.used = Instant::now();
        Some((delivery, self.target.clone(), self.endpoint.clone()))
    }

    /// An attempt has succeeded; it is taken until it is recorded.
    pub(super) fn succeeded(&mut self) {
        self.slots -= 1;
        self.most_slots = SLOTS.min(self.most_slots + 1);
        self.well = true;
    }

    /// An attempt has failed; it keeps its slot until it is recorded.
    pub(super) fn failed(&mut self, timed_out: bool, asks_for_hold: bool) {
        if timed_out {
            self.most_slots = SLOTS_WHEN_SLOW;
        }
        self.well = false;
        if asks_for_hold {
            self.holds += 1;
            self.forget_ready();
        }
    }

    pub(super) fn recorded(
        &mut self,
        delivery: &DeliveryId,
        had_failed: bool,
        asked_for_hold: bool,
    ) {
        self.taken.remove(&delivery.ulid());
        self.slots -= usize::from(had_failed);
        self.holds -= usize::from(asked_for_hold);
    }

    pub(super) fn host(&self) -> String {
        self.target.url.host_and_port()
    }

    /// What is remembered of a webhook goes with its connections: a deleted one is not kept for ever.
    pub(super) fn is_idle(&self) -> bool {
        self.taken.is_empty() && !self.read && self.used.elapsed() >= IDLE
    }
}
