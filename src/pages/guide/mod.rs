//! `/docs/webhooks`: the integration guide, which is public.
//!
//! For admins, the troubleshooting section contains diagnostics of each webhook. The diagnostics
//! use only the database, so rendering the page sends no requests.

mod checklist;
mod code_language;
mod diagnostics;
mod links;
mod payloads;
mod webhook_checks;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::docs::sidebar::{DocsPage, DocsSidebar};
use super::examples::{Example, GuideSection};
use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::explanation::format_duration;
use crate::domain::webhook::RetryPolicy;
use checklist::{ChecklistItem, general_checklist};
use diagnostics::DiagnosedWebhook;
use payloads::ExamplePayload;

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    layout: Layout,
    sidebar: DocsSidebar,
    payloads: Vec<ExamplePayload>,
    /// The example of `feedback.created` with details, as formatted JSON.
    payload_with_details: String,
    /// The examples of "Verify the signature", each with its introduction.
    verify_examples: Vec<(&'static Example, &'static str)>,
    /// The selected example of "Verify the signature", and its introduction.
    selected: (&'static Example, &'static str),
    /// The examples of "Common uses", each with its introduction.
    use_examples: Vec<(&'static Example, &'static str)>,
    /// The time limit for an endpoint's response.
    timeout: String,
    /// The delays of the retry policy `standard`, such as `1 s, 5 s, and 15 s`.
    standard_delays: String,
    patient_delays: String,
    /// The checklist without diagnostics.
    general_checklist: Vec<ChecklistItem>,
    /// The diagnostics of each webhook; `None` unless the user is an admin.
    diagnosed: Option<Vec<DiagnosedWebhook>>,
    /// Whether the query selects a single webhook.
    is_single: bool,
}

/// Anchors and titles of the sections, in order.
const SECTIONS: [(&str, &str); 14] = [
    ("start", "Quick start"),
    ("payloads", "Events"),
    ("verify", "Verify the signature"),
    ("testing", "Test your endpoint"),
    ("response-time", "Respond quickly"),
    ("retries", "Retries"),
    ("duplicates", "Duplicates and order"),
    ("rotation", "Rotate the secret"),
    ("uses", "Common uses"),
    ("chat", "Chat and email"),
    ("headers", "Headers"),
    ("replay", "Replay protection"),
    ("retry-after", "Retry-After"),
    ("troubleshooting", "Troubleshooting"),
];

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.build_layout("Webhooks", NavSection::Help);
    let delivery = &context.app.delivery;
    let timeout = delivery.timeout();
    let diagnosed = if layout.is_admin() {
        Some(diagnostics::diagnose_webhooks(&context).await?)
    } else {
        None
    };
    let verify_examples: Vec<_> = Example::for_guide_section(GuideSection::Verify).collect();
    let chosen = code_language::chosen_language(&context);
    let is_chosen =
        |entry: &&(&'static Example, &'static str)| Some(entry.0.key) == chosen.as_deref();
    let first = verify_examples.first();
    let Some(selected) = verify_examples.iter().find(is_chosen).or(first).copied() else {
        return Err(PageError::Internal("the guide has no examples".into()));
    };
    let page = GuidePage {
        sidebar: DocsSidebar::new(DocsPage::Webhooks, SECTIONS),
        payloads: payloads::example_payloads(),
        payload_with_details: payloads::example_with_details(),
        verify_examples,
        selected,
        use_examples: Example::for_guide_section(GuideSection::CommonUses).collect(),
        timeout: format_duration(timeout),
        standard_delays: join_delays(&delivery.retry_delays(RetryPolicy::Standard)),
        patient_delays: join_delays(&delivery.retry_delays(RetryPolicy::Patient)),
        general_checklist: general_checklist(timeout),
        diagnosed,
        is_single: context.query_param("webhook").is_some(),
        layout,
    };
    let mut response = render(StatusCode::OK, &page)?;
    code_language::remember_language(&context, &mut response, selected.0.key);
    Ok(response)
}

/// Joins delays, such as `1 s, 5 s, and 15 s`. Returns an empty string if there are no delays.
fn join_delays(delays: &[Duration]) -> String {
    let parts: Vec<String> = delays.iter().map(|delay| format_delay(*delay)).collect();
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, [first])) => format!("{first} and {last}"),
        Some((last, others)) => format!("{}, and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Formats a delay: `15 s`, `5 min`, `24 h`.
fn format_delay(delay: Duration) -> String {
    match delay.as_secs() {
        seconds if seconds >= 3600 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format_duration(delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_delays() {
        let delays = |list: &[u64]| {
            let list: Vec<Duration> = list.iter().map(|s| Duration::from_secs(*s)).collect();
            join_delays(&list)
        };
        assert_eq!(delays(&[]), "");
        assert_eq!(delays(&[60]), "1 min");
        assert_eq!(delays(&[1, 86_400]), "1 s and 24 h");
        assert_eq!(delays(&[1, 90, 86_400]), "1 s, 90 s, and 24 h");
    }
}
