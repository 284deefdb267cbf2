//! Reads a password from the terminal without echo, or from the first line of standard input.

use std::io::IsTerminal;

use super::CommandError;
use crate::domain::password;
use crate::domain::password_rules::check_password;
use crate::io_errors::small_files;

/// Reads a new password for the user with this email, and returns the password's hash.
pub(super) fn read_and_hash(email: &str) -> Result<String, CommandError> {
    let password = if std::io::stdin().is_terminal() {
        prompt(email)?
    } else {
        small_files::read_first_line(std::io::stdin().lock())
            .map_err(|error| CommandError::new(format!("can’t read the password: {error}")))?
    };
    check_password(&password, email).map_err(CommandError::usage_error)?;
    password::hash(&password).map_err(CommandError::new)
}

fn prompt(email: &str) -> Result<String, CommandError> {
    let password = rpassword::prompt_password("Password: ").map_err(unreadable())?;
    check_password(&password, email).map_err(CommandError::usage_error)?;
    if rpassword::prompt_password("Repeat password: ").map_err(unreadable())? == password {
        Ok(password)
    } else {
        Err(CommandError::usage_error(
            "the passwords don’t match; nothing was changed",
        ))
    }
}

fn unreadable() -> impl Fn(std::io::Error) -> CommandError {
    CommandError::io("can’t read the password")
}
