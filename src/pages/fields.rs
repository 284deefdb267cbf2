//! The fields of a posted form.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::framework::page_error::PageError;
use crate::server::BODY_TIMEOUT;

/// The largest form.
const FORM_MAX_BYTES: usize = 64 * 1024;
/// The largest one into which a whole request is pasted: encoded for a form, a body is up to three times as long.
const LONG_FORM_MAX_BYTES: usize = 512 * 1024;

/// Names and values in their order. A field that is missing reads as empty: its check says what is wrong.
pub(super) struct FormData(Vec<(String, String)>);

impl FormData {
    /// The first value of `name`, or nothing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }

    /// All values of `name`: the boxes that were checked.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The same of a form that may be long.
pub(super) struct LargeFormData(pub(super) FormData);

impl FromRequest for FormData {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Self::read(request, payload, FORM_MAX_BYTES)
    }
}

impl FromRequest for LargeFormData {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = FormData::read(request, payload, LONG_FORM_MAX_BYTES);
        Box::pin(async move { read.await.map(Self) })
    }
}

impl FormData {
    fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        max: usize,
    ) -> LocalBoxFuture<'static, Result<Self, PageError>> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let is_form = kind
            .split(';')
            .next()
            .is_some_and(|k| k.trim() == "application/x-www-form-urlencoded");
        let mut payload = payload.take();
        Box::pin(async move {
            let reading = async {
                let mut bytes = Vec::new();
                while let Some(chunk) = payload.next().await {
                    bytes.extend_from_slice(&chunk.map_err(|_| PageError::InvalidForm)?);
                    if bytes.len() > max {
                        return Err(PageError::FormTooLarge(max / 1024));
                    }
                }
                Ok(bytes)
            };
            let bytes = timeout(BODY_TIMEOUT, reading)
                .await
                .map_err(|_| PageError::RequestTimeout)??;
            // A form without fields is sent by some browsers without a type.
            if !is_form && !bytes.is_empty() {
                return Err(PageError::UnsupportedMediaType);
            }
            serde_urlencoded::from_bytes(&bytes)
                .map(Self)
                .map_err(|_| PageError::InvalidForm)
        })
    }
}
