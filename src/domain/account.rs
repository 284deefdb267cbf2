//! Accounts: users with their roles, and API tokens with their scopes.

use std::fmt;
use std::str::FromStr;

use super::id::{TokenId, UserId};
use crate::clock::Timestamp;

/// What a user may do. One place holds which page and call needs which: `web::access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Admin,
    /// Sees and handles feedback, sees projects, has an account of their own.
    Member,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// As it stands in a sentence.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Admin => "an admin",
            Self::Member => "a member",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        match text {
            "admin" => Ok(Self::Admin),
            "member" => Ok(Self::Member),
            _ => Err(AccountError::Role),
        }
    }
}

/// What a token may do of what its user may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Full,
    /// `POST /api/v1/feedback` alone.
    Submit,
    /// `GET /metrics` alone.
    Metrics,
}

impl Scope {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Submit => "submit",
            Self::Metrics => "metrics",
        }
    }
}

impl FromStr for Scope {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        match text {
            "full" => Ok(Self::Full),
            "submit" => Ok(Self::Submit),
            "metrics" => Ok(Self::Metrics),
            _ => Err(AccountError::Scope),
        }
    }
}

#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub role: Role,
    pub created_at: Timestamp,
    /// When they last signed in or were at a page, to some minutes.
    pub last_seen_at: Option<Timestamp>,
}

/// An API token, without what it is known by.
#[derive(Clone, Debug)]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub scope: Scope,
    pub user: User,
    /// The e-mail address of who made it; `None`: the command line.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    #[error("The role is admin or member.")]
    Role,
    #[error("The scope is full, submit or metrics.")]
    Scope,
    #[error("The password is too short: use at least {PASSWORD_MIN_BYTES} characters.")]
    PasswordTooShort,
    #[error("The password is too long: at most {PASSWORD_MAX_BYTES} bytes are taken.")]
    PasswordTooLong,
}

/// The shortest and the longest password, in bytes of UTF-8.
pub const PASSWORD_MIN_BYTES: usize = 12;
pub const PASSWORD_MAX_BYTES: usize = 256;

/// Checks a password that somebody chooses: 12 to 256 bytes; nothing else is asked of it (NIST SP 800-63B, 3.1.1.2).
pub fn check_password(password: &str) -> Result<(), AccountError> {
    match password.len() {
        0..PASSWORD_MIN_BYTES => Err(AccountError::PasswordTooShort),
        PASSWORD_MIN_BYTES..=PASSWORD_MAX_BYTES => Ok(()),
        _ => Err(AccountError::PasswordTooLong),
    }
}

/// The form of an e-mail address by which accounts are told apart: people do not remember how they capitalised it.
pub fn normalize_email(email: &str) -> String {
    email.trim().to_lowercase()
}
