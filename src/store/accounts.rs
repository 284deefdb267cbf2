//! Users.

use rusqlite::{Connection, Row, params};

use super::changes::Change;
use super::error::StoreError;
use super::writer::Write;
use super::{Store, sql};
use crate::clock::Timestamp;
use crate::domain::account::{Role, User, email_key};
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
    LinkVoid,
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
            .read(|c| sql::all(c, "SELECT * FROM users ORDER BY id", [], read))
            .await
    }

    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.reader.read(|c| Ok(count(c)? > 0)).await
    }

    /// The user with this address, and the hash of their password.
    pub async fn user_with_hash(&self, email: &str) -> Result<Option<(User, String)>, StoreError> {
        let key = email_key(email);
        self.reader
            .read(move |c| {
                sql::first(
                    c,
                    "SELECT * FROM users WHERE email_key = ?1",
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
                sql::run(
                    write,
                    "UPDATE users SET password_hash = ?2 WHERE id = ?1",
                    params![user.id.as_str(), password_hash],
                )?;
                let others = "DELETE FROM sessions WHERE user_id = ?1 AND token_hash IS NOT ?2";
                sql::run(write, others, params![user.id.as_str(), keep])?;
                write.changed(Change::Sessions);
                Ok(())
            })
            .await
    }

    /// Removes a user with their sessions and tokens; the last admin stays.
    pub async fn remove_user(&self, email: String) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = by_email(write, &email)?;
                let admins = "SELECT count(*) FROM users WHERE role = 'admin'";
                let admins: i64 = sql::first(write, admins, [], |row| row.get(0))?.unwrap_or(0);
                if user.role == Role::Admin && admins == 1 {
                    return Err(AccountStoreError::LastAdmin(user.email));
                }
                sql::run(write, "DELETE FROM users WHERE id = ?1", [user.id.as_str()])?;
                write.changed(Change::Sessions);
                Ok(())
            })
            .await
    }
}

fn by_email(connection: &Connection, email: &str) -> Result<User, AccountStoreError> {
    find_by_email(connection, email)?.ok_or_else(|| AccountStoreError::Unknown(email.to_owned()))
}

pub(super) fn find_by_email(
    connection: &Connection,
    email: &str,
) -> Result<Option<User>, StoreError> {
    sql::first(
        connection,
        "SELECT * FROM users WHERE email_key = ?1",
        [email_key(email)],
        read,
    )
}

pub(super) fn count(connection: &Connection) -> Result<i64, StoreError> {
    Ok(
        sql::first(connection, "SELECT count(*) FROM users", [], |row| {
            row.get(0)
        })?
        .unwrap_or(0),
    )
}

pub(super) fn insert(
    write: &mut Write<'_>,
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
    };
    sql::run(
        write,
        "INSERT INTO users (id, email, email_key, password_hash, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            user.id.as_str(),
            user.email,
            email_key(&user.email),
            password_hash,
            role.as_str(),
            user.created_at.millis()
        ],
    )?;
    Ok(user)
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId::new(row.get::<_, String>("id")?),
        email: row.get("email")?,
        role: sql::named(row, "role", |text| text.parse().ok())?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}
