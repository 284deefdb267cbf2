//! Changes the status of feedback. Each change creates a history entry, and an event with
//! deliveries if webhooks subscribe to it.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::events::FeedbackLinks;
use super::precondition::{ChangeError, Precondition};
use super::{Store, events, feedback};
use crate::clock::Timestamp;
use crate::domain::feedback::{Actor, Feedback, FeedbackStatus};
use crate::domain::id::FeedbackId;
use crate::formats::{Event, EventContent};

/// A requested status change.
#[derive(Clone, Debug)]
pub struct StatusChange {
    pub id: FeedbackId,
    /// The status that is required for the change; `None` accepts every status.
    pub only_from: Option<FeedbackStatus>,
    pub to: FeedbackStatus,
}

/// A status change that was applied.
#[derive(Clone, Debug)]
pub struct AppliedStatusChange {
    pub id: FeedbackId,
    pub previous: FeedbackStatus,
    pub status: FeedbackStatus,
}

/// A status change in the history of a feedback item.
#[derive(Clone, Debug)]
pub struct StatusHistoryEntry {
    pub changed_at: Timestamp,
    pub previous: FeedbackStatus,
    pub status: FeedbackStatus,
    pub by: Actor,
}

impl Store {
    /// Changes the status of feedback and stores the deliveries of `feedback.updated`. Setting the
    /// current status again has no effect. Without a status, only checks the precondition. Returns
    /// `None` if there is no such feedback.
    pub async fn set_status(
        &self,
        id: FeedbackId,
        status: Option<FeedbackStatus>,
        by: Actor,
        mut precondition: Precondition<Feedback>,
    ) -> Result<Option<Feedback>, ChangeError<Feedback>> {
        let links = self.feedback_links.clone();
        self.writer
            .write(move |tx| {
                let Some(mut feedback) = feedback::find_feedback(tx, &id)? else {
                    return Ok(None);
                };
                precondition.check(&feedback)?;
                if let Some(status) = status {
                    change_status(tx, &mut feedback, status, &by, &links)?;
                }
                Ok(Some(feedback))
            })
            .await
    }

    /// Changes several statuses in one commit. Returns the applied changes. Skips deleted feedback,
    /// feedback that already has the status, and changes whose `only_from` isn't the current
    /// status.
    pub async fn set_statuses(
        &self,
        changes: Vec<StatusChange>,
        by: Actor,
    ) -> Result<Vec<AppliedStatusChange>, StoreError> {
        let links = self.feedback_links.clone();
        self.writer
            .write(move |tx| {
                let mut applied = Vec::new();
                let mut seen = HashSet::new();
                for StatusChange { id, only_from, to } in changes {
                    // If an id is repeated, apply only its first change.
                    if !seen.insert(id) {
                        continue;
                    }
                    let Some(mut feedback) = feedback::find_feedback(tx, &id)? else {
                        continue;
                    };
                    let previous = feedback.status;
                    if only_from.is_some_and(|from| from != previous) {
                        continue;
                    }
                    if change_status(tx, &mut feedback, to, &by, &links)? {
                        applied.push(AppliedStatusChange {
                            id,
                            previous,
                            status: to,
                        });
                    }
                }
                Ok(applied)
            })
            .await
    }

    /// Returns the status history of feedback, oldest first.
    pub async fn status_history(
        &self,
        id: FeedbackId,
    ) -> Result<Vec<StatusHistoryEntry>, StoreError> {
        self.reader.read(move |c| read_status_history(c, &id)).await
    }
}

/// Returns the status history of feedback, oldest first.
pub(super) fn read_status_history(
    connection: &Connection,
    id: &FeedbackId,
) -> Result<Vec<StatusHistoryEntry>, StoreError> {
    let statement = "SELECT * FROM feedback_status_history WHERE feedback_id = ?1 ORDER BY number";
    sql::query_all(connection, statement, [id], |row| {
        Ok(StatusHistoryEntry {
            changed_at: row.get("changed_at")?,
            previous: row.get("previous_status")?,
            status: row.get("status")?,
            by: Actor {
                email: row.get("user_email")?,
                token: row.get("token_name")?,
            },
        })
    })
}

/// Changes the status, and stores a history entry and an event. Returns `false` if the feedback
/// already has this status.
fn change_status(
    tx: &mut WriteTx<'_>,
    feedback: &mut Feedback,
    status: FeedbackStatus,
    by: &Actor,
    links: &FeedbackLinks,
) -> Result<bool, StoreError> {
    let previous = std::mem::replace(&mut feedback.status, status);
    if previous == status {
        return Ok(false);
    }
    let update = "UPDATE feedback SET status = ?2 WHERE id = ?1";
    sql::execute(tx, update, params![feedback.id, status])?;
    sql::execute(
        tx,
        "INSERT INTO feedback_status_history
         (feedback_id, number, changed_at, previous_status, status, user_email, token_name)
         SELECT ?1, 1 + coalesce(max(number), 0), ?2, ?3, ?4, ?5, ?6
         FROM feedback_status_history WHERE feedback_id = ?1",
        params![feedback.id, tx.now, previous, status, by.email, by.token],
    )?;
    let content = EventContent {
        event: Event::Updated {
            feedback,
            previous_status: previous,
        },
        at: tx.now,
        link: links.link_to(&feedback.id),
    };
    events::store_event(tx, feedback, &content)?;
    tx.record_feedback_change(&feedback.project.id, Some(previous), Some(status));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::feedback::NewFeedback;

    fn actor(email: &str, token: Option<&str>) -> Actor {
        Actor {
            email: email.into(),
            token: token.map(str::to_owned),
        }
    }

    async fn store_with_feedback(dir: &std::path::Path) -> (Store, FeedbackId) {
        let store = Store::open(dir, None, Clock::system()).unwrap();
        store.create_project("Shop".into(), None).await.unwrap();
        let new = NewFeedback {
            project: "shop".into(),
            message: "Hello".into(),
            email: None,
            url: None,
            metadata: None,
        };
        let created = store.create_feedback(new, None, |_| String::new()).await;
        (store, created.unwrap().id)
    }

    #[tokio::test]
    async fn records_who_changed_a_status() {
        let dir = tempfile::tempdir().unwrap();
        let (store, id) = store_with_feedback(dir.path()).await;
        // Setting the same status again records no second change.
        for _ in 0..2 {
            let change = StatusChange {
                id,
                only_from: None,
                to: FeedbackStatus::Reviewed,
            };
            let ada = actor("ada@example.com", None);
            store.set_statuses(vec![change], ada).await.unwrap();
        }
        let bob = actor("bob@example.com", Some("ci"));
        let resolved = store
            .set_status(
                id,
                Some(FeedbackStatus::Resolved),
                bob,
                Precondition::none(),
            )
            .await;
        let resolved = resolved.unwrap().unwrap();
        assert_eq!(resolved.status, FeedbackStatus::Resolved);

        let history = store.status_history(id).await.unwrap();
        let history: Vec<_> = history
            .iter()
            .map(|entry| {
                let (email, token) = (entry.by.email.as_str(), entry.by.token.as_deref());
                (entry.previous, entry.status, email, token)
            })
            .collect();
        let (new, reviewed, resolved) = (
            FeedbackStatus::New,
            FeedbackStatus::Reviewed,
            FeedbackStatus::Resolved,
        );
        assert_eq!(
            history,
            [
                (new, reviewed, "ada@example.com", None),
                (reviewed, resolved, "bob@example.com", Some("ci")),
            ]
        );
    }

    #[tokio::test]
    async fn deleting_feedback_deletes_its_history() {
        let dir = tempfile::tempdir().unwrap();
        let (store, id) = store_with_feedback(dir.path()).await;
        let ada = actor("ada@example.com", None);
        store
            .set_status(
                id,
                Some(FeedbackStatus::Resolved),
                ada,
                Precondition::none(),
            )
            .await
            .unwrap();
        assert_eq!(store.status_history(id).await.unwrap().len(), 1);
        store
            .delete_feedback(id, Precondition::none())
            .await
            .unwrap();
        let remaining: Result<u64, StoreError> = store
            .reader
            .read(|c| {
                let count = "/* may scan: a test */ SELECT count(*) FROM feedback_status_history";
                sql::query_value(c, count, [])
            })
            .await;
        assert_eq!(remaining.unwrap(), 0);
    }
}
