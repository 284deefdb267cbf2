//! The buttons on a delivery's page: redeliver, retry, and cancel.

use actix_web::{HttpResponse, web};

use crate::domain::id::{DeliveryId, WebhookId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{PendingDeliveryError, RedeliverError};

pub async fn redeliver(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook, delivery) = path.into_inner();
    context.push_message(
        match context
            .app
            .store
            .redeliver(DeliveryId::new(delivery.clone()))
            .await
        {
            Ok(()) => "Redelivery queued.".to_owned(),
            Err(RedeliverError::Store(error)) => return Err(error.into()),
            Err(RedeliverError::UnknownDelivery | RedeliverError::UnknownWebhook) => {
                return Err(PageError::ItemNotFound);
            }
            // After a double submit, the page says that the delivery is already pending.
            Err(
                error @ (RedeliverError::Pending
                | RedeliverError::Disabled
                | RedeliverError::WebhookDeleted
                | RedeliverError::FeedbackDeleted),
            ) => error.to_string(),
        },
    );
    Ok(context.redirect(&delivery_path(webhook, delivery)))
}

pub async fn retry(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook, delivery) = path.into_inner();
    let retried = context.app.delivery.retry(DeliveryId::new(&delivery)).await;
    context.push_message(pending_delivery_message(retried, "Retry started.")?);
    Ok(context.redirect(&delivery_path(webhook, delivery)))
}

pub async fn cancel(
    context: RequestContext,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (webhook, delivery) = path.into_inner();
    let id = DeliveryId::new(&delivery);
    let canceled = context.app.store.cancel_delivery(id).await;
    context.push_message(pending_delivery_message(canceled, "Delivery canceled.")?);
    Ok(context.redirect(&delivery_path(webhook, delivery)))
}

/// Returns the message for the person: `success`, or why the delivery can't be changed.
fn pending_delivery_message(
    result: Result<(), PendingDeliveryError>,
    success: &str,
) -> Result<String, PageError> {
    match result {
        Ok(()) => Ok(success.to_owned()),
        Err(PendingDeliveryError::Unknown) => Err(PageError::ItemNotFound),
        Err(PendingDeliveryError::Store(error)) => Err(error.into()),
        Err(error @ (PendingDeliveryError::NotPending | PendingDeliveryError::InFlight)) => {
            Ok(error.to_string())
        }
    }
}

fn delivery_path(webhook: String, delivery: String) -> String {
    format!(
        "/settings/notifications/{}/deliveries/{}",
        WebhookId::new(webhook),
        DeliveryId::new(delivery)
    )
}
