//! Settings → Privacy: finds, exports, and erases the data of a person by their email.
//!
//! Searches are POST requests, because proxies and browsers record URLs, which must not contain the
//! email.

mod export;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::exports;
use super::framework::flash::OneTimeValue;
use super::framework::format::{DisplayTime, group_digits};
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::email::check_email_syntax;
use crate::domain::feedback::Feedback;
use crate::store::{ErasureCounts, PageRequest, StoreError};
use export::ExportPosition;

const PATH: &str = "/settings/privacy";
/// The maximum number of listed feedback items. Counts, exports, and erasures include all items.
const LISTED_FEEDBACK_MAX: usize = 50;
/// The maximum length of a message in the list, in characters.
const EXCERPT_MAX_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage {
    layout: Layout,
    email: String,
    problem: Option<String>,
    /// A summary of the data that was just erased.
    erased: Option<String>,
    found: Option<SearchResult>,
    is_confirming_erase: bool,
    /// Whether a replica contains erased data for some time.
    is_replicated: bool,
}

/// The feedback items submitted with an email: their count, and the newest items.
struct SearchResult {
    count: u64,
    rows: Vec<FeedbackRow>,
}

struct FeedbackRow {
    feedback: Feedback,
    excerpt: String,
    at: DisplayTime,
}

impl SearchResult {
    async fn load(
        context: &RequestContext,
        layout: &Layout,
        email: &str,
    ) -> Result<Self, PageError> {
        let page = PageRequest {
            limit: LISTED_FEEDBACK_MAX,
            before: None,
        };
        let (store, email) = (context.app.store.clone(), email.to_owned());
        let read = async move {
            let count = store.count_feedback_by_email(&email).await?;
            let listed = store.feedback_by_email(&email, page).await?.items;
            Ok::<_, StoreError>((count, listed))
        };
        let user = &context.user()?.id;
        let (count, listed) = context.app.long_reads.run(user, read).await?;
        let rows = listed.into_iter().map(|feedback| {
            let mut excerpt: String = feedback.message.chars().take(EXCERPT_MAX_CHARS).collect();
            if excerpt.len() < feedback.message.len() {
                excerpt.push('…');
            }
            FeedbackRow {
                excerpt,
                at: layout.display_time(&feedback.created_at),
                feedback,
            }
        });
        Ok(Self {
            count,
            rows: rows.collect(),
        })
    }

    fn formatted_count(&self) -> String {
        group_digits(self.count)
    }

    /// Returns the number of items that aren't listed, or `None` if all items are listed.
    fn unlisted_count(&self) -> Option<String> {
        let listed = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let more = self.count.saturating_sub(listed);
        (more > 0).then(|| group_digits(more))
    }
}

impl PrivacyPage {
    fn new(context: &RequestContext, email: &str, problem: Option<String>) -> Self {
        let (layout, _) = context.build_layout("Privacy", NavSection::Privacy);
        let erased = match context
            .take_one_time_value(|value| matches!(value, OneTimeValue::Erased { .. }))
        {
            Some(OneTimeValue::Erased { summary }) => Some(summary),
            _ => None,
        };
        Self {
            layout,
            email: email.to_owned(),
            problem,
            erased,
            found: None,
            is_confirming_erase: false,
            is_replicated: context.app.store.is_replicated(),
        }
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &PrivacyPage::new(&context, "", None))
}

/// Handles "Find", and "Erase" before the erasure is confirmed.
pub(super) async fn search_by_email(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let email = match parse_email(&context, &fields) {
        Ok(email) => email,
        Err(page) => return render(StatusCode::UNPROCESSABLE_ENTITY, &*page),
    };
    let mut page = PrivacyPage::new(&context, &email, None);
    let found = SearchResult::load(&context, &page.layout, &email).await?;
    page.is_confirming_erase = fields.get("do") == "erase" && found.count > 0;
    page.found = Some(found);
    render(StatusCode::OK, &page)
}

pub(super) async fn export(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let email = match parse_email(&context, &fields) {
        Ok(email) => email,
        Err(page) => return render(StatusCode::UNPROCESSABLE_ENTITY, &*page),
    };
    let slot = exports::acquire_export_slot(&context)?;
    let (user, now) = (context.user()?.id, context.app.clock.now());
    let app = context.app.clone();
    let file = exports::stream_file(slot, ExportPosition::Start, move |position| {
        let (app, user, email) = (app.clone(), user, email.clone());
        async move {
            let store = app.store.clone();
            let chunk = async move { export::next_chunk(&store, &email, now, position).await };
            app.long_reads.run(&user, chunk).await
        }
    });
    let name = "miniback-personal-data.json";
    Ok(exports::file_response("application/json", name, file))
}

/// Erases a person's feedback in batches. The handler finishes even if the browser disconnects.
pub(super) async fn erase(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let email = match parse_email(&context, &fields) {
        Ok(email) => email,
        Err(page) => return render(StatusCode::UNPROCESSABLE_ENTITY, &*page),
    };
    let store = &context.app.store;
    let mut erased = ErasureCounts::default();
    loop {
        let batch = store.erase_feedback_batch(&email).await?;
        if batch.feedback == 0 {
            break;
        }
        erased += batch;
    }
    store.purge_erased_content().await?;
    tracing::info!(feedback = erased.feedback, "personal data erased");
    let mut summary = erasure_result_message(&email, erased);
    if store.is_replicated() && erased != ErasureCounts::default() {
        summary.push_str(" The replica contains the data until its retention period ends.");
    }
    context.update_flash(|flash| flash.one_time_value = Some(OneTimeValue::Erased { summary }));
    Ok(context.redirect(PATH))
}

/// Returns the email of the form, or the page with a validation error.
fn parse_email(
    context: &RequestContext,
    fields: &IdempotentForm,
) -> Result<String, Box<PrivacyPage>> {
    let email = fields.get("email");
    check_email_syntax(email)
        .map_err(|error| Box::new(PrivacyPage::new(context, email, Some(error.to_string()))))
}

fn erasure_result_message(email: &str, erased: ErasureCounts) -> String {
    if erased == ErasureCounts::default() {
        return format!("No data found for {email}.");
    }
    let count = |number: usize, one: &str, many: &str| {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let noun = if number == 1 { one } else { many };
        format!("{} {noun}", group_digits(number))
    };
    let mut message = format!(
        "Erased data for {email}: {}, {}, and {}.",
        count(erased.feedback, "feedback item", "feedback items"),
        count(erased.bodies, "delivery body", "delivery bodies"),
        count(erased.attempts, "logged attempt", "logged attempts"),
    );
    if erased.canceled > 0 {
        let canceled = count(erased.canceled, "pending delivery", "pending deliveries");
        message.push_str(&format!(" {canceled} canceled."));
    }
    message
}
