//! [`PageError`]: the errors of pages and their forms.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::form_edits::FieldConflict;
use crate::server::form_data::FormError;
use crate::store::{ChangeError, StoreError, UserError};

const GENERIC_TITLE: &str = "Something went wrong";

/// An error that the middleware in [`auth`](super::auth) renders as a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("There’s no page at this URL.")]
    NotFound,
    /// Contains the name of the query parameter.
    #[error(
        "The value of “{0}” in the URL is invalid. Remove it from the URL, or go back and choose a filter."
    )]
    InvalidFilter(&'static str),
    /// The page exists, but the webhook, project, or other item in its path doesn't.
    #[error("This item doesn’t exist, or it was deleted.")]
    ItemNotFound,
    /// Contains the value of the `Allow` header.
    #[error("This page accepts only these methods: {0}.")]
    MethodNotAllowed(String),
    #[error("Sign in with an admin account, or ask an admin.")]
    Forbidden,
    /// Contains the message, which identifies Miniback's origin and, if known, the form's origin.
    #[error("{0}")]
    CrossOrigin(String),
    #[error("Your session has expired. Sign in to continue.")]
    SignedOut,
    /// A form field has a value that the controls of the page can't submit.
    #[error("{}", FormError::Malformed)]
    InvalidForm,
    #[error(transparent)]
    Form(#[from] FormError),
    /// Somebody else changed the same fields of an edit form.
    #[error(
        "Somebody else changed this in the meantime. Nothing was saved. To replace their values with yours, save again."
    )]
    Conflict(Vec<FieldConflict>),
    /// An error with its own status, title, and message.
    #[error("{message}")]
    Specific {
        status: StatusCode,
        title: &'static str,
        message: &'static str,
    },
    #[error("{}", .0.public_message())]
    Store(#[from] StoreError),
    /// Contains details that are logged but not shown on pages.
    #[error("Try again. If the problem persists, see the server log.")]
    Internal(String),
}

impl PageError {
    /// The webhook has no secret and no signature.
    pub const UNSIGNED_WEBHOOK: Self = Self::Specific {
        status: StatusCode::CONFLICT,
        title: "No secret",
        message: "This webhook has no secret, because only the standard format is signed.",
    };

    /// Creates an error with status 503 and the generic title.
    pub const fn unavailable(message: &'static str) -> Self {
        Self::Specific {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: GENERIC_TITLE,
            message,
        }
    }

    pub fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "Page not found",
            Self::InvalidFilter(_) => "Invalid filter",
            Self::ItemNotFound => "Not found",
            Self::MethodNotAllowed(_) => "Method not allowed",
            Self::Forbidden => "Admins only",
            Self::CrossOrigin(_) => "Request blocked",
            Self::SignedOut => "Session expired",
            Self::InvalidForm => FormError::Malformed.title(),
            Self::Form(error) => error.title(),
            Self::Conflict(_) => "Changed by somebody else",
            Self::Specific { title, .. } => title,
            Self::Store(_) | Self::Internal(_) => GENERIC_TITLE,
        }
    }
}

/// Converts the error of a change without a precondition. Only the store can cause such an error.
impl<T> From<ChangeError<T>> for PageError {
    fn from(error: ChangeError<T>) -> Self {
        match error {
            ChangeError::Changed(_) => Self::Conflict(Vec::new()),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<UserError> for PageError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound(_)
            | UserError::EmailTaken(_)
            | UserError::LastAdmin(_)
            | UserError::Changed(_)
            | UserError::AlreadySetUp => Self::ItemNotFound,
            UserError::Store(error) => error.into(),
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::ItemNotFound => StatusCode::NOT_FOUND,
            Self::InvalidFilter(_) => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden | Self::CrossOrigin(_) => StatusCode::FORBIDDEN,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::InvalidForm => FormError::Malformed.status_code(),
            Self::Form(error) => error.status_code(),
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Specific { status, .. } => *status,
            Self::Store(error) => error.http_status(),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns a response without a body. The middleware renders the page, because it has the data
    /// for the layout.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
