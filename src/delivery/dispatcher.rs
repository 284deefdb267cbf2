//! The delivery loop: read what is due, send it, record what came of it.
//!
//! Reading, sending and recording go on beside each other, each as a piece of work whose end is an [`Completion`]; the loop
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
use super::client::HttpSender;
use super::endpoint_queue::{EndpointQueue, IDLE_TIMEOUT};
use super::{Command, DeliverySettings};
use crate::clock::{Clock, Timestamp};
use crate::domain::delivery::Outcome;
use crate::domain::id::WebhookId;
use crate::domain::retry::Schedule;
use crate::store::{Attempted, Due, Finished, Store, StoreError};

/// How many attempts all webhooks together may have in flight; each has its first slot beyond that.
const IN_FLIGHT_MAX: usize = 512;
/// How many attempts may wait to be recorded, until nothing more is sent.
const UNRECORDED_MAX: usize = 1024;
/// How many attempts are recorded at once, so that nobody else's write waits long for them.
const RECORD_BATCH_MAX: usize = 128;
/// How long to wait before reading or storing is tried again after it failed.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher {
    store: Store,
    clock: Clock,
    sender: HttpSender,
    schedule: Schedule,
    queues: HashMap<WebhookId, EndpointQueue>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, Completion>>,
    /// Attempts that are over and wait to be recorded.
    unrecorded: Vec<Attempted>,
    /// Endpoints that are known to answer are read by themselves, and first: however many others there are, they take no
    /// time from these.
    healthy: ReadState,
    unproven: ReadState,
    is_recording: bool,
    /// Outcomes could not be stored and are tried again. Nothing new is sent meanwhile: it could not be stored either,
    /// and would be sent again and again.
    is_recording_stalled: bool,
    /// When to look if nothing else happens.
    next_read_at: Option<Timestamp>,
    /// Of the outbox as it was read last.
    generation: u64,
}

/// The end of a piece of work.
enum Completion {
    Read(HealthGroup, Vec<WebhookId>, Result<Due, StoreError>),
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
enum HealthGroup {
    Healthy,
    Unproven,
}

/// How the reading of a group stands.
#[derive(Default)]
struct ReadState {
    /// The outbox has to be looked at.
    is_requested: bool,
    /// Only after the other group has been.
    is_deferred: bool,
    is_running: bool,
}

impl Dispatcher {
    pub(super) fn new(store: Store, clock: Clock, settings: DeliverySettings) -> Self {
        Self {
            store,
            clock,
            sender: HttpSender::new(settings.tls, settings.policy, settings.timeout),
            schedule: settings.schedule,
            queues: HashMap::new(),
            tasks: FuturesUnordered::new(),
            unrecorded: Vec::new(),
            healthy: ReadState::default(),
            unproven: ReadState {
                is_requested: true,
                ..ReadState::default()
            },
            is_recording: false,
            is_recording_stalled: false,
            next_read_at: None,
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
                self.queues
                    .values_mut()
                    .for_each(EndpointQueue::clear_ready);
            } else {
                self.start_attempts();
                self.start_read(HealthGroup::Healthy);
                self.start_read(HealthGroup::Unproven);
            }
            self.start_recording();
            if stopping && self.tasks.is_empty() {
                return;
            }
            // A wake-up that comes before this line is kept by the `Notify`: none is lost.
            tokio::select! {
                () = wake.notified(), if !stopping => self.schedule_read(),
                () = self.clock.sleep_until_some(self.next_read_at), if !stopping => {
                    self.next_read_at = None;
                    self.schedule_read();
                }
                Some(completion) = self.tasks.next() => {
                    self.handle(completion);
                    while let Some(Some(completion)) = self.tasks.next().now_or_never() {
                        self.handle(completion);
                    }
                }
                _ = idle.tick(), if !self.queues.is_empty() => self.queues.retain(|_, queue| !queue.is_idle()),
                command = commands.recv() => match command {
                    Some(Command::Send { url, request, reply }) => {
                        let endpoint = self.sender.endpoint(&url);
                        self.tasks.push(Box::pin(async move {
                            // Who asked may have gone away; the request was sent all the same.
                            let _ = reply.send(endpoint.attempt(&request).await);
                            Completion::Other
                        }));
                    }
                    Some(Command::CheckHealth(reply)) => {
                        // While outcomes cannot be stored nothing is sent: the loop does not do its work.
                        let _ = reply.send(!self.is_recording_stalled);
                    }
                    Some(Command::Stop) | None => stopping = true,
                },
            }
        }
    }

    /// Sends what was read and has a slot.
    fn start_attempts(&mut self) {
        if self.is_recording_stalled || self.unrecorded.len() >= UNRECORDED_MAX {
            return;
        }
        if self.store.outbox_generation() != self.generation {
            self.discard_read_ahead();
            return;
        }
        let mut free = IN_FLIGHT_MAX
            .saturating_sub(self.queues.values().map(EndpointQueue::slots_in_use).sum());
        // Connecting to an endpoint that does not answer takes time from those that do.
        let (healthy, unproven): (Vec<_>, Vec<_>) =
            self.queues.values_mut().partition(|l| l.is_healthy());
        for queue in healthy.into_iter().chain(unproven) {
            while let Some((due, target, endpoint)) = queue.next_attempt(free) {
                free = free.saturating_sub(1);
                let id = due.id.clone();
                let sent = attempt(self.clock.clone(), endpoint, target, due);
                // A panic is our own fault, and must not end the loop for all: the delivery keeps its slot, and is
                // sent again after the next start.
                self.tasks.push(Box::pin(async move {
                    match AssertUnwindSafe(sent).catch_unwind().await {
                        Ok(attempted) => Completion::Attempted(Box::new(attempted)),
                        Err(_) => {
                            tracing::error!(delivery = %id, "an attempt panicked");
                            Completion::Other
                        }
                    }
                }));
            }
        }
    }

    /// Looks for what is due in a group, if there is a reason to.
    fn start_read(&mut self, group: HealthGroup) {
        let is_of = |queue: &EndpointQueue| queue.is_healthy() == (group == HealthGroup::Healthy);
        let needs_refill = self
            .queues
            .values()
            .any(|queue| is_of(queue) && queue.needs_refill());
        let reading = match group {
            HealthGroup::Healthy => &mut self.healthy,
            HealthGroup::Unproven => &mut self.unproven,
        };
        let wanted = reading.is_requested || needs_refill;
        if self.is_recording_stalled || reading.is_running || reading.is_deferred || !wanted {
            return;
        }
        reading.is_requested = false;
        // Those of which nothing is known yet are others.
        let default_request = (group == HealthGroup::Unproven).then(EndpointQueue::default_request);
        let mut asked = Vec::new();
        let mut wanted = HashMap::new();
        for (id, queue) in &mut self.queues {
            let want = queue.batch_request(is_of(queue));
            if want.more > 0 {
                asked.push(id.clone());
            }
            wanted.insert(id.clone(), want);
        }
        if default_request.is_none() && asked.is_empty() {
            self.unproven.is_deferred = false;
            return;
        }
        reading.is_running = true;
        let (store, now) = (self.store.clone(), self.clock.now());
        self.tasks.push(Box::pin(async move {
            let due = store.due_deliveries(now, wanted, default_request).await;
            Completion::Read(group, asked, due)
        }));
    }

    /// Records what has ended since the last time.
    fn start_recording(&mut self) {
        if self.is_recording || self.unrecorded.is_empty() {
            return;
        }
        let count = self.unrecorded.len().min(RECORD_BATCH_MAX);
        let batch = Arc::new(self.unrecorded.drain(..count).collect());
        self.record_batch(batch, Duration::ZERO);
    }

    fn record_batch(&mut self, batch: Arc<Vec<Attempted>>, after: Duration) {
        self.is_recording = true;
        let (store, schedule) = (self.store.clone(), self.schedule.clone());
        self.tasks.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            let recorded = store.record_attempts(batch.clone(), schedule).await;
            Completion::Recorded(batch, recorded)
        }));
    }

    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Read(group, asked, due) => self.read_finished(group, &asked, due),
            Completion::Attempted(attempted) => {
                if let Some(queue) = self.queues.get_mut(&attempted.webhook) {
                    let (attempt, was_healthy) = (&attempted.attempt, queue.is_healthy());
                    if attempt.is_success() {
                        queue.attempt_succeeded();
                    } else {
                        let timed_out = matches!(attempt.result.outcome, Outcome::Timeout { .. });
                        queue.attempt_failed(timed_out, attempt.hold_until.is_some());
                    }
                    if queue.is_healthy() != was_healthy {
                        // Its group may have been read without it, and the one it leaves may be from now on.
                        self.schedule_read();
                    }
                }
                self.unrecorded.push(*attempted);
            }
            Completion::Recorded(batch, recorded) => self.recording_finished(batch, recorded),
            Completion::Other => {}
        }
    }

    fn read_finished(
        &mut self,
        group: HealthGroup,
        asked: &[WebhookId],
        due: Result<Due, StoreError>,
    ) {
        match group {
            HealthGroup::Healthy => {
                (self.healthy.is_running, self.unproven.is_deferred) = (false, false)
            }
            HealthGroup::Unproven => self.unproven.is_running = false,
        }
        for webhook in asked {
            if let Some(queue) = self.queues.get_mut(webhook) {
                queue.read_finished();
            }
        }
        match due {
            // Another read knows of later changes.
            Ok(due) if due.generation < self.generation => self.schedule_read(),
            Ok(due) => {
                if due.generation > self.generation {
                    self.discard_read_ahead();
                    self.generation = due.generation;
                }
                self.schedule_read_at(due.next);
                for at in due.webhooks {
                    let webhook = at.webhook.clone();
                    if let Some(queue) = self.queues.get_mut(&webhook) {
                        queue.refill(at, due.generation, &self.sender);
                    } else if let Some(queue) = EndpointQueue::new(at, due.generation, &self.sender)
                    {
                        self.queues.insert(webhook, queue);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "what is due could not be read");
                self.schedule_read_at(Some(self.clock.now().plus(STORE_RETRY_DELAY)));
            }
        }
    }

    fn recording_finished(
        &mut self,
        batch: Arc<Vec<Attempted>>,
        recorded: Result<Vec<Option<Finished>>, StoreError>,
    ) {
        self.is_recording = false;
        let finished = match recorded {
            Ok(finished) => finished,
            Err(StoreError::Closed) => {
                // There is nothing left to record on: they are sent again after the next start.
                tracing::warn!(attempts = batch.len(), "attempts could not be recorded");
                return;
            }
            // Any other fault may pass; until then the rows are due, and would be sent again.
            Err(error) => {
                if !self.is_recording_stalled {
                    tracing::error!(%error, "an attempt cannot be stored; nothing is sent until it is");
                }
                self.is_recording_stalled = true;
                return self.record_batch(batch, STORE_RETRY_DELAY);
            }
        };
        if self.is_recording_stalled {
            self.schedule_read();
        }
        self.is_recording_stalled = false;
        for (attempted, finished) in batch.iter().zip(finished) {
            let attempt = &attempted.attempt;
            let Some(queue) = self.queues.get_mut(&attempted.webhook) else {
                continue;
            };
            queue.attempt_recorded(
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
                host = queue.host(),
                delivery = %attempted.delivery,
                state = finished.state.as_str(),
                code = attempt.result.outcome.code(),
                ms = attempt.result.duration.as_millis(),
                "attempt"
            );
            self.schedule_read_at(finished.due_at);
        }
    }

    /// Forgets what was read and not sent: it may be canceled, or have changed.
    fn discard_read_ahead(&mut self) {
        self.queues
            .values_mut()
            .for_each(EndpointQueue::clear_ready);
        self.schedule_read();
    }

    /// Looks at the outbox as soon as may be: at others' deliveries when those of the well ones go out.
    fn schedule_read(&mut self) {
        (self.healthy.is_requested, self.unproven.is_requested) = (true, true);
        self.unproven.is_deferred = true;
    }

    /// Looks at the outbox then, or before.
    fn schedule_read_at(&mut self, time: Option<Timestamp>) {
        self.next_read_at = self.next_read_at.into_iter().chain(time).min();
    }
}

fn idle_timer() -> Interval {
    let mut timer = tokio::time::interval(IDLE_TIMEOUT);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
