//! `/api/v1/feedback`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::body::{Json, named};
use super::guard::Caller;
use super::lists::{List, Query};
use super::problem::{Problem, answer_to_delete};
use crate::clock::Timestamp;
use crate::domain::feedback::{self, Actor, Feedback, NewFeedback, ProjectSummary, Status};
use crate::domain::id::FeedbackId;
use crate::domain::invalid::Checks;
use crate::domain::search::Search;
use crate::server::{Site, tokens};
use crate::store::{CreateFeedbackError, FeedbackFilter, Idempotency};

const NOT_FOUND: Problem = Problem::NotFound("There is no such feedback.");
/// The longest `Idempotency-Key`, in bytes.
const KEY_MAX_BYTES: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    project: String,
    message: String,
    email: Option<String>,
    url: Option<String>,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "named")]
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: &'a FeedbackId,
    message: &'a str,
    status: Status,
    created_at: Timestamp,
    email: Option<&'a str>,
    url: Option<&'a str>,
    metadata: Option<&'a Map<String, Value>>,
    project: &'a ProjectSummary,
}

impl<'a> View<'a> {
    fn of(feedback: &'a Feedback) -> Self {
        Self {
            id: &feedback.id,
            message: &feedback.message,
            status: feedback.status,
            created_at: feedback.created_at,
            email: feedback.email.as_deref(),
            url: feedback.url.as_deref(),
            metadata: feedback.metadata.as_ref(),
            project: &feedback.project,
        }
    }
}

fn render(feedback: &Feedback) -> String {
    // Strings and JSON values always serialise.
    serde_json::to_string(&View::of(feedback)).unwrap_or_default()
}

pub(super) async fn create(
    site: web::Data<Site>,
    caller: Caller,
    request: HttpRequest,
    Json(body): Json<Create>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let new = NewFeedback {
        project: body.project,
        message: checks
            .take("message", feedback::message(body.message))
            .unwrap_or_default(),
        email: body
            .email
            .and_then(|email| checks.take("email", feedback::email(email))),
        url: body
            .url
            .and_then(|url| checks.take("url", feedback::page_url(url))),
        metadata: body
            .metadata
            .and_then(|metadata| checks.take("metadata", feedback::metadata(metadata))),
    };
    checks.finish()?;
    let idempotency = idempotency(&request, &caller, &new)?;
    let answer = site
        .store
        .create_feedback(new, idempotency, render)
        .await
        .map_err(|error| match error {
            CreateFeedbackError::UnknownProject(_) => Problem::field("project", error),
            CreateFeedbackError::Paused => Problem::Forbidden(error.to_string()),
            CreateFeedbackError::KeyReused => Problem::field("Idempotency-Key", error),
            CreateFeedbackError::KeySpent => Problem::Conflict(error.to_string()),
            CreateFeedbackError::Store(error) => error.into(),
        })?;
    Ok(HttpResponse::Created()
        .content_type("application/json")
        .body(answer))
}

/// By which the call is known when it comes again.
fn idempotency(
    request: &HttpRequest,
    caller: &Caller,
    new: &NewFeedback,
) -> Result<Option<Idempotency>, Problem> {
    Ok(idempotency_key(request)?.map(|key| Idempotency {
        owner: caller.0.id.as_str().to_owned(),
        call: "create feedback",
        key,
        request_hash: tokens::hash(serde_json::to_vec(new).unwrap_or_default()),
    }))
}

/// The call's `Idempotency-Key`, if it has one: 1 to 255 printable ASCII characters.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(header) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    header
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_MAX_BYTES).contains(&key.len()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Problem::field(
                "Idempotency-Key",
                "An Idempotency-Key has 1 to 255 printable ASCII characters.",
            )
        })
}

pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let page = query.page("fb_")?;
    let project = match query.get("project") {
        None => None,
        Some(name) => Some(
            site.store
                .project(name.to_owned())
                .await?
                .ok_or_else(|| Problem::field("project", format!("There is no project “{name}”.")))?
                .id,
        ),
    };
    let status = query
        .get("status")
        .map(str::parse)
        .transpose()
        .map_err(|error: feedback::UnknownStatus| Problem::field("status", error))?;
    let search = query.get("q").and_then(Search::parse);
    let found = site
        .store
        .feedback_list(
            FeedbackFilter {
                project,
                status,
                search,
            },
            page,
        )
        .await?;
    let list = List::of(found, |feedback| {
        serde_json::to_value(View::of(&feedback)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

pub(super) async fn get(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let feedback = site
        .store
        .feedback(FeedbackId::new(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::of(&feedback)))
}

pub(super) async fn change(
    site: web::Data<Site>,
    caller: Caller,
    id: web::Path<String>,
    Json(body): Json<Change>,
) -> Result<HttpResponse, Problem> {
    let id = FeedbackId::new(id.into_inner());
    let feedback = match body.status {
        Some(status) => {
            let by = Actor {
                email: caller.0.user.email,
                token: Some(caller.0.name),
            };
            site.store.set_status(id, status, by).await?
        }
        None => site.store.feedback(id).await?,
    };
    Ok(HttpResponse::Ok().json(View::of(&feedback.ok_or(NOT_FOUND)?)))
}

pub(super) async fn delete(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let deleted = site
        .store
        .delete_feedback(FeedbackId::new(id.into_inner()))
        .await?;
    answer_to_delete(deleted, NOT_FOUND)
}
