//! Browser sessions. Of what a cookie holds only a SHA-256 is stored.

use std::time::Duration;

use rusqlite::params;

use super::Store;
use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::users;
use crate::clock::Timestamp;
use crate::domain::account::User;
use crate::domain::id::{SessionId, UserId};

/// A session ends after 14 days without use, and after 90 days however it is used.
const IDLE_TIMEOUT: Duration = Duration::from_secs(14 * 24 * 3600);
const ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How exactly the last use is known: each use being a write would cost a commit a page.
const LAST_USED_RESOLUTION: Duration = Duration::from_secs(10 * 60);

/// A session in force.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    pub token_hash: [u8; 32],
    /// The last use was noted long enough ago to be noted anew (see [`Store::touch_session`]).
    pub needs_touch: bool,
}

/// A session that is to be started.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub token_hash: [u8; 32],
    /// The browser in a few words of ours, or nothing.
    pub browser: String,
}

/// A session in a list of them.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub id: SessionId,
    pub token_hash: [u8; 32],
    pub browser: String,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
}

impl Store {
    /// Starts a session for a user whose password was found to be that of `verified_hash`. `false`: the password was
    /// changed meanwhile, and what was right is wrong.
    pub async fn start_session(
        &self,
        user: UserId,
        verified_hash: String,
        new: NewSession,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                let still = "SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2";
                if sql::query_optional(write, still, [user.as_str(), &verified_hash], |_| Ok(()))?
                    .is_none()
                {
                    return Ok(false);
                }
                start(write, &user, &new)?;
                Ok(true)
            })
            .await
    }

    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.reader
            .read(move |c| {
                let statement =
                    "SELECT users.*, last_used_at FROM sessions JOIN users ON users.id = user_id
                    WHERE token_hash = ?1 AND last_used_at > ?2 AND sessions.created_at > ?3";
                let limits = params![
                    token_hash,
                    now.minus(IDLE_TIMEOUT).millis(),
                    now.minus(ABSOLUTE_TIMEOUT).millis()
                ];
                sql::query_optional(c, statement, limits, |row| {
                    let needs_touch = row.get::<_, i64>("last_used_at")?
                        < now.minus(LAST_USED_RESOLUTION).millis();
                    Ok(Session {
                        user: users::read(row)?,
                        token_hash,
                        needs_touch,
                    })
                })
            })
            .await
    }

    /// Notes that a session is in use.
    pub async fn touch_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                let statement =
                    "UPDATE sessions SET last_used_at = ?2 WHERE token_hash = ?1 RETURNING user_id";
                let values = params![token_hash, write.now.millis()];
                let user =
                    sql::query_optional(write, statement, values, |row| row.get::<_, String>(0))?;
                user.map_or(Ok(()), |user| users::touch_user(write, &UserId::new(user)))
            })
            .await
    }

    pub async fn end_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                sql::execute(
                    write,
                    "DELETE FROM sessions WHERE token_hash = ?1",
                    [token_hash],
                )?;
                write.publish_change(ChangeKind::Sessions);
                Ok(())
            })
            .await
    }

    /// Ends all sessions of a user; returns how many there were.
    pub async fn end_sessions(&self, user: UserId) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| users::end_sessions(write, &user, None))
            .await
    }

    /// The sessions of a user that are in force, the one last used first.
    pub async fn sessions(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.reader
            .read(move |c| {
                let statement =
                    "SELECT * FROM sessions WHERE user_id = ?1 AND last_used_at > ?2 AND created_at > ?3
                     ORDER BY last_used_at DESC, id DESC";
                let limits = params![
                    user.as_str(),
                    now.minus(IDLE_TIMEOUT).millis(),
                    now.minus(ABSOLUTE_TIMEOUT).millis()
                ];
                sql::query_all(c, statement, limits, |row| {
                    Ok(SessionRecord {
                        id: SessionId::new(row.get::<_, String>("id")?),
                        token_hash: row.get("token_hash")?,
                        browser: row.get("browser")?,
                        created_at: Timestamp::from_millis(row.get("created_at")?),
                        last_used_at: Timestamp::from_millis(row.get("last_used_at")?),
                    })
                })
            })
            .await
    }

    /// Ends one session of a user. `false`: they have no such session.
    pub async fn end_user_session(&self, user: UserId, id: SessionId) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                write.publish_change(ChangeKind::Sessions);
                let statement = "DELETE FROM sessions WHERE user_id = ?1 AND id = ?2";
                Ok(sql::execute(write, statement, [user.as_str(), id.as_str()])? > 0)
            })
            .await
    }
}

/// Starts a session, in the transaction of what it follows from.
pub(super) fn start(
    write: &mut WriteTx<'_>,
    user: &UserId,
    new: &NewSession,
) -> Result<(), StoreError> {
    // The moment when one signs in is the moment to forget sessions that are over.
    let over = params![
        write.now.minus(IDLE_TIMEOUT).millis(),
        write.now.minus(ABSOLUTE_TIMEOUT).millis()
    ];
    sql::execute(
        write,
        "DELETE FROM sessions WHERE last_used_at <= ?1 OR created_at <= ?2",
        over,
    )?;
    let id: SessionId = write.next_id();
    sql::execute(
        write,
        "INSERT INTO sessions (token_hash, id, user_id, browser, created_at, last_used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![
            new.token_hash,
            id.as_str(),
            user.as_str(),
            new.browser,
            write.now.millis()
        ],
    )?;
    users::touch_user(write, user)
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
    async fn a_sign_in_that_was_under_way_when_the_password_changed_starts_no_session() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None, Clock::System).unwrap();
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
                .start_session(user.id.clone(), "old".into(), session(1))
                .await
                .unwrap()
        );
        assert!(
            store
                .start_session(user.id, "new".into(), session(2))
                .await
                .unwrap()
        );
        let now = Clock::System.now();
        assert!(store.session([1; 32], now).await.unwrap().is_none());
        assert!(store.session([2; 32], now).await.unwrap().is_some());
    }
}
