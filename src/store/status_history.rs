//! Changes of a status: each with its event and deliveries, and with a line that says who made it.

use std::collections::HashSet;

use rusqlite::{Connection, Row, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::{Store, events, feedback};
use crate::clock::Timestamp;
use crate::domain::event;
use crate::domain::feedback::{Actor, Feedback, FeedbackStatus};
use crate::domain::id::FeedbackId;
use crate::domain::webhook::Topic;

/// A change to be made; `only_from`: if the status is still this one.
#[derive(Clone, Debug)]
pub struct StatusChange {
    pub id: FeedbackId,
    pub only_from: Option<FeedbackStatus>,
    pub to: FeedbackStatus,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct AppliedStatusChange {
    pub id: FeedbackId,
    pub previous: FeedbackStatus,
    pub status: FeedbackStatus,
}

/// A change as the history tells it.
#[derive(Clone, Debug)]
pub struct StatusHistoryEntry {
    pub changed_at: Timestamp,
    pub previous: FeedbackStatus,
    pub status: FeedbackStatus,
    pub by: Actor,
}

impl Store {
    /// Changes a status and stores the deliveries of `feedback.updated`; the status that it has already makes no event.
    /// `None`: there is no such feedback.
    pub async fn set_status(
        &self,
        id: FeedbackId,
        status: FeedbackStatus,
        by: Actor,
    ) -> Result<Option<Feedback>, StoreError> {
        self.writer
            .write(move |write| {
                let Some(mut feedback) = feedback::find(write, &id)? else {
                    return Ok(None);
                };
                set(write, &mut feedback, status, &by)?;
                Ok(Some(feedback))
            })
            .await
    }

    /// The same for several, in one commit. Tells those that were changed: what is gone, or has the status already,
    /// is not among them.
    pub async fn set_statuses(
        &self,
        changes: Vec<StatusChange>,
        by: Actor,
    ) -> Result<Vec<AppliedStatusChange>, StoreError> {
        self.writer
            .write(move |write| {
                let mut changed = Vec::new();
                let mut seen = HashSet::new();
                for StatusChange { id, only_from, to } in changes {
                    // One named twice is changed once.
                    if !seen.insert(id.clone()) {
                        continue;
                    }
                    let Some(mut feedback) = feedback::find(write, &id)? else {
                        continue;
                    };
                    let previous = feedback.status;
                    if only_from.is_some_and(|from| from != previous) {
                        continue;
                    }
                    if set(write, &mut feedback, to, &by)? {
                        changed.push(AppliedStatusChange {
                            id,
                            previous,
                            status: to,
                        });
                    }
                }
                Ok(changed)
            })
            .await
    }

    /// The changes of a feedback's status, oldest first.
    pub async fn history(&self, id: FeedbackId) -> Result<Vec<StatusHistoryEntry>, StoreError> {
        self.reader.read(move |c| of(c, &id)).await
    }
}

/// The changes of a feedback's status, oldest first.
pub(super) fn of(
    connection: &Connection,
    id: &FeedbackId,
) -> Result<Vec<StatusHistoryEntry>, StoreError> {
    let statement = "SELECT * FROM feedback_status_history WHERE feedback_id = ?1 ORDER BY number";
    let status = |row: &Row<'_>, column| sql::parse_column(row, column, |text| text.parse().ok());
    sql::query_all(connection, statement, [id.as_str()], |row| {
        Ok(StatusHistoryEntry {
            changed_at: Timestamp::from_millis(row.get("changed_at")?),
            previous: status(row, "previous_status")?,
            status: status(row, "status")?,
            by: Actor {
                email: row.get("user_email")?,
                token: row.get("token_name")?,
            },
        })
    })
}

/// `false`: it has the status already.
fn set(
    write: &mut WriteTx<'_>,
    feedback: &mut Feedback,
    status: FeedbackStatus,
    by: &Actor,
) -> Result<bool, StoreError> {
    let previous = std::mem::replace(&mut feedback.status, status);
    if previous == status {
        return Ok(false);
    }
    let id = feedback.id.as_str();
    sql::execute(
        write,
        "UPDATE feedback SET status = ?2 WHERE id = ?1",
        [id, status.as_str()],
    )?;
    sql::execute(
        write,
        "INSERT INTO feedback_status_history (feedback_id, number, changed_at, previous_status, status, user_email, token_name)
         SELECT ?1, 1 + coalesce(max(number), 0), ?2, ?3, ?4, ?5, ?6 FROM feedback_status_history WHERE feedback_id = ?1",
        params![
            id,
            write.now.millis(),
            previous.as_str(),
            status.as_str(),
            by.email,
            by.token
        ],
    )?;
    let body = event::feedback_updated_body(feedback, previous, write.now);
    events::publish(write, Topic::FeedbackUpdated, feedback, body)?;
    write.feedback_changed(&feedback.project.id, Some(previous), Some(status));
    Ok(true)
}
