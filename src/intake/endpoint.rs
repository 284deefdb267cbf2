//! `POST /api/feedback`: accepts the widget's feedback, without an API token.
//!
//! All responses, including errors, allow any origin, so that the widget can show why feedback was
//! rejected. This is safe, because cookies are ignored and the responses contain nothing secret.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderValue,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::submission_source::SubmissionSource;
use super::{Intake, RawSubmission, SubmissionError, SubmissionReceipt};
use crate::domain::context::context_schema;
use crate::server::AppState;
use crate::server::idempotency_key::idempotency_key;
use crate::server::json_body::Json;
use crate::server::problem::Problem;
use crate::server::rate_limit_headers::add_rate_limit_headers;
use crate::server::schemas;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Submission {
    #[schema(example = "my-website")]
    project_slug: String,
    #[schema(schema_with = schemas::message)]
    message: String,
    #[schema(schema_with = schemas::email, required = false)]
    email: Option<String>,
    #[schema(schema_with = schemas::page_url, required = false)]
    url: Option<String>,
    #[schema(schema_with = context_schema, required = false)]
    context: Option<Map<String, Value>>,
    /// A honeypot field. If it isn’t empty, the feedback is discarded.
    website: Option<String>,
    /// The form token from the widget’s script or the public form, from 2 s to 30 days old.
    stamp: Option<String>,
}

/// Submit feedback
///
/// Used by the widget, and by forms on other sites. Requires no token. Each IP address and each
/// project has rate limits. All responses allow any origin.
#[utoipa::path(
    post,
    path = "/api/feedback",
    operation_id = "submitFeedback",
    tag = "Feedback",
    params(
        (
            "Idempotency-Key" = Option<String>,
            Header,
            description = "Repeating the request with the same key and body within 24 hours \
                creates no new feedback. A key is valid only for its project.",
            min_length = 1,
            max_length = 255,
        ),
    ),
    request_body = Submission,
    responses(
        (status = 201, description = "The feedback was stored", body = SubmissionReceipt),
        (status = 403, description = "The project is paused, or the origin isn’t allowed"),
        (
            status = 409,
            description = "The feedback created with this `Idempotency-Key` was deleted",
        ),
        (status = 429, description = "Too much feedback from this IP address or for this project"),
        (status = 503, description = "The server is busy or restarting"),
        (status = 507, description = "The server’s disk is full"),
    )
)]
pub(crate) async fn submit(
    app: web::Data<AppState>,
    intake: web::Data<Intake>,
    request: HttpRequest,
    Json(body): Json<Submission>,
) -> Result<HttpResponse, Problem> {
    let submission = RawSubmission {
        slug: body.project_slug,
        message: body.message,
        email: body.email,
        url: body.url,
        context: body.context,
        website: body.website,
        stamp: body.stamp,
        idempotency_key: idempotency_key(&request)?,
        operation: "send by widget",
    };
    let source = SubmissionSource::from_request(&app, &request);
    let accepted = intake.submit(&app, submission, source).await?;
    let mut response = HttpResponse::Created()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(accepted.receipt);
    add_rate_limit_headers(response.headers_mut(), &accepted.quotas);
    Ok(response)
}

impl From<SubmissionError> for Problem {
    fn from(error: SubmissionError) -> Self {
        let rejected = |r#type| Self::SubmissionRejected {
            r#type,
            detail: error.to_string(),
        };
        match error {
            SubmissionError::Invalid(invalid) => Self::Invalid(invalid),
            SubmissionError::RateLimited(exceeded) => Self::RateLimited(exceeded),
            SubmissionError::OriginNotAllowed(_) => rejected("urn:miniback:origin-refused"),
            SubmissionError::Paused => rejected("urn:miniback:paused"),
            SubmissionError::IdempotentFeedbackDeleted => Self::Conflict(error.to_string()),
            SubmissionError::Store(error) => error.into(),
        }
    }
}

/// Responds to the CORS preflight of a browser.
pub(super) async fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "POST"))
        .insert_header((
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Idempotency-Key, X-Feedback-Source",
        ))
        .insert_header((ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

/// Middleware that allows pages of any origin to read the response.
pub(super) async fn allow_any_origin(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"),
    );
    Ok(response)
}
