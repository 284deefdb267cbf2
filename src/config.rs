//! Flags and environment variables → what the program runs with, read once.
//!
//! Every option is both; the flag wins. An empty variable counts as not set. What is wrong is told in one line that
//! names the option and the mend.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, StyledStr};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use url::Url;

use crate::domain::account::{Role, Scope};
use crate::domain::egress_policy::AllowTarget;

/// Self-hosted feedback: it comes in from your website, and goes out as signed webhooks.
#[derive(Debug, Parser)]
#[command(
    name = "miniback",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the appliance: pages, API and delivery of webhooks
    Serve(Box<ServeOptions>),
    /// Try it: Miniback on loopback with sample data, a sample site and a receiver that verifies what it gets
    Demo(DemoOptions),
    /// Add, list and remove users, and set their passwords
    #[command(subcommand)]
    User(UserCommand),
    /// Create, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Clone, Debug, Args)]
pub struct DataDir {
    /// Where the database miniback.db is; made where it is missing
    #[arg(
        long,
        env = "MINIBACK_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct ServeOptions {
    #[command(flatten)]
    pub data: DataDir,
    /// Address and port to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "MINIBACK_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// The public address, with a path if there is one [default: as the request says]
    #[arg(long, env = "MINIBACK_BASE_URL", value_parser = base_url, value_name = "URL")]
    pub base_url: Option<Url>,
    #[command(flatten)]
    pub delivery: DeliveryOptions,
    /// How long finished deliveries and their attempts are kept
    #[arg(long, env = "MINIBACK_RETENTION", default_value = "30d", value_parser = positive_duration, allow_hyphen_values = true, value_name = "TIME")]
    pub retention: Duration,
    /// Networks whose X-Forwarded-For and X-Forwarded-Proto are believed
    #[arg(
        long,
        env = "MINIBACK_TRUSTED_PROXY",
        default_value = "127.0.0.0/8,::1/128",
        value_delimiter = ',',
        value_parser = network,
        value_name = "CIDR,…"
    )]
    pub trusted_proxy: Vec<IpNet>,
    #[command(flatten)]
    pub log: LogOptions,
}

/// What concerns calls to endpoints.
#[derive(Clone, Debug, Args)]
pub struct DeliveryOptions {
    /// Allow webhooks to these otherwise forbidden targets: a CIDR, or a host name with or without a port
    #[arg(
        long,
        env = "MINIBACK_ALLOW_TARGET",
        value_delimiter = ',',
        value_name = "TARGET,…"
    )]
    pub allow_target: Vec<AllowTarget>,
    /// Forbid webhooks to localhost
    #[arg(
        long,
        env = "MINIBACK_DENY_LOCALHOST",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub deny_localhost: bool,
    /// Certificates of further issuers to trust, as PEM
    #[arg(
        long,
        env = "MINIBACK_CA_FILE",
        value_delimiter = ',',
        value_name = "FILE,…"
    )]
    pub ca_file: Vec<PathBuf>,
    /// How long an endpoint may take to answer
    #[arg(long, env = "MINIBACK_TIMEOUT", default_value = "5s", value_parser = timeout, allow_hyphen_values = true, value_name = "TIME")]
    pub timeout: Duration,
    /// When a failed delivery is tried again, each after the failure before; “none” for no retries
    #[arg(long, env = "MINIBACK_RETRY_DELAYS", default_value = "1s,5s,15s", value_parser = retry_delays, allow_hyphen_values = true, value_name = "TIME,…")]
    pub retry_delays: RetryDelays,
}

/// The delays of `--retry-delays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryDelays(pub Vec<Duration>);

#[derive(Clone, Debug, Args)]
pub struct LogOptions {
    /// How the log is written to standard error [default: text on a terminal, else json]
    #[arg(long, env = "MINIBACK_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogOptions {
    pub fn format(&self) -> LogFormat {
        let usual = if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        self.log_format.unwrap_or(usual)
    }
}

#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Keep the data at the end, and say where it is
    #[arg(long, env = "MINIBACK_KEEP", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub keep: bool,
    #[command(flatten)]
    pub log: LogOptions,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user; the password comes from the terminal, or from the first line of standard input
    Add {
        email: String,
        #[arg(long, default_value = "admin", value_name = "admin|member")]
        role: Role,
        #[command(flatten)]
        data: DataDir,
    },
    /// List the users
    List {
        #[command(flatten)]
        data: DataDir,
    },
    /// Set a user's password and end their sessions
    Passwd {
        email: String,
        #[command(flatten)]
        data: DataDir,
    },
    /// Remove a user with their sessions and tokens
    Remove {
        email: String,
        #[command(flatten)]
        data: DataDir,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it, once
    Create {
        /// Whose token it is
        #[arg(long, value_name = "EMAIL")]
        user: String,
        /// full: all that its user may do; submit: send feedback; metrics: read metrics
        #[arg(long, default_value = "full", value_name = "full|submit|metrics")]
        scope: Scope,
        /// What it is for
        name: String,
        #[command(flatten)]
        data: DataDir,
    },
    /// List the tokens
    List {
        #[command(flatten)]
        data: DataDir,
    },
    /// Revoke a token
    Revoke {
        id: String,
        #[command(flatten)]
        data: DataDir,
    },
}

/// The first user, from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUser {
    pub email: String,
    pub password: String,
}

/// Why the program does not start.
#[derive(Debug)]
pub enum ConfigError {
    /// Help or version was asked for: print it, exit 0.
    Asked(StyledStr),
    /// No command was given: print the help, exit 2.
    NoCommand(StyledStr),
    /// One line.
    Wrong(String),
}

/// Reads the command line and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Cli, ConfigError> {
    let matches = unset_empty_variables(Cli::command()).try_get_matches_from(arguments);
    matches
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                ConfigError::Asked(error.render())
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                ConfigError::NoCommand(error.render())
            }
            _ => ConfigError::Wrong(one_line(&error.render().to_string())),
        })
}

/// clap takes an empty variable for an empty value; here it counts as not set, and help still names it.
fn unset_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(unset_if_empty)
        .mut_subcommands(unset_empty_variables)
}

fn unset_if_empty(argument: clap::Arg) -> clap::Arg {
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

/// clap's message without its tips and usage: the first paragraph, in one line.
fn one_line(text: &str) -> String {
    let paragraph = text
        .trim_start_matches("error: ")
        .split("\n\n")
        .next()
        .unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `MINIBACK_ADMIN_EMAIL` with `MINIBACK_ADMIN_PASSWORD` or `MINIBACK_ADMIN_PASSWORD_FILE`.
pub fn first_user(variable: impl Fn(&str) -> Option<String>) -> Result<Option<FirstUser>, String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let password = match (
        set("MINIBACK_ADMIN_PASSWORD"),
        set("MINIBACK_ADMIN_PASSWORD_FILE"),
    ) {
        (Some(_), Some(_)) => {
            return Err("MINIBACK_ADMIN_PASSWORD and MINIBACK_ADMIN_PASSWORD_FILE are both set; unset one of them".into());
        }
        (None, Some(file)) => Some(first_line_of(Path::new(&file))?),
        (password, None) => password,
    };
    let email = match (set("MINIBACK_ADMIN_EMAIL"), password) {
        (None, None) => return Ok(None),
        (Some(email), Some(password)) => FirstUser { email, password },
        (Some(_), None) => {
            return Err(
                "MINIBACK_ADMIN_EMAIL is set without MINIBACK_ADMIN_PASSWORD; set that too".into(),
            );
        }
        (None, Some(_)) => {
            return Err(
                "MINIBACK_ADMIN_PASSWORD is set without MINIBACK_ADMIN_EMAIL; set that too".into(),
            );
        }
    };
    crate::domain::feedback::email(email.email.clone()).map_err(|_| {
        format!(
            "MINIBACK_ADMIN_EMAIL: “{}” is not one e-mail address",
            email.email.escape_debug()
        )
    })?;
    crate::domain::account::check_password(&email.password).map_err(|error| {
        format!(
            "MINIBACK_ADMIN_PASSWORD: {}",
            error.to_string().trim_end_matches('.')
        )
    })?;
    Ok(Some(email))
}

fn first_line_of(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!(
            "MINIBACK_ADMIN_PASSWORD_FILE: cannot read {}: {error}",
            file.display()
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| "write a time like 500ms, 5s or 30d".into())
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("write a time longer than 0".into()),
        time => Ok(time),
    }
}

/// A timeout holds a slot and the shutdown: an hour is the most.
fn timeout(text: &str) -> Result<Duration, String> {
    match positive_duration(text)? {
        time if time > Duration::from_secs(3600) => Err("write a time of at most 1h".into()),
        time => Ok(time),
    }
}

fn retry_delays(text: &str) -> Result<RetryDelays, String> {
    if text.trim() == "none" {
        return Ok(RetryDelays(Vec::new()));
    }
    let delays = text.split(',').map(duration).collect::<Result<Vec<_>, _>>();
    match delays {
        Ok(delays) if delays.len() <= 20 => Ok(RetryDelays(delays)),
        Ok(_) => Err("give at most 20 delays".into()),
        Err(_) => Err("write delays like 1s,5s,15s, or none".into()),
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let mend = "write the public address, like https://example.com or https://example.com/miniback";
    let url = Url::parse(text.trim()).map_err(|_| mend.to_owned())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // The path stands in cookies and in routes, where these would mean something.
        && !url.path().contains(['{', '}', ';', ',', '%', '*']);
    if plain { Ok(url) } else { Err(mend.into()) }
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write networks like 10.0.0.0/8, or addresses".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str]) -> Result<ServeOptions, String> {
        match parse(["miniback", "serve"].iter().chain(arguments)) {
            Ok(Cli {
                command: Command::Serve(options),
            }) => Ok(*options),
            Ok(_) => Err("another command".into()),
            Err(ConfigError::Wrong(line)) => Err(line),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let options = serve(&[]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(options.delivery.timeout, Duration::from_secs(5));
        assert_eq!(
            options.delivery.retry_delays.0,
            [1, 5, 15].map(Duration::from_secs)
        );
        assert_eq!(options.retention, Duration::from_secs(30 * 24 * 3600));
        assert_eq!(options.trusted_proxy.len(), 2);
        assert!(!options.delivery.deny_localhost);
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_the_option() {
        for (arguments, option) in [
            (["--listen", "8080"], "--listen"),
            (["--timeout", "0s"], "--timeout"),
            (["--timeout", "five"], "--timeout"),
            (["--retry-delays", "1s,x"], "--retry-delays"),
            (["--base-url", "example.com"], "--base-url"),
            (["--base-url", "https://u:p@example.com"], "--base-url"),
            (["--trusted-proxy", "10.0.0.0/99"], "--trusted-proxy"),
            (["--log-format", "xml"], "--log-format"),
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
    fn lists_durations_and_booleans_are_read_as_people_write_them() {
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
                .len(),
            2
        );
    }

    #[test]
    fn the_first_user_needs_both_an_address_and_a_good_password() {
        let read = |pairs: &'static [(&str, &str)]| {
            first_user(move |name| {
                pairs
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            })
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("MINIBACK_ADMIN_EMAIL", "")]), Ok(None));
        assert!(
            read(&[
                ("MINIBACK_ADMIN_EMAIL", "a@b.c"),
                ("MINIBACK_ADMIN_PASSWORD", "long enough 1")
            ])
            .unwrap()
            .is_some()
        );
        for wrong in [
            &[("MINIBACK_ADMIN_EMAIL", "a@b.c")][..],
            &[("MINIBACK_ADMIN_PASSWORD", "long enough 1")],
            &[
                ("MINIBACK_ADMIN_EMAIL", "a@b.c"),
                ("MINIBACK_ADMIN_PASSWORD", "short"),
            ],
            &[
                ("MINIBACK_ADMIN_EMAIL", "nobody"),
                ("MINIBACK_ADMIN_PASSWORD", "long enough 1"),
            ],
        ] {
            assert!(read(wrong).unwrap_err().contains("MINIBACK_ADMIN_"));
        }
    }
}
