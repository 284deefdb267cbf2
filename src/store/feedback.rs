//! Feedback: each stored, or changed, together with the deliveries of its event.

use rusqlite::{Connection, Row, ToSql, params};

use super::error::StoreError;
use super::idempotency::{self, Idempotency};
use super::page::{Page, PageRequest};
use super::search::{self, Enough};
use super::writer::Write;
use super::{Store, events, projects, sql};
use crate::clock::Timestamp;
use crate::domain::account::normalize_email;
use crate::domain::delivery::DeliveryState;
use crate::domain::event;
use crate::domain::feedback::{Feedback, FeedbackStatus, NewFeedback, ProjectSummary};
use crate::domain::id::{FeedbackId, ProjectId, WebhookId};
use crate::domain::project::ProjectStatus;
use crate::domain::search::SearchQuery;
use crate::domain::webhook::Topic;

#[derive(Debug, thiserror::Error)]
pub enum CreateFeedbackError {
    #[error("There is no project “{0}”.")]
    UnknownProject(String),
    #[error("The project is paused and takes no feedback.")]
    Paused,
    #[error("This Idempotency-Key was used with another body.")]
    KeyReused,
    #[error("The feedback that this Idempotency-Key made has been deleted.")]
    KeySpent,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What [`Store::create_feedback`] made, or had made already.
#[derive(Clone, Debug)]
pub struct CreatedFeedback {
    pub id: FeedbackId,
    /// What `render` made of it.
    pub answer: String,
    /// It is the answer of an earlier call with the same idempotency key; nothing was made now.
    pub replayed: bool,
}

/// Which feedback a list shows; `None` = any.
#[derive(Clone, Debug, Default)]
pub struct FeedbackFilter {
    pub project: Option<ProjectId>,
    pub status: Option<FeedbackStatus>,
    pub search: Option<SearchQuery>,
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
        idempotency: Option<Idempotency>,
        render: fn(&Feedback) -> String,
    ) -> Result<CreatedFeedback, CreateFeedbackError> {
        let created = self
            .writer
            .write_checked(move |write| {
                if let Some(key) = &idempotency
                    && let Some(stored) = idempotency::find(write, key)?
                {
                    return match (stored.feedback, stored.answer) {
                        _ if stored.request_hash != key.request_hash => {
                            Err(CreateFeedbackError::KeyReused)
                        }
                        (Some(id), Some(answer)) => Ok(CreatedFeedback {
                            id,
                            answer,
                            replayed: true,
                        }),
                        _ => Err(CreateFeedbackError::KeySpent),
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
                let answer = render(&feedback);
                if let Some(key) = &idempotency {
                    idempotency::remember(write, key, Some(&feedback.id), &answer)?;
                }
                Ok(CreatedFeedback {
                    id: feedback.id,
                    answer,
                    replayed: false,
                })
            })
            .await;
        self.feedback_came.notify_one();
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
            .read_long(move |c| {
                let mut rows = Vec::new();
                if let Some(search) = &filter.search {
                    search::look(c, search, &filter, page.before.as_deref(), COLUMNS, |row| {
                        rows.push(read(row)?);
                        let enough = rows.len() > page.limit;
                        Ok(if enough { Enough::Yes } else { Enough::No })
                    })?;
                } else {
                    let (conditions, mut values) = filter.conditions();
                    let statement = list_statement(&conditions);
                    values.push(Box::new(page.before().to_owned()));
                    values.push(Box::new(page.rows()));
                    rows = sql::all(c, &statement, rusqlite::params_from_iter(values), read)?;
                }
                Ok(page.page(rows, |feedback| feedback.id.as_str()))
            })
            .await
    }

    /// Counts by status what the filter's project and words select; of what a search finds, up to [`COUNT_MAX`].
    pub async fn count_feedback(&self, filter: FeedbackFilter) -> Result<StatusCounts, StoreError> {
        self.reader
            .read_long(move |c| {
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
                        None => counted(c, filter.project.as_ref(), status)?,
                    };
                }
                Ok(counts)
            })
            .await
    }

    /// Deletes a feedback, and its words in the log. `false`: there is no such feedback.
    pub async fn delete_feedback(&self, id: FeedbackId) -> Result<bool, StoreError> {
        Ok(self.delete_feedbacks(vec![id]).await? > 0)
    }

    /// The same for several, in one commit; tells how many there were.
    pub async fn delete_feedbacks(&self, ids: Vec<FeedbackId>) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| {
                let mut deleted = 0;
                for id in ids {
                    deleted += usize::from(delete(write, id.as_str())?.is_some());
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

impl FeedbackFilter {
    /// Of project and status; a condition that holds for all where nothing is asked, so that others can follow with `AND`.
    pub(super) fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1"];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(project) = &self.project {
            conditions.push("project_id = ?");
            values.push(Box::new(project.as_str().to_owned()));
        }
        if let Some(status) = self.status {
            conditions.push("feedback.status = ?");
            values.push(Box::new(status.as_str()));
        }
        (conditions.join(" AND "), values)
    }
}

/// The page of a list: `CROSS` keeps the order of the tables, and with it that of the index.
pub(super) fn list_statement(conditions: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM feedback CROSS JOIN projects ON projects.id = project_id
         WHERE {conditions} AND feedback.id < ? ORDER BY feedback.id DESC LIMIT ?"
    )
}

fn counted(
    connection: &Connection,
    project: Option<&ProjectId>,
    status: FeedbackStatus,
) -> Result<u64, StoreError> {
    let statement = "SELECT coalesce(sum(feedback), 0) FROM feedback_counts WHERE status = ?1 AND project_id = coalesce(?2, project_id)";
    let values = params![status.as_str(), project.map(ProjectId::as_str)];
    Ok(sql::first(connection, statement, values, |row| row.get(0))?.unwrap_or(0))
}

/// What the log held of a feedback that is deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Emptied {
    pub(super) canceled: usize,
    pub(super) bodies: usize,
    pub(super) attempts: usize,
}

/// Deletes a feedback with its history, and its words in the log and the search: the one way by which a feedback goes. `None`: there is no such
/// feedback.
pub(super) fn delete(write: &mut Write<'_>, id: &str) -> Result<Option<Emptied>, StoreError> {
    let its = "SELECT project_id, status FROM feedback WHERE id = ?1";
    let its = sql::first(write, its, [id], |row| {
        Ok((ProjectId::new(row.get::<_, String>(0)?), status(row)?))
    })?;
    let Some((project, status)) = its else {
        return Ok(None);
    };
    sql::run(write, "DELETE FROM feedback WHERE id = ?1", [id])?;
    write.feedback_changed(&project, Some(status), None);
    Ok(Some(take_words_out_of_the_log(write, id)?))
}

/// Cancels what is pending of a feedback and empties what the log holds of its words: bodies, requests and answers.
fn take_words_out_of_the_log(
    write: &mut Write<'_>,
    feedback_id: &str,
) -> Result<Emptied, StoreError> {
    const ITS_EVENTS: &str = "(SELECT id FROM events WHERE feedback_id = ?1)";
    let heard = format!("SELECT webhook_id, state FROM deliveries WHERE event_id IN {ITS_EVENTS}");
    let heard = sql::all(write, &heard, [feedback_id], |row| {
        let webhook = WebhookId::new(row.get::<_, String>(0)?);
        Ok((webhook, sql::named(row, "state", DeliveryState::parse)?))
    })?;
    for (webhook, state) in heard {
        let pending = usize::from(state == DeliveryState::Pending);
        write.deliveries_changed(
            &webhook,
            DeliveryState::Pending,
            DeliveryState::Canceled,
            pending,
        );
    }
    let canceled = sql::run(
        write,
        &format!(
            "UPDATE deliveries SET state = 'canceled', due_at = NULL, finished_at = ?2
             WHERE state = 'pending' AND event_id IN {ITS_EVENTS}"
        ),
        params![feedback_id, write.now.millis()],
    )?;
    if canceled > 0 {
        write.outbox_changed();
    }
    let empty = |statement: &str| sql::run(write, statement, [feedback_id]);
    let attempts = empty(&format!(
        "UPDATE attempts SET request_headers = NULL, response_headers = NULL, response_body = NULL, error = NULL
         WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id IN {ITS_EVENTS})"
    ))?;
    let bodies = empty("UPDATE events SET body = NULL WHERE feedback_id = ?1")?;
    empty("UPDATE idempotency SET answer = NULL WHERE feedback_id = ?1")?;
    Ok(Emptied {
        canceled,
        bodies,
        attempts,
    })
}

pub(super) fn find(
    connection: &Connection,
    id: &FeedbackId,
) -> Result<Option<Feedback>, StoreError> {
    sql::first(
        connection,
        &format!("{SELECT} WHERE feedback.id = ?1"),
        [id.as_str()],
        read,
    )
}

fn insert(write: &Write<'_>, feedback: &Feedback) -> Result<(), StoreError> {
    let metadata = feedback.metadata.as_ref().map(sql::to_json).transpose()?;
    sql::run(
        write,
        "INSERT INTO feedback (number, id, project_id, status, message, email, email_key, url, metadata, created_at)
         VALUES (1 + max(coalesce((SELECT max(number) FROM feedback), 0), (SELECT until FROM feedback_searchable)),
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
    sql::named(row, "status", |text| text.parse().ok())
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
                serde_json::from_str(&text).map_err(|error| sql::unreadable("metadata", error))
            })
            .transpose()?,
    })
}
