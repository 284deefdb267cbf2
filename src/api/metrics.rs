//! `GET /metrics`: Prometheus' text format, version 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

use actix_web::{HttpResponse, web};

use super::problem::Problem;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::feedback::FeedbackStatus;
use crate::server::Site;
use crate::store::{Metrics, WebhookMetrics};

/// Read figures for Prometheus
///
/// Feedback by status, deliveries by state, and which webhooks fail, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "Operations",
    responses((status = 200, description = "The figures", body = String, content_type = "text/plain")))]
pub(super) async fn get(site: web::Data<Site>) -> Result<HttpResponse, Problem> {
    let metrics = site.store.metrics().await?;
    let text = render(&metrics, site.clock.now());
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

fn render(metrics: &Metrics, now: Timestamp) -> String {
    let mut page = Page(String::new());
    page.family("miniback_info", "The version that runs.");
    page.sample(
        "miniback_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    page.family("miniback_feedback", "Feedback that is kept, by status.");
    for status in FeedbackStatus::ALL {
        let count = metrics
            .feedback
            .iter()
            .find(|(s, _)| *s == status)
            .map_or(0, |(_, count)| *count);
        page.sample(
            "miniback_feedback",
            &[("status", status.as_str())],
            count as f64,
        );
    }
    page.of_webhooks(
        metrics,
        "miniback_webhook_enabled",
        "Whether a webhook is switched on.",
        |w| Some(f64::from(u8::from(w.enabled))),
    );
    page.of_webhooks(
        metrics,
        "miniback_webhook_failing",
        "Whether the last attempt of a webhook failed.",
        |w| Some(f64::from(u8::from(w.failing_since.is_some()))),
    );
    page.of_webhooks(
        metrics,
        "miniback_webhook_failing_seconds",
        "For how long a webhook has been failing.",
        |w| w.failing_since.map(|since| now.since(since).as_secs_f64()),
    );
    page.of_webhooks(
        metrics,
        "miniback_webhook_held",
        "Whether an endpoint asked to be left alone for a while.",
        |w| {
            Some(f64::from(u8::from(
                w.held_until.is_some_and(|until| until > now),
            )))
        },
    );
    page.of_webhooks(
        metrics,
        "miniback_webhook_oldest_pending_seconds",
        "How long the delivery that waits longest has waited.",
        |w| {
            Some(
                w.oldest_pending
                    .map_or(0.0, |since| now.since(since).as_secs_f64()),
            )
        },
    );
    page.of_webhooks(
        metrics,
        "miniback_webhook_failed_in_a_row",
        "Deliveries that were given up since a webhook's last success.",
        |w| Some(f64::from(w.failed_in_a_row)),
    );
    page.family(
        "miniback_deliveries",
        "Deliveries by webhook and state, those that retention has removed included.",
    );
    for webhook in &metrics.webhooks {
        let accounting = webhook.accounting;
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
            page.sample("miniback_deliveries", &labels, count as f64);
        }
    }
    page.of_webhooks(
        metrics,
        "miniback_deliveries_unexplained",
        "Events of a webhook that are in no state: 0, unless something is lost.",
        |w| Some(w.accounting.unexplained() as f64),
    );
    page.family(
        "miniback_alerts_pending",
        "Alerts that have not arrived at --alert-url yet.",
    );
    page.sample("miniback_alerts_pending", &[], metrics.alerts as f64);
    page.0
}

struct Page(String);

impl Page {
    /// All of them are gauges: a redelivery takes one from what had failed.
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a string cannot fail.
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

    fn of_webhooks(
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
