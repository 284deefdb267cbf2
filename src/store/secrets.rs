//! The secrets of webhooks: reading them, and rotation with its overlap.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::clock::Timestamp;
use crate::domain::id::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::webhook::{NextSecret, Secrets};

#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error("There is no such webhook.")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The secrets in force now.
    pub async fn webhook_secrets(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<Secrets>, StoreError> {
        self.reader.read(move |c| secrets(c, &id, now)).await
    }

    /// Gives a webhook a new secret: at once, or beside the old one until the overlap ends. One that runs ends first.
    pub async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: Secret,
        overlap_hours: u32,
    ) -> Result<Secrets, RotateError> {
        self.writer
            .write(move |write| {
                let old = secrets(write, &id, write.now)?.ok_or(RotateError::Unknown)?;
                let old = old.next.map_or(old.current, |next| next.secret);
                let rotated = match overlap_hours {
                    0 => Secrets {
                        current: secret,
                        next: None,
                    },
                    hours => {
                        let overlap_ends_at =
                            write.now.plus(Duration::from_secs(u64::from(hours) * 3600));
                        Secrets {
                            current: old,
                            next: Some(NextSecret {
                                secret,
                                overlap_ends_at,
                            }),
                        }
                    }
                };
                Ok(store_secrets(write, &id, rotated)?)
            })
            .await
    }

    /// Ends an overlap; without one nothing changes.
    pub async fn finish_rotation(&self, id: WebhookId) -> Result<Secrets, RotateError> {
        self.writer
            .write(move |write| {
                let now = secrets(write, &id, write.now)?.ok_or(RotateError::Unknown)?;
                let current = now.next.map_or(now.current, |next| next.secret);
                Ok(store_secrets(
                    write,
                    &id,
                    Secrets {
                        current,
                        next: None,
                    },
                )?)
            })
            .await
    }
}

fn secrets(
    connection: &Connection,
    id: &WebhookId,
    now: Timestamp,
) -> Result<Option<Secrets>, StoreError> {
    let statement = "SELECT secret, next_secret, overlap_ends_at FROM webhooks WHERE id = ?1 AND deleted_at IS NULL";
    Ok(
        sql::query_optional(connection, statement, [id.as_str()], read_secrets)?
            .map(|secrets| secrets.active_at(now)),
    )
}

fn store_secrets(
    write: &mut WriteTx<'_>,
    id: &WebhookId,
    secrets: Secrets,
) -> Result<Secrets, StoreError> {
    write.invalidate_read_ahead();
    let next = secrets.next.as_ref();
    sql::execute(
        write,
        "UPDATE webhooks SET secret = ?2, next_secret = ?3, overlap_ends_at = ?4 WHERE id = ?1",
        params![
            id.as_str(),
            secrets.current.as_str(),
            next.map(|next| next.secret.as_str()),
            next.map(|next| next.overlap_ends_at.millis())
        ],
    )?;
    Ok(secrets)
}

pub(super) fn read_secrets(row: &Row<'_>) -> rusqlite::Result<Secrets> {
    let next = match (
        row.get::<_, Option<String>>("next_secret")?,
        row.get::<_, Option<i64>>("overlap_ends_at")?,
    ) {
        (Some(secret), Some(ends)) => Some(NextSecret {
            secret: Secret::from_stored(secret),
            overlap_ends_at: Timestamp::from_millis(ends),
        }),
        _ => None,
    };
    Ok(Secrets {
        current: Secret::from_stored(row.get("secret")?),
        next,
    })
}
