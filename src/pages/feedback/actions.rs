//! What the forms of the feedback pages do: change a status, of one or of several, take that back, and delete.

use actix_web::{HttpResponse, web};

use super::ADDRESS;
use super::ids;
use super::is_id;
use crate::domain::feedback::{Actor, FeedbackStatus};
use crate::domain::id::FeedbackId;
use crate::pages::fields::FormData;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::flash::{Message, Undo};
use crate::pages::framework::page_error::PageError;
use crate::store::{StatusChange, StatusChanged};

/// Where to after a form: the list that it came from, or the page of one.
fn back(fields: &FormData) -> String {
    let alone = fields.get("alone");
    if is_id(alone) {
        return format!("{ADDRESS}/{alone}");
    }
    // Only ever a query of ours: what comes after the question mark cannot lead elsewhere.
    let query: String = fields
        .get("back")
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .collect();
    match query.as_str() {
        "" => ADDRESS.to_owned(),
        query => format!("{ADDRESS}?{query}"),
    }
}

fn actor(context: &RequestContext) -> Result<Actor, PageError> {
    Ok(Actor {
        email: context.user()?.email.clone(),
        token: None,
    })
}

fn status(fields: &FormData) -> Result<FeedbackStatus, PageError> {
    fields
        .get("status")
        .parse()
        .map_err(|_| PageError::BrokenForm)
}

/// `Marked as reviewed.`, with "Undo"; nothing where nothing was changed.
fn say_changed(context: &RequestContext, fields: &FormData, changed: &[StatusChanged]) {
    let (Some(first), count) = (changed.first(), changed.len()) else {
        return;
    };
    let status = first.status.label().to_lowercase();
    let text = match count {
        1 => format!("Marked as {status}."),
        _ => format!("{count} marked as {status}."),
    };
    let written = |change: &StatusChanged| {
        let StatusChanged {
            id,
            previous,
            status,
        } = change;
        format!("{id}:{previous}:{status}")
    };
    let undo = Undo {
        changes: changed.iter().map(written).collect(),
        back: fields.get("back").to_owned(),
        alone: fields.get("alone").to_owned(),
    };
    let undo = Some(undo);
    context.leave(|flash| flash.messages.push(Message { text, undo }));
}

pub async fn set_status(
    context: RequestContext,
    id: web::Path<String>,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let change = StatusChange {
        id: FeedbackId::new(id.into_inner()),
        only_from: None,
        to: status(&fields)?,
    };
    let store = &context.site.store;
    store
        .feedback(change.id.clone())
        .await?
        .ok_or(PageError::Gone)?;
    let changed = store.set_statuses(vec![change], actor(&context)?).await?;
    say_changed(&context, &fields, &changed);
    Ok(context.redirect(&back(&fields)))
}

/// Of all that are selected.
pub async fn set_statuses(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let to = status(&fields)?;
    let change = |id| StatusChange {
        id,
        only_from: None,
        to,
    };
    let changes: Vec<_> = ids(fields.all("id")).into_iter().map(change).collect();
    let selected = changes.len();
    let by = actor(&context)?;
    let changed = context.site.store.set_statuses(changes, by).await?;
    if selected == 0 {
        context.say("Nothing is selected.");
    } else if changed.is_empty() {
        let status = to.label().to_lowercase();
        context.say(format!("Nothing to change: already {status}."));
    }
    say_changed(&context, &fields, &changed);
    Ok(context.redirect(&back(&fields)))
}

/// Takes changes back, except where somebody else has changed the status since.
pub async fn undo(context: RequestContext, fields: FormData) -> Result<HttpResponse, PageError> {
    let change = |written: &str| {
        let mut parts = written.split(':');
        let change = StatusChange {
            id: ids(parts.next().into_iter()).pop()?,
            to: parts.next()?.parse().ok()?,
            only_from: Some(parts.next()?.parse().ok()?),
        };
        Some(change)
    };
    let changes: Option<Vec<_>> = fields.all("change").map(change).collect();
    let changes = changes.ok_or(PageError::BrokenForm)?;
    let wanted = changes.len();
    let by = actor(&context)?;
    let undone = context.site.store.set_statuses(changes, by).await?.len();
    context.say(match wanted - undone {
        0 => "Undone.".to_owned(),
        _ if undone == 0 => "Nothing to undo: it was changed since, or is gone.".to_owned(),
        left => format!("Undone, except for {left} that changed since."),
    });
    Ok(context.redirect(&back(&fields)))
}

/// From the selection to the question, which stands in the list.
pub async fn ask_to_delete(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let selected: Vec<String> = ids(fields.all("id"))
        .iter()
        .map(ToString::to_string)
        .collect();
    let list = back(&fields);
    if selected.is_empty() {
        context.say("Nothing is selected.");
        return Ok(context.redirect(&list));
    }
    let joint = if list.contains('?') { '&' } else { '?' };
    Ok(context.redirect(&format!("{list}{joint}delete={}", selected.join(","))))
}

pub async fn delete(context: RequestContext, fields: FormData) -> Result<HttpResponse, PageError> {
    let ids = ids(fields.all("id"));
    let deleted = context.site.store.delete_feedbacks(ids).await?;
    context.say(match deleted {
        0 => "It was deleted already.".to_owned(),
        1 => "Deleted.".to_owned(),
        count => format!("{count} deleted."),
    });
    Ok(context.redirect(&back(&fields)))
}
