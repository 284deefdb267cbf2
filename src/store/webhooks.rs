//! Webhooks: settings, topics, projects, and custom headers. Secrets are in `secrets`.

use rusqlite::{Connection, Params, Row, params};

use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::pagination::{Page, PageRequest};
use super::db::sql::{self, Json};
use super::db::writer::WriteTx;
use super::deliveries::WEBHOOK_NUMBER;
use super::idempotency::{self, IdempotencyKey};
use super::precondition::{ChangeError, Precondition};
use super::redelivery::SET_CANCELED;
use super::{Store, projects};
use crate::domain::delivery::{CancelReason, DeliveryState};
use crate::domain::id::{Id, ProjectId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    self, NewWebhook, Topic, WEBHOOKS_MAX, Webhook, WebhookError, WebhookPatch,
};

#[derive(Debug, thiserror::Error)]
pub enum SaveWebhookError {
    #[error("The limit of {WEBHOOKS_MAX} webhooks is reached. Delete one first.")]
    TooMany,
    #[error("There is no project “{0}”.")]
    UnknownProject(String),
    #[error(transparent)]
    Invalid(#[from] WebhookError),
    #[error("somebody else has changed this webhook")]
    Changed(Box<Webhook>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError<Webhook>> for SaveWebhookError {
    fn from(error: ChangeError<Webhook>) -> Self {
        match error {
            ChangeError::Changed(stored) => Self::Changed(stored),
            ChangeError::Store(error) => Self::Store(error),
        }
    }
}

/// Selects webhooks with their topics, as a JSON array.
const SELECT_WEBHOOKS: &str = "SELECT *, (SELECT json_group_array(topic)
        FROM webhook_topics WHERE webhook_id = webhooks.id) AS topics
    FROM webhooks WHERE deleted_at IS NULL";

impl Store {
    /// Creates a webhook. A repeated request with the same idempotency key returns the webhook that
    /// the first request created, unless this webhook has been deleted.
    pub async fn create_webhook(
        &self,
        new: NewWebhook,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Webhook, SaveWebhookError> {
        self.writer
            .write(move |tx| {
                if let Some(key) = &idempotency
                    && let Some(id) = idempotency::find_response(
                        tx,
                        key,
                        tx.expiry_cutoff(idempotency::KEY_LIFETIME),
                    )?
                    .and_then(|stored| stored.response)
                    && let Some(webhook) = find_webhook(tx, &WebhookId::parse_or_nil(&id))?
                {
                    return Ok(webhook);
                }
                let count = "SELECT count(*) FROM webhooks WHERE deleted_at IS NULL";
                let count: usize = sql::query_value(tx, count, [])?;
                if count >= WEBHOOKS_MAX {
                    return Err(SaveWebhookError::TooMany);
                }
                let projects = resolve_projects(tx, &new.projects, &[])?;
                let webhook = Webhook {
                    id: tx.next_id(),
                    url: new.url,
                    format: new.format,
                    details: new.details,
                    description: new.description,
                    topics: new.topics,
                    projects,
                    enabled: new.enabled,
                    retries: new.retries,
                    headers: new.headers,
                    failing_since: None,
                    held_until: None,
                    created_at: tx.now,
                };
                insert_webhook(tx, &webhook, &new.secret)?;
                if let Some(key) = &idempotency {
                    idempotency::store_response(tx, key, None, &webhook.id.to_string())?;
                }
                Ok(webhook)
            })
            .await
    }

    /// Returns a page of webhooks, newest first.
    pub async fn webhooks(&self, page: PageRequest) -> Result<Page<Webhook>, StoreError> {
        self.reader
            .read(move |c| {
                let values = params![page.id_upper_bound(), page.row_limit()];
                let rows = select_webhooks(c, "id < ?1 ORDER BY id DESC LIMIT ?2", values)?;
                Ok(page.build_page(rows, |webhook| webhook.id))
            })
            .await
    }

    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.reader.read(move |c| find_webhook(c, &id)).await
    }

    /// Updates a webhook. Disabling it cancels its pending deliveries, and so does a change between
    /// HTTP and email. Returns `None` if there is no such webhook.
    pub async fn update_webhook(
        &self,
        id: WebhookId,
        patch: WebhookPatch,
        mut precondition: Precondition<Webhook>,
    ) -> Result<Option<Webhook>, SaveWebhookError> {
        self.writer
            .write(move |tx| {
                let Some(mut webhook) = find_webhook(tx, &id)? else {
                    return Ok(None);
                };
                precondition.check(&webhook)?;
                let was_email = webhook.format.is_email();
                webhook.set_target(patch.url, patch.format)?;
                webhook.details = patch.details.unwrap_or(webhook.details);
                webhook.description = patch.description.unwrap_or(webhook.description);
                webhook.topics = patch.topics.unwrap_or(webhook.topics);
                webhook.retries = patch.retries.unwrap_or(webhook.retries);
                webhook.enabled = patch.enabled.unwrap_or(webhook.enabled);
                if let Some(selected) = patch.projects {
                    webhook.projects = resolve_projects(tx, &selected, &webhook.projects)?;
                }
                if let Some(headers) = patch.headers {
                    webhook::check_headers_allowed(webhook.format, &headers)?;
                    webhook.headers = webhook::merge_custom_headers(headers, &webhook.headers)?;
                }
                save_webhook(tx, &webhook)?;
                if !webhook.enabled {
                    cancel_pending_deliveries(tx, &webhook.id, CancelReason::WebhookDisabled)?;
                } else if webhook.format.is_email() != was_email {
                    cancel_pending_deliveries(tx, &webhook.id, CancelReason::WebhookChanged)?;
                }
                tx.publish_change(ChangeKind::Deliveries(webhook.id));
                tx.publish_change(ChangeKind::FailingWebhooks);
                // A changed URL may have ended a hold, so deliveries may be due.
                tx.notify_deliveries();
                Ok(Some(webhook))
            })
            .await
    }

    /// Deletes a webhook: marks it as deleted, clears its URL, description, secrets, and headers,
    /// cancels its pending deliveries, and deletes its statistics. Its deliveries remain in the
    /// delivery log. Returns `false` if there is no such webhook.
    pub async fn delete_webhook(
        &self,
        id: WebhookId,
        mut precondition: Precondition<Webhook>,
    ) -> Result<bool, ChangeError<Webhook>> {
        self.writer
            .write(move |tx| {
                if let Some(webhook) = find_webhook(tx, &id)? {
                    precondition.check(&webhook)?;
                    if webhook.format.is_email() {
                        erase_emails_from_log(tx, &id)?;
                    }
                }
                let deleted = sql::execute(
                    tx,
                    "UPDATE webhooks SET deleted_at = ?2, enabled = 0, url = '', description = '',
                     secret = '', next_secret = NULL, overlap_ends_at = NULL, headers = '{}',
                     last_failed_delivery = NULL
                     WHERE id = ?1 AND deleted_at IS NULL",
                    params![id, tx.now],
                )?;
                cancel_pending_deliveries(tx, &id, CancelReason::WebhookDeleted)?;
                let statistics = "DELETE FROM attempt_statistics WHERE webhook_id = ?1";
                sql::execute(tx, statistics, [&id])?;
                tx.publish_change(ChangeKind::Deliveries(id));
                tx.publish_change(ChangeKind::FailingWebhooks);
                Ok(deleted > 0)
            })
            .await
    }
}

/// Returns the ids of projects given by id or slug.
///
/// The id of a deleted project is valid if `selected` contains it. Therefore, the project can stay
/// selected, and the webhook doesn't fall back to all projects.
fn resolve_projects(
    connection: &Connection,
    ids_or_slugs: &[String],
    selected: &[ProjectId],
) -> Result<Vec<ProjectId>, SaveWebhookError> {
    let mut ids: Vec<ProjectId> = Vec::new();
    for id_or_slug in ids_or_slugs {
        let id = match projects::find_project(connection, id_or_slug)? {
            Some(project) => project.id,
            None => ProjectId::parse(id_or_slug)
                .filter(|id| selected.contains(id))
                .ok_or_else(|| SaveWebhookError::UnknownProject(id_or_slug.clone()))?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn cancel_pending_deliveries(
    tx: &mut WriteTx<'_>,
    id: &WebhookId,
    reason: CancelReason,
) -> Result<(), StoreError> {
    let canceled = sql::execute(
        tx,
        &format!("{SET_CANCELED} WHERE webhook_number = {WEBHOOK_NUMBER} AND state = 'pending'"),
        params![id, tx.now, reason],
    )?;
    tx.record_delivery_state_changes(
        id,
        DeliveryState::Pending,
        DeliveryState::Canceled,
        canceled,
    );
    tx.invalidate_read_ahead();
    Ok(())
}

/// Removes the requests and the replies from the delivery log of an email webhook, because they
/// contain its URL, which is an email.
fn erase_emails_from_log(tx: &WriteTx<'_>, id: &WebhookId) -> Result<(), StoreError> {
    let erase = format!(
        "UPDATE attempts SET request_headers = NULL, response_headers = NULL,
         response_body = NULL, error = NULL
         WHERE delivery_number IN
             (SELECT number FROM deliveries WHERE webhook_number = {WEBHOOK_NUMBER})"
    );
    sql::execute(tx, &erase, [id])?;
    Ok(())
}

fn find_webhook(connection: &Connection, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
    Ok(select_webhooks(connection, "id = ?1", [id])?.pop())
}

fn select_webhooks(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<Webhook>, StoreError> {
    let statement = format!("{SELECT_WEBHOOKS} AND {condition}");
    let mut webhooks = sql::query_all(connection, &statement, values, webhook_from_row)?;
    let ids = "SELECT project_id FROM webhook_projects WHERE webhook_id = ?1 ORDER BY project_id";
    for webhook in &mut webhooks {
        webhook.projects = sql::query_column(connection, ids, [webhook.id])?;
    }
    Ok(webhooks)
}

fn insert_webhook(
    tx: &mut WriteTx<'_>,
    webhook: &Webhook,
    secret: &Secret,
) -> Result<(), StoreError> {
    sql::execute(
        tx,
        "INSERT INTO webhooks (id, url, description, all_projects, enabled, retry_policy, headers,
         secret, created_at)
         VALUES (?1, '', '', 1, 0, 'standard', '{}', ?2, ?3)",
        params![webhook.id, secret, webhook.created_at],
    )?;
    save_webhook(tx, webhook)
}

fn save_webhook(tx: &mut WriteTx<'_>, webhook: &Webhook) -> Result<(), StoreError> {
    tx.record_webhook_saved();
    sql::execute(
        tx,
        "UPDATE webhooks SET url = ?2, description = ?3, all_projects = ?4, enabled = ?5,
         retry_policy = ?6, headers = ?7, held_until = ?8, format = ?9, details = ?10
         WHERE id = ?1",
        params![
            webhook.id,
            webhook.url,
            webhook.description,
            webhook.projects.is_empty(),
            webhook.enabled,
            webhook.retries,
            Json(&webhook.headers),
            webhook.held_until,
            webhook.format,
            webhook.details
        ],
    )?;
    let topics = "DELETE FROM webhook_topics WHERE webhook_id = ?1";
    sql::execute(tx, topics, [&webhook.id])?;
    for topic in &webhook.topics {
        let insert = "INSERT INTO webhook_topics (webhook_id, topic) VALUES (?1, ?2)";
        sql::execute(tx, insert, params![webhook.id, topic])?;
    }
    let projects = "DELETE FROM webhook_projects WHERE webhook_id = ?1";
    sql::execute(tx, projects, [&webhook.id])?;
    for project in &webhook.projects {
        let insert = "INSERT INTO webhook_projects (webhook_id, project_id) VALUES (?1, ?2)";
        sql::execute(tx, insert, params![webhook.id, project])?;
    }
    Ok(())
}

/// Reads a webhook without its projects.
fn webhook_from_row(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let Json::<Vec<Topic>>(topics) = row.get("topics")?;
    Ok(Webhook {
        id: row.get("id")?,
        url: row.get("url")?,
        format: row.get("format")?,
        details: row.get("details")?,
        description: row.get("description")?,
        topics: webhook::normalize_topics(&topics),
        projects: Vec::new(),
        enabled: row.get("enabled")?,
        retries: row.get("retry_policy")?,
        headers: row.get::<_, Json<_>>("headers")?.0,
        failing_since: row.get("failing_since")?,
        held_until: row.get("held_until")?,
        created_at: row.get("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::format::Format;
    use crate::domain::webhook::{CustomHeaders, RetryPolicy};
    use crate::domain::webhook_url::WebhookUrl;

    /// Returns the name of each text and BLOB column of a webhook's row, and whether the column
    /// contains a value.
    async fn text_columns(store: &Store, id: WebhookId) -> Vec<(String, bool)> {
        let names = "SELECT name FROM pragma_table_info('webhooks') WHERE type <> 'INTEGER'";
        let columns = store.reader.read(move |c| {
            let has_value = |name: String| {
                let statement = format!(
                    "SELECT 1 FROM webhooks WHERE id = ?1 AND ifnull({name}, '') NOT IN ('', '{{}}')"
                );
                Ok::<_, StoreError>((name, sql::exists(c, &statement, [&id])?))
            };
            let names = sql::query_column(c, names, [])?;
            names.into_iter().map(has_value).collect::<Result<_, _>>()
        });
        columns.await.unwrap()
    }

    #[tokio::test]
    async fn deleting_a_webhook_clears_its_text_columns() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None, Clock::system()).unwrap();
        let new = NewWebhook {
            url: WebhookUrl::parse("https://example.com/secret-path").unwrap(),
            format: Format::Standard,
            details: false,
            description: "Our chat".into(),
            topics: Topic::ALL.to_vec(),
            projects: Vec::new(),
            enabled: true,
            retries: RetryPolicy::Standard,
            headers: CustomHeaders::from([("X-Api-Key".to_owned(), "4711".to_owned())]),
            secret: Secret::from_random([1; 32]),
        };
        let id = store.create_webhook(new, None).await.unwrap().id;
        let rotated = store.rotate_secret(id, Secret::from_random([2; 32]), 24);
        rotated.await.unwrap();
        let failed = "UPDATE webhooks SET last_failed_delivery = x'01'";
        let failed = store.writer.write(move |tx| sql::execute(tx, failed, []));
        failed.await.unwrap();
        for (name, has_value) in text_columns(&store, id).await {
            assert!(
                has_value,
                "give `{name}` a value, so that this test covers it"
            );
        }
        let deleted = store.delete_webhook(id, Precondition::none()).await;
        assert!(deleted.unwrap());
        let mut left = text_columns(&store, id).await;
        left.retain(|(_, has_value)| *has_value);
        let left: Vec<_> = left.iter().map(|(name, _)| name.as_str()).collect();
        // The retry policy and the format aren't sensitive.
        assert_eq!(left, ["id", "retry_policy", "format"]);
    }
}
