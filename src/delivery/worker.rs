//! The delivery loop: read what is due, send it, record what came of it.
//!
//! Reading, sending and recording go on beside each other, each as a piece of work whose end is an [`Event`]; the loop
//! itself never waits for one of them. Attempts that end while others are being recorded share the next commit.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use super::attempt::attempt;
use super::client::Sender;
use super::lane::{IDLE, Lane};
use super::{Command, Settings};
use crate::clock::{Clock, Timestamp};
use crate::domain::delivery::Outcome;
use crate::domain::id::WebhookId;
use crate::domain::retry::RetrySchedule;
use crate::store::{Attempted, Due, Finished, Store, StoreError};

/// How many attempts all webhooks together may have in flight; each has its first slot beyond that.
const SLOTS: usize = 512;
/// How many attempts may wait to be recorded, until nothing more is sent.
const UNRECORDED: usize = 1024;
/// How many attempts are recorded at once, so that nobody else's write waits long for them.
const RECORDED_AT_ONCE: usize = 128;
/// How long to wait before reading or storing is tried again after it failed.
const STORE_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Store,
    clock: Clock,
    sender: Sender,
    schedule: RetrySchedule,
    lanes: HashMap<WebhookId, Lane>,
    work: FuturesUnordered<LocalBoxFuture<'static, Event>>,
    /// Attempts that are over and wait to be recorded.
    ended: Vec<Attempted>,
    /// Endpoints that are known to answer are read by themselves, and first: however many others there are, they take no
    /// time from these.
    well: Reading,
    others: Reading,
    recording: bool,
    /// Outcomes could not be stored and are tried again. Nothing new is sent meanwhile: it could not be stored either,
    /// and would be sent again and again.
    unstored: bool,
    /// When to look if nothing else happens.
    next: Option<Timestamp>,
    /// Of the outbox as it was read last.
    generation: u64,
}

/// The end of a piece of work.
enum Event {
    Read(Group, Vec<WebhookId>, Result<Due, StoreError>),
    Attempted(Box<Attempted>),
    Recorded(
        Arc<Vec<Attempted>>,
        Result<Vec<Option<Finished>>, StoreError>,
    ),
    /// A request that is no delivery of the outbox is answered, or an attempt panicked.
    Other,
}

/// Which webhooks are read together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Well,
    Others,
}

/// How the reading of a group stands.
#[derive(Default)]
struct Reading {
    /// The outbox has to be looked at.
    look: bool,
    /// Only after the other group has been.
    waits: bool,
    running: bool,
}

impl Worker {
    pub(super) fn new(store: Store, clock: Clock, settings: Settings) -> Self {
        Self {
            store,
            clock,
            sender: Sender::new(settings.tls, settings.policy, settings.timeout),
            schedule: settings.schedule,
            lanes: HashMap::new(),
            work: FuturesUnordered::new(),
            ended: Vec::new(),
            well: Reading::default(),
            others: Reading {
                look: true,
                ..Reading::default()
            },
            recording: false,
            unstored: false,
            next: None,
            generation: 0,
        }
    }

    /// Runs until it is told to stop and what was in flight is recorded.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let wake = self.store.deliveries_due();
        let mut idle = idle_timer();
        let mut stopping = false;
        loop {
            if stopping {
                self.lanes.values_mut().for_each(Lane::forget_ready);
            } else {
                self.send();
                self.read(Group::Well);
                self.read(Group::Others);
            }
            self.record();
            if stopping && self.work.is_empty() {
                return;
            }
            // A wake-up that comes before this line is kept by the `Notify`: none is lost.
            tokio::select! {
                () = wake.notified(), if !stopping => self.look(),
                () = self.clock.sleep_until_opt(self.next), if !stopping => {
                    self.next = None;
                    self.look();
                }
                Some(event) = self.work.next() => {
                    self.take(event);
                    while let Some(Some(event)) = self.work.next().now_or_never() {
                        self.take(event);
                    }
                }
                _ = idle.tick(), if !self.lanes.is_empty() => self.lanes.retain(|_, lane| !lane.is_idle()),
                command = commands.recv() => match command {
                    Some(Command::Send { url, request, answer }) => {
                        let endpoint = self.sender.endpoint(&url);
                        self.work.push(Box::pin(async move {
                            // Who asked may have gone away; the request was sent all the same.
                            let _ = answer.send(endpoint.attempt(&request).await);
                            Event::Other
                        }));
                    }
                    Some(Command::Ping(answer)) => {
                        // While outcomes cannot be stored nothing is sent: the loop does not do its work.
                        let _ = answer.send(!self.unstored);
                    }
                    Some(Command::Stop) | None => stopping = true,
                },
            }
        }
    }

    /// Sends what was read and has a slot.
    fn send(&mut self) {
        if self.unstored || self.ended.len() >= UNRECORDED {
            return;
        }
        if self.store.outbox_generation() != self.generation {
            self.forget_ready();
            return;
        }
        let mut free = SLOTS.saturating_sub(self.lanes.values().map(Lane::slots).sum());
        // Connecting to an endpoint that does not answer takes time from those that do.
        let (well, others): (Vec<_>, Vec<_>) = self.lanes.values_mut().partition(|l| l.is_well());
        for lane in well.into_iter().chain(others) {
            while let Some((due, target, endpoint)) = lane.take(free) {
                free = free.saturating_sub(1);
                let id = due.id.clone();
                let sent = attempt(self.clock.clone(), endpoint, target, due);
                // A panic is our own fault, and must not end the loop for all: the delivery keeps its slot, and is
                // sent again after the next start.
                self.work.push(Box::pin(async move {
                    match AssertUnwindSafe(sent).catch_unwind().await {
                        Ok(attempted) => Event::Attempted(Box::new(attempted)),
                        Err(_) => {
                            tracing::error!(delivery = %id, "an attempt panicked");
                            Event::Other
                        }
                    }
                }));
            }
        }
    }

    /// Looks for what is due in a group, if there is a reason to.
    fn read(&mut self, group: Group) {
        let is_of = |lane: &Lane| lane.is_well() == (group == Group::Well);
        let runs_dry = self
            .lanes
            .values()
            .any(|lane| is_of(lane) && lane.runs_dry());
        let reading = match group {
            Group::Well => &mut self.well,
            Group::Others => &mut self.others,
        };
        let wanted = reading.look || runs_dry;
        if self.unstored || reading.running || reading.waits || !wanted {
            return;
        }
        reading.look = false;
        // Those of which nothing is known yet are others.
        let usual = (group == Group::Others).then(Lane::usual);
        let mut asked = Vec::new();
        let mut wanted = HashMap::new();
        for (id, lane) in &mut self.lanes {
            let want = lane.wanted(is_of(lane));
            if want.more > 0 {
                asked.push(id.clone());
            }
            wanted.insert(id.clone(), want);
        }
        if usual.is_none() && asked.is_empty() {
            self.others.waits = false;
            return;
        }
        reading.running = true;
        let (store, now) = (self.store.clone(), self.clock.now());
        self.work.push(Box::pin(async move {
            let due = store.due_deliveries(now, wanted, usual).await;
            Event::Read(group, asked, due)
        }));
    }

    /// Records what has ended since the last time.
    fn record(&mut self) {
        if self.recording || self.ended.is_empty() {
            return;
        }
        let count = self.ended.len().min(RECORDED_AT_ONCE);
        let batch = Arc::new(self.ended.drain(..count).collect());
        self.record_batch(batch, Duration::ZERO);
    }

    fn record_batch(&mut self, batch: Arc<Vec<Attempted>>, after: Duration) {
        self.recording = true;
        let (store, schedule) = (self.store.clone(), self.schedule.clone());
        self.work.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            let recorded = store.record_attempts(batch.clone(), schedule).await;
            Event::Recorded(batch, recorded)
        }));
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Read(group, asked, due) => self.has_read(group, &asked, due),
            Event::Attempted(attempted) => {
                if let Some(lane) = self.lanes.get_mut(&attempted.webhook) {
                    let (attempt, was_well) = (&attempted.attempt, lane.is_well());
                    if attempt.is_success() {
                        lane.succeeded();
                    } else {
                        let timed_out = matches!(attempt.result.outcome, Outcome::Timeout { .. });
                        lane.failed(timed_out, attempt.hold_until.is_some());
                    }
                    if lane.is_well() != was_well {
                        // Its group may have been read without it, and the one it leaves may be from now on.
                        self.look();
                    }
                }
                self.ended.push(*attempted);
            }
            Event::Recorded(batch, recorded) => self.has_recorded(batch, recorded),
            Event::Other => {}
        }
    }

    fn has_read(&mut self, group: Group, asked: &[WebhookId], due: Result<Due, StoreError>) {
        match group {
            Group::Well => (self.well.running, self.others.waits) = (false, false),
            Group::Others => self.others.running = false,
        }
        for webhook in asked {
            if let Some(lane) = self.lanes.get_mut(webhook) {
                lane.was_read();
            }
        }
        match due {
            // Another read knows of later changes.
            Ok(due) if due.generation < self.generation => self.look(),
            Ok(due) => {
                if due.generation > self.generation {
                    self.forget_ready();
                    self.generation = due.generation;
                }
                self.look_at(due.next);
                for at in due.webhooks {
                    let webhook = at.webhook.clone();
                    if let Some(lane) = self.lanes.get_mut(&webhook) {
                        lane.refill(at, due.generation, &self.sender);
                    } else if let Some(lane) = Lane::new(at, due.generation, &self.sender) {
                        self.lanes.insert(webhook, lane);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "what is due could not be read");
                self.look_at(Some(self.clock.now().plus(STORE_RETRY)));
            }
        }
    }

    fn has_recorded(
        &mut self,
        batch: Arc<Vec<Attempted>>,
        recorded: Result<Vec<Option<Finished>>, StoreError>,
    ) {
        self.recording = false;
        let finished = match recorded {
            Ok(finished) => finished,
            Err(StoreError::Closed) => {
                // There is nothing left to record on: they are sent again after the next start.
                tracing::warn!(attempts = batch.len(), "attempts could not be recorded");
                return;
            }
            // Any other fault may pass; until then the rows are due, and would be sent again.
            Err(error) => {
                if !self.unstored {
                    tracing::error!(%error, "an attempt cannot be stored; nothing is sent until it is");
                }
                self.unstored = true;
                return self.record_batch(batch, STORE_RETRY);
            }
        };
        if self.unstored {
            self.look();
        }
        self.unstored = false;
        for (attempted, finished) in batch.iter().zip(finished) {
            let attempt = &attempted.attempt;
            let Some(lane) = self.lanes.get_mut(&attempted.webhook) else {
                continue;
            };
            lane.recorded(
                &attempted.delivery,
                !attempt.is_success(),
                attempt.hold_until.is_some(),
            );
            let Some(finished) = finished else {
                tracing::warn!(delivery = %attempted.delivery, "an attempt’s delivery is gone");
                continue;
            };
            tracing::debug!(
                webhook = %attempted.webhook,
                host = lane.host(),
                delivery = %attempted.delivery,
                state = finished.state.as_str(),
                code = attempt.result.outcome.code(),
                ms = attempt.result.duration.as_millis(),
                "attempt"
            );
            self.look_at(finished.due_at);
        }
    }

    /// Forgets what was read and not sent: it may be canceled, or have changed.
    fn forget_ready(&mut self) {
        self.lanes.values_mut().for_each(Lane::forget_ready);
        self.look();
    }

    /// Looks at the outbox as soon as may be: at others' deliveries when those of the well ones go out.
    fn look(&mut self) {
        (self.well.look, self.others.look) = (true, true);
        self.others.waits = true;
    }

    /// Looks at the outbox then, or before.
    fn look_at(&mut self, time: Option<Timestamp>) {
        self.next = self.next.into_iter().chain(time).min();
    }
}

fn idle_timer() -> Interval {
    let mut timer = tokio::time::interval(IDLE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
