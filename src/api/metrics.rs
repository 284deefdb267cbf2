//! `GET /metrics`: metrics in the Prometheus text format, version 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

use actix_web::{HttpResponse, web};

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::server::AppState;
use crate::server::problem::Problem;
use crate::store::{Metrics, WebhookMetrics};

/// Get metrics
///
/// Feedback by status, deliveries by state, and failing webhooks, in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "Operations",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")))]
pub(super) async fn get(app: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let metrics = app.store.metrics().await?;
    let text = render(&metrics, app.clock.now());
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

fn render(metrics: &Metrics, now: Timestamp) -> String {
    let mut text = PrometheusText(String::new());
    text.family("miniback_info", "The running version.");
    text.sample(
        "miniback_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    text.family("miniback_feedback", "Stored feedback, by status.");
    for status in FeedbackStatus::ALL {
        let count = metrics
            .feedback
            .iter()
            .find(|(s, _)| *s == status)
            .map_or(0, |(_, count)| *count);
        text.sample(
            "miniback_feedback",
            &[("status", status.as_str())],
            count as f64,
        );
    }
    text.webhook_family(
        metrics,
        "miniback_webhook_enabled",
        "Whether the webhook is enabled.",
        |w| Some(f64::from(u8::from(w.enabled))),
    );
    text.webhook_family(
        metrics,
        "miniback_webhook_failing",
        "Whether the webhook's last attempt failed.",
        |w| Some(f64::from(u8::from(w.failing_since.is_some()))),
    );
    text.webhook_family(
        metrics,
        "miniback_webhook_failing_seconds",
        "Seconds since the webhook started failing.",
        |w| w.failing_since.map(|since| now.since(since).as_secs_f64()),
    );
    text.webhook_family(
        metrics,
        "miniback_webhook_held",
        "Whether deliveries are held because the endpoint sent Retry-After.",
        |w| {
            Some(f64::from(u8::from(
                w.held_until.is_some_and(|until| until > now),
            )))
        },
    );
    text.webhook_family(
        metrics,
        "miniback_webhook_oldest_pending_seconds",
        "Age of the oldest pending delivery, or 0.",
        |w| {
            Some(
                w.oldest_pending
                    .map_or(0.0, |since| now.since(since).as_secs_f64()),
            )
        },
    );
    text.webhook_family(
        metrics,
        "miniback_webhook_failed_in_a_row",
        "Deliveries that failed since the webhook's last success.",
        |w| Some(f64::from(w.consecutive_failures)),
    );
    text.family(
        "miniback_deliveries",
        "Deliveries by webhook and state, including those removed by retention.",
    );
    for webhook in &metrics.webhooks {
        let accounting = webhook.totals;
        for (state, count) in [
            (DeliveryState::Pending, accounting.pending),
            (DeliveryState::Delivered, accounting.delivered),
            (DeliveryState::Failed, accounting.failed),
            (DeliveryState::Canceled, accounting.canceled),
        ] {
            let labels = [
                ("webhook", webhook.id.as_str()),
                ("host", &webhook.host),
                ("state", state.as_str()),
            ];
            text.sample("miniback_deliveries", &labels, count as f64);
        }
    }
    text.webhook_family(
        metrics,
        "miniback_deliveries_unexplained",
        "Events of the webhook that are in no state: 0 unless an event was lost.",
        |w| Some(w.totals.discrepancy() as f64),
    );
    text.family(
        "miniback_alerts_pending",
        "Alerts waiting to be sent to --alert-url.",
    );
    text.sample(
        "miniback_alerts_pending",
        &[],
        metrics.pending_alerts as f64,
    );
    text.0
}

struct PrometheusText(String);

impl PrometheusText {
    /// Starts a metric family. All are gauges, because a redelivery lowers the number of failed
    /// deliveries.
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
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

    fn webhook_family(
        &mut self,
        metrics: &Metrics,
        name: &str,
        help: &str,
        value: impl Fn(&WebhookMetrics) -> Option<f64>,
    ) {
        self.family(name, help);
        for webhook in &metrics.webhooks {
            if let Some(value) = value(webhook) {
                self.sample(
                    name,
                    &[("webhook", webhook.id.as_str()), ("host", &webhook.host)],
                    value,
                );
            }
        }
    }
}
