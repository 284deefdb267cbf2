//! Handlers of the buttons and forms on Settings → Notifications, except the forms that add
//! webhooks, and the forms that edit settings and topics.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use super::{FAILING_PARAM, PATH};
use crate::domain::event::EventType;
use crate::domain::id::{Id, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{self, Webhook, WebhookPatch};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::navigation::with_query;
use crate::pages::framework::page_error::PageError;
use crate::random;
use crate::server::form_data::FormData;
use crate::server::security_events::record_enabled_change;
use crate::store::{Precondition, RotateSecretError, SaveWebhookError};

type IdPath = web::Path<String>;

/// Handles the "Enabled" switch, "Enable", and the confirmation that disables a webhook. If a
/// webhook has pending deliveries, the switch asks before they are canceled.
pub async fn set_enabled(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let enabled = match fields.get("enabled") {
        "true" => true,
        "false" => false,
        _ => return Err(PageError::InvalidForm),
    };
    let id = WebhookId::parse_or_nil(id.into_inner());
    let totals = context.app.store.delivery_totals(id).await?;
    let pending = totals.map_or(0, |totals| totals.pending);
    if !enabled && pending > 0 && fields.get("confirmed") != "true" {
        return Ok(match fields.get("back") {
            "webhook" => context.redirect(&format!("{PATH}/{id}?disable")),
            _ => redirect_to_list(&context, &fields, &id, &[("disable", &id.to_string())]),
        });
    }
    let change = WebhookPatch {
        enabled: Some(enabled),
        ..WebhookPatch::default()
    };
    let (Ok(webhook) | Err(webhook)) =
        update_webhook(&context, id, change, Precondition::none()).await?;
    record_enabled_change(&context.request, enabled);
    context.add_flash_message(match (enabled, pending) {
        (true, _) => "Webhook enabled.",
        (false, 0) => {
            "Webhook disabled. New events won’t be sent to this webhook until you enable it."
        }
        (false, _) => {
            "Webhook disabled. Pending deliveries were canceled. New events won’t be sent to this \
             webhook until you enable it."
        }
    });
    Ok(redirect_back(&context, &fields, &webhook.id))
}

/// Returns the event that a test sends. Without a choice, a test sends `test`.
pub(super) fn parse_test_event(fields: &FormData) -> Result<EventType, PageError> {
    match fields.get("event") {
        "" => Ok(EventType::Test),
        event => EventType::parse(event).ok_or(PageError::InvalidForm),
    }
}

/// Handles "Test" of a saved webhook.
pub async fn send_test(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let event = parse_test_event(&fields)?;
    let webhook = context.webhook(id.into_inner()).await?;
    let report = context
        .app
        .delivery
        .test_webhook(&webhook, event, &context.user()?.email)
        .await?
        .ok_or(PageError::ItemNotFound)?;
    context.update_flash(|flash| flash.test = Some((webhook.id, report)));
    Ok(redirect_back(&context, &fields, &webhook.id))
}

/// Returns the current secret as plain text, so that the user can copy the secret without revealing
/// it on the page. With `?next`, returns the new secret of a rotation.
pub async fn show_plain_secret(
    context: RequestContext,
    id: IdPath,
) -> Result<HttpResponse, PageError> {
    let webhook = context.signed_webhook(id.into_inner()).await?;
    let secrets = context.webhook_secrets(webhook.id).await?;
    let secret = match context.query_param("next") {
        Some(_) => secrets.next.ok_or(PageError::ItemNotFound)?.secret,
        None => secrets.current,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(secret.as_str().to_owned()))
}

/// Handles "Rotate": replaces the secret, immediately or with an overlap.
pub async fn rotate_secret(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let hours = match fields.get("at_once") {
        "true" => 0,
        _ => parse_overlap_hours(fields.get("hours"))?,
    };
    let id = WebhookId::parse_or_nil(id.into_inner());
    let secret = Secret::from_random(random::bytes());
    context
        .app
        .store
        .rotate_secret(id, secret, hours)
        .await
        .map_err(into_page_error)?;
    context.add_flash_message(if hours == 0 {
        "Secret rotated. New requests are signed with the new secret.".to_owned()
    } else {
        let unit = if hours == 1 { "hour" } else { "hours" };
        format!("New secret created. Both secrets work for {hours} {unit}.")
    });
    Ok(context.redirect(&format!("{PATH}?reveal={id}#{id}")))
}

/// Parses the hours of an overlap. Rejects 0, so that the old secret is replaced immediately only
/// if a person selects "Rotate immediately".
fn parse_overlap_hours(text: &str) -> Result<u32, PageError> {
    let hours = text.trim().parse().ok().filter(|hours| *hours > 0);
    hours
        .and_then(|hours| webhook::check_overlap_hours(hours).ok())
        .ok_or(PageError::Specific {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Invalid form",
            message: "Enter the hours as a number from 1 to 168, or select “Rotate immediately”.",
        })
}

/// Handles "Switch now": ends the overlap after a rotation.
pub async fn end_secret_overlap(
    context: RequestContext,
    id: IdPath,
) -> Result<HttpResponse, PageError> {
    let id = WebhookId::parse_or_nil(id.into_inner());
    context
        .app
        .store
        .finish_rotation(id)
        .await
        .map_err(into_page_error)?;
    context.add_flash_message("Only the new secret is valid now.");
    Ok(redirect_to_open_row(&context, &id))
}

/// Handles "Delete" in the confirmation.
pub async fn delete(context: RequestContext, id: IdPath) -> Result<HttpResponse, PageError> {
    // Deleting an already deleted webhook (a double submit) succeeds.
    context
        .app
        .store
        .delete_webhook(
            WebhookId::parse_or_nil(id.into_inner()),
            Precondition::none(),
        )
        .await?;
    context.add_flash_message("Webhook deleted. Pending deliveries were canceled.");
    Ok(context.redirect(PATH))
}

/// Redirects to the form's page: the webhook's page, its deliveries, or its row in the list.
fn redirect_back(
    context: &RequestContext,
    fields: &IdempotentForm,
    id: &WebhookId,
) -> HttpResponse {
    match fields.get("back") {
        "deliveries" => context.redirect(&format!("{PATH}/{id}/deliveries")),
        "webhook" => context.redirect(&format!("{PATH}/{id}")),
        _ => redirect_to_list(context, fields, id, &[]),
    }
}

/// Redirects to a webhook's row in the same list, open if it was open on the form's page. `extra`
/// contains additional query parameters.
fn redirect_to_list(
    context: &RequestContext,
    fields: &IdempotentForm,
    id: &WebhookId,
    extra: &[(&str, &str)],
) -> HttpResponse {
    let is_open = fields.get("open") == "true";
    let is_filtered = !fields.get(FAILING_PARAM).is_empty();
    let filter = is_filtered.then_some((FAILING_PARAM, "true"));
    let id = id.to_string();
    let open = is_open.then_some(("open", id.as_str()));
    let pairs: Vec<(&str, &str)> = filter
        .into_iter()
        .chain(open)
        .chain(extra.to_vec())
        .collect();
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    context.redirect(&format!("{}#{id}", with_query(PATH, &query)))
}

pub(super) fn redirect_to_open_row(context: &RequestContext, id: &WebhookId) -> HttpResponse {
    context.redirect(&format!("{PATH}?open={id}#{id}"))
}

/// Changes a webhook. Returns the stored webhook as an error if it doesn't meet the precondition.
pub(super) async fn update_webhook(
    context: &RequestContext,
    id: WebhookId,
    change: WebhookPatch,
    precondition: Precondition<Webhook>,
) -> Result<Result<Webhook, Webhook>, PageError> {
    let store = &context.app.store;
    match store.update_webhook(id, change, precondition).await {
        Ok(webhook) => webhook.map(Ok).ok_or(PageError::ItemNotFound),
        Err(SaveWebhookError::Changed(stored)) => Ok(Err(*stored)),
        Err(SaveWebhookError::Store(error)) => Err(error.into()),
        // The form contains a project that was deleted after the page was rendered.
        Err(_) => Err(PageError::InvalidForm),
    }
}

fn into_page_error(error: RotateSecretError) -> PageError {
    match error {
        RotateSecretError::UnknownWebhook => PageError::ItemNotFound,
        RotateSecretError::Unsigned => PageError::UNSIGNED_WEBHOOK,
        RotateSecretError::Store(error) => error.into(),
    }
}
