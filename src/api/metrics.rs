//! `GET /metrics`: metrics in the Prometheus text format, version 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! The counters and histograms are in [`crate::metrics`]. This module adds the values that are read
//! when the metrics are requested.

use actix_web::{HttpResponse, web};
use prometheus::core::Collector;
use prometheus::{Counter, GaugeVec, Opts, Registry, TextEncoder};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::metrics::METRICS;
use crate::metrics::process::{self, ProcessStatus};
use crate::server::AppState;
use crate::server::problem::Problem;
use crate::store::{Metrics, StorageMetrics, Store, WebhookMetrics};
use crate::version;

/// Get metrics
///
/// Returns metrics about feedback, deliveries, webhooks, alerts, the database, and the process, in
/// the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "Operations",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn get(app: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let stored = app.store.metrics().await?;
    let current = CurrentValues::default();
    current.add_stored_values(&stored, app.clock.now());
    current.add_storage(&app.store, &stored.storage);
    current.add_process(&process::read_status());
    let mut families = METRICS.gather();
    families.extend(current.registry.gather());
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => Ok(HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text)),
        Err(error) => {
            tracing::error!(%error, "metrics can't be rendered");
            Ok(HttpResponse::InternalServerError().finish())
        }
    }
}

/// A gauge with at most one value per webhook.
struct WebhookGauge {
    name: &'static str,
    help: &'static str,
    /// Returns the value at the given time, or `None` to omit the webhook.
    value: fn(&WebhookMetrics, Timestamp) -> Option<f64>,
}

const WEBHOOK_GAUGES: [WebhookGauge; 7] = [
    WebhookGauge {
        name: "miniback_webhook_enabled",
        help: "Whether the webhook is enabled.",
        value: |webhook, _| Some(bool_to_f64(webhook.enabled)),
    },
    WebhookGauge {
        name: "miniback_webhook_failing",
        help: "Whether the webhook's last attempt failed.",
        value: |webhook, _| Some(bool_to_f64(webhook.failing_since.is_some())),
    },
    WebhookGauge {
        name: "miniback_webhook_failing_seconds",
        help: "Seconds since the webhook started failing.",
        value: |webhook, now| webhook.failing_since.map(|since| seconds_since(since, now)),
    },
    WebhookGauge {
        name: "miniback_webhook_held",
        help: "Whether the webhook is on hold because its endpoint sent Retry-After.",
        value: |webhook, now| {
            Some(bool_to_f64(
                webhook.held_until.is_some_and(|until| until > now),
            ))
        },
    },
    WebhookGauge {
        name: "miniback_webhook_oldest_pending_seconds",
        help: "Age of the oldest pending delivery in seconds; 0 if no delivery is pending.",
        value: |webhook, now| {
            let oldest = webhook.oldest_pending;
            Some(oldest.map_or(0.0, |created_at| seconds_since(created_at, now)))
        },
    },
    WebhookGauge {
        name: "miniback_webhook_failed_in_a_row",
        help: "Deliveries that failed since the webhook's last success.",
        value: |webhook, _| Some(f64::from(webhook.consecutive_failures)),
    },
    WebhookGauge {
        name: "miniback_deliveries_unexplained",
        help: "Events of the webhook that no delivery accounts for. 0 unless an event was lost.",
        value: |webhook, _| Some(webhook.totals.unexplained_events() as f64),
    },
];

fn bool_to_f64(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds_since(since: Timestamp, now: Timestamp) -> f64 {
    now.since(since).as_secs_f64()
}

/// The values that are read for one response.
#[derive(Default)]
struct CurrentValues {
    registry: Registry,
}

impl CurrentValues {
    /// Adds a gauge without values. Counts are gauges too if they can fall: a redelivery lowers the
    /// number of failed deliveries.
    fn add_gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    /// Adds a gauge with one value, unless the value is unknown.
    fn add_value(&self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            let gauge = self.add_gauge(name, help, &[]);
            gauge.with_label_values::<&str>(&[]).set(value);
        }
    }

    fn register<C: Collector + Clone + 'static>(&self, created: prometheus::Result<C>) -> C {
        created
            .and_then(|collector| {
                self.registry.register(Box::new(collector.clone()))?;
                Ok(collector)
            })
            .expect("the names and labels of all metrics are valid and different")
    }

    fn add_stored_values(&self, stored: &Metrics, now: Timestamp) {
        self.add_info();
        let feedback = self.add_gauge(
            "miniback_feedback",
            "Stored feedback, by status.",
            &["status"],
        );
        for status in FeedbackStatus::ALL {
            let found = stored.feedback.iter().find(|(s, _)| *s == status);
            let count = found.map_or(0, |(_, count)| *count);
            feedback
                .with_label_values(&[status.as_str()])
                .set(count as f64);
        }
        for gauge in &WEBHOOK_GAUGES {
            let family = self.add_gauge(gauge.name, gauge.help, &["webhook", "host"]);
            for webhook in &stored.webhooks {
                if let Some(value) = (gauge.value)(webhook, now) {
                    let labels = [webhook.id.to_string(), webhook.host.clone()];
                    family.with_label_values(&labels).set(value);
                }
            }
        }
        self.add_deliveries(stored);
        self.add_value(
            "miniback_alerts_pending",
            "Alerts waiting to be sent to --alert-url.",
            Some(stored.pending_alerts as f64),
        );
    }

    fn add_info(&self) {
        // Without the date of the commit.
        let commit = version::commit().and_then(|commit| commit.split_whitespace().next());
        let labels = [("version", Some(version::VERSION)), ("commit", commit)];
        let (names, values): (Vec<_>, Vec<_>) = labels
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .unzip();
        let info = self.add_gauge("miniback_info", "The running version.", &names);
        info.with_label_values(&values).set(1.0);
    }

    fn add_deliveries(&self, stored: &Metrics) {
        let family = self.add_gauge(
            "miniback_deliveries",
            "Deliveries by webhook and state, including those removed by retention.",
            &["webhook", "host", "state"],
        );
        for webhook in &stored.webhooks {
            let totals = webhook.totals;
            for (state, count) in [
                (DeliveryState::Pending, totals.pending),
                (DeliveryState::Delivered, totals.delivered),
                (DeliveryState::Failed, totals.failed),
                (DeliveryState::Canceled, totals.canceled),
            ] {
                let (id, state) = (webhook.id.to_string(), state.as_str().to_owned());
                let labels = [id, webhook.host.clone(), state];
                family.with_label_values(&labels).set(count as f64);
            }
        }
    }

    fn add_storage(&self, store: &Store, storage: &StorageMetrics) {
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        let seconds = METRICS.last_retention.get();
        for (name, help, value) in [
            (
                "miniback_database_ok",
                "Whether the database is intact and wasn't moved or replaced.",
                Some(bool_to_f64(store.database_problem().is_none())),
            ),
            (
                "miniback_disk_full",
                "Whether the last write failed because the disk is full or failing.",
                Some(bool_to_f64(store.is_disk_full())),
            ),
            (
                "miniback_database_size_bytes",
                "Size of the database file, without the WAL.",
                bytes(storage.database_bytes),
            ),
            (
                "miniback_wal_size_bytes",
                "Size of the write-ahead log.",
                bytes(storage.wal_bytes),
            ),
            (
                "miniback_disk_free_bytes",
                "Free space on the disk with the data directory.",
                bytes(storage.disk_free_bytes),
            ),
            (
                "miniback_disk_size_bytes",
                "Size of the disk with the data directory.",
                bytes(storage.disk_bytes),
            ),
            (
                "miniback_last_backup_timestamp_seconds",
                "When miniback backup last succeeded, as a Unix time.",
                storage.last_backup.map(|at| at.seconds() as f64),
            ),
            (
                "miniback_writer_queue_jobs",
                "Write jobs that wait for the next transaction.",
                Some(store.queued_jobs() as f64),
            ),
            (
                "miniback_last_retention_timestamp_seconds",
                "When retention last had nothing more to delete, as a Unix time.",
                (seconds > 0).then_some(seconds as f64),
            ),
        ] {
            self.add_value(name, help, value);
        }
    }

    fn add_process(&self, process: &ProcessStatus) {
        let cpu = self.register(Counter::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        ));
        cpu.inc_by(process.cpu_seconds);
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                Some(process.start_time_seconds),
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                process.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                process.virtual_bytes,
            ),
            (
                "process_open_fds",
                "Number of open file descriptors.",
                process.open_files,
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors.",
                process.open_files_max,
            ),
        ] {
            self.add_value(name, help, value);
        }
    }
}
