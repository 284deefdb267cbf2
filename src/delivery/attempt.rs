//! Makes one attempt of a delivery, and prepares the outcome for recording.

use std::rc::Rc;
use std::time::Duration;

use super::outcomes::header_value;
use super::request::RequestParts;
use super::target_client::TargetClient;
use crate::clock::Clock;
use crate::domain::delivery::AttemptResult;
use crate::domain::retry;
use crate::metrics::{METRICS, SUCCESS};
use crate::random;
use crate::store::{AttemptRecord, DueDelivery, EndpointConfig, FinishedAttempt};

/// Makes one attempt of the delivery `due`. Returns a failure as an outcome, not as an error.
pub(super) async fn make_attempt(
    clock: Clock,
    client: Rc<TargetClient>,
    endpoint: Rc<EndpointConfig>,
    due: DueDelivery,
) -> FinishedAttempt {
    let started_at = clock.now();
    let secrets = endpoint.secrets.clone().active_at(started_at);
    let parts = RequestParts {
        delivery_id: &due.id.to_string(),
        event: due.event.as_str(),
        event_at: due.event_at,
        format: due.format,
        body: due.body,
        secrets: &secrets,
        headers: &endpoint.headers,
    };
    let (result, request_headers) = client.attempt(parts, started_at).await;
    // Read in this order, so that a hold until a date never ends before the date.
    let ended_at = clock.now();
    let ended = clock.monotonic_time();
    if !due.is_test {
        let until_start = started_at.since(due.event_at);
        let until_end = ended_at.since(due.event_at);
        count_attempt(&result, due.attempts > 0, until_start, until_end);
    }
    let response = result.response.as_ref();
    let hold = response
        .filter(|_| !due.is_requested_retry)
        .and_then(|response| {
            let retry_after = header_value(&response.headers, "retry-after");
            retry::requested_hold(due.format, response, retry_after, ended_at)
        });
    let error = result.error_message();
    // A successful delivery has no retry, so it needs no jitter.
    let jitter = match error {
        None => 0.0,
        Some(_) => f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX),
    };
    FinishedAttempt {
        delivery: due.id,
        webhook: endpoint.webhook,
        is_test: due.is_test,
        attempts: due.attempts,
        attempt: AttemptRecord {
            started_at,
            result,
            error,
            request_headers,
            hold,
        },
        ended,
        jitter,
    }
}

/// Counts an attempt. Both durations start at the event.
fn count_attempt(
    result: &AttemptResult,
    is_retry: bool,
    until_start: Duration,
    until_end: Duration,
) {
    let error_code = result.outcome.error_code();
    METRICS.attempts.increment(error_code.unwrap_or(SUCCESS));
    METRICS
        .attempt_duration
        .observe(result.duration.as_secs_f64());
    if is_retry {
        METRICS.retries.inc();
    } else {
        METRICS
            .first_attempt_delay
            .observe(until_start.as_secs_f64());
    }
    if error_code.is_none() {
        METRICS.delivery_duration.observe(until_end.as_secs_f64());
    }
}
