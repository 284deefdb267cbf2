//! Feedback: each stored, or changed, together with the deliveries of its event.

use rusqlite::{Connection, Row, ToSql, params};

use super::error::StoreError;
use super::idempotency::{self, Idempotency};
use super::page::{Page, PageRequest};
use super::writer::Write;
use super::{Store, events, projects, sql};
use crate::clock::Timestamp;
use crate::domain::event;
use crate::domain::feedback::{Feedback, NewFeedback, ProjectSummary, Status};
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
    KeyReused,
    #[error("The feedback that this Idempotency-Key made has been deleted.")]
    KeySpent,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which feedback a list shows; `None` = any.
#[derive(Clone, Debug, Default)]
pub struct FeedbackFilter {
    pub project: Option<ProjectId>,
    pub status: Option<Status>,
    /// Words that the message holds, without regard to the case of ASCII letters.
    pub text: Option<String>,
}

/// How many feedbacks have each status.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusCounts {
    pub new: u64,
    pub reviewed: u64,
    pub resolved: u64,
}

const SELECT: &str = "SELECT feedback.*, projects.name AS project_name, slug AS project_slug
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
    ) -> Result<String, CreateFeedbackError> {
        self.writer
            .write(move |write| {
                if let Some(key) = &idempotency
                    && let Some(stored) = idempotency::find(write, key)?
                {
                    return match stored.answer {
                        _ if stored.request_hash != key.request_hash => {
                            Err(CreateFeedbackError::KeyReused)
                        }
                        Some(answer) => Ok(answer),
                        None => Err(CreateFeedbackError::KeySpent),
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
                    status: Status::New,
                    created_at: write.now,
                    email: new.email,
                    url: new.url,
                    metadata: new.metadata,
                };
                insert(write, &feedback)?;
                events::publish(
                    write,
                    Topic::FeedbackCreated,
                    &feedback,
                    event::feedback_created(&feedback),
                )?;
                let answer = render(&feedback);
                if let Some(key) = &idempotency {
                    idempotency::remember(write, key, Some(&feedback.id), &answer)?;
                }
                Ok(answer)
            })
            .await
    }

    pub async fn feedback(&self, id: FeedbackId) -> Result<Option<Feedback>, StoreError> {
        self.reader.read(move |c| find(c, &id)).await
    }

    pub async fn feedback_list(
        &self,
        filter: FeedbackFilter,
        page: PageRequest,
    ) -> Result<Page<Feedback>, StoreError> {
        self.reader
            .read_long(move |c| {
                let (conditions, mut values) = filter.conditions();
                let statement = format!("{SELECT} WHERE {conditions} AND feedback.id < ? ORDER BY feedback.id DESC LIMIT ?");
                values.push(Box::new(page.before().to_owned()));
                values.push(Box::new(page.rows()));
                let rows = sql::all(c, &statement, rusqlite::params_from_iter(values), read)?;
                Ok(page.page(rows, |feedback| feedback.id.as_str()))
            })
            .await
    }

    /// Counts by status what the filter's project and text select.
    pub async fn count_feedback(&self, filter: FeedbackFilter) -> Result<StatusCounts, StoreError> {
        self.reader
            .read_long(move |c| {
                let (conditions, values) = FeedbackFilter {
                    status: None,
                    ..filter
                }
                .conditions();
                let statement = format!(
                    "SELECT status, count(*) AS n FROM feedback WHERE {conditions} GROUP BY status"
                );
                let mut counts = StatusCounts::default();
                let read = |row: &Row<'_>| Ok((status(row)?, row.get::<_, u64>("n")?));
                for (status, n) in
                    sql::all(c, &statement, rusqlite::params_from_iter(values), read)?
                {
                    match status {
                        Status::New => counts.new = n,
                        Status::Reviewed => counts.reviewed = n,
                        Status::Resolved => counts.resolved = n,
                    }
                }
                Ok(counts)
            })
            .await
    }

    /// Changes a status and stores the deliveries of `feedback.updated`; the status that it has already makes no event.
    pub async fn set_status(
        &self,
        id: FeedbackId,
        status: Status,
    ) -> Result<Option<Feedback>, StoreError> {
        self.writer
            .write(move |write| {
                let Some(mut feedback) = find(write, &id)? else {
                    return Ok(None);
                };
                let previous = std::mem::replace(&mut feedback.status, status);
                if previous != status {
                    sql::run(
                        write,
                        "UPDATE feedback SET status = ?2 WHERE id = ?1",
                        [id.as_str(), status.as_str()],
                    )?;
                    let body = event::feedback_updated(&feedback, previous, write.now);
                    events::publish(write, Topic::FeedbackUpdated, &feedback, body)?;
                }
                Ok(Some(feedback))
            })
            .await
    }

    /// Deletes a feedback, and its words in the log. `false`: there is no such feedback.
    pub async fn delete_feedback(&self, id: FeedbackId) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                if sql::run(write, "DELETE FROM feedback WHERE id = ?1", [id.as_str()])? == 0 {
                    return Ok(false);
                }
                take_words_out_of_the_log(write, id.as_str())?;
                Ok(true)
            })
            .await
    }
}

impl FeedbackFilter {
    /// A condition that holds for all where nothing is asked, so that others can follow with `AND`.
    fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
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
        // LIKE ends at a NUL; no message holds one.
        if self.text.as_ref().is_some_and(|text| text.contains('\0')) {
            conditions.push("0");
        } else if let Some(text) = &self.text {
            conditions.push(r"message LIKE ? ESCAPE '\'");
            let escaped = text
                .replace('\\', r"\\")
                .replace('%', r"\%")
                .replace('_', r"\_");
            values.push(Box::new(format!("%{escaped}%")));
        }
        (conditions.join(" AND "), values)
    }
}

/// Cancels what is pending of a feedback and empties what the log holds of its words: bodies, requests and answers.
pub(super) fn take_words_out_of_the_log(
    write: &mut Write<'_>,
    feedback_id: &str,
) -> Result<(), StoreError> {
    const ITS_EVENTS: &str = "(SELECT id FROM events WHERE feedback_id = ?1)";
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
    for statement in [
        format!("UPDATE deliveries SET request_headers = NULL WHERE event_id IN {ITS_EVENTS}"),
        format!(
            "UPDATE attempts SET response_headers = NULL, response_body = NULL, error = NULL
             WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id IN {ITS_EVENTS})"
        ),
        "UPDATE events SET body = NULL WHERE feedback_id = ?1".to_owned(),
        "UPDATE idempotency SET answer = NULL WHERE feedback_id = ?1".to_owned(),
    ] {
        sql::run(write, &statement, [feedback_id])?;
    }
    Ok(())
}

fn find(connection: &Connection, id: &FeedbackId) -> Result<Option<Feedback>, StoreError> {
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
        "INSERT INTO feedback (id, project_id, status, message, email, url, metadata, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            feedback.id.as_str(),
            feedback.project.id.as_str(),
            feedback.status.as_str(),
            feedback.message,
            feedback.email,
            feedback.url,
            metadata,
            feedback.created_at.millis()
        ],
    )?;
    Ok(())
}

fn status(row: &Row<'_>) -> rusqlite::Result<Status> {
    sql::named(row, "status", |text| text.parse().ok())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Feedback> {
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
