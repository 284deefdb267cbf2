//! `/api/v1/webhooks/{id}/accounting`: what was made for a webhook, and what became of it.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::webhooks::NOT_FOUND;
use crate::domain::id::WebhookId;
use crate::server::Site;

/// `events` = `delivered` + `pending` + `failed` + `canceled` + `unexplained`, which is 0. Counted since the webhook
/// exists, tests included; what retention has removed from the log still counts.
#[derive(Serialize, ToSchema)]
#[schema(as = Accounting)]
pub(super) struct View {
    events: u64,
    delivered: u64,
    pending: u64,
    failed: u64,
    canceled: u64,
    unexplained: i64,
}

/// Read what was made for a webhook
///
/// And what became of it: `events` = `delivered` + `pending` + `failed` + `canceled`.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/accounting", operation_id = "getAccounting", tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "Its accounting", body = View)))]
pub(super) async fn get(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let accounting = site
        .store
        .delivery_totals(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View {
        events: accounting.events,
        delivered: accounting.delivered,
        pending: accounting.pending,
        failed: accounting.failed,
        canceled: accounting.canceled,
        unexplained: accounting.discrepancy(),
    }))
}
