//! Creates the first user, or the one-time setup URL for creating the first user.

use std::time::Duration;

use super::StartError;
use crate::config::FirstUser;
use crate::domain::password;
use crate::server::urls::Urls;
use crate::server::{security_events, tokens};
use crate::store::{Store, UserError};

/// The lifetime of a setup link.
const SETUP_LINK_LIFETIME: Duration = Duration::from_secs(3600);

/// If there is no user, creates the first user from the environment or returns a one-time setup
/// URL. If there is a user, logs that a first user from the environment has no effect.
pub(super) async fn create_first_user_or_setup_link(
    store: &Store,
    first_user: Option<FirstUser>,
    urls: &Urls,
    url: &str,
) -> Result<Option<String>, StartError> {
    if store.has_users().await? {
        if let Some(user) = first_user {
            tracing::info!("{}", user.ignored_variables_notice());
        }
        return Ok(None);
    }
    if let Some(user) = first_user {
        let failed = |error: &dyn std::fmt::Display| StartError::FirstUser(error.to_string());
        let hash = password::hash(&user.password).map_err(|error| failed(&error))?;
        return match store.add_first_user(user.email, hash).await {
            Ok(user) => {
                security_events::log_local_event(
                    "user_added",
                    &user.id.to_string(),
                    "configuration",
                );
                Ok(None)
            }
            Err(UserError::AlreadySetUp) => Ok(None),
            Err(error) => Err(failed(&error)),
        };
    }
    match create_setup_url(store, urls, url).await {
        Ok(url) => Ok(Some(url)),
        Err(UserError::AlreadySetUp) => Ok(None),
        Err(UserError::Store(error)) => Err(error.into()),
        Err(error) => Err(StartError::FirstUser(error.to_string())),
    }
}

/// Creates a setup link that is valid for [`SETUP_LINK_LIFETIME`], and returns its URL. Earlier
/// setup links become invalid. Fails with [`UserError::AlreadySetUp`] if a user exists.
pub async fn create_setup_url(
    store: &Store,
    urls: &Urls,
    own_origin: &str,
) -> Result<String, UserError> {
    let token = tokens::random_token();
    store
        .create_setup_link(tokens::sha256(&token), SETUP_LINK_LIFETIME)
        .await?;
    Ok(urls.absolute_url(own_origin, &format!("/setup?token={token}")))
}
