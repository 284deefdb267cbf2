//! `miniback user add`, `list`, `passwd`, and `remove`.

use super::open_store::with_store;
use super::{CommandError, escape_control_chars, log_security_event, password, print};
use crate::config::{DataDirOptions, UserCommand};
use crate::domain::account::Role;
use crate::domain::email::check_email;
use crate::store::UserError;

pub(super) fn run(command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Add { email, role, data } => add(email, role, &data),
        UserCommand::List { data } => list(&data),
        UserCommand::Passwd { email, data } => change_password(email, &data),
        UserCommand::Remove { email, data } => remove(email, &data),
    }
}

fn add(email: String, role: Role, data: &DataDirOptions) -> Result<(), CommandError> {
    let email = check_email(&email).map_err(CommandError::usage_error)?;
    let hash = password::read_and_hash_password(&email)?;
    let user = with_store(data, async |store| store.add_user(email, hash, role).await)?;
    log_security_event("user_added", &user.id.to_string());
    let email = escape_control_chars(&user.email);
    print(&format!("Added {email} ({}).\n", user.role));
    Ok(())
}

fn list(data: &DataDirOptions) -> Result<(), CommandError> {
    for user in with_store(data, async |store| store.users().await)? {
        let email = escape_control_chars(&user.email);
        print(&format!("{email}\t{}\t{}\n", user.role, user.created_at));
    }
    Ok(())
}

fn change_password(email: String, data: &DataDirOptions) -> Result<(), CommandError> {
    // Report an unknown user before asking for a password.
    let known = with_store(data, async |store| {
        store.user_with_password_hash(&email).await
    })?;
    let Some((user, _)) = known else {
        return Err(CommandError::new(UserError::NotFound(email)));
    };
    let hash = password::read_and_hash_password(&email)?;
    let shown = escape_control_chars(&email);
    with_store(data, async |store| {
        store.set_password(email, hash, None).await
    })?;
    log_security_event("password_changed", &user.id.to_string());
    print(&format!(
        "Changed the password of {shown} and ended their sessions.\n"
    ));
    Ok(())
}

fn remove(email: String, data: &DataDirOptions) -> Result<(), CommandError> {
    let shown = escape_control_chars(&email);
    let user = with_store(data, async |store| store.delete_user(email).await)?;
    log_security_event("user_removed", &user.id.to_string());
    print(&format!("Removed {shown} and their sessions and tokens.\n"));
    Ok(())
}
