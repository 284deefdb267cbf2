//! `/api/v1/webhooks/{id}/secret`: reads and rotates the secret of a webhook.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::webhooks::{NOT_FOUND, parse_or_generate_secret};
use crate::clock::Timestamp;
use crate::domain::id::{Id, WebhookId};
use crate::domain::validation::{check_all_fields, check_field};
use crate::domain::webhook::{self, Secrets};
use crate::server::json_body::{NoBody, OptionalJson, deserialize_integer};
use crate::server::problem::Problem;
use crate::server::{AppState, schemas};
use crate::store::RotateSecretError;

#[derive(Deserialize, ToSchema)]
#[schema(as = Rotation)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RotateSecret {
    #[schema(schema_with = schemas::secret, required = false)]
    secret: Option<String>,
    /// The time that both secrets are active, in hours. If 0 or omitted, the new secret takes
    /// effect immediately.
    #[schema(minimum = 0, maximum = 168, example = 24)]
    #[serde(default, deserialize_with = "deserialize_integer")]
    overlap_hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecrets)]
#[serde(rename_all = "camelCase")]
struct SecretsView<'a> {
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: &'a str,
    /// The new secret. Null unless an overlap is active.
    #[schema(required = true, example = json!(null))]
    next_secret: Option<&'a str>,
    #[schema(required = true, example = json!(null))]
    overlap_ends_at: Option<Timestamp>,
}

fn secrets_response(secrets: &Secrets) -> HttpResponse {
    let next = secrets.next.as_ref();
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(SecretsView {
            secret: secrets.current.as_str(),
            next_secret: next.map(|next| next.secret.as_str()),
            overlap_ends_at: next.map(|next| next.overlap_ends_at),
        })
}

/// Get a webhook’s secret
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/secret",
    operation_id = "getSecret",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses(
        (status = 200, description = "The active secrets", body = SecretsView),
        (status = 409, description = "The webhook’s format isn’t signed"),
    )
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    let webhook = app.store.webhook(id).await?.ok_or(NOT_FOUND)?;
    if !webhook.format.is_signed() {
        return Err(rotate_error_to_problem(RotateSecretError::Unsigned));
    }
    let secrets = app.store.webhook_secrets(id, app.clock.now()).await?;
    Ok(secrets_response(&secrets.ok_or(NOT_FOUND)?))
}

/// Rotate a webhook’s secret
///
/// During an overlap, `X-Miniback-Signature` uses the old secret, `X-Miniback-Signature-Next` uses
/// the new secret, and `webhook-signature` contains the signatures of both. Rotating during an
/// overlap ends that overlap first.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/secret/rotate",
    operation_id = "rotateSecret",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    request_body = RotateSecret,
    responses(
        (status = 200, description = "The active secrets after the change", body = SecretsView),
        (status = 409, description = "The webhook’s format isn’t signed"),
    )
)]
pub(super) async fn rotate(
    app: web::Data<AppState>,
    id: web::Path<String>,
    OptionalJson(body): OptionalJson<RotateSecret>,
) -> Result<HttpResponse, Problem> {
    let (secret, hours) = check_all_fields((
        check_field("secret", parse_or_generate_secret(body.secret)),
        check_field(
            "overlapHours",
            webhook::check_overlap_hours(body.overlap_hours.unwrap_or(0)),
        ),
    ))?;
    let id = WebhookId::parse_or_nil(id.into_inner());
    Ok(secrets_response(
        &app.store
            .rotate_secret(id, secret, hours)
            .await
            .map_err(rotate_error_to_problem)?,
    ))
}

/// End the overlap of a rotation
///
/// Without an overlap, this changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/secret/rotate/finish",
    operation_id = "finishRotation",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses(
        (status = 200, description = "The active secrets after the change", body = SecretsView),
        (status = 409, description = "The webhook’s format isn’t signed"),
    )
)]
pub(super) async fn finish_rotation(
    app: web::Data<AppState>,
    id: web::Path<String>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    Ok(secrets_response(
        &app.store
            .finish_rotation(id)
            .await
            .map_err(rotate_error_to_problem)?,
    ))
}

fn rotate_error_to_problem(error: RotateSecretError) -> Problem {
    match error {
        RotateSecretError::UnknownWebhook => NOT_FOUND,
        RotateSecretError::Unsigned => Problem::Conflict(error.to_string()),
        RotateSecretError::Store(error) => error.into(),
    }
}
