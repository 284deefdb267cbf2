//! The data of the "Getting started" checklist: the progress of the installation, and whether a
//! user dismissed the checklist.

use rusqlite::{Connection, params};

use super::Store;
use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use crate::clock::Timestamp;
use crate::domain::id::{ProjectId, UserId, WebhookId};

/// The progress of the installation, and whether a user dismissed the checklist.
#[derive(Clone, Debug, Default)]
pub struct SetupProgress {
    /// Whether the user dismissed the checklist.
    pub is_dismissed: bool,
    /// The id and the name of the oldest project.
    pub project: Option<(ProjectId, String)>,
    /// The origin whose feedback was accepted last, or else the first origin that loaded the
    /// widget with the slug of a project.
    pub widget_origin: Option<String>,
    pub has_feedback: bool,
    pub has_webhook: bool,
    pub has_delivered: bool,
    /// The newest webhook with a failed delivery.
    pub failed_webhook: Option<WebhookId>,
    pub users: u64,
    /// The number of active invitations.
    pub invitations: u64,
}

impl Store {
    /// Returns the progress of the installation, and whether `user` dismissed the checklist.
    pub async fn setup_progress(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<SetupProgress, StoreError> {
        self.reader
            .read(move |c| read_setup_progress(c, &user, now))
            .await
    }

    /// Dismisses the checklist for a user, or shows it again.
    pub async fn set_checklist_dismissed(
        &self,
        user: UserId,
        is_dismissed: bool,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let update = "UPDATE users SET checklist_dismissed_at = ?2 WHERE id = ?1";
                let at = is_dismissed.then_some(tx.now);
                sql::execute(tx, update, params![user, at])?;
                Ok(())
            })
            .await
    }

    /// Reports to open pages that a website loaded the widget's script. Stores the origin if it is
    /// the first one whose widget uses the slug of a project.
    pub async fn record_widget_load(
        &self,
        origin: String,
        slug: Option<String>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let insert = "INSERT OR IGNORE INTO first_widget_load (id, origin, loaded_at)
                    SELECT 1, ?1, ?2 FROM projects WHERE slug = ?3";
                sql::execute(tx, insert, params![origin, tx.now, slug])?;
                tx.publish_change(ChangeKind::Feedback);
                Ok(())
            })
            .await
    }
}

fn read_setup_progress(
    connection: &Connection,
    user: &UserId,
    now: Timestamp,
) -> Result<SetupProgress, StoreError> {
    let exists = |statement| sql::exists(connection, statement, []);
    let dismissed = "SELECT 1 FROM users WHERE id = ?1 AND checklist_dismissed_at IS NOT NULL";
    let project = "SELECT id, name FROM projects ORDER BY id LIMIT 1";
    let accepted = "SELECT origin FROM origins WHERE accepted_at IS NOT NULL
        ORDER BY accepted_at DESC LIMIT 1";
    let first_load = "SELECT origin FROM first_widget_load";
    let origin = |statement| sql::query_optional(connection, statement, [], |row| row.get(0));
    let failed = "SELECT webhook_id FROM delivery_totals
        JOIN webhooks ON webhooks.id = webhook_id AND deleted_at IS NULL
        WHERE failed > 0 ORDER BY webhook_id DESC LIMIT 1";
    let invitations = "SELECT count(*) FROM one_time_links
        WHERE purpose = 'invitation' AND expires_at > ?1 AND used_at IS NULL";
    Ok(SetupProgress {
        is_dismissed: sql::exists(connection, dismissed, [user])?,
        project: sql::query_optional(connection, project, [], |row| row.try_into())?,
        widget_origin: match origin(accepted)? {
            Some(origin) => Some(origin),
            None => origin(first_load)?,
        },
        has_feedback: exists("SELECT 1 FROM feedback_counts WHERE count > 0")?,
        has_webhook: exists("SELECT 1 FROM webhooks WHERE deleted_at IS NULL")?,
        has_delivered: exists("SELECT 1 FROM delivery_totals WHERE delivered > 0")?,
        failed_webhook: sql::query_optional(connection, failed, [], |row| row.get(0))?,
        users: sql::query_value(connection, "SELECT count(*) FROM users", [])?,
        invitations: sql::query_value(connection, invitations, [now])?,
    })
}
