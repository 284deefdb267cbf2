//! What a call answers when it fails: RFC 9457 `application/problem+json`, with the fields that a 422 is about.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::door::add_limits;
use crate::domain::validation::{FieldError, ValidationErrors};
use crate::server::door::Refusal;
use crate::server::door::limits::Limited;
use crate::store::StoreError;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Problem {
    /// The body is not what it says it is.
    Malformed(String),
    Unauthorized(&'static str),
    Forbidden(String),
    /// What was asked for by its id, or an address that is none of ours.
    NotFound(&'static str),
    MethodNotAllowed {
        allow: String,
    },
    Conflict(String),
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
    Invalid(ValidationErrors),
    /// The public door takes no more for a while.
    Limited(Limited),
    /// The public door is shut to whoever comes from there, or to all.
    Closed(Refusal),
    Store(StoreError),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    #[schema(example = 422)]
    status: u16,
    /// One sentence for the person who can mend it.
    #[schema(example = "Write a message: it is empty.")]
    detail: String,
    /// With a 422: each field that is wrong; `field` is empty where it is the body as a whole.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
}

impl Problem {
    /// Beside the status, which of two refusals it is: the widget has its own words for a paused project.
    fn kind(&self) -> &'static str {
        match self {
            Self::Closed(Refusal::Paused) => "urn:miniback:paused",
            Self::Closed(Refusal::Origin(_)) => "urn:miniback:origin-refused",
            _ => "about:blank",
        }
    }

    pub(super) fn field(field: &str, message: impl fmt::Display) -> Self {
        Self::Invalid(ValidationErrors::single(field, message))
    }
}

/// 204, or the problem that there was nothing to delete.
pub(super) fn answer_to_delete(deleted: bool, missing: Problem) -> Result<HttpResponse, Problem> {
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

/// The `detail`: one sentence for who makes the call.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) | Self::Forbidden(text) | Self::Conflict(text) => f.write_str(text),
            Self::Unauthorized(text) | Self::NotFound(text) => f.write_str(text),
            Self::MethodNotAllowed { allow } => write!(f, "This address takes {allow}."),
            Self::TooLarge => write!(f, "The body is larger than {} bytes.", super::body::BODY_MAX_BYTES),
            Self::TooSlow => f.write_str("The body took too long to arrive."),
            Self::UnsupportedMediaType => f.write_str("Send the body as JSON, with Content-Type: application/json."),
            Self::Invalid(invalid) => write!(f, "{invalid}"),
            Self::Limited(limited) => write!(f, "{limited}"),
            Self::Closed(refusal) => write!(f, "{refusal}"),
            Self::Store(error) => f.write_str(match error {
                StoreError::Full => "The server’s disk is full, or fails: nothing was stored. Try again when there is space.",
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
            Self::Forbidden(_) | Self::Closed(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
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
            Self::Limited(limited) => {
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
        let body = Body {
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
        if let Self::Limited(limited) = self {
            add_limits(response.headers_mut(), &[limited.0]);
        }
        response
    }
}
