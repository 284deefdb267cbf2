//! What a page says when there is nothing else to show: not found, not allowed, the server's own faults.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

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
    #[error("The form was not complete or not readable; go back and send it again.")]
    InvalidForm,
    #[error("The form holds more than {0} KiB.")]
    FormTooLarge(usize),
    #[error("The form took too long to arrive; send it again.")]
    RequestTimeout,
    #[error("This address takes a form.")]
    UnsupportedMediaType,
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
    #[error("{}", store_error_message(.0))]
    Store(#[from] StoreError),
    #[error("The server failed; its log says why.")]
    Internal(String),
}

fn store_error_message(error: &StoreError) -> &'static str {
    match error {
        StoreError::DiskFull => {
            "The server’s disk is full, or fails: nothing was stored. Try again when there is space."
        }
        StoreError::ReadOnly => "The server’s database cannot be written: nothing was stored.",
        StoreError::Overloaded | StoreError::Busy | StoreError::Pool(_) => {
            "The server is busy, and nothing was stored. Try again in a moment."
        }
        StoreError::Closed => "The server is restarting. Try again in a moment.",
        _ => "The server failed; its log says why.",
    }
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
            | Self::RequestTimeout
            | Self::InvalidForm
            | Self::InvalidLiveTopic
            | Self::FormTooLarge(_)
            | Self::UnsupportedMediaType => "That makes no sense here",
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
            Self::FormTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
