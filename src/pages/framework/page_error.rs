//! What a page says when there is nothing else to show: not found, not allowed, the server's own faults.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::server::form_data::FormError;
use crate::store::StoreError;

/// Why a page cannot be shown or a form not be taken. The guard turns it into a whole page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("There is no page at this address.")]
    NotFound,
    #[error("What you are looking for is gone, or has never been there.")]
    ItemNotFound,
    #[error("This page takes {0}.")]
    MethodNotAllowed(String),
    #[error("This is for admins. Ask one of them, or sign in with another account.")]
    Forbidden,
    #[error("This form came from another site, so nothing was done.")]
    CrossOrigin,
    #[error("You are signed out; sign in and try again.")]
    SignedOut,
    #[error("{}", FormError::Malformed)]
    InvalidForm,
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(
        "This address signs in once, on the machine that shows it, and has been used or is too old. Start the demo again for a new one."
    )]
    SignInLinkExpired,
    #[error(
        "This setup address has been used or is too old. Start Miniback again: its log shows a new one."
    )]
    SetupLinkExpired,
    #[error(
        "This link has been used or revoked, or is too old. Ask an admin for a new one; if you have a password, sign in."
    )]
    OneTimeLinkExpired,
    #[error("Too many people are signing in at the moment. Try again in a few seconds.")]
    SignInBusy,
    #[error(
        "This page is asked for with what it is about: of=feedback, of=deliveries or of=deliveries:ID."
    )]
    InvalidLiveTopic,
    #[error(
        "Too many pages are open that update by themselves. This one shows what is new when it is loaded again."
    )]
    TooManyStreams,
    #[error("{}", .0.public_message())]
    Store(#[from] StoreError),
    #[error("The server failed; its log says why.")]
    Internal(String),
}

impl PageError {
    pub fn title(&self) -> &'static str {
        match self {
            Self::NotFound | Self::ItemNotFound => "Not found",
            Self::Forbidden => "For admins",
            Self::CrossOrigin => "Not from here",
            Self::SignedOut => "Signed out",
            Self::SignInLinkExpired | Self::SetupLinkExpired | Self::OneTimeLinkExpired => {
                "This address is used up"
            }
            Self::Store(_) | Self::SignInBusy | Self::TooManyStreams | Self::Internal(_) => {
                "That did not work"
            }
            Self::MethodNotAllowed(_)
            | Self::InvalidForm
            | Self::Form(_)
            | Self::InvalidLiveTopic => "That makes no sense here",
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::ItemNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::InvalidForm | Self::InvalidLiveTopic => StatusCode::BAD_REQUEST,
            Self::Form(error) => error.status_code(),
            Self::SignInLinkExpired | Self::SetupLinkExpired | Self::OneTimeLinkExpired => {
                StatusCode::GONE
            }
            Self::SignInBusy | Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) => error.http_status(),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Without words: the guard, which knows the layout, writes them.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
