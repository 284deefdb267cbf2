//! Reads and rotates the secrets of webhooks.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::clock::Timestamp;
use crate::domain::format::Format;
use crate::domain::id::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::webhook::{NextSecret, Secrets};

#[derive(Debug, thiserror::Error)]
pub enum RotateSecretError {
    #[error("Webhook not found.")]
    UnknownWebhook,
    #[error("Only webhooks in the format “standard” have a secret.")]
    Unsigned,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Returns the secrets that are active at `now`, or `None` if there is no such webhook.
    pub async fn webhook_secrets(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<Secrets>, StoreError> {
        self.reader
            .read(move |c| find_active_secrets(c, &id, now))
            .await
    }

    /// Returns whether a webhook is signed with this secret.
    pub async fn is_secret_in_use(&self, secret: Secret) -> Result<bool, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT 1 FROM webhooks WHERE secret = ?1 OR next_secret = ?1";
                let found: Option<i64> =
                    sql::query_optional(c, statement, [secret.as_str()], |row| row.get(0))?;
                Ok(found.is_some())
            })
            .await
    }

    /// Replaces a webhook's secret. The old secret stays active for `overlap_hours`. If
    /// `overlap_hours` is 0, only the new secret is active. An overlap that is still active ends
    /// first.
    pub async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: Secret,
        overlap_hours: u32,
    ) -> Result<Secrets, RotateSecretError> {
        self.writer
            .write(move |tx| {
                let old = newest_secret(tx, &id)?;
                let rotated = match overlap_hours {
                    0 => Secrets {
                        current: secret,
                        next: None,
                    },
                    hours => Secrets {
                        current: old,
                        next: Some(NextSecret {
                            secret,
                            overlap_ends_at: tx
                                .now
                                .plus(Duration::from_secs(u64::from(hours) * 3600)),
                        }),
                    },
                };
                Ok(store_secrets(tx, &id, rotated)?)
            })
            .await
    }

    /// Ends the overlap of a rotation, if there is an overlap. Returns the remaining secret.
    pub async fn finish_rotation(&self, id: WebhookId) -> Result<Secrets, RotateSecretError> {
        self.writer
            .write(move |tx| {
                let secrets = Secrets {
                    current: newest_secret(tx, &id)?,
                    next: None,
                };
                Ok(store_secrets(tx, &id, secrets)?)
            })
            .await
    }
}

fn find_active_secrets(
    connection: &Connection,
    id: &WebhookId,
    now: Timestamp,
) -> Result<Option<Secrets>, StoreError> {
    let statement = "SELECT secret, next_secret, overlap_ends_at FROM webhooks
        WHERE id = ?1 AND deleted_at IS NULL";
    let secrets = sql::query_optional(connection, statement, [id], secrets_from_row)?;
    Ok(secrets.map(|secrets| secrets.active_at(now)))
}

/// Returns the next secret during an overlap, and the current secret otherwise. Fails if the
/// webhook's format isn't signed.
fn newest_secret(tx: &WriteTx<'_>, id: &WebhookId) -> Result<Secret, RotateSecretError> {
    let format = "SELECT format FROM webhooks WHERE id = ?1";
    let format: Option<Format> = sql::query_optional(tx, format, [id], |row| row.get(0))?;
    if format.is_some_and(|format| !format.is_signed()) {
        return Err(RotateSecretError::Unsigned);
    }
    let secrets = find_active_secrets(tx, id, tx.now)?.ok_or(RotateSecretError::UnknownWebhook)?;
    Ok(secrets.next.map_or(secrets.current, |next| next.secret))
}

fn store_secrets(
    tx: &mut WriteTx<'_>,
    id: &WebhookId,
    secrets: Secrets,
) -> Result<Secrets, StoreError> {
    tx.invalidate_read_ahead();
    let next = secrets.next.as_ref();
    sql::execute(
        tx,
        "UPDATE webhooks SET secret = ?2, next_secret = ?3, overlap_ends_at = ?4 WHERE id = ?1",
        params![
            id,
            secrets.current,
            next.map(|next| &next.secret),
            next.map(|next| next.overlap_ends_at)
        ],
    )?;
    Ok(secrets)
}

pub(super) fn secrets_from_row(row: &Row<'_>) -> rusqlite::Result<Secrets> {
    let next: (Option<Secret>, Option<Timestamp>) =
        (row.get("next_secret")?, row.get("overlap_ends_at")?);
    Ok(Secrets {
        current: row.get("secret")?,
        next: match next {
            (Some(secret), Some(overlap_ends_at)) => Some(NextSecret {
                secret,
                overlap_ends_at,
            }),
            _ => None,
        },
    })
}
