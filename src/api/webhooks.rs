//! `/api/v1/webhooks`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::body::{Json, named};
use super::lists::{List, Paging, Query};
use super::problem::{Problem, answer_to_delete};
use super::projects::IdOrSlug;
use crate::clock::Timestamp;
use crate::domain::id::{ProjectId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::validation::Checks;
use crate::domain::webhook::{
    self, HEADER_VALUE_MAX_BYTES, HEADERS_MAX, NewWebhook, RetryPolicy, Topic, Webhook,
    WebhookError, WebhookPatch,
};
use crate::random;
use crate::server::Site;
use crate::store::SaveWebhookError;

/// Headers of one's own, as `webhook::check_headers` takes them; which names are reserved does not fit into a schema.
fn headers(value: impl Into<SchemaType>, description: &str, example: serde_json::Value) -> Object {
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
        .max_properties(Some(HEADERS_MAX))
        .examples([example])
        .build()
}

fn given_headers() -> Object {
    let description = "At most 10 of your own, sent with each delivery.";
    headers(Type::String, description, json!({"X-Api-Key": "abc"}))
}

fn changed_headers() -> Object {
    let description = "Replaces all; null as a value keeps the stored one.";
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    headers(types, description, json!({"X-Api-Key": "abc"}))
}

pub(super) const NOT_FOUND: Problem = Problem::NotFound("There is no such webhook.");

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    /// Where deliveries go: https, or http to localhost.
    #[schema(
        max_length = 2048,
        pattern = r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\s]",
        example = "https://api.example.com/webhooks/miniback"
    )]
    url: String,
    #[schema(
        nullable = false,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "Our chat"
    )]
    #[serde(default, deserialize_with = "named")]
    description: Option<String>,
    /// All where it is left out; none is allowed, and gets nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "named")]
    topics: Option<Vec<Topic>>,
    /// Ids or slugs of projects that are there; empty = all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "named")]
    projects: Option<Vec<String>>,
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "named")]
    enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "named")]
    retries: Option<RetryPolicy>,
    #[schema(schema_with = given_headers)]
    #[serde(default, deserialize_with = "named")]
    headers: Option<BTreeMap<String, String>>,
    /// 16 to 128 printable ASCII characters without spaces; one is made where it is left out.
    #[schema(
        pattern = "^[!-~]{16,128}$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
    secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookChange)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Where deliveries go: https, or http to localhost.
    #[schema(
        nullable = false,
        max_length = 2048,
        pattern = r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\s]",
        pattern = r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\s]"
    )]
    #[serde(default, deserialize_with = "named")]
    url: Option<String>,
    #[schema(
        nullable = false,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "Our chat"
    )]
    #[serde(default, deserialize_with = "named")]
    description: Option<String>,
    /// None is allowed, and gets nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "named")]
    topics: Option<Vec<Topic>>,
    /// Ids or slugs of projects that are there; empty = all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "named")]
    projects: Option<Vec<String>>,
    #[schema(nullable = false, example = false)]
    #[serde(default, deserialize_with = "named")]
    enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "named")]
    retries: Option<RetryPolicy>,
    #[schema(schema_with = changed_headers)]
    #[serde(default, deserialize_with = "named")]
    headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
pub(super) struct View<'a> {
    id: &'a WebhookId,
    #[schema(example = "https://api.example.com/webhooks/miniback")]
    url: &'a str,
    #[schema(example = "Our chat")]
    description: &'a str,
    topics: &'a [Topic],
    /// Empty = all projects.
    #[schema(example = json!([]))]
    projects: &'a [ProjectId],
    enabled: bool,
    retries: RetryPolicy,
    /// Values are never shown again.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"X-Api-Key": "…"}))]
    headers: BTreeMap<&'a str, &'static str>,
    /// The first failed attempt since the last success.
    #[schema(required = true)]
    failing_since: Option<Timestamp>,
    /// Nothing is sent before this: the endpoint asked for it by `Retry-After`.
    #[schema(required = true)]
    held_until: Option<Timestamp>,
    created_at: Timestamp,
    /// Only in the answer that made it.
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(webhook: &'a Webhook, now: Timestamp) -> Self {
        Self {
            id: &webhook.id,
            url: webhook.url.as_str(),
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
/// The answer alone holds the secret; `GET /api/v1/webhooks/{id}/secret` shows it again.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "createWebhook", tag = "Webhooks",
    request_body = Create,
    responses(
        (status = 201, description = "The webhook, with its secret", body = View),
        (status = 409, description = "There are 100 webhooks already"),
    ))]
pub(super) async fn create(
    site: web::Data<Site>,
    Json(body): Json<Create>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let secret = checks.take("secret", given_or_new(body.secret));
    let description = checks.take(
        "description",
        webhook::check_description(&body.description.unwrap_or_default()),
    );
    let headers = body.headers.unwrap_or_default();
    let as_change = headers
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    checks.take("headers", webhook::check_headers(&as_change));
    let url = checks.take("url", site.check_endpoint_url(&body.url).await);
    checks.finish()?;
    // None is missing: `finish` has told of it.
    let (Some(url), Some(secret), Some(description)) = (url, secret, description) else {
        return Err(NOT_FOUND);
    };
    let new = NewWebhook {
        url,
        description,
        topics: webhook::normalize_topics(&body.topics.unwrap_or(Topic::ALL.to_vec())),
        projects: body.projects.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
        retries: body.retries.unwrap_or(RetryPolicy::Standard),
        headers,
        secret: secret.clone(),
    };
    let webhook = site
        .store
        .create_webhook(new, None)
        .await
        .map_err(save_problem)?;
    let location = site.links.to(&format!("/api/v1/webhooks/{}", webhook.id));
    let view = View {
        secret: Some(secret.as_str()),
        ..View::of(&webhook, site.clock.now())
    };
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .json(view))
}

/// List webhooks
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "listWebhooks", tag = "Webhooks",
    params(Paging<WebhookId>),
    responses((status = 200, description = "A page of webhooks", body = List<View>)))]
pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = Query::of(&request)?.page::<WebhookId>()?;
    let now = site.clock.now();
    let found = site.store.webhooks(page).await?;
    let list = List::of(found, |webhook| {
        serde_json::to_value(View::of(&webhook, now)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

/// Show a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "getWebhook", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "The webhook", body = View)))]
pub(super) async fn get(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let webhook = site
        .store
        .webhook(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::of(&webhook, site.clock.now())))
}

/// Change a webhook
///
/// What is not named stays. Switching it off cancels what is pending for it.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", operation_id = "changeWebhook", tag = "Webhooks",
    params(("id" = WebhookId, Path)), request_body = Change,
    responses((status = 200, description = "The webhook as it is now", body = View)))]
pub(super) async fn change(
    site: web::Data<Site>,
    id: web::Path<String>,
    Json(body): Json<Change>,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::new(id.into_inner());
    // What is not there is told before what is wrong with the change.
    site.store.webhook(id.clone()).await?.ok_or(NOT_FOUND)?;
    let mut checks = Checks::default();
    let url = match &body.url {
        Some(url) => checks.take("url", site.check_endpoint_url(url).await),
        None => None,
    };
    if let Some(headers) = &body.headers {
        checks.take("headers", webhook::check_headers(headers));
    }
    let description = body
        .description
        .and_then(|text| checks.take("description", webhook::check_description(&text)));
    checks.finish()?;
    let change = WebhookPatch {
        url,
        description,
        topics: body.topics.map(|topics| webhook::normalize_topics(&topics)),
        projects: body.projects,
        enabled: body.enabled,
        retries: body.retries,
        headers: body.headers,
    };
    let webhook = site
        .store
        .change_webhook(id, change)
        .await
        .map_err(save_problem)?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::of(&webhook, site.clock.now())))
}

/// Delete a webhook
///
/// What is pending for it is canceled; its secret and headers are gone at once.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 204, description = "It is deleted")))]
pub(super) async fn delete(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let deleted = site
        .store
        .delete_webhook(WebhookId::new(id.into_inner()))
        .await?;
    answer_to_delete(deleted, NOT_FOUND)
}

/// The secret that was given, or a new one.
pub(super) fn given_or_new(
    given: Option<String>,
) -> Result<Secret, crate::domain::secret::SecretError> {
    given.map_or_else(|| Ok(Secret::from_random(random::bytes())), Secret::parse)
}

fn save_problem(error: SaveWebhookError) -> Problem {
    match error {
        SaveWebhookError::TooMany => Problem::Conflict(error.to_string()),
        SaveWebhookError::UnknownProject(_) => Problem::field("projects", error),
        SaveWebhookError::Invalid(WebhookError::HeaderNotStored(_)) => {
            Problem::field("headers", error)
        }
        SaveWebhookError::Invalid(error) => Problem::field("", error),
        SaveWebhookError::Store(error) => error.into(),
    }
}
