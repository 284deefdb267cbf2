//! Error responses in JSON: RFC 9457 `application/problem+json`. A response with status 422 lists
//! the invalid fields.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError, Route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::rate_limit_headers::{RateLimitExceeded, add_rate_limit_headers};
use crate::domain::validation::{FieldError, ValidationErrors};
use crate::store::{ChangeError, StoreError};

/// Maximum size of a JSON request body.
pub const JSON_BODY_MAX_BYTES: usize = 64 * 1024;

/// An error response of the JSON API.
#[derive(Debug)]
pub enum Problem {
    /// The body is incomplete, or isn't valid JSON or UTF-8. Also used for a query string that
    /// isn't valid UTF-8.
    Malformed(String),
    Unauthorized(&'static str),
    Forbidden(String),
    /// No object has this id, or no route has this path.
    NotFound(&'static str),
    MethodNotAllowed {
        allow: String,
    },
    Conflict(String),
    /// `If-Match` doesn't contain the current version.
    PreconditionFailed,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
    /// The body has a `Content-Encoding`.
    UnsupportedEncoding,
    /// The `charset` of the body isn't UTF-8.
    UnsupportedCharset,
    Invalid(ValidationErrors),
    RateLimited(RateLimitExceeded),
    /// Status 403 with a specific `type`, so that clients can distinguish the causes.
    SubmissionRejected {
        r#type: &'static str,
        detail: String,
    },
    Store(StoreError),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The reason phrase of the HTTP status.
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    #[schema(example = 422)]
    status: u16,
    /// A description of the error and how to fix it.
    #[schema(example = "Enter a message.")]
    detail: String,
    /// The invalid fields, only with status 422. `field` is empty if the error is about the whole
    /// body.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
}

impl Problem {
    fn type_uri(&self) -> &'static str {
        match self {
            Self::SubmissionRejected { r#type, .. } => r#type,
            _ => "about:blank",
        }
    }

    /// Returns a problem with a validation error for one field.
    pub fn invalid_field(field: &str, message: impl fmt::Display) -> Self {
        Self::Invalid(ValidationErrors::for_field(field, message))
    }
}

impl From<ValidationErrors> for Problem {
    fn from(errors: ValidationErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl<T> From<ChangeError<T>> for Problem {
    fn from(error: ChangeError<T>) -> Self {
        match error {
            ChangeError::Changed(_) => Self::PreconditionFailed,
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Returns a route that responds with 405. `allow` is the value of `Allow`.
pub fn method_not_allowed(allow: String) -> Route {
    web::to(move || {
        let problem = Problem::MethodNotAllowed {
            allow: allow.clone(),
        };
        async move { problem.error_response() }
    })
}

/// Returns 204 if an object was deleted, otherwise `missing`.
pub fn deletion_response(deleted: bool, missing: Problem) -> Result<HttpResponse, Problem> {
    if deleted {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing)
    }
}

/// Writes the `detail` member.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) | Self::Forbidden(text) | Self::Conflict(text) => {
                f.write_str(text)
            }
            Self::Unauthorized(text) | Self::NotFound(text) => f.write_str(text),
            Self::MethodNotAllowed { allow } => {
                write!(f, "This path accepts only these methods: {allow}.")
            }
            Self::PreconditionFailed => f.write_str(
                "This object doesn’t have the version in If-Match. Get it again, and send its ETag.",
            ),
            Self::TooLarge => {
                let max_kib = JSON_BODY_MAX_BYTES / 1024;
                write!(f, "The body is larger than {max_kib} KiB.")
            }
            Self::TooSlow => f.write_str("The body took too long to arrive."),
            Self::UnsupportedMediaType => {
                f.write_str("Send the body as JSON, with Content-Type: application/json.")
            }
            Self::UnsupportedEncoding => {
                f.write_str(
                    "The body is compressed. Send it uncompressed, without Content-Encoding.",
                )
            }
            Self::UnsupportedCharset => {
                f.write_str("The body’s charset isn’t supported. Send the body as UTF-8.")
            }
            Self::Invalid(errors) => write!(f, "{errors}"),
            Self::RateLimited(exceeded) => write!(f, "{exceeded}"),
            Self::SubmissionRejected { detail, .. } => f.write_str(detail),
            Self::Store(error) => f.write_str(error.public_message()),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::SubmissionRejected { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding | Self::UnsupportedCharset => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
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
            Self::UnsupportedEncoding => {
                response.insert_header((ACCEPT_ENCODING, "identity"));
            }
            Self::RateLimited(exceeded) => {
                response.insert_header((RETRY_AFTER, exceeded.wait_seconds()));
            }
            Self::Store(error) => {
                if status == StatusCode::INTERNAL_SERVER_ERROR {
                    tracing::error!(%error, "API call failed");
                } else {
                    response.insert_header((RETRY_AFTER, "1"));
                }
            }
            _ => {}
        }
        let body = ProblemBody {
            r#type: self.type_uri(),
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
        if let Self::RateLimited(exceeded) = self {
            add_rate_limit_headers(response.headers_mut(), &[exceeded.0]);
        }
        response
    }
}
