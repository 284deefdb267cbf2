//! Setup links, which create the first user. They are one-time links.

use std::time::Duration;

use super::Store;
use super::db::sql;
use super::one_time_links::{LinkError, LinkPurpose, NewLink, consume_link, insert_link};
use super::sessions::{self, NewSession};
use super::users::{self, UserError};
use crate::domain::account::User;

impl Store {
    /// Creates a setup link, and deletes earlier setup links. Fails with
    /// [`UserError::AlreadySetUp`] if a user exists.
    pub async fn create_setup_link(
        &self,
        token_hash: [u8; 32],
        valid_for: Duration,
    ) -> Result<(), UserError> {
        self.writer
            .write(move |tx| {
                if users::has_users(tx)? {
                    return Err(UserError::AlreadySetUp);
                }
                let earlier = "DELETE FROM one_time_links WHERE purpose = ?1";
                sql::execute(tx, earlier, [LinkPurpose::Setup])?;
                let link = NewLink {
                    purpose: LinkPurpose::Setup,
                    user: None,
                    invited: None,
                    created_by: None,
                    token_hash,
                    valid_for,
                };
                Ok(insert_link(tx, &link)?)
            })
            .await
    }

    /// Consumes a setup link: creates the first user and starts their session.
    pub async fn set_up_with_link(
        &self,
        link_hash: [u8; 32],
        email: String,
        password_hash: String,
        session: NewSession,
    ) -> Result<User, LinkError> {
        self.writer
            .write(move |tx| {
                consume_link(tx, LinkPurpose::Setup, link_hash)?;
                let user = users::insert_first_user(tx, &email, &password_hash)?;
                sessions::insert_session(tx, &user.id, &session)?;
                Ok(user)
            })
            .await
    }
}
