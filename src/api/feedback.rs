//! `/api/v1/feedback`: create, list, read, update, and delete feedback.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::Caller;
use super::etag::{IfMatch, etag_header};
use super::lists::{List, PageParams, QueryParams};
use super::projects::IdOrSlug;
use crate::domain::feedback::{
    Actor, Feedback, FeedbackStatus, NewFeedback, ParseStatusError, RawFeedback, metadata_schema,
};
use crate::domain::id::{FeedbackId, Id};
use crate::domain::search::SearchQuery;
use crate::server::idempotency_key::idempotency_key;
use crate::server::json_body::{Json, deserialize_non_null};
use crate::server::long_reads::run_blocking;
use crate::server::problem::{Problem, deletion_response};
use crate::server::{AppState, schemas, tokens};
use crate::store::{CreateFeedbackError, CreatedFeedback, FeedbackFilter, IdempotencyKey};

const NOT_FOUND: Problem = Problem::NotFound("Feedback not found.");
/// The header that marks a response as a repetition of an earlier response.
const IDEMPOTENCY_REPLAYED: &str = "Idempotency-Replayed";

#[derive(Deserialize, ToSchema)]
#[schema(as = NewFeedback)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateFeedback {
    #[schema(value_type = IdOrSlug)]
    project: String,
    #[schema(schema_with = schemas::message)]
    message: String,
    #[schema(schema_with = schemas::email, required = false)]
    email: Option<String>,
    #[schema(schema_with = schemas::page_url, required = false)]
    url: Option<String>,
    #[schema(schema_with = metadata_schema, required = false)]
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = FeedbackChange, example = json!({"status": "RESOLVED"}))]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateFeedback {
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    status: Option<FeedbackStatus>,
}

fn feedback_json(feedback: &Feedback) -> String {
    // Serializing strings and JSON values can't fail.
    serde_json::to_string(feedback).unwrap_or_default()
}

/// Create feedback
///
/// The feedback and its deliveries are stored before the response is sent.
///
/// If a call with an `Idempotency-Key` is repeated within 24 hours, nothing is created. The first
/// response is returned again, with `Idempotency-Replayed: true`. If both calls arrive at the same
/// time, the second call waits. A key applies only to this operation and to the API token that sent
/// it.
#[utoipa::path(
    post,
    path = "/api/v1/feedback",
    operation_id = "createFeedback",
    tag = "Feedback",
    params(
        (
            "Idempotency-Key" = Option<String>,
            Header,
            nullable = false,
            min_length = 1,
            max_length = 255,
            pattern = "^[ -~]+$",
            description = "A value of your choice that identifies this request. Repeating the \
                request with the same key is safe.",
            example = "order-4711-feedback",
        ),
    ),
    request_body = CreateFeedback,
    responses(
        (
            status = 201,
            description = "The feedback",
            body = Feedback,
            headers((
                "Idempotency-Replayed" = bool,
                description = "`true` if this is the response of an earlier call with the same \
                    `Idempotency-Key`. Otherwise absent."
            )),
        ),
        (
            status = 403,
            description = "The project is paused, or the token isn’t allowed to do this",
        ),
        (
            status = 409,
            description = "The feedback created with this `Idempotency-Key` was deleted",
        ),
        (
            status = 422,
            description = "A field is invalid, the project is unknown, or the `Idempotency-Key` \
                was used with a different body",
        ),
    )
)]
pub(super) async fn create(
    app: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    Json(body): Json<CreateFeedback>,
) -> Result<HttpResponse, Problem> {
    let raw = RawFeedback {
        project: body.project,
        message: body.message,
        email: body.email,
        url: body.url,
        metadata: body.metadata,
    };
    let new = NewFeedback::validate(raw, "metadata")?;
    let idempotency = scoped_idempotency_key(&request, &caller, "create feedback", &new)?;
    let created = app
        .store
        .create_feedback(new, idempotency, feedback_json)
        .await
        .map_err(creation_problem)?;
    Ok(created_response(&app, created))
}

pub(super) fn creation_problem(error: CreateFeedbackError) -> Problem {
    match error {
        CreateFeedbackError::UnknownProject(_) => Problem::invalid_field("project", error),
        CreateFeedbackError::Paused => Problem::Forbidden(error.to_string()),
        CreateFeedbackError::IdempotencyKeyReused => {
            Problem::invalid_field("Idempotency-Key", error)
        }
        CreateFeedbackError::IdempotentFeedbackDeleted => Problem::Conflict(error.to_string()),
        CreateFeedbackError::Store(error) => error.into(),
    }
}

pub(super) fn created_response(app: &AppState, created: CreatedFeedback) -> HttpResponse {
    let location = app.urls.path(&format!("/api/v1/feedback/{}", created.id));
    let mut response = HttpResponse::Created();
    response.insert_header(("Location", location));
    if created.replayed {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    response
        .content_type("application/json")
        .body(created.response)
}

/// Returns the call's idempotency key with its owner, its operation, and a hash of the request.
/// Returns `None` if the call has no key.
pub(super) fn scoped_idempotency_key(
    request: &HttpRequest,
    caller: &Caller,
    operation: &'static str,
    new: &NewFeedback,
) -> Result<Option<IdempotencyKey>, Problem> {
    Ok(idempotency_key(request)?.map(|key| IdempotencyKey {
        owner: caller.0.id.to_string(),
        operation,
        key,
        request_hash: tokens::sha256(serde_json::to_vec(new).unwrap_or_default()),
    }))
}

/// List feedback
#[utoipa::path(
    get,
    path = "/api/v1/feedback",
    operation_id = "listFeedback",
    tag = "Feedback",
    params(
        PageParams<FeedbackId>,
        (
            "project" = Option<IdOrSlug>,
            Query,
            nullable = false,
            description = "The id or slug of a project. Only feedback in this project is listed.",
        ),
        (
            "status" = Option<FeedbackStatus>,
            Query,
            nullable = false,
            description = "Only feedback with this status.",
        ),
        (
            "q" = Option<String>,
            Query,
            nullable = false,
            max_length = 200,
            description = "Only feedback that contains all of these words, at most 16 different \
                ones. Case, accents, and typographic variants don’t matter.",
            example = "button",
        ),
    ),
    responses((status = 200, description = "A page of feedback", body = List<Feedback>))
)]
pub(super) async fn list(
    app: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = QueryParams::parse(&request)?;
    let page = query.page_request::<FeedbackId>()?;
    let project = match query.get("project") {
        None => None,
        Some(name) => Some(
            app.store
                .project(name.to_owned())
                .await?
                .ok_or_else(|| {
                    Problem::invalid_field("project", format!("There is no project “{name}”."))
                })?
                .id,
        ),
    };
    let status = query
        .get("status")
        .map(str::parse)
        .transpose()
        .map_err(|error: ParseStatusError| Problem::invalid_field("status", error))?;
    let search = SearchQuery::parse(query.get("q").unwrap_or_default())
        .map_err(|error| Problem::invalid_field("q", error.message()))?;
    let filter = FeedbackFilter {
        project,
        status,
        search,
        ..FeedbackFilter::default()
    };
    let store = app.store.clone();
    let read = async move {
        let found = store.feedback_list(filter, page).await?;
        run_blocking(move || serde_json::to_vec(&List::from_page(found, |feedback| feedback))).await
    };
    let list = app.long_reads.run(&caller.0.user.id, read).await?;
    // The default is never used, because serializing strings and JSON values can't fail.
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(list.unwrap_or_default()))
}

/// Get feedback
#[utoipa::path(
    get,
    path = "/api/v1/feedback/{id}",
    operation_id = "getFeedback",
    tag = "Feedback",
    params(("id" = FeedbackId, Path)),
    responses((status = 200, description = "The feedback", body = Feedback))
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let feedback = app
        .store
        .feedback(FeedbackId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&feedback, &app.versions))
        .json(feedback))
}

/// Update feedback
///
/// Changes the status. Every change of status is allowed. A change creates one `feedback.updated`
/// event. Setting the current status again creates no event.
#[utoipa::path(
    patch,
    path = "/api/v1/feedback/{id}",
    operation_id = "changeFeedback",
    tag = "Feedback",
    params(("id" = FeedbackId, Path)),
    request_body = UpdateFeedback,
    responses((status = 200, description = "The updated feedback", body = Feedback))
)]
pub(super) async fn update(
    app: web::Data<AppState>,
    caller: Caller,
    id: web::Path<String>,
    if_match: IfMatch,
    Json(body): Json<UpdateFeedback>,
) -> Result<HttpResponse, Problem> {
    let id = FeedbackId::parse_or_nil(id.into_inner());
    let by = Actor {
        email: caller.0.user.email,
        token: Some(caller.0.name),
    };
    let precondition = if_match.into_precondition(&app.versions);
    let feedback = app
        .store
        .set_status(id, body.status, by, precondition)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&feedback, &app.versions))
        .json(feedback))
}

/// Delete feedback
///
/// Deletes the feedback, cancels its pending deliveries, and removes its content from the delivery
/// log.
#[utoipa::path(
    delete,
    path = "/api/v1/feedback/{id}",
    operation_id = "deleteFeedback",
    tag = "Feedback",
    params(("id" = FeedbackId, Path)),
    responses((status = 204, description = "The feedback was deleted"))
)]
pub(super) async fn delete(
    app: web::Data<AppState>,
    id: web::Path<String>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = FeedbackId::parse_or_nil(id.into_inner());
    let precondition = if_match.into_precondition(&app.versions);
    let deleted = app.store.delete_feedback(id, precondition).await?;
    deletion_response(deleted, NOT_FOUND)
}
