//! Feedback: each stored, or changed, together with the deliveries of its event.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row, params};

use super::db::error::StoreError;
use super::db::page::{Page, PageRequest};
use super::db::sql;
use super::db::writer::WriteTx;
use super::idempotency::{self, IdempotencyKey};
use super::search::{self, FeedbackFilter};
use super::{Store, erasure, events, projects};
use crate::clock::Timestamp;
use crate::domain::account::normalize_email;
use crate::domain::event;
use crate::domain::feedback::{Feedback, FeedbackStatus, NewFeedback, ProjectSummary};
use crate::domain::id::{FeedbackId, ProjectId};
use crate::domain::project::ProjectStatus;
use crate::domain::webhook::Topic;

#[derive(Debug, thiserror::Error)]
pub enum CreateFeedbackError {
    #[error("There is no project “{0}”.")]
    UnknownProject(String),
    #[error("The project is paused and takes no feedback.")]
    Paused,
    #[error("This Idempotency-Key was used with another body.")]
    IdempotencyKeyReused,
    #[error("The feedback that this Idempotency-Key made has been deleted.")]
    IdempotentFeedbackDeleted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What [`Store::create_feedback`] made, or had made already.
#[derive(Clone, Debug)]
pub struct CreatedFeedback {
    pub id: FeedbackId,
    /// What `render` made of it.
    pub response: String,
    /// It is the answer of an earlier call with the same idempotency key; nothing was made now.
    pub replayed: bool,
}

/// How many feedbacks have each status.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusCounts {
    pub new: u64,
    pub reviewed: u64,
    pub resolved: u64,
}

const COLUMNS: &str = "feedback.*, projects.name AS project_name, slug AS project_slug";
pub(super) const SELECT: &str =
    "SELECT feedback.*, projects.name AS project_name, slug AS project_slug
    FROM feedback JOIN projects ON projects.id = project_id";

impl Store {
    /// Stores a feedback and the deliveries of `feedback.created`.
    ///
    /// `render` makes the answer to the call; with an idempotency key, the same call gets that answer again.
    pub async fn create_feedback(
        &self,
        new: NewFeedback,
        idempotency: Option<IdempotencyKey>,
        render: fn(&Feedback) -> String,
    ) -> Result<CreatedFeedback, CreateFeedbackError> {
        let created = self
            .writer
            .write_without_savepoint(move |write| {
                if let Some(key) = &idempotency
                    && let Some(stored) = idempotency::find(write, key)?
                {
                    return match (stored.feedback, stored.response) {
                        _ if stored.request_hash != key.request_hash => {
                            Err(CreateFeedbackError::IdempotencyKeyReused)
                        }
                        (Some(id), Some(response)) => Ok(CreatedFeedback {
                            id,
                            response,
                            replayed: true,
                        }),
                        _ => Err(CreateFeedbackError::IdempotentFeedbackDeleted),
                    };
                }
                let Some(project) = projects::find(write, &new.project)? else {
                    return Err(CreateFeedbackError::UnknownProject(new.project));
                };
                if project.status == ProjectStatus::Paused {
                    return Err(CreateFeedbackError::Paused);
                }
                let feedback = Feedback {
                    id: write.next_id(),
                    project: ProjectSummary {
                        id: project.id,
                        name: project.name,
                        slug: project.slug,
                    },
                    message: new.message,
                    status: FeedbackStatus::New,
                    created_at: write.now,
                    email: new.email,
                    url: new.url,
                    metadata: new.metadata,
                };
                insert(write, &feedback)?;
                write.feedback_changed(&feedback.project.id, None, Some(feedback.status));
                events::publish(
                    write,
                    Topic::FeedbackCreated,
                    &feedback,
                    event::feedback_created_body(&feedback),
                )?;
                let response = render(&feedback);
                if let Some(key) = &idempotency {
                    idempotency::store(write, key, Some(&feedback.id), &response)?;
                }
                Ok(CreatedFeedback {
                    id: feedback.id,
                    response,
                    replayed: false,
                })
            })
            .await;
        self.feedback_created.notify_one();
        created
    }

    pub async fn feedback(&self, id: FeedbackId) -> Result<Option<Feedback>, StoreError> {
        self.reader.read(move |c| find(c, &id)).await
    }

    /// Newest first.
    pub async fn feedback_list(
        &self,
        filter: FeedbackFilter,
        page: PageRequest,
    ) -> Result<Page<Feedback>, StoreError> {
        self.reader
            .read_slow(move |c| {
                let mut rows = Vec::new();
                if let Some(search) = &filter.search {
                    search::scan_matches(
                        c,
                        search,
                        &filter,
                        page.before.as_deref(),
                        COLUMNS,
                        |row| {
                            rows.push(read(row)?);
                            Ok(match rows.len() > page.limit {
                                true => ControlFlow::Break(()),
                                false => ControlFlow::Continue(()),
                            })
                        },
                    )?;
                } else {
                    let (conditions, mut values) = filter.conditions();
                    let statement = list_statement(&conditions);
                    values.push(Box::new(page.before().to_owned()));
                    values.push(Box::new(page.rows()));
                    rows = sql::query_all(c, &statement, rusqlite::params_from_iter(values), read)?;
                }
                Ok(page.page(rows, |feedback| feedback.id.as_str()))
            })
            .await
    }

    /// Counts by status what the filter's project and words select; of what a search finds, up to [`SEARCH_COUNT_MAX`].
    pub async fn count_feedback(&self, filter: FeedbackFilter) -> Result<StatusCounts, StoreError> {
        self.reader
            .read_slow(move |c| {
                let mut counts = StatusCounts::default();
                for status in FeedbackStatus::ALL {
                    *counts.of(status) = match &filter.search {
                        Some(search) => {
                            let filter = FeedbackFilter {
                                status: Some(status),
                                ..filter.clone()
                            };
                            search::count(c, search, &filter)?
                        }
                        None => count_by_status(c, filter.project.as_ref(), status)?,
                    };
                }
                Ok(counts)
            })
            .await
    }

    /// Deletes a feedback, and its words in the log. `false`: there is no such feedback.
    pub async fn delete_feedback(&self, id: FeedbackId) -> Result<bool, StoreError> {
        Ok(self.delete_feedback_items(vec![id]).await? > 0)
    }

    /// The same for several, in one commit; tells how many there were.
    pub async fn delete_feedback_items(&self, ids: Vec<FeedbackId>) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| {
                let mut deleted = 0;
                for id in ids {
                    deleted += usize::from(erasure::erase_feedback(write, id.as_str())?.is_some());
                }
                Ok(deleted)
            })
            .await
    }
}

impl StatusCounts {
    pub(super) fn of(&mut self, status: FeedbackStatus) -> &mut u64 {
        match status {
            FeedbackStatus::New => &mut self.new,
            FeedbackStatus::Reviewed => &mut self.reviewed,
            FeedbackStatus::Resolved => &mut self.resolved,
        }
    }
}

/// The page of a list: `CROSS` keeps the order of the tables, and with it that of the index.
pub(super) fn list_statement(conditions: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM feedback CROSS JOIN projects ON projects.id = project_id
         WHERE {conditions} AND feedback.id < ? ORDER BY feedback.id DESC LIMIT ?"
    )
}

fn count_by_status(
    connection: &Connection,
    project: Option<&ProjectId>,
    status: FeedbackStatus,
) -> Result<u64, StoreError> {
    let statement = "SELECT coalesce(sum(count), 0) FROM feedback_counts WHERE status = ?1 AND project_id = coalesce(?2, project_id)";
    let values = params![status.as_str(), project.map(ProjectId::as_str)];
    Ok(sql::query_optional(connection, statement, values, |row| row.get(0))?.unwrap_or(0))
}

pub(super) fn find(
    connection: &Connection,
    id: &FeedbackId,
) -> Result<Option<Feedback>, StoreError> {
    sql::query_optional(
        connection,
        &format!("{SELECT} WHERE feedback.id = ?1"),
        [id.as_str()],
        read,
    )
}

fn insert(write: &WriteTx<'_>, feedback: &Feedback) -> Result<(), StoreError> {
    let metadata = feedback.metadata.as_ref().map(sql::to_json).transpose()?;
    sql::execute(
        write,
        "INSERT INTO feedback (number, id, project_id, status, message, email, normalized_email, url, metadata, created_at)
         VALUES (1 + max(coalesce((SELECT max(number) FROM feedback), 0), (SELECT indexed_until FROM feedback_index_state)),
         ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            feedback.id.as_str(),
            feedback.project.id.as_str(),
            feedback.status.as_str(),
            feedback.message,
            feedback.email,
            feedback.email.as_deref().map(normalize_email),
            feedback.url,
            metadata,
            feedback.created_at.millis()
        ],
    )?;
    Ok(())
}

fn status(row: &Row<'_>) -> rusqlite::Result<FeedbackStatus> {
    sql::parse_column(row, "status", |text| text.parse().ok())
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    let metadata: Option<String> = row.get("metadata")?;
    Ok(Feedback {
        id: FeedbackId::new(row.get::<_, String>("id")?),
        project: ProjectSummary {
            id: ProjectId::new(row.get::<_, String>("project_id")?),
            name: row.get("project_name")?,
            slug: row.get("project_slug")?,
        },
        message: row.get("message")?,
        status: status(row)?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        email: row.get("email")?,
        url: row.get("url")?,
        metadata: metadata
            .map(|text| {
                serde_json::from_str(&text)
                    .map_err(|error| sql::conversion_error("metadata", error))
            })
            .transpose()?,
    })
}
