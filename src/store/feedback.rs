//! Creates feedback together with the deliveries of its event. Also lists and deletes feedback.

use rusqlite::{Connection, Row, params};

use super::db::error::StoreError;
use super::db::pagination::{Page, PageRequest};
use super::db::sql::{self, Json};
use super::db::writer::WriteTx;
use super::feedback_filter::FeedbackFilter;
use super::idempotency::{self, IdempotencyKey};
use super::precondition::{ChangeError, Precondition};
use super::search::Search;
use super::{Store, erasure, events, projects};
use crate::clock::Timestamp;
use crate::domain::email::normalize_email;
use crate::domain::feedback::{Feedback, FeedbackStatus, NewFeedback, ProjectSummary};
use crate::domain::id::FeedbackId;
use crate::domain::project::ProjectStatus;
use crate::formats::{Event, EventContent};
use crate::metrics::METRICS;

#[derive(Debug, thiserror::Error)]
pub enum CreateFeedbackError {
    #[error("There is no project “{0}”.")]
    UnknownProject(String),
    #[error("This project is paused and isn’t accepting feedback.")]
    Paused,
    #[error("This Idempotency-Key was used with a different request.")]
    IdempotencyKeyReused,
    #[error("The feedback created with this Idempotency-Key has been deleted.")]
    IdempotentFeedbackDeleted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of [`Store::create_feedback`].
#[derive(Clone, Debug)]
pub struct CreatedFeedback {
    pub id: FeedbackId,
    /// The response that `render` built for the feedback.
    pub response: String,
    /// Whether an earlier request with the same idempotency key received this response.
    pub replayed: bool,
}

const FEEDBACK_COLUMNS: &str = "feedback.*, projects.name AS project_name, slug AS project_slug";

impl Store {
    /// Stores feedback with the deliveries of `feedback.created`.
    ///
    /// `render` builds the response. With an idempotency key, a repeated request receives the
    /// response to the first request and creates no feedback. Waits if too many deliveries wait to
    /// be sent, and fails with [`StoreError::Overloaded`] if the wait is too long.
    pub async fn create_feedback(
        &self,
        new: NewFeedback,
        idempotency: Option<IdempotencyKey>,
        render: fn(&Feedback) -> String,
    ) -> Result<CreatedFeedback, CreateFeedbackError> {
        let permits = self.backpressure().acquire(&new.project).await?;
        let links = self.feedback_links.clone();
        let created = self
            .writer
            .write_without_savepoint(move |tx| {
                if let Some(key) = &idempotency
                    && let Some(created) = find_feedback_by_idempotency_key(
                        tx,
                        key,
                        tx.expiry_cutoff(idempotency::KEY_LIFETIME),
                    )?
                {
                    return Ok(created);
                }
                let project = new.project.clone();
                let feedback = prepare_feedback(tx, new)?;
                insert_feedback(tx, &feedback)?;
                tx.record_feedback_change(&feedback.project.id, None, Some(feedback.status));
                let content = EventContent {
                    event: Event::Created(&feedback),
                    at: feedback.created_at,
                    link: links.link_to(&feedback.id),
                };
                let deliveries = events::store_event(tx, &feedback, &content)?;
                tx.hold_permits(permits, project, &deliveries);
                let response = render(&feedback);
                if let Some(key) = &idempotency {
                    idempotency::store_response(tx, key, Some(&feedback.id), &response)?;
                }
                Ok(CreatedFeedback {
                    id: feedback.id,
                    response,
                    replayed: false,
                })
            })
            .await;
        self.feedback_created.notify_one();
        if created.as_ref().is_ok_and(|created| !created.replayed) {
            METRICS.feedback_accepted.inc();
        }
        created
    }

    /// Returns the feedback that an earlier request with this idempotency key created. Fails if
    /// that request was different, or if the feedback was deleted.
    pub async fn find_created_feedback(
        &self,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<CreatedFeedback>, CreateFeedbackError> {
        let valid_after = now.minus(idempotency::KEY_LIFETIME);
        let find = move |c: &Connection| find_feedback_by_idempotency_key(c, &key, valid_after);
        self.reader.read_inline(find).await
    }

    pub async fn feedback(&self, id: FeedbackId) -> Result<Option<Feedback>, StoreError> {
        self.reader.read(move |c| find_feedback(c, &id)).await
    }

    /// Returns a page of the feedback that matches the filter, in the order of the filter.
    pub async fn feedback_list(
        &self,
        filter: FeedbackFilter,
        page: PageRequest,
    ) -> Result<Page<Feedback>, StoreError> {
        self.feedback_batch(filter, page, usize::MAX).await
    }

    /// Like [`feedback_list`](Self::feedback_list), but ends the page when the approximate size of
    /// its items has reached `max_bytes`.
    pub async fn feedback_batch(
        &self,
        filter: FeedbackFilter,
        page: PageRequest,
        max_bytes: usize,
    ) -> Result<Page<Feedback>, StoreError> {
        self.reader
            .read_slow(move |c| read_feedback_batch(c, &filter, &page, max_bytes))
            .await
    }

    /// Deletes feedback, its history, and its content in the delivery log. Returns `false` if there
    /// is no such feedback.
    pub async fn delete_feedback(
        &self,
        id: FeedbackId,
        mut precondition: Precondition<Feedback>,
    ) -> Result<bool, ChangeError<Feedback>> {
        self.writer
            .write(move |tx| {
                if let Some(feedback) = find_feedback(tx, &id)? {
                    precondition.check(&feedback)?;
                }
                Ok(erasure::erase_feedback(tx, &id)?.is_some())
            })
            .await
    }

    /// Like [`delete_feedback`](Self::delete_feedback), but deletes several items in one commit,
    /// without a precondition. Returns the number of deleted items.
    pub async fn delete_feedback_items(&self, ids: Vec<FeedbackId>) -> Result<usize, StoreError> {
        self.writer
            .write(move |tx| {
                let mut deleted = 0;
                for id in ids {
                    deleted += usize::from(erasure::erase_feedback(tx, &id)?.is_some());
                }
                Ok(deleted)
            })
            .await
    }
}

/// Returns a statement that reads feedback. `CROSS` fixes the order of the tables, so that rows are
/// read in the order of the index.
pub(super) fn select_statement(condition: &str) -> String {
    format!(
        "SELECT {FEEDBACK_COLUMNS} FROM feedback CROSS JOIN projects ON projects.id = project_id
         WHERE {condition}"
    )
}

pub(super) fn list_statement(filter: &FeedbackFilter) -> String {
    let (table, conditions) = (filter.sql_table(), filter.sql_conditions());
    let order = filter.order.sql();
    format!(
        "SELECT {FEEDBACK_COLUMNS} FROM {table} CROSS JOIN projects ON projects.id = project_id
         WHERE {conditions} number >= ?3 AND number <= ?4
         ORDER BY number {order} LIMIT ?5"
    )
}

fn read_feedback_batch(
    connection: &Connection,
    filter: &FeedbackFilter,
    page: &PageRequest,
    max_bytes: usize,
) -> Result<Page<Feedback>, StoreError> {
    let mut batch = Page::default();
    let (mut bytes, mut has_more) = (0, false);
    let mut on_match = |row: &Row<'_>| {
        has_more = batch.items.len() >= page.limit || bytes >= max_bytes;
        if !has_more {
            let feedback = feedback_from_row(row)?;
            bytes += feedback.approximate_bytes();
            batch.items.push(feedback);
        }
        Ok::<_, StoreError>(!has_more)
    };
    if let Some(query) = &filter.search {
        let before = page.before;
        let search = Search::prepare(connection, query)?;
        search.for_each_match(filter, before, FEEDBACK_COLUMNS, on_match)?;
    } else {
        let (first, last) = filter.number_range(connection, page.before)?;
        let values = params![filter.project, filter.status, first, last, page.row_limit()];
        let mut statement = sql::prepare(connection, &list_statement(filter))?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()?
            && on_match(row)?
        {}
    }
    if has_more {
        batch.next_cursor = batch.items.last().map(|last| last.id.to_string());
    }
    Ok(batch)
}

pub(super) fn find_feedback(
    connection: &Connection,
    id: &FeedbackId,
) -> Result<Option<Feedback>, StoreError> {
    sql::query_optional(
        connection,
        &select_statement("feedback.id = ?1"),
        [id],
        feedback_from_row,
    )
}

/// Returns the feedback that an earlier request with this idempotency key created. Fails if that
/// request was different, or if the feedback was deleted.
fn find_feedback_by_idempotency_key(
    connection: &Connection,
    key: &IdempotencyKey,
    valid_after: Timestamp,
) -> Result<Option<CreatedFeedback>, CreateFeedbackError> {
    let Some(stored) = idempotency::find_response(connection, key, valid_after)? else {
        return Ok(None);
    };
    match (stored.feedback, stored.response) {
        _ if stored.request_hash != key.request_hash => {
            Err(CreateFeedbackError::IdempotencyKeyReused)
        }
        (Some(id), Some(response)) => Ok(Some(CreatedFeedback {
            id,
            response,
            replayed: true,
        })),
        _ => Err(CreateFeedbackError::IdempotentFeedbackDeleted),
    }
}

/// Returns the feedback to be stored, with an id, its project, and the current time. Fails if the
/// project doesn't exist or is paused.
fn prepare_feedback(
    tx: &mut WriteTx<'_>,
    new: NewFeedback,
) -> Result<Feedback, CreateFeedbackError> {
    let Some(project) = projects::find_project(tx, &new.project)? else {
        return Err(CreateFeedbackError::UnknownProject(new.project));
    };
    if project.status == ProjectStatus::Paused {
        return Err(CreateFeedbackError::Paused);
    }
    Ok(Feedback {
        id: tx.next_id(),
        project: ProjectSummary {
            id: project.id,
            name: project.name,
            slug: project.slug,
        },
        message: new.message,
        status: FeedbackStatus::New,
        created_at: tx.now,
        email: new.email,
        url: new.url,
        metadata: new.metadata,
    })
}

fn insert_feedback(tx: &WriteTx<'_>, feedback: &Feedback) -> Result<(), StoreError> {
    sql::execute(
        tx,
        "INSERT INTO feedback (number, id, project_id, status, message, email, normalized_email,
         url, metadata, created_at)
         VALUES (1 + max(coalesce((SELECT max(number) FROM feedback), 0),
                         (SELECT indexed_until FROM feedback_index_state)),
         ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            feedback.id,
            feedback.project.id,
            feedback.status,
            feedback.message,
            feedback.email,
            feedback.email.as_deref().map(normalize_email),
            feedback.url,
            feedback.metadata.as_ref().map(Json),
            feedback.created_at
        ],
    )?;
    Ok(())
}

pub(super) fn feedback_from_row(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    let metadata: Option<Json<_>> = row.get("metadata")?;
    Ok(Feedback {
        id: row.get("id")?,
        project: ProjectSummary {
            id: row.get("project_id")?,
            name: row.get("project_name")?,
            slug: row.get("project_slug")?,
        },
        message: row.get("message")?,
        status: row.get("status")?,
        created_at: row.get("created_at")?,
        email: row.get("email")?,
        url: row.get("url")?,
        metadata: metadata.map(|Json(metadata)| metadata),
    })
}
