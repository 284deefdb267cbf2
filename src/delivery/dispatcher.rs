//! The dispatcher: reads due deliveries, sends them, and records the outcomes.
//!
//! Reads, attempts, and recordings run concurrently, each as a task that ends with a
//! [`TaskCompletion`]. The loop never waits for one particular task. Attempts that end during a
//! recording are collected for the next commit.

mod commands;
mod health_log;
mod recording;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

pub use self::health_log::HEALTH_LOG_TARGET;
use self::health_log::HealthLog;
use super::attempt::make_attempt;
use super::client::HttpSender;
use super::endpoint_queue::{EndpointQueue, IDLE_TIMEOUT, SLOT_AGE_MAX};
use super::mail::MailClient;
use super::target_client::TargetSender;
use super::{DeliverySettings, DispatcherCommand};
use crate::clock::{Clock, Timestamp};
use crate::domain::id::WebhookId;
use crate::domain::retry::RetrySchedule;
use crate::store::{
    DeliveryBatch, DeliveryUpdate, DueDeliveryBatches, FinishedAttempt, Store, StoreError,
};

/// The maximum number of slots that all webhooks together use (see
/// [`endpoint_queue`](super::endpoint_queue)). Even if this limit is reached, each webhook can use
/// one slot.
const IN_FLIGHT_MAX: usize = 512;
/// The maximum number of attempts waiting to be recorded. No attempts are started while this limit
/// is reached.
const UNRECORDED_ATTEMPTS_MAX: usize = 1024;
/// The delay before a failed read or recording is repeated.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher {
    store: Store,
    clock: Clock,
    sender: TargetSender,
    schedule: RetrySchedule,
    queues: HashMap<WebhookId, EndpointQueue>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, TaskCompletion>>,
    /// Attempts that have ended and aren't being recorded yet.
    unrecorded: Vec<FinishedAttempt>,
    /// The state of reads for healthy webhooks. These reads are separate and come first, so that
    /// other webhooks don't delay the deliveries of healthy webhooks.
    healthy: ReadState,
    unproven: ReadState,
    is_recording: bool,
    /// Set while outcomes can't be recorded. Sending stops, because new outcomes couldn't be
    /// recorded either, and the same deliveries would be sent again after a restart.
    is_recording_stalled: bool,
    /// Whether recording has stalled for a reason other than a full disk.
    is_recording_failing: bool,
    health_log: HealthLog,
    /// The time of the next scheduled read. A wake-up can trigger an earlier read.
    next_read_at: Option<Timestamp>,
    /// The outbox generation of the last read.
    generation: u64,
}

/// The result of a task.
enum TaskCompletion {
    Read(
        HealthGroup,
        Vec<WebhookId>,
        Result<DueDeliveryBatches, StoreError>,
    ),
    Attempt(Box<FinishedAttempt>),
    Recording(
        Arc<Vec<FinishedAttempt>>,
        Result<Vec<Option<DeliveryUpdate>>, StoreError>,
    ),
    /// A request outside the outbox (a test or an alert) ended, or an attempt panicked.
    Other,
}

/// A group of webhooks whose deliveries are read together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HealthGroup {
    /// Webhooks whose last attempt succeeded.
    Healthy,
    /// Webhooks whose last attempt failed, webhooks without a queue, and webhooks whose queue has
    /// no finished attempt yet.
    Unproven,
}

/// The state of reads for one group.
#[derive(Default)]
struct ReadState {
    /// Whether the group must be read.
    is_requested: bool,
    /// Whether the other group must be read first.
    is_deferred: bool,
    is_running: bool,
}

impl Dispatcher {
    pub(super) fn new(store: Store, clock: Clock, settings: DeliverySettings) -> Self {
        store.backpressure().set_dispatching(true);
        Self {
            store,
            clock,
            sender: TargetSender {
                mail: MailClient::new(settings.tls.clone(), settings.mail, settings.timeout),
                http: HttpSender::new(settings.tls, settings.policy, settings.timeout),
            },
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
            is_recording_failing: false,
            health_log: HealthLog::default(),
            next_read_at: None,
            generation: 0,
        }
    }

    /// Runs until it receives [`DispatcherCommand::Stop`] and all attempts in flight are recorded.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<DispatcherCommand>) {
        let wake = self.store.deliveries_notifier();
        let mut idle = idle_check_timer();
        let mut stopping = false;
        loop {
            if stopping {
                self.queues
                    .values_mut()
                    .for_each(EndpointQueue::discard_read_ahead);
            } else {
                self.start_attempts();
                self.start_read(HealthGroup::Healthy);
                self.start_read(HealthGroup::Unproven);
            }
            let holds_permits = self.release_permits();
            self.start_recording();
            if stopping && self.tasks.is_empty() {
                return;
            }
            // `Notify` stores a permit, so a notification sent before this line isn't lost.
            tokio::select! {
                () = wake.notified(), if !stopping => self.schedule_read(),
                () = self.clock.sleep_until_opt(self.next_read_at), if !stopping => {
                    self.next_read_at = None;
                    self.schedule_read();
                }
                Some(completion) = self.tasks.next() => {
                    self.handle_completion(completion);
                    while let Some(Some(completion)) = self.tasks.next().now_or_never() {
                        self.handle_completion(completion);
                    }
                }
                // If an endpoint has stopped responding, nothing else would wake this loop.
                () = tokio::time::sleep(SLOT_AGE_MAX), if holds_permits => {}
                _ = idle.tick(), if !self.queues.is_empty() || !self.health_log.is_empty() => {
                    self.queues.retain(|_, queue| !queue.is_idle());
                    self.health_log.log_deferred(self.clock.monotonic_time());
                }
                command = commands.recv() => match command {
                    Some(DispatcherCommand::Stop) | None => stopping = true,
                    Some(command) => self.handle_command(command),
                },
            }
        }
    }

    /// Starts attempts of the deliveries that were read ahead, while there are free slots and
    /// outcomes can be recorded. Discards these deliveries instead if the outbox generation has
    /// changed.
    fn start_attempts(&mut self) {
        let is_paused = self.is_recording_stalled || !self.store.is_writable();
        if is_paused || self.unrecorded.len() >= UNRECORDED_ATTEMPTS_MAX {
            return;
        }
        if self.store.outbox_generation() != self.generation {
            self.discard_read_ahead();
            return;
        }
        let now = self.clock.now();
        let mut free = self.free_slots();
        // Connecting to an unresponsive endpoint takes time, so healthy endpoints come first.
        let (healthy, unproven): (Vec<_>, Vec<_>) = self
            .queues
            .values_mut()
            .partition(|queue| queue.is_healthy());
        for queue in healthy.into_iter().chain(unproven) {
            while let Some((due, endpoint, client)) = queue.pop_next_delivery(free, now) {
                free = free.saturating_sub(1);
                let id = due.id;
                let attempt = make_attempt(self.clock.clone(), client, endpoint, due);
                // A panic is a bug and must not stop the dispatcher. The delivery keeps its slot
                // and is sent again after a restart.
                self.tasks.push(Box::pin(async move {
                    match AssertUnwindSafe(attempt).catch_unwind().await {
                        Ok(finished) => TaskCompletion::Attempt(Box::new(finished)),
                        Err(_) => {
                            tracing::error!(delivery = %id, "attempt panicked");
                            TaskCompletion::Other
                        }
                    }
                }));
            }
        }
    }

    /// Starts to read the due deliveries of a group, if a read is necessary and possible.
    fn start_read(&mut self, group: HealthGroup) {
        let is_in_group =
            |queue: &EndpointQueue| queue.is_healthy() == (group == HealthGroup::Healthy);
        let needs_refill = self
            .queues
            .values()
            .any(|queue| is_in_group(queue) && queue.needs_refill());
        let state = match group {
            HealthGroup::Healthy => &mut self.healthy,
            HealthGroup::Unproven => &mut self.unproven,
        };
        let is_needed = state.is_requested || needs_refill;
        let is_paused = self.is_recording_stalled || !self.store.is_writable();
        if is_paused || state.is_running || state.is_deferred || !is_needed {
            return;
        }
        state.is_requested = false;
        // Webhooks without a queue belong to the unproven group.
        let default_request =
            (group == HealthGroup::Unproven).then(EndpointQueue::default_batch_request);
        let mut requested = Vec::new();
        let mut requests = HashMap::new();
        for (id, queue) in &mut self.queues {
            let request = queue.start_batch_read(is_in_group(queue));
            if request.limit > 0 {
                requested.push(*id);
            }
            requests.insert(*id, request);
        }
        if default_request.is_none() && requested.is_empty() {
            self.unproven.is_deferred = false;
            return;
        }
        state.is_running = true;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.tasks.push(Box::pin(async move {
            let due = store.due_deliveries(clock, requests, default_request).await;
            TaskCompletion::Read(group, requested, due)
        }));
    }

    fn handle_completion(&mut self, completion: TaskCompletion) {
        match completion {
            TaskCompletion::Read(group, requested, due) => {
                self.on_read_finished(group, &requested, due)
            }
            TaskCompletion::Attempt(finished) => self.on_attempt_finished(*finished),
            TaskCompletion::Recording(batch, result) => self.on_recording_finished(batch, result),
            TaskCompletion::Other => {}
        }
    }

    fn on_attempt_finished(&mut self, finished: FinishedAttempt) {
        if let Some(queue) = self.queues.get_mut(&finished.webhook) {
            let (record, was_healthy) = (&finished.attempt, queue.is_healthy());
            if record.is_success() {
                queue.on_attempt_succeeded(&finished.delivery, record.result.duration);
            } else {
                let timed_out = record.result.outcome.is_timeout();
                queue.on_attempt_failed(timed_out, record.hold.is_some());
            }
            if queue.is_healthy() != was_healthy {
                // A running read may have missed this webhook, because the webhook changed groups.
                self.schedule_read();
            }
        }
        self.unrecorded.push(finished);
    }

    fn on_read_finished(
        &mut self,
        group: HealthGroup,
        requested: &[WebhookId],
        due: Result<DueDeliveryBatches, StoreError>,
    ) {
        match group {
            HealthGroup::Healthy => {
                (self.healthy.is_running, self.unproven.is_deferred) = (false, false)
            }
            HealthGroup::Unproven => self.unproven.is_running = false,
        }
        for webhook in requested {
            if let Some(queue) = self.queues.get_mut(webhook) {
                queue.on_read_finished();
            }
        }
        match due {
            // A read with a newer generation has already finished. Discard this result.
            Ok(due) if due.generation < self.generation => self.schedule_read(),
            Ok(due) => {
                if due.generation > self.generation {
                    self.discard_read_ahead();
                    self.generation = due.generation;
                }
                self.schedule_read_at(due.next_due_at);
                for batch in due.batches {
                    self.fill_queue(batch, due.generation);
                }
            }
            Err(error) => {
                tracing::error!(%error, "reading due deliveries failed; trying again");
                self.schedule_read_at(Some(self.clock.now().plus(STORE_RETRY_DELAY)));
            }
        }
    }

    fn fill_queue(&mut self, batch: DeliveryBatch, generation: u64) {
        let webhook = batch.webhook;
        if let Some(queue) = self.queues.get_mut(&webhook) {
            queue.refill(batch, generation, &self.sender);
        } else if let Some(queue) = EndpointQueue::new(batch, generation, &self.sender) {
            self.queues.insert(webhook, queue);
        }
    }

    /// Discards the deliveries that were read ahead, because they may have been canceled or
    /// changed. Requests a new read of both groups.
    fn discard_read_ahead(&mut self) {
        self.queues
            .values_mut()
            .for_each(EndpointQueue::discard_read_ahead);
        self.schedule_read();
    }

    /// Releases the permits of deliveries that don't wait for Miniback anymore. Returns whether any
    /// permits are still held.
    fn release_permits(&self) -> bool {
        let free = self.free_slots();
        let may_have_unread = self.healthy.is_requested || self.healthy.is_running;
        let is_paused = self.is_recording_stalled || !self.store.is_writable();
        let last_started = self
            .queues
            .values()
            .filter(|queue| !is_paused && queue.waits_for_miniback(free, may_have_unread))
            .filter_map(EndpointQueue::last_started_if_new)
            .min();
        self.store.backpressure().release_until(last_started)
    }

    fn free_slots(&self) -> usize {
        let in_use = self.queues.values().map(EndpointQueue::slots_in_use).sum();
        IN_FLIGHT_MAX.saturating_sub(in_use)
    }

    /// Requests a read of both groups, the healthy group first.
    fn schedule_read(&mut self) {
        (self.healthy.is_requested, self.unproven.is_requested) = (true, true);
        self.unproven.is_deferred = true;
    }

    /// Schedules the next read of both groups for `time`, unless an earlier read is scheduled.
    fn schedule_read_at(&mut self, time: Option<Timestamp>) {
        self.next_read_at = self.next_read_at.into_iter().chain(time).min();
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.store.backpressure().set_dispatching(false);
    }
}

fn idle_check_timer() -> Interval {
    let mut timer = tokio::time::interval(IDLE_TIMEOUT);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
