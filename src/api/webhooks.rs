//! `/api/v1/webhooks`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::body::{Json, named};
use super::lists::{List, Query};
use super::problem::{Problem, answer_to_delete};
use crate::clock::Timestamp;
use crate::domain::id::{ProjectId, WebhookId};
use crate::domain::invalid::Checks;
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    self, NewWebhook, Retries, Topic, Webhook, WebhookChange, WebhookError,
};
use crate::random;
use crate::server::Site;
use crate::store::SaveWebhookError;

pub(super) const NOT_FOUND: Problem = Problem::NotFound("There is no such webhook.");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    url: String,
    #[serde(default, deserialize_with = "named")]
    description: Option<String>,
    #[serde(default, deserialize_with = "named")]
    topics: Option<Vec<Topic>>,
    #[serde(default, deserialize_with = "named")]
    projects: Option<Vec<String>>,
    #[serde(default, deserialize_with = "named")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "named")]
    retries: Option<Retries>,
    #[serde(default, deserialize_with = "named")]
    headers: Option<BTreeMap<String, String>>,
    secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "named")]
    url: Option<String>,
    #[serde(default, deserialize_with = "named")]
    description: Option<String>,
    #[serde(default, deserialize_with = "named")]
    topics: Option<Vec<Topic>>,
    #[serde(default, deserialize_with = "named")]
    projects: Option<Vec<String>>,
    #[serde(default, deserialize_with = "named")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "named")]
    retries: Option<Retries>,
    #[serde(default, deserialize_with = "named")]
    headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View<'a> {
    id: &'a WebhookId,
    url: &'a str,
    description: &'a str,
    topics: &'a [Topic],
    projects: &'a [ProjectId],
    enabled: bool,
    retries: Retries,
    /// Values are never shown again.
    headers: BTreeMap<&'a str, &'static str>,
    failing_since: Option<Timestamp>,
    held_until: Option<Timestamp>,
    created_at: Timestamp,
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

pub(super) async fn create(
    site: web::Data<Site>,
    Json(body): Json<Create>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let secret = checks.take("secret", given_or_new(body.secret));
    let description = checks.take(
        "description",
        webhook::description(&body.description.unwrap_or_default()),
    );
    let headers = body.headers.unwrap_or_default();
    let as_change = headers
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    checks.take("headers", webhook::headers(&as_change));
    let url = checks.take("url", site.check_endpoint_url(&body.url).await);
    checks.finish()?;
    // None is missing: `finish` has told of it.
    let (Some(url), Some(secret), Some(description)) = (url, secret, description) else {
        return Err(NOT_FOUND);
    };
    let new = NewWebhook {
        url,
        description,
        topics: webhook::topics(&body.topics.unwrap_or(Topic::ALL.to_vec())),
        projects: body.projects.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
        retries: body.retries.unwrap_or(Retries::Standard),
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

pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = Query::of(&request)?.page("wh_")?;
    let now = site.clock.now();
    let found = site.store.webhooks(page).await?;
    let list = List::of(found, |webhook| {
        serde_json::to_value(View::of(&webhook, now)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

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
        checks.take("headers", webhook::headers(headers));
    }
    let description = body
        .description
        .and_then(|text| checks.take("description", webhook::description(&text)));
    checks.finish()?;
    let change = WebhookChange {
        url,
        description,
        topics: body.topics.map(|topics| webhook::topics(&topics)),
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
