//! `miniback user add|list|passwd|remove`.

use super::data::with_store;
use super::{Failure, password, print, safe};
use crate::config::UserCommand;
use crate::domain::feedback;
use crate::store::AccountStoreError;

pub(super) fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { email, role, data } => {
            feedback::check_email(email.trim().to_owned()).map_err(Failure::wrong)?;
            let hash = password::ask_and_hash()?;
            let user = with_store(&data, |store| async move {
                store.add_user(email, hash, role).await.map_err(failure)
            })?;
            print(&format!(
                "{} is a user now, with the role {}.\n",
                safe(&user.email),
                user.role
            ));
        }
        UserCommand::List { data } => {
            let users = with_store(&data, |store| async move {
                store.users().await.map_err(Failure::new)
            })?;
            for user in users {
                print(&format!(
                    "{}\t{}\t{}\n",
                    safe(&user.email),
                    user.role,
                    user.created_at
                ));
            }
        }
        UserCommand::Passwd { email, data } => {
            // Who is not there is told before a password is asked for.
            let known = with_store(&data, |store| {
                let email = email.clone();
                async move { store.user_with_hash(&email).await.map_err(Failure::new) }
            })?;
            if known.is_none() {
                return Err(failure(AccountStoreError::Unknown(email)));
            }
            let hash = password::ask_and_hash()?;
            let address = email.clone();
            with_store(&data, |store| async move {
                store
                    .set_password(address, hash, None)
                    .await
                    .map_err(failure)
            })?;
            print(&format!(
                "The password of {} is set; all their sessions are ended.\n",
                safe(&email)
            ));
        }
        UserCommand::Remove { email, data } => {
            let address = email.clone();
            with_store(&data, |store| async move {
                store.remove_user(address).await.map_err(failure)
            })?;
            print(&format!(
                "{} is removed, with their sessions and tokens.\n",
                safe(&email)
            ));
        }
    }
    Ok(())
}

pub(super) fn failure(error: AccountStoreError) -> Failure {
    Failure::new(safe(&error.to_string()))
}
