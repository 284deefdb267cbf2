//! Data of submitted HTML forms.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, ResponseError};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::BODY_TIMEOUT;

/// Maximum size of a form.
const FORM_MAX_BYTES: usize = 64 * 1024;
/// Maximum size of a form that contains a pasted HTTP request. Form encoding can triple the size of
/// the request.
const LARGE_FORM_MAX_BYTES: usize = 512 * 1024;

/// The fields of a form, in the order in which they were sent. A missing field reads as an empty
/// string, and validation then reports the field.
pub struct FormData(Vec<(String, String)>);

impl FormData {
    /// Returns the first value of `name`, or an empty string.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }

    /// Returns all values of `name`, for example of a group of checkboxes.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The data of a form that accepts a pasted request.
pub struct LargeFormData(pub FormData);

/// An error while reading form data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("The form was incomplete. Go back and submit it again.")]
    Malformed,
    #[error("The form is larger than {0} KiB.")]
    TooLarge(usize),
    #[error("The form took too long to arrive. Submit it again.")]
    TooSlow,
    #[error("This URL accepts only HTML forms.")]
    UnsupportedMediaType,
}

impl FormError {
    /// Returns the title of the error page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Invalid form",
            Self::TooLarge(_) => "Form too large",
            Self::TooSlow => "Request timed out",
            Self::UnsupportedMediaType => "Unsupported media type",
        }
    }
}

impl ResponseError for FormError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

impl FromRequest for FormData {
    type Error = FormError;
    type Future = LocalBoxFuture<'static, Result<Self, FormError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Self::read(request, payload, FORM_MAX_BYTES)
    }
}

impl FromRequest for LargeFormData {
    type Error = FormError;
    type Future = LocalBoxFuture<'static, Result<Self, FormError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = FormData::read(request, payload, LARGE_FORM_MAX_BYTES);
        Box::pin(async move { form.await.map(Self) })
    }
}

impl FormData {
    fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        max_bytes: usize,
    ) -> LocalBoxFuture<'static, Result<Self, FormError>> {
        let is_form = is_form(request);
        let payload = payload.take();
        Box::pin(async move {
            let bytes = timeout(BODY_TIMEOUT, read_all(payload, max_bytes))
                .await
                .map_err(|_| FormError::TooSlow)??;
            // Some browsers omit the content type if a form has no fields.
            if !is_form && !bytes.is_empty() {
                return Err(FormError::UnsupportedMediaType);
            }
            serde_urlencoded::from_bytes(&bytes)
                .map(Self)
                .map_err(|_| FormError::Malformed)
        })
    }
}

fn is_form(request: &HttpRequest) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim() == "application/x-www-form-urlencoded")
}

async fn read_all(mut payload: Payload, max_bytes: usize) -> Result<Vec<u8>, FormError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        bytes.extend_from_slice(&chunk.map_err(|_| FormError::Malformed)?);
        if bytes.len() > max_bytes {
            return Err(FormError::TooLarge(max_bytes / 1024));
        }
    }
    Ok(bytes)
}
