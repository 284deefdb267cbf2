//! Settings → Privacy: what there is of a person, by their e-mail address; to look at, to hand over, to erase.
//!
//! The address is posted, also to look: it has no place in a URL, which proxies and browsers write down.

mod export;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::flash::OneTimeReveal;
use super::framework::format::{DisplayTime, group_digits};
use super::framework::idempotent_form::SubmissionKeys;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::feedback::{self, Feedback};
use crate::server::form_data::FormData;
use crate::store::{ErasureCounts, PageRequest};

const PATH: &str = "/settings/privacy";
/// How many feedbacks are listed; all are counted, exported and erased.
const LISTED_MAX: usize = 50;
/// How much of a message is listed.
const EXCERPT_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage {
    layout: Layout,
    email: String,
    problem: Option<String>,
    /// What was just erased, in words.
    erased: Option<String>,
    found: Option<SearchResult>,
    is_confirming_erase: bool,
    key: String,
}

/// What there is of the address.
struct SearchResult {
    count: u64,
    rows: Vec<ResultRow>,
}

struct ResultRow {
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
            limit: LISTED_MAX,
            before: None,
        };
        let count = context.app.store.count_feedback_by_email(email).await?;
        let listed = context
            .app
            .store
            .feedback_by_email(email, page)
            .await?
            .items;
        let rows = listed.into_iter().map(|feedback| {
            let mut excerpt: String = feedback.message.chars().take(EXCERPT_CHARS).collect();
            if excerpt.len() < feedback.message.len() {
                excerpt.push('…');
            }
            ResultRow {
                excerpt,
                at: layout.time(&feedback.created_at),
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

    /// How many are not listed, if there are any.
    fn unlisted_count(&self) -> Option<String> {
        let listed = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let more = self.count.saturating_sub(listed);
        (more > 0).then(|| group_digits(more))
    }
}

impl PrivacyPage {
    fn new(context: &RequestContext, email: &str, problem: Option<String>) -> Self {
        let (layout, _) = context.layout("Privacy", "privacy");
        let erased =
            match context.take_reveal(|reveal| matches!(reveal, OneTimeReveal::Erased { .. })) {
                Some(OneTimeReveal::Erased { summary }) => Some(summary),
                _ => None,
            };
        Self {
            layout,
            email: email.to_owned(),
            problem,
            erased,
            found: None,
            is_confirming_erase: false,
            key: SubmissionKeys::key(),
        }
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &PrivacyPage::new(&context, "", None))
}

/// "Find", and the question that follows a first press of "Erase".
pub(super) async fn find(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let email = match read_email(&context, &fields) {
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
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let email = match read_email(&context, &fields) {
        Ok(email) => email,
        Err(page) => return render(StatusCode::UNPROCESSABLE_ENTITY, &*page),
    };
    let name = "attachment; filename=\"miniback-personal-data.json\"";
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CONTENT_DISPOSITION, name))
        .streaming(export::stream(
            context.app.store.clone(),
            email,
            context.app.clock.now(),
        )))
}

/// Erases, step by step, to the end also when the browser goes away.
pub(super) async fn erase(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let email = match read_email(&context, &fields) {
        Ok(email) => email,
        Err(page) => return render(StatusCode::UNPROCESSABLE_ENTITY, &*page),
    };
    let eraser = context.clone();
    let work = async move {
        let mut erased = ErasureCounts::default();
        loop {
            let batch = eraser.app.store.erase_batch(&email).await?;
            if batch.feedback == 0 {
                break;
            }
            erased += batch;
        }
        eraser.app.store.purge_free_pages().await?;
        let count = erased.feedback;
        tracing::info!(feedback = count, "the feedback of an address was erased");
        let summary = erased_message(&email, erased);
        eraser.update_flash(|flash| flash.reveal = Some(OneTimeReveal::Erased { summary }));
        Ok(())
    };
    context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?;
    Ok(context.redirect(PATH))
}

/// The address that was posted, or the page that says what is wrong with it.
fn read_email(context: &RequestContext, fields: &FormData) -> Result<String, Box<PrivacyPage>> {
    let email = fields.get("email").trim();
    feedback::check_email(email.to_owned())
        .map_err(|error| Box::new(PrivacyPage::new(context, email, Some(error.to_string()))))
}

fn erased_message(email: &str, erased: ErasureCounts) -> String {
    if erased == ErasureCounts::default() {
        return format!("Nothing was left of {email} to erase.");
    }
    let count = |number: usize, one: &str, many: &str| {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let noun = if number == 1 { one } else { many };
        format!("{} {noun}", group_digits(number))
    };
    let mut message = format!(
        "Erased of {email}: {} with their history, {} and {} in the log.",
        count(erased.feedback, "feedback", "feedbacks"),
        count(erased.bodies, "stored body", "stored bodies"),
        count(
            erased.attempts,
            "request with its answer",
            "requests with their answers"
        ),
    );
    if erased.canceled > 0 {
        let canceled = count(erased.canceled, "pending delivery", "pending deliveries");
        message.push_str(&format!(" {canceled} canceled."));
    }
    message
}
