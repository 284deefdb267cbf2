//! `/docs/webhooks`: how to receive webhooks, and what to look at when none comes. It asks for no session; an admin
//! gets the checklist with what this installation knows, by its database alone: looking at the page sends nothing.

mod checklist;
mod diagnostics;
mod findings;
mod payloads;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::explanation::format_duration;
use crate::domain::webhook::RetryPolicy;
use checklist::{ChecklistItem, general_checklist};
use diagnostics::DiagnosedWebhook;
use payloads::{CodeExample, ExamplePayload};

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    layout: Layout,
    payloads: Vec<ExamplePayload>,
    languages: [CodeExample; 7],
    uses: [CodeExample; 4],
    /// How long an endpoint may take here.
    timeout: String,
    /// What this installation waits before each retry.
    standard_delays: String,
    patient_delays: String,
    /// The checklist for everybody.
    general: Vec<ChecklistItem>,
    /// The same for each webhook; `None` for who may not see them.
    diagnosed: Option<Vec<DiagnosedWebhook>>,
    /// One webhook was asked for.
    is_single: bool,
}

impl GuidePage {
    /// Anchors and names, in the order of the page.
    fn contents(&self) -> [(&'static str, &'static str); 13] {
        [
            ("start", "In short"),
            ("payloads", "What is sent"),
            ("headers", "Headers"),
            ("verify", "Verify the signature"),
            ("replay", "Replay protection"),
            ("twice", "Idempotency"),
            ("fast", "Answer fast"),
            ("retries", "RetryPolicy"),
            ("later", "Retry-After"),
            ("rotation", "Rotate the secret"),
            ("testing", "Test it"),
            ("uses", "Common uses"),
            ("troubleshooting", "Troubleshooting"),
        ]
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.layout("Webhooks", "help");
    let delivery = &context.app.delivery;
    let timeout = delivery.timeout();
    let diagnosed = if layout.is_admin() {
        Some(diagnostics::diagnose_webhooks(&context).await?)
    } else {
        None
    };
    let page = GuidePage {
        payloads: payloads::payloads(),
        languages: payloads::LANGUAGES,
        uses: payloads::USES,
        timeout: format_duration(timeout),
        standard_delays: join_durations(&delivery.retry_delays(RetryPolicy::Standard)),
        patient_delays: join_durations(&delivery.retry_delays(RetryPolicy::Patient)),
        general: general_checklist(timeout),
        diagnosed,
        is_single: context.query_param("webhook").is_some(),
        layout,
    };
    render(StatusCode::OK, &page)
}

/// `1 s, 5 s and 15 s`; empty for none.
fn join_durations(delays: &[Duration]) -> String {
    let text: Vec<String> = delays.iter().map(|delay| format_delay(*delay)).collect();
    match text.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

/// `15 s`, `5 min`, `24 h`.
fn format_delay(delay: Duration) -> String {
    match delay.as_secs() {
        whole if whole >= 3600 && whole % 3600 == 0 => format!("{} h", whole / 3600),
        whole if whole >= 60 && whole % 60 == 0 => format!("{} min", whole / 60),
        _ => format_duration(delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_listed_as_one_says_them() {
        let delays = |list: &[u64]| {
            let list: Vec<Duration> = list.iter().map(|s| Duration::from_secs(*s)).collect();
            join_durations(&list)
        };
        assert_eq!(delays(&[]), "");
        assert_eq!(delays(&[60]), "1 min");
        assert_eq!(delays(&[1, 90, 86_400]), "1 s, 90 s and 24 h");
    }
}
