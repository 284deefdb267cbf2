//! Browser sessions. Only a SHA-256 of the cookie's value is stored.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::{Store, users};
use crate::clock::Timestamp;
use crate::domain::account::User;
use crate::domain::id::{SessionId, UserId};

/// The time without use after which a session expires: 14 days.
const IDLE_TIMEOUT: Duration = Duration::from_secs(14 * 24 * 3600);
/// The maximum age of a session, even if it is in use: 90 days.
const ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Resolution of the last-used time. Updating it with each request would cost one commit per page.
const LAST_USED_RESOLUTION: Duration = Duration::from_secs(10 * 60);

/// An active session.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    pub token_hash: [u8; 32],
    /// Whether the last-used time is outdated. If so, call [`Store::touch_session`].
    pub needs_touch: bool,
}

/// A session to be started.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub token_hash: [u8; 32],
    /// A short name of the browser, or an empty string.
    pub browser: String,
}

/// A session in a user's list of sessions.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub id: SessionId,
    pub token_hash: [u8; 32],
    pub browser: String,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
}

impl Store {
    /// Starts a session for a user whose password was verified against `verified_hash`. Returns
    /// `false` if the password has changed or the user has been deleted since.
    pub async fn start_session(
        &self,
        user: UserId,
        verified_hash: String,
        new: NewSession,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |tx| {
                let unchanged = "SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2";
                if !sql::exists(tx, unchanged, params![user, verified_hash])? {
                    return Ok(false);
                }
                insert_session(tx, &user, &new)?;
                Ok(true)
            })
            .await
    }

    /// Starts a session without verifying a password. Returns `false` if the user doesn't exist.
    pub async fn start_session_without_password(
        &self,
        user: UserId,
        new: NewSession,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |tx| {
                if !sql::exists(tx, "SELECT 1 FROM users WHERE id = ?1", [&user])? {
                    return Ok(false);
                }
                insert_session(tx, &user, &new)?;
                Ok(true)
            })
            .await
    }

    /// Returns the session with this token hash, unless it has expired.
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let found = self
            .reader
            .read(move |c| {
                let statement = "SELECT users.*, last_used_at
                    FROM sessions JOIN users ON users.id = user_id
                    WHERE token_hash = ?1 AND last_used_at > ?2 AND sessions.created_at > ?3";
                let (idle, absolute) = (now.minus(IDLE_TIMEOUT), now.minus(ABSOLUTE_TIMEOUT));
                sql::query_optional(c, statement, params![token_hash, idle, absolute], |row| {
                    let last_used_at: Timestamp = row.get("last_used_at")?;
                    Ok(Session {
                        user: users::user_from_row(row)?,
                        token_hash,
                        needs_touch: last_used_at.is_outdated(now, LAST_USED_RESOLUTION),
                    })
                })
            })
            .await?;
        self.health.verify_missing_row(found)
    }

    /// Updates the last-used time of a session and the last-seen time of its user.
    pub async fn touch_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let statement = "UPDATE sessions SET last_used_at = ?2 WHERE token_hash = ?1
                    RETURNING user_id";
                let values = params![token_hash, tx.now];
                let user = sql::query_optional(tx, statement, values, |row| row.get(0))?;
                user.map_or(Ok(()), |user| users::touch_user(tx, &user))
            })
            .await
    }

    pub async fn end_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |tx| {
                let statement = "DELETE FROM sessions WHERE token_hash = ?1";
                sql::execute(tx, statement, [token_hash])?;
                tx.publish_change(ChangeKind::Sessions);
                Ok(())
            })
            .await
    }

    /// Ends all sessions of a user. Returns the number of ended sessions.
    pub async fn end_all_sessions(&self, user: UserId) -> Result<usize, StoreError> {
        self.writer
            .write(move |tx| users::end_sessions_except(tx, &user, None))
            .await
    }

    /// Returns a user's active sessions, most recently used first.
    pub async fn sessions(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM sessions
                    WHERE user_id = ?1 AND last_used_at > ?2 AND created_at > ?3
                    ORDER BY last_used_at DESC, id DESC";
                let (idle, absolute) = (now.minus(IDLE_TIMEOUT), now.minus(ABSOLUTE_TIMEOUT));
                sql::query_all(c, statement, params![user, idle, absolute], |row| {
                    Ok(SessionRecord {
                        id: row.get("id")?,
                        token_hash: row.get("token_hash")?,
                        browser: row.get("browser")?,
                        created_at: row.get("created_at")?,
                        last_used_at: row.get("last_used_at")?,
                    })
                })
            })
            .await
    }

    /// Ends one session of a user. Returns `false` if the user has no such session.
    pub async fn end_user_session(&self, user: UserId, id: SessionId) -> Result<bool, StoreError> {
        self.writer
            .write(move |tx| {
                tx.publish_change(ChangeKind::Sessions);
                let statement = "DELETE FROM sessions WHERE user_id = ?1 AND id = ?2";
                Ok(sql::execute(tx, statement, params![user, id])? > 0)
            })
            .await
    }
}

/// Adds `by` milliseconds to the creation and the last use of each session that hadn't expired at
/// `time`.
pub(super) fn shift_active_sessions(
    connection: &Connection,
    time: Timestamp,
    by: i64,
) -> Result<(), StoreError> {
    let statement = "UPDATE sessions SET created_at = created_at + ?3,
        last_used_at = last_used_at + ?3 WHERE last_used_at > ?1 AND created_at > ?2";
    let (idle, absolute) = (time.minus(IDLE_TIMEOUT), time.minus(ABSOLUTE_TIMEOUT));
    sql::execute(connection, statement, params![idle, absolute, by]).map(|_| ())
}

/// Starts a session in the caller's transaction.
pub(super) fn insert_session(
    tx: &mut WriteTx<'_>,
    user: &UserId,
    new: &NewSession,
) -> Result<(), StoreError> {
    // Delete expired sessions at sign-in.
    let expired = "DELETE FROM sessions WHERE last_used_at <= ?1 OR created_at <= ?2";
    let (idle, absolute) = (
        tx.expiry_cutoff(IDLE_TIMEOUT),
        tx.expiry_cutoff(ABSOLUTE_TIMEOUT),
    );
    sql::execute(tx, expired, params![idle, absolute])?;
    let id: SessionId = tx.next_id();
    sql::execute(
        tx,
        "INSERT INTO sessions (token_hash, id, user_id, browser, created_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![new.token_hash, id, user, new.browser, tx.now],
    )?;
    users::touch_user(tx, user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::account::Role;

    fn session(byte: u8) -> NewSession {
        NewSession {
            token_hash: [byte; 32],
            browser: String::new(),
        }
    }

    #[tokio::test]
    async fn a_password_change_during_sign_in_prevents_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None, Clock::system()).unwrap();
        let user = store
            .add_user("ada@example.com".into(), "old".into(), Role::Admin)
            .await
            .unwrap();
        store
            .set_password("ada@example.com".into(), "new".into(), None)
            .await
            .unwrap();
        assert!(
            !store
                .start_session(user.id, "old".into(), session(1))
                .await
                .unwrap()
        );
        assert!(
            store
                .start_session(user.id, "new".into(), session(2))
                .await
                .unwrap()
        );
        let now = Clock::system().now();
        assert!(store.session([1; 32], now).await.unwrap().is_none());
        assert!(store.session([2; 32], now).await.unwrap().is_some());
    }
}
