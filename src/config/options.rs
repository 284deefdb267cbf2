//! What the command line takes: commands, options, their variables, defaults and help.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use url::Url;

use super::values::{
    base_url, delay, first_line_of, network, positive_duration, retry_delays, socket_address,
    timeout,
};
use crate::domain::account::{Role, Scope};
use crate::domain::egress_policy::AllowTarget;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::rate_limit::RateLimits;
use crate::domain::secret::Secret;

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

const FIRST_USER_HELP: &str = "\
The first user is made from MINIBACK_ADMIN_EMAIL and MINIBACK_ADMIN_PASSWORD (or MINIBACK_ADMIN_PASSWORD_FILE) where \
there is none; without them the log shows an address that makes one. MINIBACK_LOG=debug logs more.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the appliance: pages, API and delivery of webhooks
    #[command(after_help = FIRST_USER_HELP)]
    Serve(Box<ServeOptions>),
    /// Try it: Miniback on loopback with sample data, a sample site and a receiver that verifies what it gets
    Demo(DemoOptions),
    /// Receive webhooks during development: prints each one, and whether its signature is valid
    Listen(ListenOptions),
    /// Copy the database beside a running server: one moment of it, checked
    Backup {
        /// Where to; a file of that name is replaced whole, or not at all
        file: PathBuf,
        #[command(flatten)]
        data: DataDir,
    },
    /// Look at configuration, database and the hosts of webhooks; exit 1 if anything is wrong
    Check(Box<ServeOptions>),
    /// Print the API's OpenAPI 3.1 document
    #[command(name = "openapi")]
    OpenApi {
        /// The public address that it names, with a path if there is one [default: /]
        #[arg(long, env = "MINIBACK_BASE_URL", value_parser = base_url, value_name = "URL")]
        base_url: Option<Url>,
    },
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
        value_parser = socket_address,
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
    /// How long feedback is kept, with its history and its words in the log [default: for ever]
    #[arg(long, env = "MINIBACK_FEEDBACK_RETENTION", value_parser = positive_duration, allow_hyphen_values = true, value_name = "TIME")]
    pub feedback_retention: Option<Duration>,
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
    pub alerts: AlertOptions,
    #[command(flatten)]
    pub limits: LimitOptions,
    #[command(flatten)]
    pub log: LogOptions,
}

/// Whom to tell of webhooks that keep failing.
#[derive(Clone, Debug, Args)]
pub struct AlertOptions {
    /// Where to send an alert when a webhook has failed for 5 minutes or 10 deliveries in a row, and when it is well again
    #[arg(long, env = "MINIBACK_ALERT_URL", value_parser = EndpointUrl::parse, value_name = "URL")]
    pub alert_url: Option<EndpointUrl>,
    /// What alerts are signed with; a file with it can be named by MINIBACK_ALERT_SECRET_FILE [default: one that Settings, Notifications shows]
    #[arg(
        long,
        env = "MINIBACK_ALERT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    alert_secret: Option<String>,
}

impl AlertOptions {
    /// The secret that is configured, by the flag, the variable or the file that a variable names.
    pub fn secret(&self) -> Result<Option<Secret>, String> {
        secret_of(
            "--alert-secret",
            self.alert_secret.as_ref(),
            "MINIBACK_ALERT_SECRET_FILE",
        )
    }
}

/// A secret from its flag or variable, or from the file that `file_variable` names.
fn secret_of(
    flag: &str,
    given: Option<&String>,
    file_variable: &str,
) -> Result<Option<Secret>, String> {
    let from_file = std::env::var(file_variable)
        .ok()
        .filter(|file| !file.is_empty());
    let secret = match (given, from_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => first_line_of(file_variable, file.as_ref())?,
        (None, None) => return Ok(None),
    };
    Secret::parse(secret)
        .map(Some)
        .map_err(|error| format!("{flag}: {}", error.to_string().trim_end_matches('.')))
}

/// How often the widget and the form of a project take feedback.
#[derive(Clone, Debug, Args)]
pub struct LimitOptions {
    /// How much feedback one address may send by widget and form; “none” for no limit
    #[arg(
        long,
        env = "MINIBACK_LIMIT_ADDRESS",
        default_value = "10/1m,100/1h",
        allow_hyphen_values = true,
        value_name = "COUNT/TIME,…"
    )]
    pub limit_address: RateLimits,
    /// How much feedback one project takes by widget and form; “none” for no limit
    #[arg(
        long,
        env = "MINIBACK_LIMIT_PROJECT",
        default_value = "60/1m",
        allow_hyphen_values = true,
        value_name = "COUNT/TIME,…"
    )]
    pub limit_project: RateLimits,
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

#[derive(Clone, Debug, Args)]
pub struct ListenOptions {
    /// The port on 127.0.0.1 to listen on; 0 picks a free one
    #[arg(
        long,
        env = "MINIBACK_PORT",
        default_value = "3000",
        value_name = "PORT"
    )]
    pub port: u16,
    /// The webhook's secret; a file with it can be named by MINIBACK_SECRET_FILE
    #[arg(
        long,
        env = "MINIBACK_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    secret: Option<String>,
    /// Answer the first N with 500
    #[arg(long, env = "MINIBACK_FAIL", default_value = "0", value_name = "N")]
    pub fail: u32,
    /// The status to answer those that are valid with
    #[arg(long, env = "MINIBACK_STATUS", default_value = "204", value_parser = clap::value_parser!(u16).range(200..=599), value_name = "CODE")]
    pub status: u16,
    /// How long to wait before each answer: seconds, or a time like 500ms
    #[arg(long, env = "MINIBACK_DELAY", default_value = "0", value_parser = delay, allow_hyphen_values = true, value_name = "SECONDS")]
    pub delay: Duration,
}

impl ListenOptions {
    /// The secret, from the flag, the variable or the file that a variable names.
    pub fn secret(&self) -> Result<Secret, String> {
        secret_of("--secret", self.secret.as_ref(), "MINIBACK_SECRET_FILE")?
            .ok_or_else(|| "--secret is missing; copy it from Settings, Notifications".into())
    }
}
