//! Users, their roles, and their passwords.

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::precondition::{ChangeError, Precondition};
use crate::domain::account::{Role, User};
use crate::domain::email::normalize_email;
use crate::domain::id::UserId;

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("{0} already has an account")]
    EmailTaken(String),
    #[error("no account has the email {0}")]
    NotFound(String),
    #[error("{0} is the only admin; add another admin first")]
    LastAdmin(String),
    #[error("the first user already exists")]
    AlreadySetUp,
    #[error("somebody else has changed this user")]
    Changed(Box<User>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError<User>> for UserError {
    fn from(error: ChangeError<User>) -> Self {
        match error {
            ChangeError::Changed(stored) => Self::Changed(stored),
            ChangeError::Store(error) => Self::Store(error),
        }
    }
}

impl Store {
    pub async fn add_user(
        &self,
        email: String,
        password_hash: String,
        role: Role,
    ) -> Result<User, UserError> {
        self.writer
            .write(move |tx| insert_user(tx, &email, &password_hash, role))
            .await
    }

    /// Adds the first user, an admin. Fails with [`UserError::AlreadySetUp`] if a user exists.
    pub async fn add_first_user(
        &self,
        email: String,
        password_hash: String,
    ) -> Result<User, UserError> {
        self.writer
            .write(move |tx| insert_first_user(tx, &email, &password_hash))
            .await
    }

    /// Returns all users, oldest first.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.reader
            .read(|c| sql::query_all(c, "SELECT * FROM users ORDER BY id", [], user_from_row))
            .await
    }

    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.reader.read(has_users).await
    }

    /// Returns the user with this email, and the user's password hash.
    pub async fn user_with_password_hash(
        &self,
        email: &str,
    ) -> Result<Option<(User, String)>, StoreError> {
        let email = normalize_email(email);
        let found = self
            .reader
            .read(move |c| {
                let statement = "SELECT * FROM users WHERE normalized_email = ?1";
                sql::query_optional(c, statement, [email], |row| {
                    Ok((user_from_row(row)?, row.get("password_hash")?))
                })
            })
            .await?;
        self.health.verify_missing_row(found)
    }

    /// Sets a password and ends the user's sessions, except the session with the token hash `keep`.
    pub async fn set_password(
        &self,
        email: String,
        password_hash: String,
        keep: Option<[u8; 32]>,
    ) -> Result<(), UserError> {
        self.writer
            .write(move |tx| {
                let user = require_user_by_email(tx, &email)?;
                Ok(store_password(tx, &user.id, &password_hash, keep)?)
            })
            .await
    }

    /// Deletes a user with their sessions, their API tokens, and the one-time links for them or
    /// created by them. The only admin can't be deleted.
    pub async fn delete_user(&self, email: String) -> Result<User, UserError> {
        self.writer
            .write(move |tx| {
                let user = require_user_by_email(tx, &email)?;
                delete_unless_last_admin(tx, &user)?;
                Ok(user)
            })
            .await
    }

    /// Like [`delete_user`](Self::delete_user), by id.
    pub async fn delete_user_by_id(&self, id: UserId) -> Result<User, UserError> {
        self.writer
            .write(move |tx| {
                let user = require_user_by_id(tx, &id)?;
                delete_unless_last_admin(tx, &user)?;
                Ok(user)
            })
            .await
    }

    /// Changes a user's role. A new role ends the user's sessions. The only admin can't be demoted.
    pub async fn set_role(
        &self,
        id: UserId,
        role: Role,
        mut precondition: Precondition<User>,
    ) -> Result<User, UserError> {
        self.writer
            .write(move |tx| {
                let user = require_user_by_id(tx, &id)?;
                precondition.check(&user)?;
                if user.role == role {
                    return Ok(user);
                }
                if user.role == Role::Admin {
                    ensure_admin_remains(tx, &user)?;
                    // Delete the links that the user created as an admin.
                    let links = "DELETE FROM one_time_links WHERE created_by = ?1";
                    sql::execute(tx, links, [&id])?;
                }
                let statement = "UPDATE users SET role = ?2 WHERE id = ?1";
                sql::execute(tx, statement, params![id, role])?;
                tx.publish_change(ChangeKind::People);
                end_sessions_except(tx, &id, None)?;
                Ok(User { role, ..user })
            })
            .await
    }
}

/// Stores a new password. Ends the user's sessions, except the session with the token hash `keep`,
/// and deletes the user's unused reset link.
pub(super) fn store_password(
    tx: &mut WriteTx<'_>,
    user: &UserId,
    password_hash: &str,
    keep: Option<[u8; 32]>,
) -> Result<(), StoreError> {
    let update = "UPDATE users SET password_hash = ?2 WHERE id = ?1";
    sql::execute(tx, update, params![user, password_hash])?;
    delete_reset_link(tx, user)?;
    tx.publish_change(ChangeKind::People);
    end_sessions_except(tx, user, keep)?;
    Ok(())
}

/// Deletes the unused password reset link of a user.
pub(super) fn delete_reset_link(tx: &WriteTx<'_>, user: &UserId) -> Result<(), StoreError> {
    let unused = "DELETE FROM one_time_links
        WHERE purpose = 'reset' AND user_id = ?1 AND used_at IS NULL";
    sql::execute(tx, unused, [user])?;
    Ok(())
}

/// Ends the sessions of a user, except the session with the token hash `keep`. Returns the number
/// of ended sessions.
pub(super) fn end_sessions_except(
    tx: &mut WriteTx<'_>,
    user: &UserId,
    keep: Option<[u8; 32]>,
) -> Result<usize, StoreError> {
    tx.publish_change(ChangeKind::Sessions);
    let others = "DELETE FROM sessions WHERE user_id = ?1 AND token_hash IS NOT ?2";
    sql::execute(tx, others, params![user, keep])
}

/// Updates the time when the user was last seen.
pub(super) fn touch_user(tx: &WriteTx<'_>, user: &UserId) -> Result<(), StoreError> {
    let statement = "UPDATE users SET last_seen_at = ?2 WHERE id = ?1";
    sql::execute(tx, statement, params![user, tx.now])?;
    Ok(())
}

fn delete_unless_last_admin(tx: &mut WriteTx<'_>, user: &User) -> Result<(), UserError> {
    if user.role == Role::Admin {
        ensure_admin_remains(tx, user)?;
    }
    sql::execute(tx, "DELETE FROM users WHERE id = ?1", [&user.id])?;
    tx.publish_change(ChangeKind::People);
    tx.publish_change(ChangeKind::Sessions);
    Ok(())
}

/// Fails with [`UserError::LastAdmin`] if `admin` is the only admin.
fn ensure_admin_remains(tx: &WriteTx<'_>, admin: &User) -> Result<(), UserError> {
    let others = "SELECT 1 FROM users WHERE role = 'admin' AND id <> ?1";
    if sql::exists(tx, others, [&admin.id])? {
        Ok(())
    } else {
        Err(UserError::LastAdmin(admin.email.clone()))
    }
}

pub(super) fn require_user_by_id(connection: &Connection, id: &UserId) -> Result<User, UserError> {
    let statement = "SELECT * FROM users WHERE id = ?1";
    sql::query_optional(connection, statement, [id], user_from_row)?
        .ok_or_else(|| UserError::NotFound(id.to_string()))
}

pub(super) fn require_user_by_email(
    connection: &Connection,
    email: &str,
) -> Result<User, UserError> {
    find_user_by_email(connection, email)?.ok_or_else(|| UserError::NotFound(email.to_owned()))
}

pub(super) fn find_user_by_email(
    connection: &Connection,
    email: &str,
) -> Result<Option<User>, StoreError> {
    let statement = "SELECT * FROM users WHERE normalized_email = ?1";
    sql::query_optional(
        connection,
        statement,
        [normalize_email(email)],
        user_from_row,
    )
}

pub(super) fn has_users(connection: &Connection) -> Result<bool, StoreError> {
    sql::exists(connection, "SELECT 1 FROM users", [])
}

/// Adds the first user, an admin. Fails with [`UserError::AlreadySetUp`] if a user exists.
pub(super) fn insert_first_user(
    tx: &mut WriteTx<'_>,
    email: &str,
    password_hash: &str,
) -> Result<User, UserError> {
    if has_users(tx)? {
        return Err(UserError::AlreadySetUp);
    }
    insert_user(tx, email, password_hash, Role::Admin)
}

pub(super) fn insert_user(
    tx: &mut WriteTx<'_>,
    email: &str,
    password_hash: &str,
    role: Role,
) -> Result<User, UserError> {
    let email = email.trim().to_owned();
    if find_user_by_email(tx, &email)?.is_some() {
        return Err(UserError::EmailTaken(email));
    }
    let user = User {
        id: tx.next_id(),
        email,
        role,
        created_at: tx.now,
        last_seen_at: None,
    };
    let normalized_email = normalize_email(&user.email);
    sql::execute(
        tx,
        "INSERT INTO users (id, email, normalized_email, password_hash, role, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            user.id,
            user.email,
            normalized_email,
            password_hash,
            role,
            user.created_at
        ],
    )?;
    // The account exists now, so delete its invitation.
    let invitation = "DELETE FROM one_time_links WHERE normalized_email = ?1";
    sql::execute(tx, invitation, [normalized_email])?;
    tx.publish_change(ChangeKind::People);
    Ok(user)
}

pub(super) fn user_from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        email: row.get("email")?,
        role: row.get("role")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
    })
}
