//! `/api/projects/{projectId}/feedback`: list and submit the feedback of a project.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use crate::api::auth::Caller;
use crate::api::feedback::{created_response, creation_problem, scoped_idempotency_key};
use crate::api::lists::{LIMIT_MAX, QueryParams};
use crate::api::projects::{IdOrSlug, NOT_FOUND};
use crate::clock::Timestamp;
use crate::domain::feedback::{
    Feedback, FeedbackStatus, NewFeedback, ParseStatusError, RawFeedback, check_page_url,
};
use crate::domain::id::FeedbackId;
use crate::server::json_body::Json;
use crate::server::long_reads::run_blocking;
use crate::server::problem::Problem;
use crate::server::{AppState, schemas};
use crate::store::CreateFeedbackError;

const LIMIT_DEFAULT: usize = 10;
/// The largest integer that every JSON library represents exactly: 2^53 - 1.
const OFFSET_MAX: usize = 9_007_199_254_740_991;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewHostedFeedback {
    #[schema(schema_with = schemas::message)]
    message: String,
    #[schema(schema_with = new_context_schema, required = false)]
    context: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct HostedFeedback {
    id: FeedbackId,
    #[schema(example = "The submit button does nothing on my phone")]
    message: String,
    status: FeedbackStatus,
    created_at: Timestamp,
    #[schema(schema_with = context_schema)]
    context: Map<String, Value>,
}

impl From<Feedback> for HostedFeedback {
    fn from(feedback: Feedback) -> Self {
        let mut context = feedback.metadata.unwrap_or_default();
        if let Some(url) = feedback.url {
            context.insert("url".to_owned(), url.into());
        }
        Self {
            id: feedback.id,
            message: feedback.message,
            status: feedback.status,
            created_at: feedback.created_at,
            context,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HostedFeedbackList {
    /// The items on this page, newest first.
    data: Vec<HostedFeedback>,
    pagination: Pagination,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    /// The number of items on all pages.
    #[schema(example = 1)]
    total: usize,
    #[schema(example = 10)]
    limit: usize,
    #[schema(example = 0)]
    offset: usize,
    /// Whether more items follow this page.
    #[schema(example = false)]
    has_more: bool,
}

fn new_context_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Additional data about the feedback, stored as its metadata. At most 4 KiB of JSON. If \
             `url` is an http or https URL, it also becomes the feedback’s URL.",
        ))
        .examples([json!({"url": "https://example.com/checkout", "plan": "pro"})])
        .build()
}

fn context_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "The metadata of the feedback, and the page URL as `url`. Empty if the feedback has neither.",
        ))
        .examples([json!({"url": "https://example.com/checkout", "plan": "pro"})])
        .build()
}

/// The query parameters `limit` and `offset`.
pub(in crate::api) struct OffsetParams;

impl IntoParams for OffsetParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str, schema: ObjectBuilder| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(description))
                .schema(Some(schema.schema_type(Type::Integer)))
                .build()
        };
        let limit = ObjectBuilder::new()
            .minimum(Some(1))
            .maximum(Some(LIMIT_MAX))
            .default(Some(LIMIT_DEFAULT.into()));
        let offset = ObjectBuilder::new()
            .minimum(Some(0))
            .maximum(Some(OFFSET_MAX))
            .default(Some(0.into()));
        vec![
            parameter("limit", "The maximum number of items on a page.", limit),
            parameter("offset", "The number of items to skip.", offset),
        ]
    }
}

/// List feedback of a project
///
/// New feedback shifts the pages. To read a long list while feedback arrives, use
/// `GET /api/v1/feedback`, whose cursors are stable.
#[utoipa::path(
    get,
    path = "/api/projects/{projectId}/feedback",
    operation_id = "hostedListFeedback",
    tag = "Hosted API paths",
    params(
        ("projectId" = IdOrSlug, Path),
        OffsetParams,
        (
            "status" = Option<FeedbackStatus>,
            Query,
            nullable = false,
            description = "Only feedback with this status.",
        ),
    ),
    responses(
        (status = 200, description = "A page of feedback", body = HostedFeedbackList),
        (status = 422, description = "Invalid status, limit, or offset"),
    )
)]
pub(in crate::api) async fn list(
    app: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let query = QueryParams::parse(&request)?;
    let limit = query
        .number("limit", 1..=LIMIT_MAX)?
        .unwrap_or(LIMIT_DEFAULT);
    let offset = query.number("offset", 0..=OFFSET_MAX)?.unwrap_or(0);
    let status = query
        .get("status")
        .map(str::parse)
        .transpose()
        .map_err(|error: ParseStatusError| Problem::invalid_field("status", error))?;
    let project = app.store.project(project.into_inner()).await?;
    let project = project.ok_or(NOT_FOUND)?.id;
    let store = app.store.clone();
    let read = async move {
        let found = store
            .feedback_at_offset(project, status, limit, offset)
            .await?;
        run_blocking(move || {
            let end = offset.saturating_add(found.items.len());
            serde_json::to_vec(&HostedFeedbackList {
                data: found.items.into_iter().map(HostedFeedback::from).collect(),
                pagination: Pagination {
                    total: found.total,
                    limit,
                    offset,
                    has_more: end < found.total,
                },
            })
        })
        .await
    };
    let list = app.long_reads.run(&caller.0.user.id, read).await?;
    // The default is never used, because serializing strings and JSON values can't fail.
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(list.unwrap_or_default()))
}

/// Submit feedback to a project
///
/// The feedback and its deliveries are stored before the response is sent. If a call with an
/// `Idempotency-Key` is repeated within 24 hours, nothing is created, and the first response is
/// returned again.
#[utoipa::path(
    post,
    path = "/api/projects/{projectId}/feedback",
    operation_id = "hostedSubmitFeedback",
    tag = "Hosted API paths",
    params(
        ("projectId" = IdOrSlug, Path),
        (
            "Idempotency-Key" = Option<String>,
            Header,
            nullable = false,
            min_length = 1,
            max_length = 255,
            pattern = "^[ -~]+$",
            description = "A value of your choice that identifies this request.",
        ),
    ),
    request_body = NewHostedFeedback,
    responses(
        (
            status = 201,
            description = "The feedback",
            body = HostedFeedback,
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
            description = "A field is invalid, or the `Idempotency-Key` was used with a different \
                body",
        ),
    )
)]
pub(in crate::api) async fn create(
    app: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    project: web::Path<String>,
    Json(body): Json<NewHostedFeedback>,
) -> Result<HttpResponse, Problem> {
    // Apps send URLs of their own screens too, such as `myapp://checkout`. They remain metadata.
    let url = body.context.as_ref().and_then(|context| {
        let url = context.get("url")?.as_str()?;
        check_page_url(url.to_owned()).ok()
    });
    let raw = RawFeedback {
        project: project.into_inner(),
        message: body.message,
        email: None,
        url,
        metadata: body.context,
    };
    let new = NewFeedback::validate(raw, "context")?;
    let idempotency = scoped_idempotency_key(&request, &caller, "submit feedback", &new)?;
    let created = app
        .store
        .create_feedback(new, idempotency, hosted_feedback_json)
        .await
        .map_err(|error| match error {
            CreateFeedbackError::UnknownProject(_) => NOT_FOUND,
            error => creation_problem(error),
        })?;
    Ok(created_response(&app, created))
}

fn hosted_feedback_json(feedback: &Feedback) -> String {
    // Serializing strings and JSON values can't fail.
    serde_json::to_string(&HostedFeedback::from(feedback.clone())).unwrap_or_default()
}
