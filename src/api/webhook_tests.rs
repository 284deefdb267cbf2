//! Tests of webhooks: one signed request now, for a saved webhook or for a URL that is not saved yet.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Json;
use super::guard::Caller;
use super::problem::Problem;
use super::webhooks::{NOT_FOUND, given_or_new};
use crate::delivery::TestReport;
use crate::domain::id::WebhookId;
use crate::domain::validation::Checks;
use crate::server::Site;

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookTestTarget)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    #[schema(
        max_length = 2048,
        pattern = r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\s]",
        example = "https://api.example.com/webhooks/miniback"
    )]
    url: String,
    /// What to sign with; a throwaway one is made where it is left out.
    #[schema(
        pattern = "^[!-~]{16,128}$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTestReport)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    /// Whether it was answered with a 2xx in time.
    success: bool,
    /// Null where no answer came.
    #[schema(required = true, example = 200)]
    status: Option<u16>,
    #[schema(value_type = u64, example = 84)]
    duration_ms: u128,
    #[schema(example = "ok")]
    response_body: &'a str,
    /// What failed, whose side it is on, and what to do about it; null for a success.
    #[schema(required = true, example = json!(null))]
    error: Option<String>,
    /// The throwaway secret that signed it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(report: &'a TestReport) -> Self {
        Self {
            success: report.is_success(),
            status: report.status,
            duration_ms: report.duration.as_millis(),
            response_body: &report.response_body,
            error: (!report.is_success()).then(|| report.explanation()),
            secret: None,
        }
    }
}

/// Test a webhook
///
/// Sends one signed `test` event now, also where it is switched off; nothing is tried again. Whatever connecting
/// brings to light is a 200 with `success: false`.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", operation_id = "testWebhook", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "What came of it", body = View)))]
pub(super) async fn saved(
    site: web::Data<Site>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let webhook = site
        .store
        .webhook(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    let report = site
        .delivery
        .test_webhook(&webhook, &caller.0.user.email)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::of(&report)))
}

/// Test a URL that is not saved yet
///
/// A URL that may not be saved is a 422; whatever connecting brings to light is a 200 with `success: false`.
#[utoipa::path(post, path = "/api/v1/webhooks/test", operation_id = "testUrl", tag = "Webhooks",
    request_body = Target,
    responses((status = 200, description = "What came of it", body = View)))]
pub(super) async fn unsaved(
    site: web::Data<Site>,
    caller: Caller,
    Json(body): Json<Target>,
) -> Result<HttpResponse, Problem> {
    let throwaway = body.secret.is_none();
    let mut checks = Checks::default();
    let secret = checks.take("secret", given_or_new(body.secret));
    let url = checks.take("url", site.check_endpoint_url(&body.url).await);
    checks.finish()?;
    // None is missing: `finish` has told of it.
    let (Some(url), Some(secret)) = (url, secret) else {
        return Err(NOT_FOUND);
    };
    let report = site
        .delivery
        .test_url(&url, secret.clone(), &caller.0.user.email)
        .await?;
    Ok(HttpResponse::Ok().json(View {
        secret: throwaway.then_some(secret.as_str()),
        ..View::of(&report)
    }))
}
