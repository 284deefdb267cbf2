//! The errors that prevent Miniback from starting, and their exit codes.

use std::io;

use rustix::io::Errno;

use super::listeners::ListenError;
use super::open_files::OpenFileLimitTooLow;
use crate::delivery::tls::TlsConfigError;
use crate::domain::egress_policy::EgressDenied;
use crate::io_errors;
use crate::store::{OpenError, StoreError};

/// An error that prevents Miniback from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the HTTP server can’t start: {}", io_errors::describe(.0))]
    HttpServer(io::Error),
    #[error(transparent)]
    OpenFiles(#[from] OpenFileLimitTooLow),
    #[error(transparent)]
    CaFile(#[from] TlsConfigError),
    #[error("{0}")]
    AlertSecret(String),
    #[error("{0}")]
    MailSettings(String),
    #[error("--alert-url: {}", .0.to_string().trim_end_matches('.'))]
    AlertUrl(EgressDenied),
    #[error("creating the first user failed: {0}")]
    FirstUser(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Without the IP addresses of this machine, webhooks could reach Miniback's own sockets.
    #[error(
        "can’t list the IP addresses of this machine: {}{}",
        io_errors::describe(.0), interfaces_advice(.0)
    )]
    Interfaces(io::Error),
    #[error("starting failed: {}", io_errors::describe(.0))]
    Io(#[from] io::Error),
}

/// Returns the fix if the process isn't permitted to create a Netlink socket.
fn interfaces_advice(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AFNOSUPPORT | Errno::PERM | Errno::ACCESS) => {
            "; allow Netlink sockets: in a systemd unit, add AF_NETLINK to RestrictAddressFamilies="
        }
        _ => "",
    }
}

impl StartError {
    /// Returns the exit code of the process. The code is 2 for an invalid configuration or an
    /// unusable data directory, and 1 for other errors, such as a locked database.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::OpenFiles(_)
            | Self::CaFile(_)
            | Self::AlertSecret(_)
            | Self::MailSettings(_)
            | Self::AlertUrl(_)
            | Self::Interfaces(_) => 2,
            Self::Listen(error) if error.is_configuration_error() => 2,
            Self::Open(
                OpenError::Directory { .. }
                | OpenError::NewerSchema { .. }
                | OpenError::NotADatabase { .. }
                | OpenError::NotADirectory(_)
                | OpenError::NotAFile { .. }
                | OpenError::SeparateWal { .. }
                | OpenError::ForeignWal { .. }
                | OpenError::Exposed(_)
                | OpenError::Corrupt { .. }
                | OpenError::ReadOnly { .. },
            ) => 2,
            _ => 1,
        }
    }
}
