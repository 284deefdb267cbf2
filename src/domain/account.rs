//! Users with their roles, and API tokens with their scopes.

use std::fmt;
use std::str::FromStr;

use super::id::{TokenId, UserId};
use crate::clock::Timestamp;

/// The role of a user. `server::permissions` defines the role that each route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Admin,
    /// A user who can read and change feedback, read projects, and manage their own account.
    Member,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// Returns the role with an article, for use in a sentence.
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
    type Err = RoleOrScopeError;

    fn from_str(text: &str) -> Result<Self, RoleOrScopeError> {
        match text {
            "admin" => Ok(Self::Admin),
            "member" => Ok(Self::Member),
            _ => Err(RoleOrScopeError::UnknownRole),
        }
    }
}

/// The scope of an API token, which limits the permissions that the token inherits from its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Full,
    /// Allows only the calls that create feedback.
    Submit,
    /// Allows only `GET /metrics`.
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
    type Err = RoleOrScopeError;

    fn from_str(text: &str) -> Result<Self, RoleOrScopeError> {
        match text {
            "full" => Ok(Self::Full),
            "submit" => Ok(Self::Submit),
            "metrics" => Ok(Self::Metrics),
            _ => Err(RoleOrScopeError::UnknownScope),
        }
    }
}

#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub role: Role,
    pub created_at: Timestamp,
    /// The time of the last sign-in or page view, accurate to 10 minutes.
    pub last_seen_at: Option<Timestamp>,
}

/// An API token, without the bearer token itself.
#[derive(Clone, Debug)]
pub struct ApiToken {
    pub id: TokenId,
    /// The first 8 hexadecimal digits of the SHA-256 of the bearer token. It distinguishes tokens
    /// with the same name, and doesn't help to guess a token.
    pub fingerprint: String,
    pub name: String,
    pub scope: Scope,
    pub user: User,
    /// The email of the user who created the token; `None` if it was created on the command line.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// The reason a role or scope is invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RoleOrScopeError {
    #[error("The role must be admin or member.")]
    UnknownRole,
    #[error("The scope must be full, submit, or metrics.")]
    UnknownScope,
}
