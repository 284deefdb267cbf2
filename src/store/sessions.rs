//! Browser sessions, and links that sign in once. Of both only a SHA-256 is stored.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::accounts::{self, AccountStoreError};
use super::changes::Change;
use super::error::StoreError;
use super::writer::Write;
use super::{Store, sql};
use crate::clock::Timestamp;
use crate::domain::account::{Role, User};
use crate::domain::id::UserId;

/// A session ends after 14 days without use, and after 90 days however it is used.
const IDLE: Duration = Duration::from_secs(14 * 24 * 3600);
const WHOLE: Duration = Duration::from_secs(90 * 24 * 3600);
/// How exactly the last use is known: each use being a write would cost a commit a page.
const SEEN_STEP: Duration = Duration::from_secs(10 * 60);

/// A session in force.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    pub token_hash: [u8; 32],
    /// The last use was noted long enough ago to be noted anew (see [`Store::touch_session`]).
    pub stale: bool,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Making the first user.
    Setup,
    /// Signing a browser in (the demo).
    SignIn,
}

impl LinkPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::SignIn => "sign-in",
        }
    }
}

impl Store {
    /// Starts a session for a user whose password was found to be that of `verified_hash`. `false`: the password was
    /// changed meanwhile, and what was right is wrong.
    pub async fn start_session(
        &self,
        user: UserId,
        verified_hash: String,
        token_hash: [u8; 32],
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                let still = "SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2";
                if sql::first(write, still, [user.as_str(), &verified_hash], |_| Ok(()))?.is_none()
                {
                    return Ok(false);
                }
                start(write, &user, token_hash)?;
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
                    "SELECT users.*, seen_at FROM sessions JOIN users ON users.id = user_id
                    WHERE token_hash = ?1 AND seen_at > ?2 AND sessions.created_at > ?3";
                let limits = params![
                    token_hash,
                    now.minus(IDLE).millis(),
                    now.minus(WHOLE).millis()
                ];
                sql::first(c, statement, limits, |row| {
                    let stale = row.get::<_, i64>("seen_at")? < now.minus(SEEN_STEP).millis();
                    Ok(Session {
                        user: accounts::read(row)?,
                        token_hash,
                        stale,
                    })
                })
            })
            .await
    }

    /// Notes that a session is in use.
    pub async fn touch_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                let now = write.now.millis();
                sql::run(
                    write,
                    "UPDATE sessions SET seen_at = ?2 WHERE token_hash = ?1",
                    params![token_hash, now],
                )?;
                Ok(())
            })
            .await
    }

    pub async fn end_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                sql::run(
                    write,
                    "DELETE FROM sessions WHERE token_hash = ?1",
                    [token_hash],
                )?;
                write.changed(Change::Sessions);
                Ok(())
            })
            .await
    }

    /// Ends all sessions of a user; returns how many there were.
    pub async fn end_sessions(&self, user: UserId) -> Result<usize, StoreError> {
        self.writer
            .write(move |write| {
                write.changed(Change::Sessions);
                sql::run(
                    write,
                    "DELETE FROM sessions WHERE user_id = ?1",
                    [user.as_str()],
                )
            })
            .await
    }

    /// How many sessions of a user are in force.
    pub async fn count_sessions(&self, user: UserId, now: Timestamp) -> Result<usize, StoreError> {
        self.reader
            .read(move |c| {
                let statement =
                    "SELECT count(*) FROM sessions WHERE user_id = ?1 AND seen_at > ?2 AND created_at > ?3";
                let limits = params![user.as_str(), now.minus(IDLE).millis(), now.minus(WHOLE).millis()];
                Ok(sql::first(c, statement, limits, |row| row.get(0))?.unwrap_or(0))
            })
            .await
    }

    /// Makes the one link of its purpose that is in force from now on.
    pub async fn make_link(
        &self,
        purpose: LinkPurpose,
        user: Option<UserId>,
        token_hash: [u8; 32],
        lives: Duration,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                sql::run(write, "DELETE FROM one_time_links WHERE purpose = ?1", [purpose.as_str()])?;
                let expires_at = write.now.plus(lives).millis();
                sql::run(
                    write,
                    "INSERT INTO one_time_links (token_hash, purpose, user_id, expires_at) VALUES (?1, ?2, ?3, ?4)",
                    params![token_hash, purpose.as_str(), user.as_ref().map(UserId::as_str), expires_at],
                )?;
                Ok(())
            })
            .await
    }

    /// Whether a link could be used; looking spends nothing.
    pub async fn link_in_force(
        &self,
        purpose: LinkPurpose,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.reader
            .read(move |c| Ok(link(c, purpose, token_hash, now)?.is_some()))
            .await
    }

    /// Spends a setup link: makes the first user and a session for them, all or nothing.
    pub async fn set_up(
        &self,
        link_hash: [u8; 32],
        email: String,
        password_hash: String,
        session_hash: [u8; 32],
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                spend(write, LinkPurpose::Setup, link_hash)?;
                if accounts::count(write)? > 0 {
                    return Err(AccountStoreError::NotFirst);
                }
                let user = accounts::insert(write, &email, &password_hash, Role::Admin)?;
                start(write, &user.id, session_hash)?;
                Ok(user)
            })
            .await
    }

    /// Spends a sign-in link: starts a session for its user.
    pub async fn sign_in_by_link(
        &self,
        link_hash: [u8; 32],
        session_hash: [u8; 32],
    ) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = spend(write, LinkPurpose::SignIn, link_hash)?
                    .ok_or(AccountStoreError::LinkVoid)?;
                Ok(start(write, &user, session_hash)?)
            })
            .await
    }
}

fn start(write: &mut Write<'_>, user: &UserId, token_hash: [u8; 32]) -> Result<(), StoreError> {
    // The moment when one signs in is the moment to forget sessions that are over.
    let over = params![
        write.now.minus(IDLE).millis(),
        write.now.minus(WHOLE).millis()
    ];
    sql::run(
        write,
        "DELETE FROM sessions WHERE seen_at <= ?1 OR created_at <= ?2",
        over,
    )?;
    sql::run(
        write,
        "INSERT INTO sessions (token_hash, user_id, created_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
        params![token_hash, user.as_str(), write.now.millis()],
    )?;
    Ok(())
}

/// `Some` for a link in force, with the user that it is for.
fn link(
    connection: &Connection,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Option<UserId>>, StoreError> {
    let statement = "SELECT user_id FROM one_time_links WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3";
    sql::first(
        connection,
        statement,
        params![token_hash, purpose.as_str(), now.millis()],
        |row| Ok(row.get::<_, Option<String>>(0)?.map(UserId::new)),
    )
}

fn spend(
    write: &mut Write<'_>,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
) -> Result<Option<UserId>, AccountStoreError> {
    let user = link(write, purpose, token_hash, write.now)?.ok_or(AccountStoreError::LinkVoid)?;
    sql::run(
        write,
        "DELETE FROM one_time_links WHERE token_hash = ?1",
        [token_hash],
    )?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

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
                .start_session(user.id.clone(), "old".into(), [1; 32])
                .await
                .unwrap()
        );
        assert!(
            store
                .start_session(user.id, "new".into(), [2; 32])
                .await
                .unwrap()
        );
        let now = Clock::System.now();
        assert!(store.session([1; 32], now).await.unwrap().is_none());
        assert!(store.session([2; 32], now).await.unwrap().is_some());
    }
}
