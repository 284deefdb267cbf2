//! The commands and their arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use url::Url;

use super::listen_address::ListenerOptions;
use super::option_values::parse_base_url;
use super::options::{DataDirOptions, DemoOptions, ListenOptions, ServeOptions};
use crate::domain::account::{Role, Scope};
use crate::version;

/// Self-hosted feedback for your websites, forwarded as signed webhooks
#[derive(Debug, Parser)]
#[command(
    name = "miniback",
    version = version::version_with_commit(),
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const FIRST_USER_HELP: &str = "\
If there are no users, MINIBACK_ADMIN_EMAIL and MINIBACK_ADMIN_PASSWORD (or \
MINIBACK_ADMIN_PASSWORD_FILE) create the first user. Without them, the log shows a setup link. \
MINIBACK_LOG=debug logs more.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server
    #[command(after_help = FIRST_USER_HELP)]
    Serve(Box<ServeOptions>),
    /// Try Miniback on this machine with sample data, a sample site, and a webhook receiver
    Demo(DemoOptions),
    /// Receive webhooks during development: print each delivery and whether its signature is valid
    Listen(ListenOptions),
    /// Ask the running server whether it is healthy, for at most 5 s; exit with 0 or 1
    Health(ListenerOptions),
    /// Create the data directory and an empty database
    Init {
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Back up the database while the server is running
    Backup {
        /// The path of the backup. An existing regular file is replaced, but not a file of the live
        /// database. “-” writes to standard output
        file: PathBuf,
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Replace the database of a stopped server with a backup, and keep the old database
    Restore {
        /// The path of the backup. “-” reads the backup from standard input
        file: PathBuf,
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Print a new one-time setup URL, which creates the first user. Earlier setup URLs become
    /// invalid
    SetupLink {
        #[command(flatten)]
        data: DataDirOptions,
        #[command(flatten)]
        listener: ListenerOptions,
        /// The public URL, including any path [default: the URL of the running server, or --listen]
        #[arg(long, env = "MINIBACK_BASE_URL", value_parser = parse_base_url, value_name = "URL")]
        base_url: Option<Url>,
    },
    /// Check the configuration, the database, and the hosts of webhooks
    Check(Box<ServeOptions>),
    /// Print shell completions
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: CompletionShell,
    },
    /// Print the man page
    Man,
    /// Print the API's OpenAPI 3.1 document
    #[command(name = "openapi")]
    OpenApi {
        /// The public URL for the document, including any path [default: /]
        #[arg(long, env = "MINIBACK_BASE_URL", value_parser = parse_base_url, value_name = "URL")]
        base_url: Option<Url>,
    },
    /// Add, list, and remove users, and set their passwords
    #[command(subcommand)]
    User(UserCommand),
    /// Create, list, and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

impl Command {
    pub(super) fn base_url(&self) -> Option<&Url> {
        match self {
            Self::Serve(options) | Self::Check(options) => options.base_url.as_ref(),
            Self::OpenApi { base_url } | Self::SetupLink { base_url, .. } => base_url.as_ref(),
            _ => None,
        }
    }
}

/// A shell that has completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user. The password is read from the terminal or from the first line of standard input
    Add {
        /// The email that the user signs in with
        email: String,
        /// The user's role. Admins can do everything; members can see and handle feedback
        #[arg(long, default_value = "admin", value_name = "admin|member")]
        role: Role,
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// List the users
    List {
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Set a user's password and end their sessions
    Passwd {
        /// The user’s email
        email: String,
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Remove a user and their sessions and tokens
    Remove {
        /// The user’s email
        email: String,
        #[command(flatten)]
        data: DataDirOptions,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it once
    Create {
        /// The token’s user
        #[arg(long, value_name = "EMAIL")]
        user: String,
        /// What the token can do: everything that the user can do (full), create feedback (submit),
        /// or read metrics (metrics)
        #[arg(long, default_value = "full", value_name = "full|submit|metrics")]
        scope: Scope,
        /// A name that says what the token is for
        name: String,
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// List the tokens
    List {
        #[command(flatten)]
        data: DataDirOptions,
    },
    /// Revoke a token
    Revoke {
        /// The token’s id, as shown by `miniback token list`
        id: String,
        #[command(flatten)]
        data: DataDirOptions,
    },
}
