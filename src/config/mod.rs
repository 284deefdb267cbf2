//! Parses flags and environment variables.
//!
//! Most options can be set by a flag or a variable; the flag takes precedence. An empty variable
//! counts as not set. An error message is a single line.

mod commands;
mod first_user;
mod ignored_variables;
mod listen_address;
mod mail_options;
mod notices;
mod option_values;
mod options;
mod wal_options;

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, ValueEnum};

pub use commands::{Cli, Command, CompletionShell, TokenCommand, UserCommand};
pub use first_user::{FirstUser, read_first_user};
pub use ignored_variables::{describe_ignored_variables, nonempty_variable_names};
pub use listen_address::{ListenAddress, ListenerOptions};
pub use mail_options::MailOptions;
pub use notices::SettingsNotice;
pub use option_values::{RetryDelays, parse_base_url};
pub use options::{
    DataDirOptions, DeliveryOptions, DemoOptions, ListenOptions, LogFormat, LogOptions,
    RateLimitOptions, ServeOptions,
};
pub use wal_options::{WalCheckpoint, WalOptions};

/// The result of [`parse`] if there is no command to run.
#[derive(Debug)]
pub enum ConfigError {
    /// The requested help or version. Print it and exit with 0.
    HelpRequested(StyledStr),
    /// The help, because no command was given. Print it and exit with 2.
    MissingCommand(StyledStr),
    /// The error message, on one line. Print it and exit with 2.
    Invalid(String),
}

/// Parses the command line and the environment. Rejects a `--base-url` whose path starts with one
/// of `route_prefixes`, the first path segments of all routes.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    route_prefixes: &BTreeSet<String>,
) -> Result<Cli, ConfigError> {
    let matches = ignore_empty_variables(command_line()).try_get_matches_from(arguments);
    let cli = matches
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                ConfigError::HelpRequested(error.render())
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                ConfigError::MissingCommand(error.render())
            }
            _ => ConfigError::Invalid(condense_clap_error(&error.render().to_string())),
        })?;
    if let Some(url) = cli.command.base_url() {
        option_values::check_base_path(url, route_prefixes).map_err(ConfigError::Invalid)?;
    }
    Ok(cli)
}

/// Returns all commands with their options and help.
pub fn command_line() -> clap::Command {
    Cli::command().mut_subcommand("check", hide_options_unused_by_check)
}

/// Returns the format of the log if the command is `serve`, even if its options are invalid.
pub fn serve_log_format(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Option<LogFormat> {
    const FLAG: &str = "--log-format";
    let arguments = arguments.into_iter().map(Into::into);
    let arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if arguments.get(1).is_none_or(|command| command != "serve") {
        return None;
    }
    let flag = arguments.iter().enumerate().find_map(|(index, argument)| {
        match argument.strip_prefix(FLAG)? {
            "" => arguments.get(index + 1).cloned(),
            value => value.strip_prefix('=').map(str::to_owned),
        }
    });
    let value = flag.or_else(|| std::env::var("MINIBACK_LOG_FORMAT").ok());
    let log_format = value.and_then(|value| LogFormat::from_str(&value, false).ok());
    Some(LogOptions { log_format }.log_format_or_default())
}

/// Makes clap treat empty variables as not set, but keeps them in `--help`. By default, clap uses
/// the empty value.
fn ignore_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(ignore_variable_if_empty)
        .mut_subcommands(ignore_empty_variables)
}

fn ignore_variable_if_empty(argument: clap::Arg) -> clap::Arg {
    let Some(variable) = argument.get_env().map(ToOwned::to_owned) else {
        return argument;
    };
    if std::env::var_os(&variable).is_none_or(|value| !value.is_empty()) {
        return argument;
    }
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    argument
        .env(None::<&'static str>)
        .help(format!("{help} [env: {}=]", variable.to_string_lossy()))
}

/// Hides from the help of `check` the options that `check` only validates, and adds a note about
/// them.
fn hide_options_unused_by_check(command: clap::Command) -> clap::Command {
    const OPTIONS_UNUSED_BY_CHECK: [&str; 6] = [
        "retention",
        "feedback_retention",
        "retry_delays",
        "limit_address",
        "limit_project",
        "log_format",
    ];
    command
        .mut_args(|argument| {
            let is_hidden = OPTIONS_UNUSED_BY_CHECK.contains(&argument.get_id().as_str());
            argument.hide(is_hidden)
        })
        .after_help("check also accepts the other options of serve, and validates their values.")
}

/// Returns the first paragraph of clap's message and the tips on one line, without the usage.
fn condense_clap_error(text: &str) -> String {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.trim_start_matches("error: ").split("\n\n");
    let error = words(paragraphs.next().unwrap_or_default());
    let tips = paragraphs
        .flat_map(str::lines)
        .filter_map(|line| line.trim_start().strip_prefix("tip: "));
    tips.fold(error, |line, tip| format!("{line}; {}", words(tip)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn serve(arguments: &[&str]) -> Result<ServeOptions, String> {
        let route_prefixes = BTreeSet::from(["feedback".to_owned()]);
        match parse(
            ["miniback", "serve"].iter().chain(arguments),
            &route_prefixes,
        ) {
            Ok(Cli {
                command: Command::Serve(options),
            }) => Ok(*options),
            Ok(_) => Err("another command".into()),
            Err(ConfigError::Invalid(line)) => Err(line),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn has_the_documented_defaults() {
        let options = serve(&[]).unwrap();
        let listen: Vec<_> = options
            .listener
            .listen
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(listen, ["127.0.0.1:8080"]);
        assert_eq!(options.delivery.timeout, Duration::from_secs(5));
        assert_eq!(
            options.delivery.retry_delays.0,
            [1, 5, 15].map(Duration::from_secs)
        );
        assert_eq!(options.retention, Duration::from_secs(30 * 24 * 3600));
        assert_eq!(options.feedback_retention, None);
        assert_eq!(options.trusted_proxy.0.len(), 2);
        assert!(!options.delivery.deny_localhost);
        assert_eq!(
            options.limits.limit_address,
            "10/1m,100/1h".parse().unwrap()
        );
        assert_eq!(options.limits.limit_project, "60/1m".parse().unwrap());
    }

    #[test]
    fn errors_are_one_line_that_contains_the_option() {
        for (arguments, option) in [
            (["--listen", "8080"], "--listen"),
            (["--timeout", "0s"], "--timeout"),
            (["--timeout", "five"], "--timeout"),
            (["--retry-delays", "1s,x"], "--retry-delays"),
            (["--base-url", "example.com"], "--base-url"),
            (["--base-url", "https://u:p@example.com"], "--base-url"),
            (["--base-url", "https://example.com/feedback"], "--base-url"),
            (
                ["--base-url", "https://example.com//evil.example"],
                "--base-url",
            ),
            (["--trusted-proxy", "10.0.0.0/99"], "--trusted-proxy"),
            (["--trusted-proxy", "none,10.0.0.0/8"], "--trusted-proxy"),
            (["--log-format", "xml"], "--log-format"),
            (["--feedback-retention", "0s"], "--feedback-retention"),
            (["--limit-address", "10"], "--limit-address"),
            (["--limit-project", "0/1m"], "--limit-project"),
            (
                ["--deny-localhost=perhaps", "--retention=1d"],
                "--deny-localhost",
            ),
            (["--no-such-option", "x"], "--no-such-option"),
        ] {
            let line = serve(&arguments).unwrap_err();
            assert!(line.contains(option) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_typo_gets_a_tip_on_the_same_line() {
        let line = serve(&["--lsten", "127.0.0.1:1"]).unwrap_err();
        assert!(
            line.contains("--lsten") && line.contains("exists: '--listen'"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line}");
    }

    #[test]
    fn parses_lists_durations_and_booleans() {
        assert!(
            serve(&["--retry-delays", "none"])
                .unwrap()
                .delivery
                .retry_delays
                .0
                .is_empty()
        );
        assert_eq!(
            serve(&["--retry-delays", "500ms, 2s"])
                .unwrap()
                .delivery
                .retry_delays
                .0
                .len(),
            2
        );
        assert!(
            serve(&["--deny-localhost"])
                .unwrap()
                .delivery
                .deny_localhost
        );
        assert!(
            !serve(&["--deny-localhost=no"])
                .unwrap()
                .delivery
                .deny_localhost
        );
        assert_eq!(
            serve(&["--trusted-proxy", "10.0.0.1,192.168.0.0/16"])
                .unwrap()
                .trusted_proxy
                .0
                .len(),
            2
        );
        let nobody = serve(&["--trusted-proxy", "none"]).unwrap().trusted_proxy;
        assert!(nobody.0.is_empty());
    }
}
