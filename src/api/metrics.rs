//! `GET /metrics`: metrics in the Prometheus text format, version 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

use actix_web::{HttpResponse, web};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::server::AppState;
use crate::server::problem::Problem;
use crate::store::{Metrics, Store, WebhookMetrics};

/// Get metrics
///
/// Returns metrics about feedback, deliveries, webhooks, alerts, and the database, in the
/// Prometheus text format.
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
    let metrics = app.store.metrics().await?;
    let mut text = render_metrics(&metrics, app.clock.now());
    text.push_str(&render_database_metrics(&app.store));
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

/// A gauge with at most one value per webhook.
struct WebhookGauge {
    name: &'static str,
    help: &'static str,
    /// Returns the value at the given time, or `None` to omit the webhook.
    value: fn(&WebhookMetrics, Timestamp) -> Option<f64>,
}

const WEBHOOK_GAUGES: [WebhookGauge; 6] = [
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
];

fn bool_to_f64(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds_since(since: Timestamp, now: Timestamp) -> f64 {
    now.since(since).as_secs_f64()
}

fn render_metrics(metrics: &Metrics, now: Timestamp) -> String {
    let mut text = PrometheusText(String::new());
    text.write_family_header("miniback_info", "The running version.");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.write_sample("miniback_info", &version, 1.0);
    text.write_family_header("miniback_feedback", "Stored feedback, by status.");
    for status in FeedbackStatus::ALL {
        let found = metrics.feedback.iter().find(|(s, _)| *s == status);
        let count = found.map_or(0, |(_, count)| *count);
        let labels = [("status", status.as_str())];
        text.write_sample("miniback_feedback", &labels, count as f64);
    }
    for gauge in &WEBHOOK_GAUGES {
        text.write_webhook_family(metrics, gauge.name, gauge.help, |webhook| {
            (gauge.value)(webhook, now)
        });
    }
    text.write_delivery_family(metrics);
    text.write_webhook_family(
        metrics,
        "miniback_deliveries_unexplained",
        "Events of the webhook that no delivery accounts for. 0 unless an event was lost.",
        |webhook| Some(webhook.totals.unexplained_events() as f64),
    );
    text.write_family_header(
        "miniback_alerts_pending",
        "Alerts waiting to be sent to --alert-url.",
    );
    let alerts = metrics.pending_alerts as f64;
    text.write_sample("miniback_alerts_pending", &[], alerts);
    text.0
}

fn render_database_metrics(store: &Store) -> String {
    let mut text = PrometheusText(String::new());
    for (name, help, value) in [
        (
            "miniback_database_ok",
            "Whether the database is intact and wasn't moved or replaced.",
            store.database_problem().is_none(),
        ),
        (
            "miniback_disk_full",
            "Whether the last write failed because the disk is full or failing.",
            store.is_disk_full(),
        ),
    ] {
        text.write_family_header(name, help);
        text.write_sample(name, &[], bool_to_f64(value));
    }
    text.0
}

struct PrometheusText(String);

impl PrometheusText {
    /// Starts a metric family. All families are gauges, because counts can fall: a redelivery
    /// lowers the number of failed deliveries.
    fn write_family_header(&mut self, name: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    }

    fn write_sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| {
            text.replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\n', r"\n")
        };
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", escaped(text)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// Writes a family with a sample for each webhook. Omits webhooks for which `value` returns
    /// `None`.
    fn write_webhook_family(
        &mut self,
        metrics: &Metrics,
        name: &str,
        help: &str,
        value: impl Fn(&WebhookMetrics) -> Option<f64>,
    ) {
        self.write_family_header(name, help);
        for webhook in &metrics.webhooks {
            if let Some(value) = value(webhook) {
                let id = webhook.id.to_string();
                let labels = [("webhook", id.as_str()), ("host", &webhook.host)];
                self.write_sample(name, &labels, value);
            }
        }
    }

    fn write_delivery_family(&mut self, metrics: &Metrics) {
        self.write_family_header(
            "miniback_deliveries",
            "Deliveries by webhook and state, including those removed by retention.",
        );
        for webhook in &metrics.webhooks {
            let totals = webhook.totals;
            for (state, count) in [
                (DeliveryState::Pending, totals.pending),
                (DeliveryState::Delivered, totals.delivered),
                (DeliveryState::Failed, totals.failed),
                (DeliveryState::Canceled, totals.canceled),
            ] {
                let id = webhook.id.to_string();
                let labels = [
                    ("webhook", id.as_str()),
                    ("host", &webhook.host),
                    ("state", state.as_str()),
                ];
                self.write_sample("miniback_deliveries", &labels, count as f64);
            }
        }
    }
}
