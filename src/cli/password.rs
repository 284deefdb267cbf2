//! Reads a password from the terminal without echo, or from the first line of standard input.

use std::io::{BufRead, IsTerminal};

use super::CommandError;
use crate::domain::password;
use crate::domain::password_rules::check_password;
use crate::domain::text::strip_byte_order_mark;

/// Reads a new password for the account with this email, and returns its hash.
pub(super) fn read_and_hash(email: &str) -> Result<String, CommandError> {
    let password = if std::io::stdin().is_terminal() {
        prompt(email)?
    } else {
        read_first_line()?
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

fn read_first_line() -> Result<String, CommandError> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(unreadable())?;
    // Some editors and shells begin a text with a byte order mark.
    let line = strip_byte_order_mark(&line);
    let line = line.strip_suffix('\n').unwrap_or(line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn unreadable() -> impl Fn(std::io::Error) -> CommandError {
    CommandError::io("can’t read the password")
}
