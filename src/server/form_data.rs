//! Reads the data of submitted HTML forms.

use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::BODY_TIMEOUT;
use super::content_type::ContentType;
use super::json_body::has_content_encoding;

const FORM_MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// Maximum size of a form.
const FORM_MAX_BYTES: usize = 64 * 1024;
/// Maximum size of a form that contains a pasted HTTP request. Form encoding can triple the size of
/// the request.
const RAISED_FORM_MAX_BYTES: usize = 512 * 1024;

/// The fields of a form, in the order in which they were sent. A missing field is read as an empty
/// string, which validation rejects if the field is required.
///
/// Reading a form also stores the fields in the request's extensions, so that an error page can
/// show them.
#[derive(Clone, Default)]
pub struct FormData(Rc<Vec<(String, String)>>);

impl FormData {
    pub fn new(fields: Vec<(String, String)>) -> Self {
        Self(Rc::new(fields))
    }

    pub fn fields(&self) -> &[(String, String)] {
        &self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Returns the first value of the field `name`, or an empty string.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }

    /// Returns all values of the field `name`, for example of a group of checkboxes.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Form data with a raised size limit, for forms in which a person can paste an HTTP request.
pub struct RaisedLimitFormData(pub FormData);

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
    #[error("The form is compressed. Send it uncompressed, without Content-Encoding.")]
    UnsupportedEncoding,
    /// A percent-encoded name or value isn't UTF-8. The parser has replaced the invalid bytes.
    #[error(
        "The text isn’t valid UTF-8, so nothing was saved. Correct the text, and submit it again."
    )]
    InvalidUtf8,
    #[error(
        "The form isn’t in UTF-8, so nothing was saved. Correct the text, and submit it again."
    )]
    UnsupportedCharset,
}

impl FormError {
    /// Returns the title of the error page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Invalid form",
            Self::TooLarge(_) => "Form too large",
            Self::TooSlow => "Request timed out",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::UnsupportedEncoding | Self::UnsupportedCharset => "Unsupported encoding",
            Self::InvalidUtf8 => "Invalid characters",
        }
    }
}

impl ResponseError for FormError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed | Self::InvalidUtf8 => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding | Self::UnsupportedCharset => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
        }
    }
}

impl FromRequest for FormData {
    type Error = FormError;
    type Future = LocalBoxFuture<'static, Result<Self, FormError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Self::read_form(request, payload, FORM_MAX_BYTES)
    }
}

impl FromRequest for RaisedLimitFormData {
    type Error = FormError;
    type Future = LocalBoxFuture<'static, Result<Self, FormError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = FormData::read_form(request, payload, RAISED_FORM_MAX_BYTES);
        Box::pin(async move { form.await.map(Self) })
    }
}

impl FormData {
    fn read_form(
        request: &HttpRequest,
        payload: &mut Payload,
        max_bytes: usize,
    ) -> LocalBoxFuture<'static, Result<Self, FormError>> {
        let request = request.clone();
        let has_content_encoding = has_content_encoding(&request);
        let payload = payload.take();
        Box::pin(async move {
            // Read up to the larger limit, so that the error page for an oversized form can show
            // its fields.
            let bytes = timeout(BODY_TIMEOUT, read_body(payload, RAISED_FORM_MAX_BYTES))
                .await
                .map_err(|_| FormError::TooSlow)??;
            if has_content_encoding {
                return Err(FormError::UnsupportedEncoding);
            }
            // Some browsers omit the content type if a form has no fields.
            let content_type = ContentType::from_headers(request.headers());
            if !content_type.is_media_type(FORM_MEDIA_TYPE) && !bytes.is_empty() {
                return Err(FormError::UnsupportedMediaType);
            }
            let fields = serde_urlencoded::from_bytes(&bytes).map_err(|_| FormError::Malformed)?;
            let form = Self::new(fields);
            request.extensions_mut().insert(form.clone());
            if bytes.len() > max_bytes {
                return Err(FormError::TooLarge(max_bytes / 1024));
            }
            if !content_type.is_utf8() {
                return Err(FormError::UnsupportedCharset);
            }
            if !is_percent_encoded_utf8(&bytes) {
                return Err(FormError::InvalidUtf8);
            }
            Ok(form)
        })
    }
}

/// Returns whether percent-encoded text is UTF-8 after decoding. Parsers replace invalid bytes
/// without an error.
pub fn is_percent_encoded_utf8(text: &[u8]) -> bool {
    percent_encoding::percent_decode(text).decode_utf8().is_ok()
}

async fn read_body(mut payload: Payload, max_bytes: usize) -> Result<Vec<u8>, FormError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        bytes.extend_from_slice(&chunk.map_err(|_| FormError::Malformed)?);
        if bytes.len() > max_bytes {
            return Err(FormError::TooLarge(max_bytes / 1024));
        }
    }
    Ok(bytes)
}
