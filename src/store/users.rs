//! Users.

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use crate::clock::Timestamp;
use crate::domain::account::{Role, User, normalize_email};
use crate::domain::id::UserId;

#[derive(Debug, thiserror::Error)]
pub enum AccountStoreError {
    #[error("{0} has an account already")]
    Exists(String),
    #[error("no account has the address {0}")]
    Unknown(String),
    #[error("{0} is the last admin, and stays: make another one first (miniback user add)")]
    LastAdmin(String),
    #[error("this installation has its first user already")]
    NotFirst,
    #[error("this address has been used, or is too old")]
    InvalidLink,
    #[error("only an admin may do this")]
    NotAdmin,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    pub async fn add_user(
        &self,
        email: String,
        password_hash: String,
        role: Role,
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| insert(write, &email, &password_hash, role))
            .await
    }

    /// Makes the first user, an admin, if there is none yet.
    pub async fn add_first_user(
        &self,
        email: String,
        password_hash: String,
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                if count(write)? > 0 {
                    return Err(AccountStoreError::NotFirst);
                }
                insert(write, &email, &password_hash, Role::Admin)
            })
            .await
    }

    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.reader
            .read(|c| sql::query_all(c, "SELECT * FROM users ORDER BY id", [], read))
            .await
    }

    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.reader.read(|c| Ok(count(c)? > 0)).await
    }

    /// The user with this address, and the hash of their password.
    pub async fn user_with_password_hash(
        &self,
        email: &str,
    ) -> Result<Option<(User, String)>, StoreError> {
        let key = normalize_email(email);
        self.reader
            .read(move |c| {
                sql::query_optional(
                    c,
                    "SELECT * FROM users WHERE normalized_email = ?1",
                    [key],
                    |row| Ok((read(row)?, row.get("password_hash")?)),
                )
            })
            .await
    }

    /// Sets a password, and ends all sessions of that user but `keep`.
    pub async fn set_password(
        &self,
        email: String,
        password_hash: String,
        keep: Option<[u8; 32]>,
    ) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = by_email(write, &email)?;
                Ok(store_password(write, &user.id, &password_hash, keep)?)
            })
            .await
    }

    /// Removes a user with their sessions, tokens and the links that they made; the last admin stays.
    pub async fn delete_user(&self, email: String) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = by_email(write, &email)?;
                delete(write, &user)
            })
            .await
    }

    /// The same, by the id. Who is gone already is told by [`AccountStoreError::Unknown`].
    pub async fn delete_user_by_id(&self, id: UserId) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = by_id(write, &id)?;
                delete(write, &user)?;
                Ok(user)
            })
            .await
    }

    /// Gives a user a role; another one than before ends their sessions. The last admin stays one.
    pub async fn set_role(&self, id: UserId, role: Role) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = by_id(write, &id)?;
                if user.role == role {
                    return Ok(user);
                }
                if user.role == Role::Admin {
                    ensure_admin_remains(write, &user)?;
                    // What they made as an admin must not outlive that.
                    let made = "DELETE FROM one_time_links WHERE created_by = ?1";
                    sql::execute(write, made, [id.as_str()])?;
                }
                sql::execute(
                    write,
                    "UPDATE users SET role = ?2 WHERE id = ?1",
                    [id.as_str(), role.as_str()],
                )?;
                end_sessions(write, &id, None)?;
                Ok(User { role, ..user })
            })
            .await
    }
}

/// Puts a new password in place: all sessions but `keep` end, and a link that sets another one is void.
pub(super) fn store_password(
    write: &mut WriteTx<'_>,
    user: &UserId,
    password_hash: &str,
    keep: Option<[u8; 32]>,
) -> Result<(), StoreError> {
    sql::execute(
        write,
        "UPDATE users SET password_hash = ?2 WHERE id = ?1",
        [user.as_str(), password_hash],
    )?;
    sql::execute(
        write,
        "DELETE FROM one_time_links WHERE purpose = 'reset' AND user_id = ?1",
        [user.as_str()],
    )?;
    end_sessions(write, user, keep)?;
    Ok(())
}

/// Ends all sessions of a user but `keep`.
pub(super) fn end_sessions(
    write: &mut WriteTx<'_>,
    user: &UserId,
    keep: Option<[u8; 32]>,
) -> Result<usize, StoreError> {
    write.publish_change(ChangeKind::Sessions);
    let others = "DELETE FROM sessions WHERE user_id = ?1 AND token_hash IS NOT ?2";
    sql::execute(write, others, params![user.as_str(), keep])
}

/// Notes that a user is at a page now.
pub(super) fn touch_user(write: &WriteTx<'_>, user: &UserId) -> Result<(), StoreError> {
    let statement = "UPDATE users SET last_seen_at = ?2 WHERE id = ?1";
    sql::execute(write, statement, params![user.as_str(), write.now.millis()])?;
    Ok(())
}

fn delete(write: &mut WriteTx<'_>, user: &User) -> Result<(), AccountStoreError> {
    if user.role == Role::Admin {
        ensure_admin_remains(write, user)?;
    }
    sql::execute(write, "DELETE FROM users WHERE id = ?1", [user.id.as_str()])?;
    write.publish_change(ChangeKind::Sessions);
    Ok(())
}

/// Fails if there is no admin but this one.
fn ensure_admin_remains(write: &WriteTx<'_>, admin: &User) -> Result<(), AccountStoreError> {
    let others = "SELECT 1 FROM users WHERE role = 'admin' AND id <> ?1";
    match sql::query_optional(write, others, [admin.id.as_str()], |_| Ok(()))? {
        Some(()) => Ok(()),
        None => Err(AccountStoreError::LastAdmin(admin.email.clone())),
    }
}

pub(super) fn by_id(connection: &Connection, id: &UserId) -> Result<User, AccountStoreError> {
    let statement = "SELECT * FROM users WHERE id = ?1";
    sql::query_optional(connection, statement, [id.as_str()], read)?
        .ok_or_else(|| AccountStoreError::Unknown(id.to_string()))
}

fn by_email(connection: &Connection, email: &str) -> Result<User, AccountStoreError> {
    find_by_email(connection, email)?.ok_or_else(|| AccountStoreError::Unknown(email.to_owned()))
}

pub(super) fn find_by_email(
    connection: &Connection,
    email: &str,
) -> Result<Option<User>, StoreError> {
    sql::query_optional(
        connection,
        "SELECT * FROM users WHERE normalized_email = ?1",
        [normalize_email(email)],
        read,
    )
}

pub(super) fn count(connection: &Connection) -> Result<i64, StoreError> {
    Ok(
        sql::query_optional(connection, "SELECT count(*) FROM users", [], |row| {
            row.get(0)
        })?
        .unwrap_or(0),
    )
}

pub(super) fn insert(
    write: &mut WriteTx<'_>,
    email: &str,
    password_hash: &str,
    role: Role,
) -> Result<User, AccountStoreError> {
    let email = email.trim().to_owned();
    if find_by_email(write, &email)?.is_some() {
        return Err(AccountStoreError::Exists(email));
    }
    let user = User {
        id: write.next_id(),
        email,
        role,
        created_at: write.now,
        last_seen_at: None,
    };
    sql::execute(
        write,
        "INSERT INTO users (id, email, normalized_email, password_hash, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            user.id.as_str(),
            user.email,
            normalize_email(&user.email),
            password_hash,
            role.as_str(),
            user.created_at.millis()
        ],
    )?;
    // However the account came about, nobody needs the invitation any more.
    sql::execute(
        write,
        "DELETE FROM one_time_links WHERE normalized_email = ?1",
        [normalize_email(&user.email)],
    )?;
    Ok(user)
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId::new(row.get::<_, String>("id")?),
        email: row.get("email")?,
        role: sql::parse_column(row, "role", |text| text.parse().ok())?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        last_seen_at: row
            .get::<_, Option<i64>>("last_seen_at")?
            .map(Timestamp::from_millis),
    })
}
