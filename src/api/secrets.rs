//! `/api/v1/webhooks/{id}/secret`: to read, to rotate, to end a rotation's overlap.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::body::OptionalJson;
use super::problem::Problem;
use super::webhooks::{NOT_FOUND, given_or_new};
use crate::clock::Timestamp;
use crate::domain::id::WebhookId;
use crate::domain::invalid::Checks;
use crate::domain::webhook::{OVERLAP_MAX_HOURS, Secrets, WebhookError};
use crate::server::Site;
use crate::store::RotateError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rotate {
    secret: Option<String>,
    overlap_hours: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    secret: &'a str,
    next_secret: Option<&'a str>,
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
