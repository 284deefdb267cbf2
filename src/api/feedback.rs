//! `/api/v1/feedback`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::body::{Json, named};
use super::guard::Caller;
use super::lists::{List, Paging, Query};
use super::problem::{Problem, answer_to_delete};
use super::projects::IdOrSlug;
use crate::clock::Timestamp;
use crate::domain::feedback::{self, Actor, Feedback, FeedbackStatus, NewFeedback, ProjectSummary};
use crate::domain::id::FeedbackId;
use crate::domain::search::SearchQuery;
use crate::domain::validation::Checks;
use crate::server::{Site, tokens};
use crate::store::{CreateFeedbackError, FeedbackFilter, Idempotency};

const NOT_FOUND: Problem = Problem::NotFound("There is no such feedback.");
/// Says that an answer is that of an earlier call.
const IDEMPOTENCY_REPLAYED: &str = "Idempotency-Replayed";
/// The longest `Idempotency-Key`, in bytes.
const KEY_MAX_BYTES: usize = 255;

pub(super) fn metadata_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("What else belongs to it; at most 4 KiB as JSON."))
        .examples([json!({"plan": "pro"})])
        .build()
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewFeedback)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    #[schema(value_type = IdOrSlug)]
    project: String,
    /// Stored as it is sent. At least one character is no white space, and none is NUL.
    #[schema(
        min_length = 1,
        max_length = 10000,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$",
        example = "The submit button does nothing on my phone"
    )]
    message: String,
    /// One address to answer to.
    #[schema(max_length = 254, format = "email", example = "sam@example.com")]
    email: Option<String>,
    /// The page that it is about: http or https.
    #[schema(
        max_length = 2048,
        pattern = "^[Hh][Tt][Tt][Pp][Ss]?://",
        example = "https://example.com/checkout"
    )]
    url: Option<String>,
    #[schema(schema_with = metadata_schema, required = false)]
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = FeedbackChange)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    #[schema(nullable = false, example = "RESOLVED")]
    #[serde(default, deserialize_with = "named")]
    status: Option<FeedbackStatus>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Feedback)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: &'a FeedbackId,
    #[schema(example = "The submit button does nothing on my phone")]
    message: &'a str,
    status: FeedbackStatus,
    created_at: Timestamp,
    #[schema(required = true, example = "sam@example.com")]
    email: Option<&'a str>,
    #[schema(required = true, example = "https://example.com/checkout")]
    url: Option<&'a str>,
    #[schema(schema_with = metadata_schema, required = true)]
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

/// Send feedback
///
/// It is stored together with its deliveries before this answers. With an `Idempotency-Key`, the same call sent again
/// within 24 hours gets the answer of the first one, marked by `Idempotency-Replayed: true`, and makes nothing; of two
/// at once the second waits for the first. A key belongs to the token that sent it, and to this call.
#[utoipa::path(post, path = "/api/v1/feedback", operation_id = "createFeedback", tag = "Feedback",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
        pattern = "^[ -~]+$", description = "A name of your choice for this call, by which it can be sent again safely.",
        example = "order-4711-feedback")),
    request_body = Create,
    responses(
        (status = 201, description = "The feedback", body = View,
            headers(("Idempotency-Replayed" = bool, description = "`true` where this is the answer of an earlier call with the same `Idempotency-Key`; else it is not there."))),
        (status = 403, description = "The project is paused, or the token may not do this"),
        (status = 409, description = "What the `Idempotency-Key` made has been deleted since"),
        (status = 422, description = "A field is wrong, the project is unknown, or the `Idempotency-Key` was used with another body"),
    ))]
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
            .take("message", feedback::check_message(body.message))
            .unwrap_or_default(),
        email: body
            .email
            .and_then(|email| checks.take("email", feedback::check_email(email))),
        url: body
            .url
            .and_then(|url| checks.take("url", feedback::check_page_url(url))),
        metadata: body
            .metadata
            .and_then(|metadata| checks.take("metadata", feedback::check_metadata(metadata))),
    };
    checks.finish()?;
    let idempotency = idempotency(&request, &caller, &new)?;
    let created = site
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
    let location = site.links.to(&format!("/api/v1/feedback/{}", created.id));
    let mut response = HttpResponse::Created();
    response.insert_header(("Location", location));
    if created.replayed {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    Ok(response
        .content_type("application/json")
        .body(created.answer))
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

/// List feedback
#[utoipa::path(get, path = "/api/v1/feedback", operation_id = "listFeedback", tag = "Feedback",
    params(Paging<FeedbackId>,
        ("project" = Option<IdOrSlug>, Query, nullable = false, description = "Only of this project: its id or its slug."),
        ("status" = Option<FeedbackStatus>, Query, nullable = false, description = "Only with this status."),
        ("q" = Option<String>, Query, nullable = false, description = "Only what holds this text.", example = "button")),
    responses((status = 200, description = "A page of feedback", body = List<View>)))]
pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let page = query.page::<FeedbackId>()?;
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
        .map_err(|error: feedback::ParseStatusError| Problem::field("status", error))?;
    let search = query.get("q").and_then(SearchQuery::parse);
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

/// Show a feedback
#[utoipa::path(get, path = "/api/v1/feedback/{id}", operation_id = "getFeedback", tag = "Feedback",
    params(("id" = FeedbackId, Path)),
    responses((status = 200, description = "The feedback", body = View)))]
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

/// Change the status of a feedback
///
/// Any status may follow any. A change makes one event `feedback.updated`; the status that it has already makes none.
#[utoipa::path(patch, path = "/api/v1/feedback/{id}", operation_id = "changeFeedback", tag = "Feedback",
    params(("id" = FeedbackId, Path)), request_body = Change,
    responses((status = 200, description = "The feedback as it is now", body = View)))]
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

/// Delete a feedback
///
/// Deliveries of it that are pending are canceled, and its words are taken out of the log.
#[utoipa::path(delete, path = "/api/v1/feedback/{id}", operation_id = "deleteFeedback", tag = "Feedback",
    params(("id" = FeedbackId, Path)),
    responses((status = 204, description = "It is deleted")))]
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
