//! A password for a command: from the terminal without echo, or from the first line of standard input.

use std::io::{BufRead, IsTerminal};

use super::Failure;
use crate::domain::account::check_password;
use crate::domain::password;

/// Asks for a new password and returns its hash.
pub(super) fn ask_and_hash() -> Result<String, Failure> {
    let password = if std::io::stdin().is_terminal() {
        ask()?
    } else {
        first_line()?
    };
    check_password(&password).map_err(Failure::wrong)?;
    password::hash(&password).map_err(Failure::new)
}

fn ask() -> Result<String, Failure> {
    let password = rpassword::prompt_password("Password: ").map_err(Failure::new)?;
    check_password(&password).map_err(Failure::wrong)?;
    if rpassword::prompt_password("Once more: ").map_err(Failure::new)? == password {
        Ok(password)
    } else {
        Err(Failure::wrong(
            "the two passwords differ; nothing was changed",
        ))
    }
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(Failure::new)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
