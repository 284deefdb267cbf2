//! Redelivers finished deliveries, and retries or cancels pending deliveries.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deliveries::{DeliveryView, NOT_FOUND};
use super::webhooks;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::id::{DeliveryId, Id, WebhookId};
use crate::server::AppState;
use crate::server::json_body::{Json, NoBody, deserialize_non_null};
use crate::server::problem::Problem;
use crate::server::security_events::set_event_count;
use crate::store::{PendingDeliveryError, RedeliverError};

#[derive(Deserialize, ToSchema)]
#[schema(as = Recovery)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverDeliveries {
    /// Redeliver deliveries that failed or were canceled at or after this time. ISO 8601 with an
    /// offset.
    #[schema(format = DateTime, example = "2025-10-31T12:34:56Z")]
    since: String,
    /// The states of the deliveries to redeliver. Defaults to `failed`.
    #[schema(nullable = false, example = json!(["failed"]))]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    states: Option<Vec<RecoverableState>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RecoverableState {
    Failed,
    Canceled,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Recovered)]
struct RecoveredCount {
    #[schema(example = 3)]
    count: usize,
}

/// Redeliver a delivery
///
/// Sends the same id and body again, with a new set of retries. The attempt numbers continue from
/// the earlier attempts.
#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/redeliver",
    operation_id = "redeliver",
    tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses(
        (status = 202, description = "The delivery, which is pending again", body = DeliveryView),
        (
            status = 409,
            description = "The delivery is pending, its webhook is disabled or deleted, or its \
                feedback was deleted",
        ),
    )
)]
pub(super) async fn redeliver(
    app: web::Data<AppState>,
    id: web::Path<String>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId::parse_or_nil(id.into_inner());
    app.store
        .redeliver(id)
        .await
        .map_err(redeliver_error_to_problem)?;
    accepted_response(&app, id).await
}

/// Retry a pending delivery now
///
/// Starts the next attempt immediately, even while the webhook is on hold because of `Retry-After`.
/// The attempt neither starts nor ends a hold.
#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/retry",
    operation_id = "retryDelivery",
    tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses(
        (status = 202, description = "The delivery, which is due now", body = DeliveryView),
        (
            status = 409,
            description = "The delivery isn’t pending, or an attempt is in progress",
        ),
    )
)]
pub(super) async fn retry(
    app: web::Data<AppState>,
    id: web::Path<String>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId::parse_or_nil(id.into_inner());
    let queued = app.delivery.retry_delivery(id).await;
    queued.map_err(pending_delivery_error_to_problem)?;
    accepted_response(&app, id).await
}

/// Cancel a pending delivery
///
/// An attempt in progress continues. If it succeeds, the delivery becomes `delivered`.
#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/cancel",
    operation_id = "cancelDelivery",
    tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses(
        (status = 202, description = "The canceled delivery", body = DeliveryView),
        (status = 409, description = "The delivery isn’t pending"),
    )
)]
pub(super) async fn cancel(
    app: web::Data<AppState>,
    id: web::Path<String>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId::parse_or_nil(id.into_inner());
    let canceled = app.store.cancel_delivery(id).await;
    canceled.map_err(pending_delivery_error_to_problem)?;
    accepted_response(&app, id).await
}

/// Redeliver failed deliveries
///
/// Redelivers all deliveries of the webhook that failed since the given time, except tests and
/// deliveries of deleted feedback. Use `states` to redeliver canceled deliveries. If the call is
/// repeated immediately, the `count` is 0.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/recover",
    operation_id = "recover",
    tag = "Deliveries",
    params(("id" = WebhookId, Path)),
    request_body = RecoverDeliveries,
    responses(
        (
            status = 202,
            description = "The number of deliveries that are pending again",
            body = RecoveredCount,
        ),
        (status = 409, description = "The webhook is disabled or deleted"),
    )
)]
pub(super) async fn recover(
    app: web::Data<AppState>,
    webhook: web::Path<String>,
    request: HttpRequest,
    Json(body): Json<RecoverDeliveries>,
) -> Result<HttpResponse, Problem> {
    let since = Timestamp::parse(&body.since).ok_or_else(|| {
        Problem::invalid_field("since", "Enter a time like 2025-10-31T12:34:56Z.")
    })?;
    let states = body.states.unwrap_or(vec![RecoverableState::Failed]);
    let states = states.into_iter().map(|state| match state {
        RecoverableState::Failed => DeliveryState::Failed,
        RecoverableState::Canceled => DeliveryState::Canceled,
    });
    let webhook = WebhookId::parse_or_nil(webhook.into_inner());
    let count = app
        .store
        .redeliver_since(webhook, since, states.collect())
        .await
        .map_err(redeliver_error_to_problem)?;
    set_event_count(&request, count);
    Ok(HttpResponse::Accepted().json(RecoveredCount { count }))
}

/// Returns the response to a successful call: the delivery with its new state.
async fn accepted_response(app: &AppState, id: DeliveryId) -> Result<HttpResponse, Problem> {
    let detail = app.store.delivery(id).await?.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Accepted().json(DeliveryView::with_details(&detail)))
}

fn pending_delivery_error_to_problem(error: PendingDeliveryError) -> Problem {
    match error {
        PendingDeliveryError::Unknown => NOT_FOUND,
        PendingDeliveryError::Store(error) => error.into(),
        error => Problem::Conflict(error.to_string()),
    }
}

fn redeliver_error_to_problem(error: RedeliverError) -> Problem {
    match error {
        RedeliverError::UnknownDelivery => NOT_FOUND,
        RedeliverError::UnknownWebhook => webhooks::NOT_FOUND,
        RedeliverError::Store(error) => error.into(),
        error => Problem::Conflict(error.to_string()),
    }
}
