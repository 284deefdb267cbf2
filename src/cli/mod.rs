//! The command-line interface, with one file for each command.

mod backup;
mod check;
mod demo;
mod health;
mod init;
mod listen;
mod manual;
mod open_store;
mod openapi;
mod password;
mod restore;
mod serve;
mod service_manager;
mod setup_link;
mod token;
mod user;

use std::io::{IsTerminal, Write};

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

use crate::app;
use crate::config::{self, Command, ConfigError, LogFormat, LogOptions};
use crate::domain::text::escape_misleading_chars;
use crate::io_errors;
use crate::logging::{self, PriorityPrefix};
use crate::server::security_events;

/// Runs the command and returns the exit code: 0 for success, 1 for a failure, and 2 for invalid
/// arguments or configuration.
pub fn run() -> i32 {
    let cli = match config::parse(std::env::args_os(), &app::route_prefixes()) {
        Ok(cli) => cli,
        Err(ConfigError::HelpRequested(text)) => {
            let plain = !std::io::stdout().is_terminal();
            print(&if plain {
                text.to_string()
            } else {
                text.ansi().to_string()
            });
            return 0;
        }
        Err(ConfigError::MissingCommand(text)) => {
            eprint!("{text}");
            return 2;
        }
        Err(ConfigError::Invalid(line)) => {
            print_error(config::serve_log_format(std::env::args_os()), &line);
            return 2;
        }
    };
    let log_format = match &cli.command {
        Command::Serve(options) => Some(options.log.log_format_or_default()),
        _ => None,
    };
    // Skip `serve` and `check`, which report ignored variables themselves.
    if !matches!(cli.command, Command::Serve(_) | Command::Check(_))
        && let Some(ignored) =
            config::describe_ignored_variables(false, config::nonempty_variable_names())
    {
        let prefix = PriorityPrefix::new(Level::WARN);
        eprintln!(
            "{prefix}miniback: warning: {}",
            escape_control_chars(&ignored)
        );
    }
    let result = match cli.command {
        Command::Serve(options) => serve::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Listen(options) => listen::run(&options),
        Command::Health(options) => health::run(&options),
        Command::Init { data } => init::run(&data),
        Command::Backup { file, data } => backup::run(&file, &data),
        Command::Restore { file, data } => restore::run(&file, &data),
        Command::SetupLink {
            data,
            listener,
            base_url,
        } => setup_link::run(&data, &listener, base_url.as_ref()),
        Command::Check(options) => check::run(&options),
        Command::Completions { shell } => manual::print_completions(shell),
        Command::Man => manual::print_man_page(),
        Command::OpenApi { base_url } => openapi::run(base_url.as_ref()),
        Command::User(command) => user::run(command),
        Command::Token(command) => token::run(command),
    };
    logging::flush();
    match result {
        Ok(()) => 0,
        Err(CommandError { line, code }) => {
            print_error(log_format, &line);
            code
        }
    }
}

/// Prints the error of a command to standard error, as one line. If the command is `serve` and its
/// log is JSON, the line is JSON too. `log_format` is `None` for other commands.
fn print_error(log_format: Option<LogFormat>, line: &str) {
    let line = escape_control_chars(line);
    if log_format == Some(LogFormat::Json) {
        // Has no effect if the log has already started.
        logging::start(LogFormat::Json, LevelFilter::INFO);
        tracing::error!("{line}");
        logging::flush();
    } else {
        eprintln!("{}miniback: {line}", PriorityPrefix::new(Level::ERROR));
    }
}

/// The error of a command: one line for standard error, and the exit code.
struct CommandError {
    line: String,
    code: i32,
}

impl CommandError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self {
            line: error.to_string(),
            code: 1,
        }
    }

    /// Returns a function that converts an I/O error. `action` describes the failure, such as
    /// `can’t read the password`.
    fn io_error(action: &str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::new(format!("{action}: {}", io_errors::describe(&error)))
    }

    fn usage_error(error: impl std::fmt::Display) -> Self {
        Self {
            line: error.to_string(),
            code: 2,
        }
    }
}

/// Prints a message to standard output. Ignores errors, such as a closed pipe.
fn print(text: &str) {
    let _ = try_print(text);
}

/// Prints to standard output and returns any error, such as a closed pipe.
fn try_print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Logs a security event to standard error, in the default format of `serve`.
fn log_security_event(event: &str, subject: &str) {
    logging::start(
        LogOptions { log_format: None }.log_format_or_default(),
        LevelFilter::INFO,
    );
    security_events::log_local_event(event, subject, "command_line");
}

/// Escapes control characters, so that untrusted text is safe to print on a terminal.
fn escape_control_chars(text: &str) -> String {
    escape_misleading_chars(text).into_owned()
}
