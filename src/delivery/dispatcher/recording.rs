//! Records the outcomes of attempts, several in one commit.

use std::sync::Arc;
use std::time::Duration;

use super::{Dispatcher, STORE_RETRY_DELAY, TaskCompletion};
use crate::clock::saturating_millis;
use crate::domain::delivery::DeliveryState;
use crate::metrics::METRICS;
use crate::store::{DeliveryUpdate, FinishedAttempt, StoreError};

/// The maximum number of attempts in one commit. Larger commits would delay other writes.
const ATTEMPTS_PER_BATCH_MAX: usize = 512;

impl Dispatcher {
    /// Starts to record up to [`ATTEMPTS_PER_BATCH_MAX`] finished attempts, unless a recording is
    /// running.
    pub(super) fn start_recording(&mut self) {
        if self.is_recording || self.unrecorded.is_empty() {
            return;
        }
        let count = self.unrecorded.len().min(ATTEMPTS_PER_BATCH_MAX);
        let batch = Arc::new(self.unrecorded.drain(..count).collect());
        self.record_batch(batch, Duration::ZERO);
    }

    fn record_batch(&mut self, batch: Arc<Vec<FinishedAttempt>>, delay: Duration) {
        self.is_recording = true;
        let (store, schedule) = (self.store.clone(), self.schedule.clone());
        self.tasks.push(Box::pin(async move {
            tokio::time::sleep(delay).await;
            let result = store.record_attempts(batch.clone(), schedule).await;
            TaskCompletion::Recording(batch, result)
        }));
    }

    pub(super) fn on_recording_finished(
        &mut self,
        batch: Arc<Vec<FinishedAttempt>>,
        result: Result<Vec<Option<DeliveryUpdate>>, StoreError>,
    ) {
        self.is_recording = false;
        let updates = match result {
            Ok(updates) => updates,
            Err(StoreError::Closed) => {
                tracing::warn!(
                    attempts = batch.len(),
                    "attempts not recorded; their deliveries are sent again after the next start"
                );
                return;
            }
            // Any other error may be temporary. Try to record the attempts again. Otherwise, their
            // deliveries would stay due and be sent again.
            Err(error) => {
                // If the database was moved or replaced, the store has logged how to fix this
                // problem.
                if !self.is_recording_stalled && !matches!(error, StoreError::DatabaseReplaced) {
                    tracing::error!(%error, "attempts can't be recorded; deliveries are paused");
                }
                self.is_recording_stalled = true;
                self.is_recording_failing = !matches!(error, StoreError::DiskFull);
                return self.record_batch(batch, STORE_RETRY_DELAY);
            }
        };
        if self.is_recording_stalled {
            self.schedule_read();
        }
        (self.is_recording_stalled, self.is_recording_failing) = (false, false);
        let now = self.clock.monotonic_time();
        for (finished, update) in batch.iter().zip(updates) {
            let record = &finished.attempt;
            count_finished_delivery(finished, update.as_ref());
            let Some(queue) = self.queues.get_mut(&finished.webhook) else {
                continue;
            };
            queue.release_recorded_delivery(
                &finished.delivery,
                !record.is_success(),
                record.hold.is_some(),
            );
            let Some(update) = update else {
                tracing::warn!(delivery = %finished.delivery, "attempt not recorded: the delivery was deleted");
                continue;
            };
            tracing::debug!(
                webhook = %finished.webhook,
                host = queue.host_for_log(),
                delivery = %finished.delivery,
                state = update.state.as_str(),
                code = record.result.outcome.error_code(),
                ms = saturating_millis(record.result.duration),
                "attempt"
            );
            self.health_log.on_update(
                &finished.webhook,
                || queue.host_for_log(),
                &record.result.outcome,
                update.health,
                now,
            );
            self.schedule_read_at(update.due_at);
        }
    }
}

/// Counts a delivery that isn't a test if its attempt was the last one.
fn count_finished_delivery(finished: &FinishedAttempt, update: Option<&DeliveryUpdate>) {
    let state = update.map(|update| update.state);
    if let Some(state @ (DeliveryState::Delivered | DeliveryState::Failed)) = state
        && !finished.is_test
    {
        METRICS.deliveries_finished.increment(state.as_str());
    }
}
