//! Webhooks, their secrets, and who hears of what.

use rusqlite::{Connection, Row, params};

use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::page::{Page, PageRequest};
use super::db::sql;
use super::db::writer::WriteTx;
use super::idempotency::{self, IdempotencyKey};
use super::{Store, projects};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::id::{ProjectId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    CustomHeaders, NewWebhook, RetryPolicy, Topic, WEBHOOKS_MAX, Webhook, WebhookError,
    WebhookPatch,
};

#[derive(Debug, thiserror::Error)]
pub enum SaveWebhookError {
    #[error("There are {WEBHOOKS_MAX} webhooks already, which is the most; delete one first.")]
    TooMany,
    #[error("There is no project “{0}”.")]
    UnknownProject(String),
    #[error(transparent)]
    Invalid(#[from] WebhookError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores a webhook. The same form sent twice (by `idempotency`) makes one.
    pub async fn create_webhook(
        &self,
        new: NewWebhook,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Webhook, SaveWebhookError> {
        self.writer
            .write(move |write| {
                if let Some(key) = &idempotency
                    && let Some(id) =
                        idempotency::find(write, key)?.and_then(|stored| stored.response)
                    && let Some(webhook) = find(write, &WebhookId::new(id))?
                {
                    return Ok(webhook);
                }
                let count: usize = sql::query_optional(
                    write,
                    "SELECT count(*) FROM webhooks WHERE deleted_at IS NULL",
                    [],
                    |row| row.get(0),
                )?
                .unwrap_or(0);
                if count >= WEBHOOKS_MAX {
                    return Err(SaveWebhookError::TooMany);
                }
                let projects = resolve_projects(write, &new.projects, &[])?;
                let webhook = Webhook {
                    id: write.next_id(),
                    url: new.url,
                    description: new.description,
                    topics: new.topics,
                    projects,
                    enabled: new.enabled,
                    retries: new.retries,
                    headers: new.headers,
                    failing_since: None,
                    held_until: None,
                    created_at: write.now,
                };
                insert(write, &webhook, &new.secret)?;
                if let Some(key) = &idempotency {
                    idempotency::store(write, key, None, webhook.id.as_str())?;
                }
                Ok(webhook)
            })
            .await
    }

    pub async fn webhooks(&self, page: PageRequest) -> Result<Page<Webhook>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM webhooks WHERE deleted_at IS NULL AND id < ?1 ORDER BY id DESC LIMIT ?2";
                let mut rows = sql::query_all(c, statement, params![page.before(), page.rows()], read)?;
                for webhook in &mut rows {
                    webhook.projects = selected_projects(c, &webhook.id)?;
                }
                Ok(page.page(rows, |webhook| webhook.id.as_str()))
            })
            .await
    }

    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.reader.read(move |c| find(c, &id)).await
    }

    /// Changes a webhook. Disabling it cancels what is pending for it.
    pub async fn update_webhook(
        &self,
        id: WebhookId,
        change: WebhookPatch,
    ) -> Result<Option<Webhook>, SaveWebhookError> {
        self.writer
            .write(move |write| {
                let Some(mut webhook) = find(write, &id)? else {
                    return Ok(None);
                };
                if let Some(url) = change.url {
                    // Another endpoint has asked for nothing yet; the same one, written otherwise, has.
                    if !url.is_same_target(&webhook.url) {
                        webhook.held_until = None;
                    }
                    webhook.url = url;
                }
                webhook.description = change.description.unwrap_or(webhook.description);
                webhook.topics = change.topics.unwrap_or(webhook.topics);
                webhook.retries = change.retries.unwrap_or(webhook.retries);
                if let Some(wanted) = change.projects {
                    webhook.projects = resolve_projects(write, &wanted, &webhook.projects)?;
                }
                if let Some(headers) = change.headers {
                    webhook.headers = keep_header_values(headers, &webhook.headers)?;
                }
                if let Some(enabled) = change.enabled {
                    webhook.enabled = enabled;
                }
                update(write, &webhook)?;
                if !webhook.enabled {
                    cancel_pending(write, &webhook.id)?;
                }
                write.publish_change(ChangeKind::Deliveries(webhook.id.clone()));
                // What waited for an end of the hold may go at once.
                write.notify_deliveries();
                Ok(Some(webhook))
            })
            .await
    }

    /// Deletes a webhook: cancels what is pending; its address, secrets and headers are gone, its deliveries stay.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                let gone = sql::execute(
                    write,
                    "UPDATE webhooks SET deleted_at = ?2, enabled = 0, url = '', description = '', secret = '',
                     next_secret = NULL, overlap_ends_at = NULL, headers = '{}' WHERE id = ?1 AND deleted_at IS NULL",
                    params![id.as_str(), write.now.millis()],
                )?;
                cancel_pending(write, &id)?;
                write.publish_change(ChangeKind::Deliveries(id));
                Ok(gone > 0)
            })
            .await
    }
}

/// Ids of the projects that are named by id or slug. One that is chosen already may be gone: it stays chosen, so that
/// the webhook never comes to hear of all projects by the deletion of one.
fn resolve_projects(
    connection: &Connection,
    wanted: &[String],
    chosen: &[ProjectId],
) -> Result<Vec<ProjectId>, SaveWebhookError> {
    let mut ids: Vec<ProjectId> = Vec::new();
    for name in wanted {
        let id = match projects::find(connection, name)? {
            Some(project) => project.id,
            None => chosen
                .iter()
                .find(|id| id.as_str() == name)
                .cloned()
                .ok_or_else(|| SaveWebhookError::UnknownProject(name.clone()))?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// `None` as a value keeps the stored one, whatever the case of its name.
fn keep_header_values(
    given: std::collections::BTreeMap<String, Option<String>>,
    stored: &CustomHeaders,
) -> Result<CustomHeaders, WebhookError> {
    let kept = |name: &str| {
        stored
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    given
        .into_iter()
        .map(|(name, value)| match value.or_else(|| kept(&name)) {
            Some(value) => Ok((name, value)),
            None => Err(WebhookError::HeaderNotStored(name)),
        })
        .collect()
}

fn cancel_pending(write: &mut WriteTx<'_>, id: &WebhookId) -> Result<(), StoreError> {
    let canceled = sql::execute(
        write,
        "UPDATE deliveries SET state = 'canceled', due_at = NULL, finished_at = ?2 WHERE webhook_id = ?1 AND state = 'pending'",
        params![id.as_str(), write.now.millis()],
    )?;
    write.delivery_states_changed(
        id,
        DeliveryState::Pending,
        DeliveryState::Canceled,
        canceled,
    );
    write.invalidate_read_ahead();
    Ok(())
}

pub(super) fn find(connection: &Connection, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
    let statement = "SELECT * FROM webhooks WHERE id = ?1 AND deleted_at IS NULL";
    let Some(mut webhook) = sql::query_optional(connection, statement, [id.as_str()], read)? else {
        return Ok(None);
    };
    webhook.projects = selected_projects(connection, id)?;
    Ok(Some(webhook))
}

fn selected_projects(
    connection: &Connection,
    id: &WebhookId,
) -> Result<Vec<ProjectId>, StoreError> {
    let statement =
        "SELECT project_id FROM webhook_projects WHERE webhook_id = ?1 ORDER BY project_id";
    sql::query_all(connection, statement, [id.as_str()], |row| {
        Ok(ProjectId::new(row.get::<_, String>(0)?))
    })
}

fn insert(write: &mut WriteTx<'_>, webhook: &Webhook, secret: &Secret) -> Result<(), StoreError> {
    sql::execute(
        write,
        "INSERT INTO webhooks (id, url, description, topic_created, topic_updated, all_projects, enabled, retry_policy, headers,
         secret, created_at) VALUES (?1, '', '', 0, 0, 1, 0, 'standard', '{}', ?2, ?3)",
        params![webhook.id.as_str(), secret.as_str(), webhook.created_at.millis()],
    )?;
    update(write, webhook)
}

fn update(write: &mut WriteTx<'_>, webhook: &Webhook) -> Result<(), StoreError> {
    write.invalidate_read_ahead();
    let has = |topic| webhook.topics.contains(&topic);
    let id = webhook.id.as_str();
    sql::execute(
        write,
        "UPDATE webhooks SET url = ?2, description = ?3, topic_created = ?4, topic_updated = ?5, all_projects = ?6,
         enabled = ?7, retry_policy = ?8, headers = ?9, held_until = ?10 WHERE id = ?1",
        params![
            id,
            webhook.url.as_str(),
            webhook.description,
            has(Topic::FeedbackCreated),
            has(Topic::FeedbackUpdated),
            webhook.projects.is_empty(),
            webhook.enabled,
            webhook.retries.as_str(),
            sql::to_json(&webhook.headers)?,
            webhook.held_until.map(Timestamp::millis)
        ],
    )?;
    sql::execute(
        write,
        "DELETE FROM webhook_projects WHERE webhook_id = ?1",
        [id],
    )?;
    for project in &webhook.projects {
        sql::execute(
            write,
            "INSERT INTO webhook_projects (webhook_id, project_id) VALUES (?1, ?2)",
            [id, project.as_str()],
        )?;
    }
    Ok(())
}

/// A webhook without its chosen projects, which stand in a table of their own.
fn read(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let mut topics = Vec::new();
    for (column, topic) in [
        ("topic_created", Topic::FeedbackCreated),
        ("topic_updated", Topic::FeedbackUpdated),
    ] {
        if row.get(column)? {
            topics.push(topic);
        }
    }
    Ok(Webhook {
        id: WebhookId::new(row.get::<_, String>("id")?),
        url: read_url(row)?,
        description: row.get("description")?,
        topics,
        projects: Vec::new(),
        enabled: row.get("enabled")?,
        retries: read_retries(row)?,
        headers: sql::from_json(row, "headers")?,
        failing_since: row
            .get::<_, Option<i64>>("failing_since")?
            .map(Timestamp::from_millis),
        held_until: row
            .get::<_, Option<i64>>("held_until")?
            .map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}

pub(super) fn read_url(row: &Row<'_>) -> rusqlite::Result<EndpointUrl> {
    sql::parse_column(row, "url", |text| EndpointUrl::parse(text).ok())
}

pub(super) fn read_retries(row: &Row<'_>) -> rusqlite::Result<RetryPolicy> {
    sql::parse_column(row, "retry_policy", |text| {
        [RetryPolicy::Standard, RetryPolicy::Patient]
            .into_iter()
            .find(|r| r.as_str() == text)
    })
}
