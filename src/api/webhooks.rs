//! `/api/v1/webhooks`: create, list, read, update, and delete webhooks.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::etag::{IfMatch, etag_header};
use super::lists::{List, PageParams, QueryParams};
use super::projects::IdOrSlug;
use crate::clock::Timestamp;
use crate::domain::format::Format;
use crate::domain::id::{Id, ProjectId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::validation::{check_all_fields, check_field};
use crate::domain::webhook::{
    self, CUSTOM_HEADERS_MAX, HEADER_VALUE_MAX_BYTES, NewWebhook, RetryPolicy, Topic, Webhook,
    WebhookError, WebhookPatch,
};
use crate::random;
use crate::server::json_body::{Json, deserialize_non_null};
use crate::server::problem::{Problem, deletion_response};
use crate::server::security_events::record_enabled_change;
use crate::server::{AppState, schemas};
use crate::store::SaveWebhookError;

/// Returns the OpenAPI schema of a webhook's custom headers, as `webhook::check_custom_headers`
/// accepts them. A schema can't express that some names are reserved.
fn custom_headers_schema(
    value: impl Into<SchemaType>,
    description: &str,
    example: serde_json::Value,
) -> Object {
    let value = ObjectBuilder::new()
        .schema_type(value)
        .max_length(Some(HEADER_VALUE_MAX_BYTES))
        .pattern(Some("^([!-~]([ -~]*[!-~])?)?$"));
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[A-Za-z0-9_-]{1,64}$"));
    ObjectBuilder::new()
        .description(Some(description))
        .property_names(Some(name))
        .additional_properties(Some(value))
        .max_properties(Some(CUSTOM_HEADERS_MAX))
        .examples([example])
        .build()
}

fn headers_schema_for_create() -> Object {
    let description = "At most 10 custom headers, sent with every delivery.";
    custom_headers_schema(Type::String, description, json!({"X-Api-Key": "abc"}))
}

fn headers_schema_for_update() -> Object {
    let description = "Replaces all headers. `null` as a value keeps the stored value.";
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    custom_headers_schema(types, description, json!({"X-Api-Key": "abc"}))
}

pub(super) const NOT_FOUND: Problem = Problem::NotFound("Webhook not found.");

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    #[schema(schema_with = schemas::webhook_url)]
    url: String,
    /// Defaults to the format that the URL shows. Unknown services get the standard format.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    format: Option<Format>,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    details: Option<bool>,
    #[schema(schema_with = schemas::webhook_description, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    description: Option<String>,
    /// Defaults to all topics. A webhook without topics receives nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    topics: Option<Vec<Topic>>,
    /// Ids or slugs of existing projects. An empty list means all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    projects: Option<Vec<String>>,
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    retries: Option<RetryPolicy>,
    #[schema(schema_with = headers_schema_for_create)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    headers: Option<BTreeMap<String, String>>,
    #[schema(schema_with = schemas::secret, required = false)]
    secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookChange)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateWebhook {
    #[schema(schema_with = schemas::webhook_url, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    url: Option<String>,
    /// If the URL changes and the format is omitted, the format is detected again.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    format: Option<Format>,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    details: Option<bool>,
    #[schema(schema_with = schemas::webhook_description, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    description: Option<String>,
    /// A webhook without topics receives nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    topics: Option<Vec<Topic>>,
    /// Ids or slugs of existing projects. An empty list means all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    projects: Option<Vec<String>>,
    #[schema(nullable = false, example = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    retries: Option<RetryPolicy>,
    #[schema(schema_with = headers_schema_for_update)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookView<'a> {
    id: &'a WebhookId,
    #[schema(example = "https://api.example.com/webhooks/miniback")]
    url: &'a str,
    format: Format,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    details: bool,
    #[schema(example = "Our chat")]
    description: &'a str,
    topics: &'a [Topic],
    /// An empty list means all projects.
    #[schema(example = json!([]))]
    projects: &'a [ProjectId],
    enabled: bool,
    retries: RetryPolicy,
    /// The names of the custom headers, with masked values.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"X-Api-Key": "…"}))]
    headers: BTreeMap<&'a str, &'static str>,
    /// The time of the first failed attempt since the last success. Null unless the webhook is
    /// failing.
    #[schema(required = true)]
    failing_since: Option<Timestamp>,
    /// The webhook is on hold until this time, because its endpoint sent `Retry-After`. Null
    /// without a hold.
    #[schema(required = true)]
    held_until: Option<Timestamp>,
    created_at: Timestamp,
    /// Included only in the response to the call that creates the webhook. Null unless the format is
    /// `standard`.
    #[schema(value_type = Option<String>, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Option<&'a str>>,
}

impl<'a> WebhookView<'a> {
    fn new(webhook: &'a Webhook, now: Timestamp) -> Self {
        Self {
            id: &webhook.id,
            url: webhook.url.as_str(),
            format: webhook.format,
            details: webhook.details,
            description: &webhook.description,
            topics: &webhook.topics,
            projects: &webhook.projects,
            enabled: webhook.enabled,
            retries: webhook.retries,
            headers: webhook
                .headers
                .keys()
                .map(|name| (name.as_str(), "…"))
                .collect(),
            failing_since: webhook.failing_since,
            held_until: webhook.held_until.filter(|until| *until > now),
            created_at: webhook.created_at,
            secret: None,
        }
    }
}

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
    let view = WebhookView {
        secret: Some(format.is_signed().then_some(secret.as_str())),
        ..WebhookView::new(&webhook, app.clock.now())
    };
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
