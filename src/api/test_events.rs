//! Test events: one attempt to a saved webhook, or to a URL that isn't saved.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::webhooks::{NOT_FOUND, parse_or_generate_secret};
use crate::delivery::{TestReport, UnsavedWebhook};
use crate::domain::event::EventType;
use crate::domain::format::Format;
use crate::domain::id::{Id, WebhookId};
use crate::domain::validation::{check_all_fields, check_field};
use crate::domain::webhook::{self, Topic};
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
    /// Defaults to the format detected from the URL.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    format: Option<Format>,
    #[schema(nullable = false, required = false)]
    #[serde(default)]
    event: TestEventType,
}

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = WebhookTest, example = json!({"event": "test"}))]
#[serde(deny_unknown_fields)]
pub(super) struct TestWebhookRequest {
    #[schema(nullable = false, required = false)]
    #[serde(default)]
    event: TestEventType,
}

/// The type of the event to send. `feedback.created` and `feedback.updated` are examples with ids
/// that exist nowhere.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[schema(as = TestEvent)]
enum TestEventType {
    #[default]
    #[serde(rename = "test")]
    Test,
    #[serde(rename = "feedback.created")]
    FeedbackCreated,
    #[serde(rename = "feedback.updated")]
    FeedbackUpdated,
}

impl From<TestEventType> for EventType {
    fn from(event: TestEventType) -> Self {
        match event {
            TestEventType::Test => Self::Test,
            TestEventType::FeedbackCreated => Self::Topic(Topic::FeedbackCreated),
            TestEventType::FeedbackUpdated => Self::Topic(Topic::FeedbackUpdated),
        }
    }
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
/// Sends one event immediately, even if the webhook is disabled. A test isn’t retried. If the test
/// fails, the response is still 200, with `success: false`.
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
    OptionalJson(body): OptionalJson<TestWebhookRequest>,
) -> Result<HttpResponse, Problem> {
    let webhook = app
        .store
        .webhook(WebhookId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    let report = app
        .delivery
        .test_webhook(&webhook, body.event.into(), &caller.0.user.email)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(TestReportView::new(&report)))
}

/// Test an unsaved URL
///
/// Sends one event to a URL. A URL that can’t be saved returns 422. If the test
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
    let has_secret = body.secret.is_some();
    let (secret, url) = check_all_fields((
        check_field("secret", parse_or_generate_secret(body.secret)),
        check_field("url", app.parse_and_check_webhook_url(&body.url).await),
    ))?;
    let format = body.format.unwrap_or_else(|| Format::detect(&url));
    check_all_fields((
        check_field("format", format.check_url(&url)),
        check_field("secret", webhook::check_secret_allowed(format, has_secret)),
    ))?;
    let webhook = UnsavedWebhook {
        url,
        format,
        details: false,
        secret,
    };
    let report = app
        .delivery
        .test_unsaved_webhook(&webhook, body.event.into(), &caller.0.user.email)
        .await?;
    let is_secret_temporary = !has_secret && format.is_signed();
    Ok(HttpResponse::Ok().json(TestReportView {
        secret: is_secret_temporary.then_some(webhook.secret.as_str()),
        ..TestReportView::new(&report)
    }))
}
