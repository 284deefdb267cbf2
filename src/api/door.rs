//! `POST /api/feedback`: where the widget sends to, from any site, without a token.
//!
//! Every answer may be read by any page, refusals too, so that the widget can say why: no cookie is looked at, and what
//! an answer holds anybody could ask for.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderMap, HeaderName,
    HeaderValue,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::Json;
use super::feedback::idempotency_key;
use super::problem::Problem;
use crate::domain::feedback::metadata_schema;
use crate::domain::rate_limit::RateLimit;
use crate::server::AppState;
use crate::server::door::limits::{Left, Whose, whole_seconds};
use crate::server::door::{Answer, Given, Refusal, Sender};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Submission {
    #[schema(example = "my-website")]
    project_slug: String,
    #[schema(
        min_length = 1,
        max_length = 10000,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$",
        example = "The submit button does nothing on my phone"
    )]
    message: String,
    #[schema(max_length = 254, format = "email", example = "sam@example.com")]
    email: Option<String>,
    /// The page that it is about: http or https.
    #[schema(
        max_length = 2048,
        pattern = "^[Hh][Tt][Tt][Pp][Ss]?://",
        example = "https://example.com/checkout"
    )]
    url: Option<String>,
    /// At most 4 KiB; kept as the feedback’s metadata.
    #[schema(schema_with = metadata_schema)]
    context: Option<Map<String, Value>>,
    /// A field that people do not see: what is filled in is thrown away.
    website: Option<String>,
    /// Comes with the widget and with the form of a project; may not be younger than 2 s.
    stamp: Option<String>,
}

/// Send feedback without a token
///
/// What the widget and forms on other sites send to. It has limits for an address and for a project; every answer may be
/// read by any page.
#[utoipa::path(post, path = "/api/feedback", operation_id = "submitFeedback", tag = "Feedback",
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body within 24 h, it makes nothing twice. A key belongs to the project.", min_length = 1, max_length = 255)),
    request_body = Submission,
    responses(
        (status = 201, description = "It is stored", body = Answer),
        (status = 403, description = "The project is paused, or takes no feedback from this origin"),
        (status = 409, description = "The feedback of this key is deleted"),
        (status = 429, description = "Too much feedback from this address, or for this project"),
        (status = 503, description = "The server is busy or restarting; try again"),
        (status = 507, description = "The server’s disk is full"),
    ))]
pub(super) async fn submit(
    app: web::Data<AppState>,
    request: HttpRequest,
    Json(body): Json<Submission>,
) -> Result<HttpResponse, Problem> {
    let given = Given {
        slug: body.project_slug,
        message: body.message,
        email: body.email,
        url: body.url,
        context: body.context,
        website: body.website,
        stamp: body.stamp,
        key: idempotency_key(&request)?,
        call: "send by widget",
    };
    let sender = Sender::of(&app, &request);
    let taken = app
        .take_feedback(given, sender)
        .await
        .map_err(|refusal| match refusal {
            Refusal::Invalid(invalid) => Problem::Invalid(invalid),
            Refusal::Limited(limited) => Problem::RateLimited(limited),
            Refusal::Origin(_) | Refusal::Paused => Problem::SubmissionRejected(refusal),
            Refusal::IdempotentFeedbackDeleted => Problem::Conflict(refusal.to_string()),
            Refusal::Store(error) => error.into(),
        })?;
    let mut response = HttpResponse::Created()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(taken.answer);
    add_rate_limit_headers(response.headers_mut(), &taken.left);
    Ok(response)
}

/// What a browser asks before it lets another site's page send.
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

/// Middleware of the whole address: whatever is answered, any page may read it.
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

/// `RateLimit-Policy` and `RateLimit` as the IETF's draft has them, and for the tightest limit the three headers that
/// came before it and that most clients still read.
pub(super) fn add_rate_limit_headers(headers: &mut HeaderMap, limits: &[Left]) {
    let Some(tightest) = limits
        .iter()
        .min_by_key(|left| (left.count, left.rate.period))
    else {
        return;
    };
    let name = |whose, rate: RateLimit| match whose {
        Whose::Address => format!("\"address {rate}\""),
        Whose::Project => format!("\"project {rate}\""),
    };
    let policies: Vec<String> = limits
        .iter()
        .map(|left| {
            let (whose, rate) = (left.whose, left.rate);
            format!(
                "{};q={};w={}",
                name(whose, rate),
                rate.count,
                rate.period.as_secs()
            )
        })
        .collect();
    let (count, wait) = (tightest.count, whole_seconds(tightest.wait));
    let tightest_name = name(tightest.whose, tightest.rate);
    for (header, value) in [
        ("ratelimit-policy", policies.join(", ")),
        ("ratelimit", format!("{tightest_name};r={count};t={wait}")),
        ("ratelimit-limit", tightest.rate.count.to_string()),
        ("ratelimit-remaining", count.to_string()),
        ("ratelimit-reset", wait.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
}
