//! Error responses of the API: RFC 9457 `application/problem+json`. A 422 lists the invalid fields.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::validation::{FieldError, ValidationErrors};
use crate::intake::Refusal;
use crate::intake::endpoint::add_rate_limit_headers;
use crate::intake::rate_limits::Limited;
use crate::store::StoreError;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The body is incomplete, or isn't valid JSON or UTF-8.
    Malformed(String),
    Unauthorized(&'static str),
    Forbidden(String),
    /// Nothing has this id, or no route has this path.
    NotFound(&'static str),
    MethodNotAllowed {
        allow: String,
    },
    Conflict(String),
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
    Invalid(ValidationErrors),
    /// A rate limit of the intake is reached.
    RateLimited(Limited),
    /// The origin isn't allowed, or the project is paused.
    SubmissionRejected(Refusal),
    Store(StoreError),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The reason phrase of the status.
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    #[schema(example = 422)]
    status: u16,
    /// What is wrong and how to fix it.
    #[schema(example = "Enter a message.")]
    detail: String,
    /// Only with 422: the invalid fields. `field` is empty if the error is about the whole body.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
}

impl Problem {
    /// The `type`. It distinguishes the two causes of a 403, because the widget shows its own text
    /// for a paused project.
    fn kind(&self) -> &'static str {
        match self {
            Self::SubmissionRejected(Refusal::Paused) => "urn:miniback:paused",
            Self::SubmissionRejected(Refusal::Origin(_)) => "urn:miniback:origin-refused",
            _ => "about:blank",
        }
    }

    pub(crate) fn field(field: &str, message: impl fmt::Display) -> Self {
        Self::Invalid(ValidationErrors::single(field, message))
    }
}

/// Returns 204 if something was deleted, `missing` otherwise.
pub(crate) fn no_content_or(deleted: bool, missing: Problem) -> Result<HttpResponse, Problem> {
    if deleted {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing)
    }
}

impl From<ValidationErrors> for Problem {
    fn from(invalid: ValidationErrors) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The `detail`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) | Self::Forbidden(text) | Self::Conflict(text) => f.write_str(text),
            Self::Unauthorized(text) | Self::NotFound(text) => f.write_str(text),
            Self::MethodNotAllowed { allow } => write!(f, "Method not allowed. This path accepts {allow}."),
            Self::TooLarge => write!(f, "The body is larger than {} bytes.", super::json_body::BODY_MAX_BYTES),
            Self::TooSlow => f.write_str("The body took too long to arrive."),
            Self::UnsupportedMediaType => f.write_str("Send the body as JSON, with Content-Type: application/json."),
            Self::Invalid(invalid) => write!(f, "{invalid}"),
            Self::RateLimited(limited) => write!(f, "{limited}"),
            Self::SubmissionRejected(refusal) => write!(f, "{refusal}"),
            Self::Store(error) => f.write_str(match error {
                StoreError::DiskFull => "The server’s disk is full, or fails: nothing was stored. Try again when there is space.",
                StoreError::ReadOnly => "The server’s database cannot be written: nothing was stored.",
                StoreError::Overloaded | StoreError::Busy => "The server is busy: nothing was stored. Try again in a moment.",
                StoreError::Closed => "The server is shutting down. Try again in a moment.",
                _ => "The server failed. Its log says why, by the request’s X-Request-Id.",
            }),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::SubmissionRejected(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(error) => error.http_status(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::Unauthorized(_) => {
                response.insert_header((WWW_AUTHENTICATE, r#"Bearer realm="Miniback API""#));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((ALLOW, allow.as_str()));
            }
            Self::RateLimited(limited) => {
                response.insert_header((RETRY_AFTER, limited.seconds()));
            }
            Self::Store(error) => {
                if status == StatusCode::INTERNAL_SERVER_ERROR {
                    tracing::error!(%error, "a call failed");
                } else {
                    response.insert_header((RETRY_AFTER, "1"));
                }
            }
            _ => {}
        }
        let body = ProblemBody {
            r#type: self.kind(),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.to_string(),
            errors: match self {
                Self::Invalid(ValidationErrors(errors)) => Some(errors),
                _ => None,
            },
        };
        let mut response = response
            .content_type("application/problem+json")
            .body(serde_json::to_string(&body).unwrap_or_default());
        if let Self::RateLimited(limited) = self {
            add_rate_limit_headers(response.headers_mut(), &[limited.0]);
        }
        response
    }
}
