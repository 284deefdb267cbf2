//! One-time links: the first user's setup, the demo's sign-in, an invitation, a new password.
//!
//! Of each only a SHA-256 is stored. Looking at one spends nothing; what it is for happens in the transaction that
//! spends it, so of two who use one at once the second finds it void.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::sessions::{self, NewSession};
use super::users::{self, AccountStoreError};
use crate::clock::Timestamp;
use crate::domain::account::{Role, User, normalize_email};
use crate::domain::id::{LinkId, UserId};

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Making the first user.
    Setup,
    /// Signing a browser in (the demo).
    SignIn,
    /// Making an account for who is invited.
    Invitation,
    /// Setting another password.
    Reset,
}

impl LinkPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::SignIn => "sign-in",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }
}

/// An invitation, or a link for a new password, without what opens it.
#[derive(Clone, Debug)]
pub struct OneTimeLink {
    pub id: LinkId,
    /// Who is invited, or whose password it is.
    pub email: String,
    pub role: Role,
    /// `None`: an invitation.
    pub user: Option<UserId>,
    /// The e-mail address of the admin who made it.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT links.id AS link_id, coalesce(links.email, users.email) AS address,
    coalesce(links.role, users.role) AS role, user_id, makers.email AS maker,
    links.created_at AS link_created_at, expires_at
    FROM one_time_links AS links LEFT JOIN users ON users.id = user_id LEFT JOIN users AS makers ON makers.id = links.created_by";

impl Store {
    /// Makes the one link of its purpose that is in force from now on.
    pub async fn create_link(
        &self,
        purpose: LinkPurpose,
        user: Option<UserId>,
        token_hash: [u8; 32],
        lives: Duration,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |write| {
                sql::execute(
                    write,
                    "DELETE FROM one_time_links WHERE purpose = ?1",
                    [purpose.as_str()],
                )?;
                insert(write, purpose, user.as_ref(), None, None, token_hash, lives)
            })
            .await
    }

    /// Invites somebody who has no account yet. An invitation of the same address before this one is void.
    pub async fn invite(
        &self,
        email: String,
        role: Role,
        by: UserId,
        token_hash: [u8; 32],
        lives: Duration,
    ) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                ensure_is_admin(write, &by)?;
                if users::find_by_email(write, &email)?.is_some() {
                    return Err(AccountStoreError::Exists(email));
                }
                let before = "DELETE FROM one_time_links WHERE normalized_email = ?1";
                sql::execute(write, before, [normalize_email(&email)])?;
                let invited = Some((email.as_str(), role));
                let purpose = LinkPurpose::Invitation;
                insert(write, purpose, None, invited, Some(&by), token_hash, lives)?;
                Ok(())
            })
            .await
    }

    /// Makes a link by which a user sets another password; one made before is void.
    pub async fn create_reset_link(
        &self,
        user: UserId,
        by: UserId,
        token_hash: [u8; 32],
        lives: Duration,
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                ensure_is_admin(write, &by)?;
                let user = users::by_id(write, &user)?;
                let before = "DELETE FROM one_time_links WHERE purpose = 'reset' AND user_id = ?1";
                sql::execute(write, before, [user.id.as_str()])?;
                let purpose = LinkPurpose::Reset;
                insert(
                    write,
                    purpose,
                    Some(&user.id),
                    None,
                    Some(&by),
                    token_hash,
                    lives,
                )?;
                Ok(user)
            })
            .await
    }

    /// The invitations and the links for new passwords that are in force, the oldest first.
    pub async fn active_links(&self, now: Timestamp) -> Result<Vec<OneTimeLink>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = format!(
                    "{SELECT} WHERE purpose IN ('invitation', 'reset') AND expires_at > ?1 ORDER BY links.id"
                );
                sql::query_all(c, &statement, [now.millis()], read)
            })
            .await
    }

    /// Makes an invitation or a link for a new password void. `false`: there is no such link.
    pub async fn revoke_link(&self, id: LinkId) -> Result<bool, StoreError> {
        self.writer
            .write(move |write| {
                let statement = "DELETE FROM one_time_links WHERE id = ?1 AND purpose IN ('invitation', 'reset')";
                Ok(sql::execute(write, statement, [id.as_str()])? > 0)
            })
            .await
    }

    /// Whether a link could be used; looking spends nothing.
    pub async fn is_link_valid(
        &self,
        purpose: LinkPurpose,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.reader
            .read(move |c| Ok(link(c, purpose, token_hash, now)?.is_some()))
            .await
    }

    /// An invitation or a link for a new password, if it could be used.
    pub async fn valid_link(
        &self,
        purpose: LinkPurpose,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<OneTimeLink>, StoreError> {
        self.reader
            .read(move |c| valid_link(c, purpose, token_hash, now))
            .await
    }

    /// Spends a setup link: makes the first user and a session for them, all or nothing.
    pub async fn set_up(
        &self,
        link_hash: [u8; 32],
        email: String,
        password_hash: String,
        session: NewSession,
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                consume(write, LinkPurpose::Setup, link_hash)?;
                if users::count(write)? > 0 {
                    return Err(AccountStoreError::NotFirst);
                }
                let user = users::insert(write, &email, &password_hash, Role::Admin)?;
                sessions::start(write, &user.id, &session)?;
                Ok(user)
            })
            .await
    }

    /// Spends a sign-in link: starts a session for its user.
    pub async fn sign_in_with_link(
        &self,
        link_hash: [u8; 32],
        session: NewSession,
    ) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = consume(write, LinkPurpose::SignIn, link_hash)?
                    .ok_or(AccountStoreError::InvalidLink)?;
                Ok(sessions::start(write, &user, &session)?)
            })
            .await
    }

    /// Spends an invitation: makes the user, and a session for them.
    pub async fn accept_invitation(
        &self,
        link_hash: [u8; 32],
        password_hash: String,
        session: NewSession,
    ) -> Result<User, AccountStoreError> {
        self.writer
            .write(move |write| {
                let invited = valid_link(write, LinkPurpose::Invitation, link_hash, write.now)?
                    .ok_or(AccountStoreError::InvalidLink)?;
                consume(write, LinkPurpose::Invitation, link_hash)?;
                let user = users::insert(write, &invited.email, &password_hash, invited.role)?;
                sessions::start(write, &user.id, &session)?;
                Ok(user)
            })
            .await
    }

    /// Spends a link for a new password: puts it in place, ends all sessions, and starts one.
    pub async fn reset_password(
        &self,
        link_hash: [u8; 32],
        password_hash: String,
        session: NewSession,
    ) -> Result<(), AccountStoreError> {
        self.writer
            .write(move |write| {
                let user = consume(write, LinkPurpose::Reset, link_hash)?
                    .ok_or(AccountStoreError::InvalidLink)?;
                users::store_password(write, &user, &password_hash, None)?;
                Ok(sessions::start(write, &user, &session)?)
            })
            .await
    }
}

/// Who is removed or made a member at this moment must not leave a way back in.
fn ensure_is_admin(connection: &Connection, by: &UserId) -> Result<(), AccountStoreError> {
    match users::by_id(connection, by) {
        Ok(user) if user.role == Role::Admin => Ok(()),
        Ok(_) | Err(AccountStoreError::Unknown(_)) => Err(AccountStoreError::NotAdmin),
        Err(error) => Err(error),
    }
}

fn insert(
    write: &mut WriteTx<'_>,
    purpose: LinkPurpose,
    user: Option<&UserId>,
    invited: Option<(&str, Role)>,
    created_by: Option<&UserId>,
    token_hash: [u8; 32],
    lives: Duration,
) -> Result<(), StoreError> {
    // The moment when one is made is the moment to forget those that are over.
    let over = "DELETE FROM one_time_links WHERE expires_at <= ?1";
    sql::execute(write, over, [write.now.millis()])?;
    let id: LinkId = write.next_id();
    sql::execute(
        write,
        "INSERT INTO one_time_links (token_hash, id, purpose, user_id, email, normalized_email, role, created_by, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            token_hash,
            id.as_str(),
            purpose.as_str(),
            user.map(UserId::as_str),
            invited.map(|(email, _)| email),
            invited.map(|(email, _)| normalize_email(email)),
            invited.map(|(_, role)| role.as_str()),
            created_by.map(UserId::as_str),
            write.now.millis(),
            write.now.plus(lives).millis()
        ],
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
    sql::query_optional(
        connection,
        statement,
        params![token_hash, purpose.as_str(), now.millis()],
        |row| Ok(row.get::<_, Option<String>>(0)?.map(UserId::new)),
    )
}

fn valid_link(
    connection: &Connection,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<OneTimeLink>, StoreError> {
    let statement = format!("{SELECT} WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3");
    let values = params![token_hash, purpose.as_str(), now.millis()];
    sql::query_optional(connection, &statement, values, read)
}

fn consume(
    write: &mut WriteTx<'_>,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
) -> Result<Option<UserId>, AccountStoreError> {
    let user =
        link(write, purpose, token_hash, write.now)?.ok_or(AccountStoreError::InvalidLink)?;
    sql::execute(
        write,
        "DELETE FROM one_time_links WHERE token_hash = ?1",
        [token_hash],
    )?;
    Ok(user)
}

fn read(row: &Row<'_>) -> rusqlite::Result<OneTimeLink> {
    Ok(OneTimeLink {
        id: LinkId::new(row.get::<_, String>("link_id")?),
        email: row.get("address")?,
        role: sql::parse_column(row, "role", |text| text.parse().ok())?,
        user: row.get::<_, Option<String>>("user_id")?.map(UserId::new),
        created_by: row.get("maker")?,
        created_at: Timestamp::from_millis(row.get("link_created_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}
