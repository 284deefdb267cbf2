//! `/api/v1/webhooks/{id}/secret`: to read, to rotate, to end a rotation's overlap.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{OptionalJson, whole_number};
use super::problem::Problem;
use super::webhooks::{NOT_FOUND, given_or_new};
use crate::clock::Timestamp;
use crate::domain::id::WebhookId;
use crate::domain::validation::Checks;
use crate::domain::webhook::{OVERLAP_MAX_HOURS, Secrets, WebhookError};
use crate::server::Site;
use crate::store::RotateError;

#[derive(Deserialize, ToSchema)]
#[schema(as = Rotation)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rotate {
    /// The next secret; one is made where it is left out.
    #[schema(
        pattern = "^[!-~]{16,128}$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
    secret: Option<String>,
    /// For how long both are in force; 0, or left out: the next one takes effect at once.
    #[schema(minimum = 0, maximum = 168, example = 24)]
    #[serde(default, deserialize_with = "whole_number")]
    overlap_hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecrets)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: &'a str,
    /// During an overlap: what follows it.
    #[schema(required = true, example = json!(null))]
    next_secret: Option<&'a str>,
    #[schema(required = true, example = json!(null))]
    overlap_ends_at: Option<Timestamp>,
}

fn answer(secrets: &Secrets) -> HttpResponse {
    let next = secrets.next.as_ref();
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(View {
            secret: secrets.current.as_str(),
            next_secret: next.map(|next| next.secret.as_str()),
            overlap_ends_at: next.map(|next| next.overlap_ends_at),
        })
}

/// Show the secret of a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/secret", operation_id = "getSecret", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "What it signs with", body = View)))]
pub(super) async fn get(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let secrets = site
        .store
        .webhook_secrets(WebhookId::new(id.into_inner()), site.clock.now())
        .await?;
    Ok(answer(&secrets.ok_or(NOT_FOUND)?))
}

/// Rotate the secret of a webhook
///
/// With an overlap, `X-Miniback-Signature` stays by the old secret until it ends, `X-Miniback-Signature-Next` is by the
/// new one, and `webhook-signature` holds both. Rotating again ends an overlap first.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret/rotate", operation_id = "rotateSecret", tag = "Webhooks",
    params(("id" = WebhookId, Path)), request_body = Rotate,
    responses((status = 200, description = "What it signs with now", body = View)))]
pub(super) async fn rotate(
    site: web::Data<Site>,
    id: web::Path<String>,
    OptionalJson(body): OptionalJson<Rotate>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let secret = checks.take("secret", given_or_new(body.secret));
    let hours = body.overlap_hours.unwrap_or(0);
    checks.take(
        "overlapHours",
        if hours <= OVERLAP_MAX_HOURS {
            Ok(())
        } else {
            Err(WebhookError::Overlap)
        },
    );
    checks.finish()?;
    // None is missing: `finish` has told of it.
    let Some(secret) = secret else {
        return Err(NOT_FOUND);
    };
    let id = WebhookId::new(id.into_inner());
    Ok(answer(
        &site
            .store
            .rotate_secret(id, secret, hours)
            .await
            .map_err(problem)?,
    ))
}

/// End the overlap of a rotation
///
/// Without an overlap this changes nothing.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret/rotate/finish", operation_id = "finishRotation", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "What it signs with now", body = View)))]
pub(super) async fn finish(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = WebhookId::new(id.into_inner());
    Ok(answer(
        &site.store.finish_rotation(id).await.map_err(problem)?,
    ))
}

fn problem(error: RotateError) -> Problem {
    match error {
        RotateError::Unknown => NOT_FOUND,
        RotateError::Store(error) => error.into(),
    }
}
