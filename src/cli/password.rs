//! Reads a password from the terminal without echo, or from the first line of standard input.

use std::io::IsTerminal;

use super::CommandError;
use crate::config_files;
use crate::domain::password;
use crate::domain::password_rules::check_password;

/// Reads a new password for the user with this email, and returns the password's hash.
pub(super) fn read_and_hash_password(email: &str) -> Result<String, CommandError> {
    let password = if std::io::stdin().is_terminal() {
        prompt_for_password(email)?
    } else {
        config_files::read_first_line(std::io::stdin().lock())
            .map_err(|error| CommandError::new(format!("can’t read the password: {error}")))?
    };
    check_password(&password, email).map_err(CommandError::usage_error)?;
    password::hash(&password).map_err(CommandError::new)
}

fn prompt_for_password(email: &str) -> Result<String, CommandError> {
    let password = rpassword::prompt_password("Password: ").map_err(password_read_error())?;
    check_password(&password, email).map_err(CommandError::usage_error)?;
    if rpassword::prompt_password("Repeat password: ").map_err(password_read_error())? == password {
        Ok(password)
    } else {
        Err(CommandError::usage_error(
            "the passwords don’t match; nothing was changed",
        ))
    }
}

fn password_read_error() -> impl Fn(std::io::Error) -> CommandError {
    CommandError::io_error("can’t read the password")
}
