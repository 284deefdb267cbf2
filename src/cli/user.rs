//! `miniback user add`, `list`, `passwd`, and `remove`.

use super::open_store::with_store;
use super::{CommandError, escape_control_chars, password, print};
use crate::config::UserCommand;
use crate::domain::feedback;
use crate::store::UserError;

pub(super) fn run(command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Add { email, role, data } => {
            feedback::check_email(email.trim().to_owned()).map_err(CommandError::usage_error)?;
            let hash = password::read_and_hash()?;
            let user = with_store(&data, |store| async move {
                store
                    .add_user(email, hash, role)
                    .await
                    .map_err(CommandError::new)
            })?;
            print(&format!(
                "Added {} ({}).\n",
                escape_control_chars(&user.email),
                user.role
            ));
        }
        UserCommand::List { data } => {
            let users = with_store(&data, |store| async move {
                store.users().await.map_err(CommandError::new)
            })?;
            for user in users {
                print(&format!(
                    "{}\t{}\t{}\n",
                    escape_control_chars(&user.email),
                    user.role,
                    user.created_at
                ));
            }
        }
        UserCommand::Passwd { email, data } => {
            // Report an unknown user before asking for a password.
            let known = with_store(&data, |store| {
                let email = email.clone();
                async move {
                    store
                        .user_with_password_hash(&email)
                        .await
                        .map_err(CommandError::new)
                }
            })?;
            if known.is_none() {
                return Err(CommandError::new(UserError::NotFound(email)));
            }
            let hash = password::read_and_hash()?;
            let user_email = email.clone();
            with_store(&data, |store| async move {
                store
                    .set_password(user_email, hash, None)
                    .await
                    .map_err(CommandError::new)
            })?;
            print(&format!(
                "Changed the password of {} and ended their sessions.\n",
                escape_control_chars(&email)
            ));
        }
        UserCommand::Remove { email, data } => {
            let user_email = email.clone();
            with_store(&data, |store| async move {
                store
                    .delete_user(user_email)
                    .await
                    .map_err(CommandError::new)
            })?;
            print(&format!(
                "Removed {} with their sessions and tokens.\n",
                escape_control_chars(&email)
            ));
        }
    }
    Ok(())
}
