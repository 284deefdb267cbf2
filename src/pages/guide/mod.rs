//! `/docs/webhooks`: how to receive webhooks, and what to look at when none comes. It asks for no session; an admin
//! gets the checklist with what this installation knows, by its database alone: looking at the page sends nothing.

mod checklist;
mod findings;
mod load;
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
use checklist::{Item, advice};
use load::Examined;
use payloads::{Code, Payload};

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    layout: Layout,
    payloads: [Payload; 3],
    languages: [Code; 7],
    uses: [Code; 4],
    /// How long an endpoint may take here.
    timeout: String,
    /// What this installation waits before each retry.
    standard: String,
    patient: String,
    /// The checklist for everybody.
    general: Vec<Item>,
    /// The same for each webhook; `None` for who may not see them.
    examined: Option<Vec<Examined>>,
    /// One webhook was asked for.
    is_one: bool,
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
            ("retries", "Retries"),
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
    let examined = if layout.is_admin() {
        Some(load::examine(&context).await?)
    } else {
        None
    };
    let page = GuidePage {
        payloads: payloads::payloads(),
        languages: payloads::LANGUAGES,
        uses: payloads::USES,
        timeout: format_duration(timeout),
        standard: listed(&delivery.retry_delays(RetryPolicy::Standard)),
        patient: listed(&delivery.retry_delays(RetryPolicy::Patient)),
        general: advice(timeout),
        examined,
        is_one: context.query_param("webhook").is_some(),
        layout,
    };
    render(StatusCode::OK, &page)
}

/// `1 s, 5 s and 15 s`; empty for none.
fn listed(delays: &[Duration]) -> String {
    let words: Vec<String> = delays.iter().map(|delay| spoken(*delay)).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

/// `15 s`, `5 min`, `24 h`.
fn spoken(delay: Duration) -> String {
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
            listed(&list)
        };
        assert_eq!(delays(&[]), "");
        assert_eq!(delays(&[60]), "1 min");
        assert_eq!(delays(&[1, 90, 86_400]), "1 s, 90 s and 24 h");
    }
}
