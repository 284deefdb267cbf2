//! API tokens. A token itself is shown once and never stored; it is found by its SHA-256.

use std::time::Duration;

use rusqlite::{Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::users::{self, AccountStoreError};
use crate::clock::Timestamp;
use crate::domain::account::{ApiToken, Scope, User};
use crate::domain::id::TokenId;

/// How exactly the last use is known: each use being a write would double the cost of a call.
const LAST_USED_RESOLUTION: Duration = Duration::from_secs(60);

const SELECT: &str = "SELECT users.*, api_tokens.id AS token_id, api_tokens.name AS token_name, scope,
    makers.email AS maker, api_tokens.created_at AS token_created_at, last_used_at
    FROM api_tokens JOIN users ON users.id = api_tokens.user_id LEFT JOIN users AS makers ON makers.id = created_by";

impl Store {
    /// Makes a token; `created_by` is who asks for it on a page, or `None` for the command line.
    pub async fn create_token(
        &self,
        user_email: String,
        name: String,
        scope: Scope,
        token_hash: [u8; 32],
        created_by: Option<User>,
    ) -> Result<ApiToken, AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = users::find_by_email(write, &user_email)?.ok_or(AccountStoreError::Unknown(user_email))?;
                let maker = created_by.as_ref().map(|user| user.id.as_str().to_owned());
                let token = ApiToken {
                    id: write.next_id(),
                    name,
                    scope,
                    user,
                    created_by: created_by.map(|user| user.email),
                    created_at: write.now,
                    last_used_at: None,
                };
                sql::execute(
                    write,
                    "INSERT INTO api_tokens (id, token_hash, name, scope, user_id, created_at, created_by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        token.id.as_str(),
                        token_hash,
                        token.name,
                        scope.as_str(),
                        token.user.id.as_str(),
                        token.created_at.millis(),
                        maker
                    ],
                )?;
                Ok(token)
            })
            .await
    }

    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.reader
            .read(|c| sql::query_all(c, &format!("{SELECT} ORDER BY api_tokens.id"), [], read))
            .await
    }

    /// The token with this hash; also whether its last use was noted long enough ago to be noted anew.
    pub async fn token(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(ApiToken, bool)>, StoreError> {
        self.reader
            .read_inline(move |c| {
                let token = sql::query_optional(
                    c,
                    &format!("{SELECT} WHERE token_hash = ?1"),
                    [token_hash],
                    read,
                )?;
                let stale = |token: &ApiToken| {
                    token
                        .last_used_at
                        .is_none_or(|used| used < now.minus(LAST_USED_RESOLUTION))
                };
                Ok(token
                    .map(|token| (stale(&token), token))
                    .map(|(stale, token)| (token, stale)))
            })
            .await
    }

    /// Notes that a token is in use.
    pub async fn touch_token(&self, id: TokenId) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                let now = write.now.millis();
                sql::execute(
                    write,
                    "UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1",
                    params![id.as_str(), now],
                )?;
                Ok(())
            })
            .await
    }

    /// `false`: there is no such token.
    pub async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                Ok(sql::execute(write, "DELETE FROM api_tokens WHERE id = ?1", [id.as_str()])? > 0)
            })
            .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: TokenId::new(row.get::<_, String>("token_id")?),
        name: row.get("token_name")?,
        scope: sql::parse_column(row, "scope", |text| text.parse().ok())?,
        user: users::read(row)?,
        created_by: row.get("maker")?,
        created_at: Timestamp::from_millis(row.get("token_created_at")?),
        last_used_at: row
            .get::<_, Option<i64>>("last_used_at")?
            .map(Timestamp::from_millis),
    })
}
