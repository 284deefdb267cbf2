//! Counters and histograms of this process, which any module can update. They start at 0 when the
//! process starts.
//!
//! `GET /metrics` renders them, together with values that it reads from the database and the
//! system. Counting is cheap enough for every request and delivery: each value is an atomic, and
//! labels with known values need no lookup in a locked map.

pub mod process;

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    Result,
};

use crate::domain::delivery::Outcome;

/// The metrics of this process.
pub static METRICS: LazyLock<ProcessMetrics> = LazyLock::new(|| {
    ProcessMetrics::new().expect("the names and labels of all metrics are valid and different")
});

/// The value of the label `outcome` for attempts that succeeded.
pub const SUCCESS: &str = "success";

/// The statuses of rejected feedback. Other statuses are counted too, but aren't present before
/// they occur.
const REJECTED_FEEDBACK_STATUSES: [&str; 13] = [
    "400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "500", "503", "507",
];
const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The upper bounds of buckets for operations within this process, in seconds.
const OPERATION_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The upper bounds of buckets for attempts, in seconds. `--timeout` can be up to 1 h.
const ATTEMPT_BUCKETS: [f64; 14] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// The upper bounds of buckets for deliveries, in seconds. Retries can take days.
const DELIVERY_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0,
    86_400.0,
];

pub struct ProcessMetrics {
    registry: Registry,
    pub feedback_accepted: IntCounter,
    pub feedback_discarded: IntCounter,
    /// Rejected feedback, by the status of the response.
    feedback_rejected: CountersByLabel,
    /// Responses by the class of their status, such as `4xx`.
    http_responses: CountersByLabel,
    /// The time to respond to requests that submit feedback.
    feedback_request_duration: Histogram,
    /// The time to respond to all other requests.
    other_request_duration: Histogram,
    /// Attempts by error code, or [`SUCCESS`].
    pub attempts: CountersByLabel,
    pub retries: IntCounter,
    pub attempt_duration: Histogram,
    pub first_attempt_delay: Histogram,
    pub delivery_duration: Histogram,
    /// Deliveries that reached a final state, by this state.
    pub deliveries_finished: CountersByLabel,
    pub sign_ins: CountersByLabel,
    commit_duration: Histogram,
    committed_jobs: IntCounter,
    pub live_streams: IntGauge,
    /// The end of the last retention run, in seconds since the Unix epoch; 0 if there was none.
    /// Isn't in the registry, because the metric must be absent before the first run.
    pub last_retention: IntGauge,
}

impl ProcessMetrics {
    fn new() -> Result<Self> {
        process::record_start();
        let registry = Registry::new();
        let to = &registry;
        let requests = register(
            to,
            HistogramVec::new(
                HistogramOpts::new(
                    "miniback_http_request_duration_seconds",
                    "Time from the head of a request to the head of its response. \
                     The kind feedback means requests that submit feedback.",
                )
                .buckets(OPERATION_BUCKETS.to_vec()),
                &["kind"],
            )?,
        )?;
        let outcomes: Vec<_> = [SUCCESS].into_iter().chain(Outcome::ERROR_CODES).collect();
        let metrics = Self {
            feedback_accepted: counter(
                to,
                "miniback_feedback_accepted_total",
                "Feedback items that were stored.",
            )?,
            feedback_discarded: counter(
                to,
                "miniback_feedback_discarded_total",
                "Feedback that was discarded as spam, because the honeypot was filled in.",
            )?,
            feedback_rejected: CountersByLabel::register(
                to,
                "miniback_feedback_rejected_total",
                "Requests to submit feedback that were rejected, by HTTP status.",
                "status",
                &REJECTED_FEEDBACK_STATUSES,
            )?,
            http_responses: CountersByLabel::register(
                to,
                "miniback_http_responses_total",
                "HTTP responses, by class of the status.",
                "class",
                &STATUS_CLASSES,
            )?,
            feedback_request_duration: requests.with_label_values(&["feedback"]),
            other_request_duration: requests.with_label_values(&["other"]),
            attempts: CountersByLabel::register(
                to,
                "miniback_attempts_total",
                "Attempts without tests, by outcome: success, or the error code.",
                "outcome",
                &outcomes,
            )?,
            retries: counter(
                to,
                "miniback_retries_total",
                "Attempts without tests that weren't the first attempt of their delivery.",
            )?,
            attempt_duration: histogram(
                to,
                "miniback_attempt_duration_seconds",
                "Duration of attempts without tests.",
                &ATTEMPT_BUCKETS,
            )?,
            first_attempt_delay: histogram(
                to,
                "miniback_first_attempt_delay_seconds",
                "Time from an event to the start of the first attempt of its delivery.",
                &DELIVERY_BUCKETS,
            )?,
            delivery_duration: histogram(
                to,
                "miniback_delivery_duration_seconds",
                "Time from an event to the end of a successful attempt of its delivery.",
                &DELIVERY_BUCKETS,
            )?,
            deliveries_finished: CountersByLabel::register(
                to,
                "miniback_deliveries_finished_total",
                "Deliveries without tests whose last attempt was recorded, by state.",
                "state",
                &["delivered", "failed"],
            )?,
            sign_ins: CountersByLabel::register(
                to,
                "miniback_sign_ins_total",
                "Sign-ins by result: success, failure (a wrong password), or rejected (by a limit).",
                "result",
                &[SUCCESS, "failure", "rejected"],
            )?,
            commit_duration: histogram(
                to,
                "miniback_commit_duration_seconds",
                "Time to write a transaction to the disk.",
                &OPERATION_BUCKETS,
            )?,
            committed_jobs: counter(
                to,
                "miniback_committed_jobs_total",
                "Write jobs in committed transactions.",
            )?,
            live_streams: register(
                to,
                IntGauge::new(
                    "miniback_live_streams",
                    "Open connections for live updates of pages.",
                )?,
            )?,
            last_retention: IntGauge::new("last_retention", "Not rendered.")?,
            registry,
        };
        Ok(metrics)
    }

    /// Returns the current values, sorted by name.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Counts a transaction of `jobs` jobs. `duration` is the time to commit it.
    pub fn count_commit(&self, jobs: usize, duration: Duration) {
        self.commit_duration.observe(duration.as_secs_f64());
        self.committed_jobs.inc_by(jobs as u64);
    }

    /// Counts a response. `is_feedback` is true for a request that submits feedback.
    pub fn count_response(&self, status: &str, is_feedback: bool, duration: Duration) {
        let class = status.as_bytes().first().map(|digit| match digit {
            b'2' => "2xx",
            b'3' => "3xx",
            b'4' => "4xx",
            _ => "5xx",
        });
        self.http_responses.increment(class.unwrap_or("5xx"));
        if is_feedback {
            self.feedback_request_duration
                .observe(duration.as_secs_f64());
        } else {
            self.other_request_duration.observe(duration.as_secs_f64());
        }
        // A browser that submitted the public form is redirected.
        if is_feedback && !matches!(class, Some("2xx" | "3xx")) {
            self.feedback_rejected.increment(status);
        }
    }
}

/// Counters of one family with one label. The counters of known values exist from the start, so
/// that the first increase is visible. Finding one of them needs no lock.
pub struct CountersByLabel {
    known: Vec<(String, IntCounter)>,
    family: IntCounterVec,
}

impl CountersByLabel {
    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        label: &str,
        known: &[&str],
    ) -> Result<Self> {
        let family = register(
            registry,
            IntCounterVec::new(Opts::new(name, help), &[label])?,
        )?;
        let known = known
            .iter()
            .map(|value| ((*value).to_owned(), family.with_label_values(&[value])))
            .collect();
        Ok(Self { known, family })
    }

    /// Adds 1 to the counter with this label value. Values must come from a small set.
    pub fn increment(&self, value: &str) {
        match self.known.iter().find(|(known, _)| known == value) {
            Some((_, counter)) => counter.inc(),
            None => self.family.with_label_values(&[value]).inc(),
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    register(registry, IntCounter::new(name, help)?)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(options)?)
}
