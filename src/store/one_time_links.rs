//! One-time links: invitations and password resets. Setup links are in `setup_links`.
//!
//! Only a SHA-256 of each link's token is stored. Viewing a link doesn't consume it. The action of
//! a link runs in the transaction that consumes the link. Therefore, a link works only once, even
//! if two requests use it at the same time. A used or expired link is stored for at least 30 days
//! after its expiry, so that its page can explain why the link doesn't work.

use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Row, ToSql, params};

use super::Store;
use super::db::change_feed::ChangeKind::People;
use super::db::{error::StoreError, sql, writer::WriteTx};
use super::sessions::{self, NewSession};
use super::users::{self, UserError};
use crate::clock::Timestamp;
use crate::domain::account::{Role, User};
use crate::domain::email::normalize_email;
use crate::domain::id::{LinkId, UserId};

/// Minimum time for which a used or expired link is stored after its expiry.
const EXPIRED_LINK_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Creates the first user.
    Setup,
    /// Creates an account for an invited person.
    Invitation,
    /// Sets a new password.
    Reset,
}

impl ToSql for LinkPurpose {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Setup => "setup",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
        .into())
    }
}

/// The state of a link: `Valid`, or the reason the link doesn't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Valid,
    Used,
    Expired,
    /// No link has this token. The link was replaced, revoked, or deleted long after its expiry, or
    /// the token is incomplete.
    Unknown,
}

/// An invitation or a password reset link, without its token.
#[derive(Clone, Debug)]
pub struct OneTimeLink {
    pub id: LinkId,
    /// The email of the invited person, or of the user whose password is reset.
    pub email: String,
    pub role: Role,
    /// The user whose password is reset; `None` for an invitation.
    pub user: Option<UserId>,
    /// The email of the admin who created the link.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("this link has been used or has expired")]
    Invalid,
    #[error("only an admin can create this link")]
    NotAdmin,
    #[error(transparent)]
    User(UserError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<UserError> for LinkError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Store(error) => Self::Store(error),
            error => Self::User(error),
        }
    }
}

const SELECT_LINKS: &str =
    "SELECT links.id AS link_id, coalesce(links.email, users.email) AS link_email,
    coalesce(links.role, users.role) AS role, user_id, creators.email AS creator,
    links.created_at AS link_created_at, expires_at
    FROM one_time_links AS links LEFT JOIN users ON users.id = user_id
    LEFT JOIN users AS creators ON creators.id = links.created_by";

/// A link to be stored. `invited` contains the email and the role of an invited person.
pub(super) struct NewLink<'a> {
    pub purpose: LinkPurpose,
    pub user: Option<&'a UserId>,
    pub invited: Option<(&'a str, Role)>,
    pub created_by: Option<&'a UserId>,
    pub token_hash: [u8; 32],
    pub valid_for: Duration,
}

impl Store {
    /// Creates an invitation, and deletes an earlier invitation for the same email.
    pub async fn create_invitation(
        &self,
        email: String,
        role: Role,
        created_by: UserId,
        token_hash: [u8; 32],
        valid_for: Duration,
    ) -> Result<(), LinkError> {
        self.writer
            .write(move |tx| {
                ensure_is_admin(tx, &created_by)?;
                if users::find_user_by_email(tx, &email)?.is_some() {
                    return Err(UserError::EmailTaken(email).into());
                }
                let earlier = "DELETE FROM one_time_links WHERE normalized_email = ?1";
                sql::execute(tx, earlier, [normalize_email(&email)])?;
                let link = NewLink {
                    purpose: LinkPurpose::Invitation,
                    user: None,
                    invited: Some((&email, role)),
                    created_by: Some(&created_by),
                    token_hash,
                    valid_for,
                };
                Ok(insert_link(tx, &link)?)
            })
            .await
    }

    /// Creates a password reset link, and deletes an unused reset link for the same user. Returns
    /// the user.
    pub async fn create_reset_link(
        &self,
        user: UserId,
        created_by: UserId,
        token_hash: [u8; 32],
        valid_for: Duration,
    ) -> Result<User, LinkError> {
        self.writer
            .write(move |tx| {
                ensure_is_admin(tx, &created_by)?;
                let user = users::require_user_by_id(tx, &user)?;
                users::delete_reset_link(tx, &user.id)?;
                let link = NewLink {
                    purpose: LinkPurpose::Reset,
                    user: Some(&user.id),
                    invited: None,
                    created_by: Some(&created_by),
                    token_hash,
                    valid_for,
                };
                insert_link(tx, &link)?;
                Ok(user)
            })
            .await
    }

    /// Returns the active invitations and password reset links, oldest first.
    pub async fn active_links(&self, now: Timestamp) -> Result<Vec<OneTimeLink>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = format!(
                    "{SELECT_LINKS} WHERE purpose IN ('invitation', 'reset') AND expires_at > ?1
                     AND used_at IS NULL ORDER BY links.id"
                );
                sql::query_all(c, &statement, [now], link_from_row)
            })
            .await
    }

    /// Deletes an invitation or a password reset link. Returns `false` if there is no such link.
    pub async fn revoke_link(&self, id: LinkId) -> Result<bool, StoreError> {
        let statement = "DELETE FROM one_time_links
            WHERE id = ?1 AND purpose IN ('invitation', 'reset')";
        self.writer
            .write(move |tx| {
                tx.publish_change(People);
                Ok(sql::execute(tx, statement, [id])? > 0)
            })
            .await
    }

    /// Returns the state of a link, without consuming it.
    pub async fn link_state(
        &self,
        purpose: LinkPurpose,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<LinkState, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT used_at IS NOT NULL, expires_at <= ?3 FROM one_time_links
                    WHERE token_hash = ?1 AND purpose = ?2";
                let values = params![token_hash, purpose, now];
                let found = sql::query_optional(c, statement, values, |row| row.try_into())?;
                Ok::<_, StoreError>(match found {
                    Some((true, _)) => LinkState::Used,
                    Some((false, true)) => LinkState::Expired,
                    Some((false, false)) => LinkState::Valid,
                    None => LinkState::Unknown,
                })
            })
            .await
    }

    /// Returns an invitation or a password reset link if it is valid, without consuming it.
    pub async fn valid_link(
        &self,
        purpose: LinkPurpose,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<OneTimeLink>, StoreError> {
        self.reader
            .read(move |c| find_valid_link(c, purpose, token_hash, now))
            .await
    }

    /// Consumes an invitation: creates the user and starts their session.
    pub async fn accept_invitation(
        &self,
        link_hash: [u8; 32],
        password_hash: String,
        session: NewSession,
    ) -> Result<User, LinkError> {
        self.writer
            .write(move |tx| {
                let purpose = LinkPurpose::Invitation;
                let invitation =
                    find_valid_link(tx, purpose, link_hash, tx.now)?.ok_or(LinkError::Invalid)?;
                consume_link(tx, purpose, link_hash)?;
                let user =
                    users::insert_user(tx, &invitation.email, &password_hash, invitation.role)?;
                sessions::insert_session(tx, &user.id, &session)?;
                Ok(user)
            })
            .await
    }

    /// Consumes a password reset link: stores the password, ends all sessions of the user, and
    /// starts a new session.
    pub async fn reset_password(
        &self,
        link_hash: [u8; 32],
        password_hash: String,
        session: NewSession,
    ) -> Result<(), LinkError> {
        self.writer
            .write(move |tx| {
                let user =
                    consume_link(tx, LinkPurpose::Reset, link_hash)?.ok_or(LinkError::Invalid)?;
                users::store_password(tx, &user, &password_hash, None)?;
                Ok(sessions::insert_session(tx, &user, &session)?)
            })
            .await
    }
}

/// Fails unless the user is still an admin, because a deleted or demoted admin must not create
/// links.
fn ensure_is_admin(connection: &Connection, user: &UserId) -> Result<(), LinkError> {
    match users::require_user_by_id(connection, user) {
        Ok(user) if user.role == Role::Admin => Ok(()),
        Ok(_) | Err(UserError::NotFound(_)) => Err(LinkError::NotAdmin),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn insert_link(tx: &mut WriteTx<'_>, link: &NewLink<'_>) -> Result<(), StoreError> {
    // Delete links that expired long ago whenever a link is created.
    let expired = "DELETE FROM one_time_links WHERE expires_at <= ?1";
    sql::execute(tx, expired, [tx.expiry_cutoff(EXPIRED_LINK_RETENTION)])?;
    let id: LinkId = tx.next_id();
    sql::execute(
        tx,
        "INSERT INTO one_time_links (token_hash, id, purpose, user_id, email, normalized_email,
         role, created_by, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            link.token_hash,
            id,
            link.purpose,
            link.user,
            link.invited.map(|(email, _)| email),
            link.invited.map(|(email, _)| normalize_email(email)),
            link.invited.map(|(_, role)| role),
            link.created_by,
            tx.now,
            tx.now.plus(link.valid_for)
        ],
    )?;
    tx.publish_change(People);
    Ok(())
}

/// Returns the user of a valid link: `None` for an invalid link, `Some(None)` for a valid link
/// without a user.
fn find_link_user(
    connection: &Connection,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Option<UserId>>, StoreError> {
    let statement = "SELECT user_id FROM one_time_links
        WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3 AND used_at IS NULL";
    let values = params![token_hash, purpose, now];
    sql::query_optional(connection, statement, values, |row| row.get(0))
}

fn find_valid_link(
    connection: &Connection,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<OneTimeLink>, StoreError> {
    let statement = format!(
        "{SELECT_LINKS} WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3
         AND used_at IS NULL"
    );
    let values = params![token_hash, purpose, now];
    sql::query_optional(connection, &statement, values, link_from_row)
}

/// Marks a link as used, and removes the email and the role of an invited person. Returns the
/// link's user. Fails with [`LinkError::Invalid`] if the link isn't valid.
pub(super) fn consume_link(
    tx: &mut WriteTx<'_>,
    purpose: LinkPurpose,
    token_hash: [u8; 32],
) -> Result<Option<UserId>, LinkError> {
    let user = find_link_user(tx, purpose, token_hash, tx.now)?.ok_or(LinkError::Invalid)?;
    let statement = "UPDATE one_time_links
        SET used_at = ?2, email = NULL, normalized_email = NULL, role = NULL WHERE token_hash = ?1";
    sql::execute(tx, statement, params![token_hash, tx.now])?;
    Ok(user)
}

fn link_from_row(row: &Row<'_>) -> rusqlite::Result<OneTimeLink> {
    Ok(OneTimeLink {
        id: row.get("link_id")?,
        email: row.get("link_email")?,
        role: row.get("role")?,
        user: row.get("user_id")?,
        created_by: row.get("creator")?,
        created_at: row.get("link_created_at")?,
        expires_at: row.get("expires_at")?,
    })
}
