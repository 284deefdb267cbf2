//! Handlers of the forms on the feedback pages: status changes, undo, and deletion.

use actix_web::{HttpResponse, web};

use super::PATH;
use super::query::parse_feedback_ids;
use crate::domain::feedback::{Actor, FeedbackStatus};
use crate::domain::id::{FeedbackId, Id};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::flash::{FlashMessage, StatusUndo};
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::navigation::with_query;
use crate::pages::framework::page_error::PageError;
use crate::store::{AppliedStatusChange, StatusChange};

/// Returns the path to redirect to after a form is processed: the list, or the item's own page.
fn redirect_path(fields: &IdempotentForm) -> String {
    let path = match FeedbackId::parse(fields.get("return_to_item")) {
        Some(item) => format!("{PATH}/{item}"),
        None => PATH.to_owned(),
    };
    with_back_query(&path, fields)
}

/// Returns the path of the list, with the filters in the form's `back` field.
fn list_path(fields: &IdempotentForm) -> String {
    with_back_query(PATH, fields)
}

fn with_back_query(path: &str, fields: &IdempotentForm) -> String {
    // Use `back` only as a query string, so the redirect can't lead to another site.
    let query: String = fields
        .get("back")
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .collect();
    with_query(path, &query)
}

fn current_actor(context: &RequestContext) -> Result<Actor, PageError> {
    Ok(Actor {
        email: context.user()?.email.clone(),
        token: None,
    })
}

fn parse_status(fields: &IdempotentForm) -> Result<FeedbackStatus, PageError> {
    fields
        .get("status")
        .parse()
        .map_err(|_| PageError::InvalidForm)
}

/// Adds a message such as "Marked as reviewed." with "Undo" to the next page, unless nothing was
/// changed.
fn add_status_change_message(
    context: &RequestContext,
    fields: &IdempotentForm,
    changed: &[AppliedStatusChange],
) {
    let (Some(first), count) = (changed.first(), changed.len()) else {
        return;
    };
    let status = first.status.label().to_lowercase();
    let text = match count {
        1 => format!("Marked as {status}."),
        _ => format!("{count} items marked as {status}."),
    };
    let encode = |change: &AppliedStatusChange| {
        let AppliedStatusChange {
            id,
            previous,
            status,
        } = change;
        format!("{id}:{previous}:{status}")
    };
    let undo = StatusUndo {
        changes: changed.iter().map(encode).collect(),
        back: fields.get("back").to_owned(),
        return_to_item: fields.get("return_to_item").to_owned(),
    };
    let undo = Some(undo);
    context.update_flash(|flash| flash.messages.push(FlashMessage { text, undo }));
}

pub async fn set_status(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let change = StatusChange {
        id: FeedbackId::parse_or_nil(id.into_inner()),
        only_from: None,
        to: parse_status(&fields)?,
    };
    let store = &context.app.store;
    if store.feedback(change.id).await?.is_none() {
        context.add_flash_message("The status wasn’t changed, because the feedback was deleted.");
        return Ok(context.redirect(&list_path(&fields)));
    }
    let changed = store
        .set_statuses(vec![change], current_actor(&context)?)
        .await?;
    add_status_change_message(&context, &fields, &changed);
    Ok(context.redirect(&redirect_path(&fields)))
}

/// Sets the status of the selected items.
pub async fn set_statuses(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let to = parse_status(&fields)?;
    let change = |id| StatusChange {
        id,
        only_from: None,
        to,
    };
    let changes: Vec<_> = parse_feedback_ids(fields.get_all("id"))
        .into_iter()
        .map(change)
        .collect();
    let selected = changes.len();
    let by = current_actor(&context)?;
    let changed = context.app.store.set_statuses(changes, by).await?;
    if selected == 0 {
        context.add_flash_message("No feedback selected.");
    } else if changed.is_empty() {
        let status = to.label().to_lowercase();
        context.add_flash_message(format!("No change: already {status}."));
    }
    add_status_change_message(&context, &fields, &changed);
    Ok(context.redirect(&redirect_path(&fields)))
}

/// Reverts status changes. Skips items that were deleted or whose status has changed again.
pub async fn undo_status_changes(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let change = |encoded: &str| {
        let mut parts = encoded.split(':');
        let change = StatusChange {
            id: parse_feedback_ids(parts.next().into_iter()).pop()?,
            to: parts.next()?.parse().ok()?,
            only_from: Some(parts.next()?.parse().ok()?),
        };
        Some(change)
    };
    let changes: Option<Vec<_>> = fields.get_all("change").map(change).collect();
    let changes = changes.ok_or(PageError::InvalidForm)?;
    let requested = changes.len();
    let by = current_actor(&context)?;
    let undone = context.app.store.set_statuses(changes, by).await?.len();
    context.add_flash_message(match requested - undone {
        0 => "Undone.".to_owned(),
        _ if undone == 0 => "Can’t undo: the feedback has changed or been deleted.".to_owned(),
        1 => "Undone, except for 1 item that has changed or been deleted.".to_owned(),
        left => format!("Undone, except for {left} items that have changed or been deleted."),
    });
    Ok(context.redirect(&redirect_path(&fields)))
}

/// Redirects to the list, which asks for confirmation before the selected items are deleted.
pub async fn request_delete_confirmation(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let selected: Vec<String> = parse_feedback_ids(fields.get_all("id"))
        .iter()
        .map(ToString::to_string)
        .collect();
    let list = redirect_path(&fields);
    if selected.is_empty() {
        context.add_flash_message("No feedback selected.");
        return Ok(context.redirect(&list));
    }
    let separator = if list.contains('?') { '&' } else { '?' };
    Ok(context.redirect(&format!("{list}{separator}delete={}", selected.join(","))))
}

pub async fn delete(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let ids = parse_feedback_ids(fields.get_all("id"));
    let deleted = context.app.store.delete_feedback_items(ids).await?;
    context.add_flash_message(match deleted {
        0 => "Already deleted.".to_owned(),
        1 => "Feedback deleted.".to_owned(),
        count => format!("{count} items deleted."),
    });
    Ok(context.redirect(&redirect_path(&fields)))
}
