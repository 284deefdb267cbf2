//! Tests of webhooks: one signed request now, for a saved webhook or for a URL that is not saved yet.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::body::Json;
use super::guard::Caller;
use super::problem::Problem;
use super::webhooks::{NOT_FOUND, given_or_new};
use crate::delivery::TestReport;
use crate::domain::id::WebhookId;
use crate::domain::invalid::Checks;
use crate::server::Site;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    url: String,
    secret: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    success: bool,
    status: Option<u16>,
    duration_ms: u128,
    response_body: &'a str,
    error: Option<String>,
    /// The throwaway secret that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(report: &'a TestReport) -> Self {
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

pub(super) async fn saved(
    site: web::Data<Site>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let webhook = site
        .store
        .webhook(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    let report = site
        .delivery
        .test_webhook(&webhook, &caller.0.user.email)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::of(&report)))
}

pub(super) async fn unsaved(
    site: web::Data<Site>,
    caller: Caller,
    Json(body): Json<Target>,
) -> Result<HttpResponse, Problem> {
    let throwaway = body.secret.is_none();
    let mut checks = Checks::default();
    let secret = checks.take("secret", given_or_new(body.secret));
    let url = checks.take("url", site.check_endpoint_url(&body.url).await);
    checks.finish()?;
    // None is missing: `finish` has told of it.
    let (Some(url), Some(secret)) = (url, secret) else {
        return Err(NOT_FOUND);
    };
    let report = site
        .delivery
        .test_url(&url, secret.clone(), &caller.0.user.email)
        .await?;
    Ok(HttpResponse::Ok().json(View {
        secret: throwaway.then_some(secret.as_str()),
        ..View::of(&report)
    }))
}
