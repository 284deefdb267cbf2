//! The JSON objects of the webhook calls, and their OpenAPI schemas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::super::projects::IdOrSlug;
use crate::clock::Timestamp;
use crate::domain::format::Format;
use crate::domain::id::{ProjectId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    CUSTOM_HEADERS_MAX, HEADER_VALUE_MAX_BYTES, RetryPolicy, Topic, Webhook,
};
use crate::server::json_body::deserialize_non_null;
use crate::server::schemas;

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

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CreateWebhook {
    #[schema(schema_with = schemas::webhook_url)]
    pub(super) url: String,
    /// Defaults to the format detected from the URL. Unknown services get the standard format.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) format: Option<Format>,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) details: Option<bool>,
    #[schema(schema_with = schemas::webhook_description, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) description: Option<String>,
    /// Defaults to all topics. A webhook without topics receives nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) topics: Option<Vec<Topic>>,
    /// Ids or slugs of existing projects. An empty list means all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) projects: Option<Vec<String>>,
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) retries: Option<RetryPolicy>,
    #[schema(schema_with = headers_schema_for_create)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) headers: Option<BTreeMap<String, String>>,
    #[schema(schema_with = schemas::secret, required = false)]
    pub(super) secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookChange)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct UpdateWebhook {
    #[schema(schema_with = schemas::webhook_url, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) url: Option<String>,
    /// If the URL changes and the format is omitted, the format is detected again.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) format: Option<Format>,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    #[schema(nullable = false, example = true)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) details: Option<bool>,
    #[schema(schema_with = schemas::webhook_description, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) description: Option<String>,
    /// A webhook without topics receives nothing.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) topics: Option<Vec<Topic>>,
    /// Ids or slugs of existing projects. An empty list means all projects.
    #[schema(nullable = false, value_type = Option<Vec<IdOrSlug>>)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) projects: Option<Vec<String>>,
    #[schema(nullable = false, example = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) enabled: Option<bool>,
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) retries: Option<RetryPolicy>,
    #[schema(schema_with = headers_schema_for_update)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    pub(super) headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct WebhookView<'a> {
    id: &'a WebhookId,
    #[schema(example = "https://api.example.com/webhooks/miniback")]
    pub(super) url: &'a str,
    pub(super) format: Format,
    /// Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
    pub(super) details: bool,
    #[schema(example = "Our chat")]
    pub(super) description: &'a str,
    pub(super) topics: &'a [Topic],
    /// An empty list means all projects.
    #[schema(example = json!([]))]
    pub(super) projects: &'a [ProjectId],
    pub(super) enabled: bool,
    pub(super) retries: RetryPolicy,
    /// The names of the custom headers, with masked values.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"X-Api-Key": "…"}))]
    pub(super) headers: BTreeMap<&'a str, &'static str>,
    /// The time of the first failed attempt since the last success. Null unless the webhook is
    /// failing.
    #[schema(required = true)]
    failing_since: Option<Timestamp>,
    /// The webhook is on hold until this time, because its endpoint sent `Retry-After`. Null
    /// without a hold.
    #[schema(required = true)]
    held_until: Option<Timestamp>,
    created_at: Timestamp,
    /// Included only in the response to the call that creates the webhook. Null unless the format
    /// is `standard`.
    #[schema(value_type = Option<String>, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Option<&'a str>>,
}

impl<'a> WebhookView<'a> {
    pub(super) fn new(webhook: &'a Webhook, now: Timestamp) -> Self {
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

    /// Adds the secret of a new webhook.
    pub(super) fn with_secret(self, secret: &'a Secret) -> Self {
        Self {
            secret: Some(self.format.is_signed().then_some(secret.as_str())),
            ..self
        }
    }
}
