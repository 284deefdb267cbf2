//! `/api/v1/webhooks/{id}/accounting`: the number of a webhook's deliveries in each state.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::webhooks::NOT_FOUND;
use crate::domain::id::{Id, WebhookId};
use crate::server::AppState;
use crate::server::problem::Problem;

/// The delivery totals of a webhook since it was created. They include tests and deliveries that
/// retention has deleted.
///
/// `events` = `delivered` + `pending` + `failed` + `canceled` + `unexplained`.
/// `unexplained` is 0 unless an event was lost.
#[derive(Serialize, ToSchema)]
#[schema(as = Accounting)]
pub(super) struct DeliveryTotalsView {
    events: u64,
    delivered: u64,
    pending: u64,
    failed: u64,
    canceled: u64,
    unexplained: i64,
}

/// Get delivery totals
///
/// The number of a webhook’s deliveries in each state. If no event was lost:
/// `events` = `delivered` + `pending` + `failed` + `canceled`.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/accounting",
    operation_id = "getAccounting",
    tag = "Webhooks",
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "The delivery totals", body = DeliveryTotalsView))
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let totals = app
        .store
        .delivery_totals(WebhookId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(DeliveryTotalsView {
        events: totals.events,
        delivered: totals.delivered,
        pending: totals.pending,
        failed: totals.failed,
        canceled: totals.canceled,
        unexplained: totals.unexplained_events(),
    }))
}
