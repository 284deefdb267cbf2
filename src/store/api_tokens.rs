//! API tokens. A token is shown once; only its SHA-256 is stored.

use std::time::Duration;

use rusqlite::{Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::users::{self, UserError};
use crate::clock::Timestamp;
use crate::domain::account::{ApiToken, Scope, User};
use crate::domain::id::TokenId;

/// Resolution of the last-used time. Updating it on every request would double the cost of a
/// request.
const LAST_USED_RESOLUTION: Duration = Duration::from_secs(60);

const SELECT_API_TOKENS: &str =
    "SELECT users.*, api_tokens.id AS token_id, token_hash, api_tokens.name AS token_name,
    scope, creators.email AS creator, api_tokens.created_at AS token_created_at, last_used_at
    FROM api_tokens JOIN users ON users.id = api_tokens.user_id
    LEFT JOIN users AS creators ON creators.id = created_by";

impl Store {
    /// Creates a token for the user with this email. `created_by` is the user who requested the
    /// token on a page, or `None` for the command line.
    pub async fn create_token(
        &self,
        user_email: String,
        name: String,
        scope: Scope,
        token_hash: [u8; 32],
        created_by: Option<User>,
    ) -> Result<ApiToken, UserError> {
        self.writer
            .write(move |tx| {
                let user = users::require_user_by_email(tx, &user_email)?;
                let id = tx.next_id();
                sql::execute(
                    tx,
                    "INSERT INTO api_tokens
                     (id, token_hash, name, scope, user_id, created_at, created_by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        id,
                        token_hash,
                        name,
                        scope,
                        user.id,
                        tx.now,
                        created_by.as_ref().map(|creator| &creator.id)
                    ],
                )?;
                Ok(ApiToken {
                    id,
                    fingerprint: fingerprint(&token_hash),
                    name,
                    scope,
                    user,
                    created_by: created_by.map(|creator| creator.email),
                    created_at: tx.now,
                    last_used_at: None,
                })
            })
            .await
    }

    /// Returns all tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.reader
            .read(|c| {
                sql::query_all(
                    c,
                    &format!("{SELECT_API_TOKENS} ORDER BY api_tokens.id"),
                    [],
                    token_from_row,
                )
            })
            .await
    }

    /// Returns the token with this hash, and whether its last-used time is outdated and should be
    /// updated with [`touch_token`](Self::touch_token).
    pub async fn api_token_by_hash(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(ApiToken, bool)>, StoreError> {
        let found = self
            .reader
            .read_inline(move |c| {
                let statement = format!("{SELECT_API_TOKENS} WHERE token_hash = ?1");
                let token = sql::query_optional(c, &statement, [token_hash], token_from_row)?;
                Ok::<_, StoreError>(token.map(|token| {
                    let needs_touch = token.last_used_at.is_none_or(|last_used_at| {
                        last_used_at.is_outdated(now, LAST_USED_RESOLUTION)
                    });
                    (token, needs_touch)
                }))
            })
            .await?;
        self.health.verify_missing_row(found)
    }

    /// Updates the last-used time of a token.
    pub async fn touch_token(&self, id: TokenId) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let statement = "UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1";
                sql::execute(tx, statement, params![id, tx.now])?;
                Ok(())
            })
            .await
    }

    /// Deletes a token. Returns `false` if there is no such token.
    pub async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        self.writer
            .write(move |tx| {
                Ok(sql::execute(tx, "DELETE FROM api_tokens WHERE id = ?1", [id])? > 0)
            })
            .await
    }
}

/// Returns the fingerprint that identifies a token on pages: the first 8 hexadecimal digits of its
/// SHA-256.
fn fingerprint(token_hash: &[u8; 32]) -> String {
    hex::encode(&token_hash[..4])
}

fn token_from_row(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: row.get("token_id")?,
        fingerprint: fingerprint(&row.get::<_, [u8; 32]>("token_hash")?),
        name: row.get("token_name")?,
        scope: row.get("scope")?,
        user: users::user_from_row(row)?,
        created_by: row.get("creator")?,
        created_at: row.get("token_created_at")?,
        last_used_at: row.get("last_used_at")?,
    })
}
