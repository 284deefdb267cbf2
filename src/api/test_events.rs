//! Test events: one signed request to a saved webhook, or to a URL that isn't saved.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::webhooks::{NOT_FOUND, parse_or_generate_secret};
use crate::delivery::TestReport;
use crate::domain::id::{Id, WebhookId};
use crate::domain::validation::{check_all_fields, check_field};
use crate::server::json_body::{Json, OptionalJson, deserialize_non_null};
use crate::server::problem::Problem;
use crate::server::{AppState, schemas};

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookTestTarget)]
#[serde(deny_unknown_fields)]
pub(super) struct TestUrlRequest {
    #[schema(schema_with = schemas::endpoint_url)]
    url: String,
    #[schema(schema_with = schemas::secret, required = false)]
    secret: Option<String>,
    #[schema(nullable = false)]
    #[serde(default, rename = "event", deserialize_with = "deserialize_non_null")]
    _event: Option<TestEvent>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookTest, example = json!({"event": "test"}))]
#[serde(deny_unknown_fields)]
pub(super) struct TestWebhookRequest {
    #[schema(nullable = false)]
    #[serde(default, rename = "event", deserialize_with = "deserialize_non_null")]
    _event: Option<TestEvent>,
}

/// The type of the event to send. Defaults to `test`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TestEvent {
    Test,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTestReport)]
#[serde(rename_all = "camelCase")]
struct TestReportView<'a> {
    /// Whether the endpoint responded with a 2xx status in time.
    success: bool,
    /// The HTTP status. Null if there was no response.
    #[schema(required = true, example = 200)]
    status: Option<u16>,
    #[schema(value_type = u64, example = 84)]
    duration_ms: u128,
    #[schema(example = "ok")]
    response_body: &'a str,
    /// A description of the failure and how to fix it. Null on success.
    #[schema(required = true, example = json!(null))]
    error: Option<String>,
    /// The temporary secret that signed the request. Omitted for a saved webhook, and if the call
    /// contained a secret.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> TestReportView<'a> {
    fn new(report: &'a TestReport) -> Self {
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
/// Sends one signed `test` event immediately, even if the webhook is disabled. A test isn’t
/// retried. If the test fails, the response is still 200, with `success: false`.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/test",
    operation_id = "testWebhook",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    request_body = TestWebhookRequest,
    responses((status = 200, description = "The result of the test", body = TestReportView))
)]
pub(super) async fn test_webhook(
    app: web::Data<AppState>,
    caller: Caller,
    id: web::Path<String>,
    OptionalJson(_): OptionalJson<TestWebhookRequest>,
) -> Result<HttpResponse, Problem> {
    let webhook = app
        .store
        .webhook(WebhookId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    let report = app
        .delivery
        .test_webhook(&webhook, &caller.0.user.email)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(TestReportView::new(&report)))
}

/// Test an unsaved URL
///
/// Sends one signed `test` event to a URL. A URL that can’t be saved returns 422. If the test
/// fails, the response is still 200, with `success: false`.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/test",
    operation_id = "testUrl",
    tag = "Webhooks",
    request_body = TestUrlRequest,
    responses((status = 200, description = "The result of the test", body = TestReportView))
)]
pub(super) async fn test_url(
    app: web::Data<AppState>,
    caller: Caller,
    Json(body): Json<TestUrlRequest>,
) -> Result<HttpResponse, Problem> {
    let is_temporary = body.secret.is_none();
    let (secret, url) = check_all_fields((
        check_field("secret", parse_or_generate_secret(body.secret)),
        check_field("url", app.parse_and_check_webhook_url(&body.url).await),
    ))?;
    let report = app
        .delivery
        .test_url(&url, secret.clone(), &caller.0.user.email)
        .await?;
    Ok(HttpResponse::Ok().json(TestReportView {
        secret: is_temporary.then_some(secret.as_str()),
        ..TestReportView::new(&report)
    }))
}
