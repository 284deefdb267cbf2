//! `/api/v1/webhooks`: create, list, read, update, and delete webhooks.

mod bodies;

use actix_web::{HttpRequest, HttpResponse, web};

use self::bodies::{CreateWebhook, UpdateWebhook, WebhookView};
use super::etag::{IfMatch, etag_header};
use super::lists::{List, PageParams, QueryParams};
use crate::domain::format::Format;
use crate::domain::id::{Id, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::validation::{check_all_fields, check_field};
use crate::domain::webhook::{self, NewWebhook, RetryPolicy, Topic, WebhookError, WebhookPatch};
use crate::random;
use crate::server::AppState;
use crate::server::json_body::Json;
use crate::server::problem::{Problem, deletion_response};
use crate::server::security_events::record_enabled_change;
use crate::store::SaveWebhookError;

pub(super) const NOT_FOUND: Problem = Problem::NotFound("Webhook not found.");

/// Create a webhook
///
/// The response includes the secret. To get it later, use `GET /api/v1/webhooks/{id}/secret`.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks",
    operation_id = "createWebhook",
    tag = "Webhooks",
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "The webhook, with its secret", body = WebhookView),
        (status = 409, description = "The limit of 100 webhooks is reached"),
    )
)]
pub(super) async fn create(
    app: web::Data<AppState>,
    Json(body): Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    let description = body.description.unwrap_or_default();
    let headers = body.headers.unwrap_or_default();
    let headers_as_patch = headers
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    let has_secret = body.secret.is_some();
    let (secret, description, (), url) = check_all_fields((
        check_field("secret", parse_or_generate_secret(body.secret)),
        check_field("description", webhook::check_description(&description)),
        check_field("headers", webhook::check_custom_headers(&headers_as_patch)),
        check_field("url", app.parse_and_check_webhook_url(&body.url).await),
    ))?;
    let format = body.format.unwrap_or_else(|| Format::detect(&url));
    check_all_fields((
        check_field("format", format.check_url(&url)),
        check_field("secret", webhook::check_secret_allowed(format, has_secret)),
        check_field("headers", webhook::check_headers_allowed(format, &headers)),
    ))?;
    let new = NewWebhook {
        url,
        format,
        details: body.details.unwrap_or(false),
        description,
        topics: webhook::normalize_topics(&body.topics.unwrap_or(Topic::ALL.to_vec())),
        projects: body.projects.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
        retries: body.retries.unwrap_or(RetryPolicy::default_for(format)),
        headers,
        secret: secret.clone(),
    };
    let webhook = app
        .store
        .create_webhook(new, None)
        .await
        .map_err(save_webhook_error_to_problem)?;
    let location = app.urls.path(&format!("/api/v1/webhooks/{}", webhook.id));
    let view = WebhookView::new(&webhook, app.clock.now()).with_secret(&secret);
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .insert_header(etag_header(&webhook, &app.versions))
        .json(view))
}

/// List webhooks
#[utoipa::path(
    get,
    path = "/api/v1/webhooks",
    operation_id = "listWebhooks",
    tag = "Webhooks",
    params(PageParams<WebhookId>),
    responses((status = 200, description = "A page of webhooks", body = List<WebhookView>))
)]
pub(super) async fn list(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = QueryParams::parse(&request)?.page_request::<WebhookId>()?;
    let now = app.clock.now();
    let found = app.store.webhooks(page).await?;
    let list = List::from_page(found, |webhook| {
        serde_json::to_value(WebhookView::new(&webhook, now)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

/// Get a webhook
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}",
    operation_id = "getWebhook",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "The webhook", body = WebhookView))
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let webhook = app
        .store
        .webhook(WebhookId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&webhook, &app.versions))
        .json(WebhookView::new(&webhook, app.clock.now())))
}

/// Update a webhook
///
/// Omitted fields stay unchanged. Disabling a webhook cancels its pending deliveries.
#[utoipa::path(
    patch,
    path = "/api/v1/webhooks/{id}",
    operation_id = "changeWebhook",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    request_body = UpdateWebhook,
    responses((status = 200, description = "The updated webhook", body = WebhookView))
)]
pub(super) async fn update(
    app: web::Data<AppState>,
    id: web::Path<String>,
    if_match: IfMatch,
    request: HttpRequest,
    Json(body): Json<UpdateWebhook>,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    // Report 404 before validation errors.
    app.store.webhook(id).await?.ok_or(NOT_FOUND)?;
    let url = match &body.url {
        Some(url) => app.parse_and_check_webhook_url(url).await.map(Some),
        None => Ok(None),
    };
    let headers = body.headers.as_ref().map(webhook::check_custom_headers);
    let description = body.description.as_deref().map(webhook::check_description);
    let (url, _, description) = check_all_fields((
        check_field("url", url),
        check_field("headers", headers.transpose()),
        check_field("description", description.transpose()),
    ))?;
    let change = WebhookPatch {
        url,
        format: body.format,
        details: body.details,
        description,
        topics: body.topics.map(|topics| webhook::normalize_topics(&topics)),
        projects: body.projects,
        enabled: body.enabled,
        retries: body.retries,
        headers: body.headers,
    };
    let webhook = app
        .store
        .update_webhook(id, change, if_match.into_precondition(&app.versions))
        .await
        .map_err(save_webhook_error_to_problem)?
        .ok_or(NOT_FOUND)?;
    if let Some(enabled) = body.enabled {
        record_enabled_change(&request, enabled);
    }
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&webhook, &app.versions))
        .json(WebhookView::new(&webhook, app.clock.now())))
}

/// Delete a webhook
///
/// Cancels the webhook’s pending deliveries, and deletes its secret and headers immediately.
#[utoipa::path(
    delete,
    path = "/api/v1/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 204, description = "The webhook was deleted"))
)]
pub(super) async fn delete(
    app: web::Data<AppState>,
    id: web::Path<String>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    let precondition = if_match.into_precondition(&app.versions);
    let deleted = app.store.delete_webhook(id, precondition).await?;
    deletion_response(deleted, NOT_FOUND)
}

/// Parses the given secret, or generates a secret if none is given.
pub(super) fn parse_or_generate_secret(
    given: Option<String>,
) -> Result<Secret, crate::domain::secret::SecretError> {
    given.map_or_else(|| Ok(Secret::from_random(random::bytes())), Secret::parse)
}

fn save_webhook_error_to_problem(error: SaveWebhookError) -> Problem {
    match error {
        SaveWebhookError::TooMany => Problem::Conflict(error.to_string()),
        SaveWebhookError::UnknownProject(_) => Problem::invalid_field("projects", error),
        SaveWebhookError::Invalid(WebhookError::FormatMismatch(_)) => {
            Problem::invalid_field("format", error)
        }
        SaveWebhookError::Invalid(WebhookError::NoStoredValue(_) | WebhookError::EmailHeaders) => {
            Problem::invalid_field("headers", error)
        }
        SaveWebhookError::Invalid(error) => Problem::invalid_field("", error),
        SaveWebhookError::Changed(_) => Problem::PreconditionFailed,
        SaveWebhookError::Store(error) => error.into(),
    }
}
