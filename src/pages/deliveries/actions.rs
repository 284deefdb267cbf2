//! Handlers of the buttons on a delivery's page: redeliver, retry, and cancel.

use actix_web::{HttpResponse, web};

use crate::domain::id::{DeliveryId, Id, WebhookId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::pages::webhooks::row::held_until;
use crate::store::{PendingDeliveryError, RedeliverError};

/// The ids of the webhook and the delivery.
type DeliveryIdsPath = web::Path<(String, String)>;

pub async fn redeliver(
    context: RequestContext,
    path: DeliveryIdsPath,
) -> Result<HttpResponse, PageError> {
    let id = DeliveryId::parse_or_nil(&path.1);
    let message = match context.app.store.redeliver(id).await {
        Ok(()) => redelivery_queued_message(&context, &path).await?.to_owned(),
        Err(RedeliverError::Store(error)) => return Err(error.into()),
        Err(RedeliverError::UnknownDelivery | RedeliverError::UnknownWebhook) => {
            return Err(PageError::ItemNotFound);
        }
        // The delivery's page shows the error. For example, after a double submit, the delivery is
        // already pending.
        Err(error) => error.to_string(),
    };
    Ok(redirect_with_message(&context, &path, message))
}

/// Returns the message for a queued redelivery, which waits if its webhook is on hold.
async fn redelivery_queued_message(
    context: &RequestContext,
    path: &DeliveryIdsPath,
) -> Result<&'static str, PageError> {
    let webhook = context
        .app
        .store
        .webhook(WebhookId::parse_or_nil(&path.0))
        .await?;
    let now = context.app.clock.now();
    let is_held = webhook.is_some_and(|webhook| held_until(&webhook, now).is_some());
    Ok(match is_held {
        true => "Redelivery queued. It’s sent when the hold ends, or when you select “Retry now”.",
        false => "Redelivery queued.",
    })
}

pub async fn retry(
    context: RequestContext,
    path: DeliveryIdsPath,
) -> Result<HttpResponse, PageError> {
    let result = context
        .app
        .delivery
        .retry_delivery(DeliveryId::parse_or_nil(&path.1))
        .await;
    let message = action_result_message(result, "Retry started.")?;
    Ok(redirect_with_message(&context, &path, message))
}

pub async fn cancel(
    context: RequestContext,
    path: DeliveryIdsPath,
) -> Result<HttpResponse, PageError> {
    let id = DeliveryId::parse_or_nil(&path.1);
    let result = context.app.store.cancel_delivery(id).await;
    let message = action_result_message(result, "Delivery canceled.")?;
    Ok(redirect_with_message(&context, &path, message))
}

/// Returns the message for a result: `success`, or the reason that the delivery can't be changed.
fn action_result_message(
    result: Result<(), PendingDeliveryError>,
    success: &str,
) -> Result<String, PageError> {
    match result {
        Ok(()) => Ok(success.to_owned()),
        Err(PendingDeliveryError::Unknown) => Err(PageError::ItemNotFound),
        Err(PendingDeliveryError::Store(error)) => Err(error.into()),
        Err(error) => Ok(error.to_string()),
    }
}

/// Redirects to the delivery's page, which shows the message.
fn redirect_with_message(
    context: &RequestContext,
    path: &DeliveryIdsPath,
    message: String,
) -> HttpResponse {
    context.add_flash_message(message);
    context.redirect(&format!(
        "/settings/notifications/{}/deliveries/{}",
        WebhookId::parse_or_nil(&path.0),
        DeliveryId::parse_or_nil(&path.1)
    ))
}
