//! Settings → Privacy: what there is of a person, by their e-mail address; to look at, to hand over, to erase.
//!
//! The address is posted, also to look: it has no place in a URL, which proxies and browsers write down.

mod export;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use askama::Template;

use super::fields::FormData;
use super::framework::context::RequestContext;
use super::framework::flash::OneTimeReveal;
use super::framework::format::{DisplayTime, thousands};
use super::framework::idempotent_form::SubmissionKeys;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::feedback::{self, Feedback};
use crate::store::{Erased, PageRequest};

const ADDRESS: &str = "/settings/privacy";
/// How many feedbacks are listed; all are counted, exported and erased.
const LISTED: usize = 50;
/// How much of a message is listed.
const SHOWN_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage {
    layout: Layout,
    email: String,
    problem: Option<String>,
    /// What was just erased, in words.
    erased: Option<String>,
    found: Option<Found>,
    is_erase_asked: bool,
    key: String,
}

/// What there is of the address.
struct Found {
    count: u64,
    rows: Vec<Row>,
}

struct Row {
    feedback: Feedback,
    words: String,
    at: DisplayTime,
}

impl Found {
    async fn of(context: &RequestContext, layout: &Layout, email: &str) -> Result<Self, PageError> {
        let page = PageRequest {
            limit: LISTED,
            before: None,
        };
        let count = context.site.store.count_feedback_of(email).await?;
        let listed = context.site.store.feedback_of(email, page).await?.items;
        let rows = listed.into_iter().map(|feedback| {
            let mut words: String = feedback.message.chars().take(SHOWN_CHARS).collect();
            if words.len() < feedback.message.len() {
                words.push('…');
            }
            Row {
                words,
                at: layout.time(&feedback.created_at),
                feedback,
            }
        });
        Ok(Self {
            count,
            rows: rows.collect(),
        })
    }

    fn count(&self) -> String {
        thousands(self.count)
    }

    /// How many are not listed, if there are any.
    fn more(&self) -> Option<String> {
        let listed = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let more = self.count.saturating_sub(listed);
        (more > 0).then(|| thousands(more))
    }
}

impl PrivacyPage {
    fn new(context: &RequestContext, email: &str, problem: Option<String>) -> Self {
        let (layout, _) = context.layout("Privacy", "privacy");
        let erased = match context.made(|made| matches!(made, OneTimeReveal::Erased { .. })) {
            Some(OneTimeReveal::Erased { words }) => Some(words),
            _ => None,
        };
        Self {
            layout,
            email: email.to_owned(),
            problem,
            erased,
            found: None,
            is_erase_asked: false,
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
    let found = Found::of(&context, &page.layout, &email).await?;
    page.is_erase_asked = fields.get("do") == "erase" && found.count > 0;
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
            context.site.store.clone(),
            email,
            context.site.clock.now(),
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
    let asked = context.clone();
    let work = async move {
        let mut erased = Erased::default();
        loop {
            let step = asked.site.store.erase_some_of(&email).await?;
            if step.feedback == 0 {
                break;
            }
            erased = erased.and(step);
        }
        asked.site.store.finish_erasing().await?;
        let count = erased.feedback;
        tracing::info!(feedback = count, "the feedback of an address was erased");
        let words = in_words(&email, erased);
        asked.leave(|flash| flash.made = Some(OneTimeReveal::Erased { words }));
        Ok(())
    };
    context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?;
    Ok(context.redirect(ADDRESS))
}

/// The address that was posted, or the page that says what is wrong with it.
fn read_email(context: &RequestContext, fields: &FormData) -> Result<String, Box<PrivacyPage>> {
    let given = fields.get("email").trim();
    feedback::check_email(given.to_owned())
        .map_err(|error| Box::new(PrivacyPage::new(context, given, Some(error.to_string()))))
}

fn in_words(email: &str, erased: Erased) -> String {
    if erased == Erased::default() {
        return format!("Nothing was left of {email} to erase.");
    }
    let count = |number: usize, one: &str, many: &str| {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let noun = if number == 1 { one } else { many };
        format!("{} {noun}", thousands(number))
    };
    let mut words = format!(
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
        words.push_str(&format!(" {canceled} canceled."));
    }
    words
}
