//! `/docs/webhooks`: the integration guide, which is public.
//!
//! For admins, the troubleshooting section contains diagnostics of each webhook. The diagnostics
//! use only the database, so rendering the page sends no requests.
//!
//! `/docs/webhooks.md` is the guide as Markdown, without diagnostics. `/docs/webhooks` returns it
//! too if the request accepts `text/markdown`.

mod checklist;
mod code_language;
mod diagnostics;
mod links;
mod markdown;
mod payloads;
mod webhook_checks;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, VARY};
use askama::Template;

use super::docs::event_schemas::schema_path;
use super::docs::sidebar::{DocsPage, DocsSidebar};
use super::examples::{Example, GuideSection};
use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::explanation::format_duration;
use crate::domain::webhook::RetryPolicy;
use crate::formats::event_schemas;
use checklist::{ChecklistItem, general_checklist};
use diagnostics::DiagnosedWebhook;
use payloads::ExamplePayload;

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    layout: Layout,
    sidebar: DocsSidebar,
    payloads: Vec<ExamplePayload>,
    /// The types of all events that have a JSON Schema, with the paths of the schemas.
    schemas: Vec<(&'static str, String)>,
    /// The example of `feedback.created` with details, as formatted JSON.
    payload_with_details: String,
    /// The examples of "Verify the signature", each with its introduction.
    verify_examples: Vec<(&'static Example, &'static str)>,
    /// Whether to show all examples of "Verify the signature", not only the selected one.
    all_languages: bool,
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
    let mut response = if markdown::is_preferred(&context.request) {
        show_markdown(context).await?
    } else {
        show_html(&context).await?
    };
    let accept = HeaderValue::from_static("Accept");
    response.headers_mut().append(VARY, accept);
    Ok(response)
}

pub(super) async fn show_markdown(context: RequestContext) -> Result<HttpResponse, PageError> {
    let (mut layout, _) = context.build_layout("Webhooks", NavSection::Help);
    // Everybody gets the same text.
    layout.user = None;
    let mut page = build_page(&context, layout, None)?;
    page.all_languages = true;
    let html = page
        .render()
        .map_err(|error| PageError::Internal(error.to_string()))?;
    let own_origin = context.trusted_proxies().own_origin(&context.request);
    let origin = context.app.urls.origin().unwrap_or(&own_origin);
    let page_url = context.absolute_url("/docs/webhooks");
    let markdown = markdown::from_page(&html, origin, &page_url)?;
    Ok(HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(markdown))
}

async fn show_html(context: &RequestContext) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.build_layout("Webhooks", NavSection::Help);
    let diagnosed = if layout.is_admin() {
        Some(diagnostics::diagnose_webhooks(context).await?)
    } else {
        None
    };
    let page = build_page(context, layout, diagnosed)?;
    let mut response = render(StatusCode::OK, &page)?;
    code_language::remember_language(context, &mut response, page.selected.0.key);
    Ok(response)
}

fn build_page(
    context: &RequestContext,
    layout: Layout,
    diagnosed: Option<Vec<DiagnosedWebhook>>,
) -> Result<GuidePage, PageError> {
    let delivery = &context.app.delivery;
    let timeout = delivery.timeout();
    let verify_examples: Vec<_> = Example::for_guide_section(GuideSection::Verify).collect();
    let chosen = code_language::chosen_language(context);
    let is_chosen =
        |entry: &&(&'static Example, &'static str)| Some(entry.0.key) == chosen.as_deref();
    let first = verify_examples.first();
    let Some(selected) = verify_examples.iter().find(is_chosen).or(first).copied() else {
        return Err(PageError::Internal("the guide has no examples".into()));
    };
    Ok(GuidePage {
        sidebar: DocsSidebar::new(DocsPage::Webhooks, SECTIONS),
        payloads: payloads::example_payloads(),
        schemas: event_schemas()
            .iter()
            .map(|schema| (schema.event, schema_path(schema.event)))
            .collect(),
        payload_with_details: payloads::example_with_details(),
        verify_examples,
        all_languages: false,
        selected,
        use_examples: Example::for_guide_section(GuideSection::CommonUses).collect(),
        timeout: format_duration(timeout),
        standard_delays: join_delays(&delivery.retry_delays(RetryPolicy::Standard)),
        patient_delays: join_delays(&delivery.retry_delays(RetryPolicy::Patient)),
        general_checklist: general_checklist(timeout),
        diagnosed,
        is_single: context.query_param("webhook").is_some(),
        layout,
    })
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
