//! The options, with their variables, defaults, and help.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::listen_address::ListenerOptions;
use super::mail_options::MailOptions;
use super::option_values::{
    RetryDelays, TrustedNetworks, parse_base_url, parse_delay, parse_delivery_count, parse_port,
    parse_positive_duration, parse_response_status, parse_retry_delays, parse_timeout,
    parse_trusted_networks, read_secret_file,
};
use super::wal_options::WalOptions;
use crate::domain::egress_policy::AllowTarget;
use crate::domain::rate_limit::RateLimits;
use crate::domain::secret::Secret;
use crate::domain::webhook_url::WebhookUrl;

#[derive(Clone, Debug, Args)]
pub struct DataDirOptions {
    /// The directory that contains the database miniback.db, created by serve or init
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
    pub data: DataDirOptions,
    #[command(flatten)]
    pub listener: ListenerOptions,
    /// The public URL, including any path [default: from the request]
    #[arg(long, env = "MINIBACK_BASE_URL", value_parser = parse_base_url, value_name = "URL")]
    pub base_url: Option<Url>,
    #[command(flatten)]
    pub delivery: DeliveryOptions,
    /// How long to keep finished deliveries and their attempts
    #[arg(
        long,
        env = "MINIBACK_RETENTION",
        default_value = "30d",
        value_parser = parse_positive_duration,
        allow_hyphen_values = true,
        value_name = "DURATION"
    )]
    pub retention: Duration,
    /// How long to keep feedback, its history, and its content in the delivery log [default:
    /// forever]
    #[arg(
        long,
        env = "MINIBACK_FEEDBACK_RETENTION",
        value_parser = parse_positive_duration,
        allow_hyphen_values = true,
        value_name = "DURATION"
    )]
    pub feedback_retention: Option<Duration>,
    /// The networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; “none”
    /// trusts no proxy
    #[arg(
        long,
        env = "MINIBACK_TRUSTED_PROXY",
        default_value = "127.0.0.0/8,::1/128",
        value_parser = parse_trusted_networks,
        value_name = "CIDR,…"
    )]
    pub trusted_proxy: TrustedNetworks,
    #[command(flatten)]
    pub mail: MailOptions,
    #[command(flatten)]
    pub alerts: AlertOptions,
    #[command(flatten)]
    pub limits: RateLimitOptions,
    #[command(flatten)]
    pub wal: WalOptions,
    #[command(flatten)]
    pub log: LogOptions,
}

const ALERT_SECRET_FLAG: &str = "--alert-secret";
const ALERT_SECRET_FILE_VARIABLE: &str = "MINIBACK_ALERT_SECRET_FILE";

/// Options for failure alerts.
#[derive(Clone, Debug, Args)]
pub struct AlertOptions {
    /// The URL, or mailto: and an email, that receives an alert when a webhook has failed for 5
    /// minutes or 10 deliveries in a row, and when it recovers
    #[arg(long, env = "MINIBACK_ALERT_URL", value_parser = WebhookUrl::parse, value_name = "URL")]
    pub alert_url: Option<WebhookUrl>,
    /// The secret that signs alerts; to read it from a file, set MINIBACK_ALERT_SECRET_FILE
    /// [default: generated; see Settings → Notifications]
    #[arg(
        long,
        env = "MINIBACK_ALERT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    alert_secret: Option<String>,
}

impl AlertOptions {
    /// Returns the name of the setting that provides the secret, or `None` if no secret is set.
    pub(super) fn secret_setting_name(&self) -> Option<&'static str> {
        match self.alert_secret {
            Some(_) => Some(ALERT_SECRET_FLAG),
            None => secret_file_from_variable(ALERT_SECRET_FILE_VARIABLE)
                .map(|_| ALERT_SECRET_FILE_VARIABLE),
        }
    }

    /// Checks that alerts can be sent: a `mailto:` URL needs a mail server.
    pub fn check_mail_server(&self, has_mail_server: bool) -> Result<(), String> {
        match self.alert_url {
            Some(WebhookUrl::Mailto(_)) if !has_mail_server => Err(
                "--alert-url: a mailto: URL needs a mail server; set --smtp-url and --mail-from"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// Reads the configured secret from the flag, the variable, or the file.
    pub fn read_secret(&self) -> Result<Option<Secret>, String> {
        parse_secret(
            ALERT_SECRET_FLAG,
            self.alert_secret.as_ref(),
            ALERT_SECRET_FILE_VARIABLE,
        )
    }
}

/// Returns the path in a variable such as `MINIBACK_ALERT_SECRET_FILE`, or `None` if the variable
/// is empty or not set.
pub(super) fn secret_file_from_variable(variable: &str) -> Option<String> {
    let file = std::env::var(variable).ok();
    file.filter(|file| !file.is_empty())
}

/// Parses a secret from its flag or variable, or from the file whose path is in `file_variable`.
fn parse_secret(
    flag: &str,
    value: Option<&String>,
    file_variable: &str,
) -> Result<Option<Secret>, String> {
    let secret = match (value, secret_file_from_variable(file_variable)) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "{flag} and {file_variable} are both set; unset one of them"
            ));
        }
        (Some(secret), None) => secret.clone(),
        (None, Some(file)) => read_secret_file(file_variable, file.as_ref())?,
        (None, None) => return Ok(None),
    };
    Secret::parse(secret)
        .map(Some)
        .map_err(|error| format!("{flag}: {}", error.to_string().trim_end_matches('.')))
}

/// Rate limits for the widget and the public form.
#[derive(Clone, Debug, Args)]
pub struct RateLimitOptions {
    /// The rate limit per IP address for the widget and the public form; “none” disables it
    #[arg(
        long,
        env = "MINIBACK_LIMIT_ADDRESS",
        default_value = "10/1m,100/1h",
        allow_hyphen_values = true,
        value_name = "COUNT/DURATION,…"
    )]
    pub limit_address: RateLimits,
    /// The rate limit per project for the widget and the public form; “none” disables it
    #[arg(
        long,
        env = "MINIBACK_LIMIT_PROJECT",
        default_value = "60/1m",
        allow_hyphen_values = true,
        value_name = "COUNT/DURATION,…"
    )]
    pub limit_project: RateLimits,
}

/// Options for sending webhooks.
#[derive(Clone, Debug, Args)]
pub struct DeliveryOptions {
    /// Allow targets that are blocked by default: a CIDR, or an IP address or host name with an
    /// optional port
    #[arg(
        long,
        env = "MINIBACK_ALLOW_TARGET",
        value_delimiter = ',',
        value_name = "TARGET,…"
    )]
    pub allow_target: Vec<AllowTarget>,
    /// Block webhooks to localhost
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
    /// PEM files with additional CA certificates
    #[arg(
        long,
        env = "MINIBACK_CA_FILE",
        value_delimiter = ',',
        value_name = "FILE,…"
    )]
    pub ca_file: Vec<PathBuf>,
    /// The time limit for an endpoint’s response. Stopping the server takes up to 1 s longer, so
    /// set TimeoutStopSec= in a systemd unit to at least 10 s more than this time
    #[arg(
        long,
        env = "MINIBACK_TIMEOUT",
        default_value = "5s",
        value_parser = parse_timeout,
        allow_hyphen_values = true,
        value_name = "DURATION"
    )]
    pub timeout: Duration,
    /// The delays before the retries; “none” disables retries
    #[arg(
        long,
        env = "MINIBACK_RETRY_DELAYS",
        default_value = "1s,5s,15s",
        value_parser = parse_retry_delays,
        allow_hyphen_values = true,
        value_name = "DURATION,…"
    )]
    pub retry_delays: RetryDelays,
}

#[derive(Clone, Debug, Args)]
pub struct LogOptions {
    /// The format of the log on standard error [default: text on a terminal, otherwise json]
    #[arg(long, env = "MINIBACK_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogOptions {
    /// Reads the log level from `MINIBACK_LOG`; `info` if the variable is empty or isn't set.
    pub fn read_log_level_or_default(&self) -> Result<LevelFilter, String> {
        Ok(self.read_log_level()?.unwrap_or(LevelFilter::INFO))
    }

    /// Reads the log level from `MINIBACK_LOG`; `None` if the variable is empty or isn't set.
    pub fn read_log_level(&self) -> Result<Option<LevelFilter>, String> {
        let level = std::env::var("MINIBACK_LOG").unwrap_or_default();
        let level = match level.as_str() {
            "" => return Ok(None),
            "error" => Ok(LevelFilter::ERROR),
            "warn" => Ok(LevelFilter::WARN),
            "info" => Ok(LevelFilter::INFO),
            "debug" => Ok(LevelFilter::DEBUG),
            "trace" => Ok(LevelFilter::TRACE),
            other => Err(format!(
                "MINIBACK_LOG: “{other}” isn’t a log level; use error, warn, info, or debug"
            )),
        };
        level.map(Some)
    }

    pub fn log_format_or_default(&self) -> LogFormat {
        let default = if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        self.log_format.unwrap_or(default)
    }
}

#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Keep the data and print its directory
    #[arg(
        long,
        env = "MINIBACK_KEEP",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub keep: bool,
    #[command(flatten)]
    pub log: LogOptions,
}

#[derive(Clone, Debug, Args)]
pub struct ListenOptions {
    /// The port on 127.0.0.1 to listen on; 0 picks a free port
    #[arg(
        long,
        env = "MINIBACK_PORT",
        default_value = "3000",
        value_parser = parse_port,
        allow_hyphen_values = true,
        value_name = "PORT"
    )]
    pub port: u16,
    /// The webhook’s secret; to read it from a file, set MINIBACK_SECRET_FILE
    #[arg(
        long,
        env = "MINIBACK_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    secret: Option<String>,
    /// Respond to the first N deliveries with 500
    #[arg(
        long,
        env = "MINIBACK_FAIL",
        default_value = "0",
        value_parser = parse_delivery_count,
        allow_hyphen_values = true,
        value_name = "N"
    )]
    pub fail: u32,
    /// The response status for deliveries with a valid signature
    #[arg(
        long,
        env = "MINIBACK_STATUS",
        default_value = "204",
        value_parser = parse_response_status,
        allow_hyphen_values = true,
        value_name = "CODE"
    )]
    pub status: u16,
    /// The delay before each response: seconds, or a duration like 500ms
    #[arg(
        long,
        env = "MINIBACK_DELAY",
        default_value = "0",
        value_parser = parse_delay,
        allow_hyphen_values = true,
        value_name = "SECONDS"
    )]
    pub delay: Duration,
}

impl ListenOptions {
    /// Reads the secret from the flag, the variable, or the file.
    pub fn read_secret(&self) -> Result<Secret, String> {
        parse_secret("--secret", self.secret.as_ref(), "MINIBACK_SECRET_FILE")?
            .ok_or_else(|| "--secret is missing; copy it from Settings → Notifications".into())
    }
}
