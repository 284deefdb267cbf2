//! `ETag`, `If-None-Match`, and `If-Match`.
//!
//! The `ETag` of a project, feedback, or webhook is its version. With `If-Match`, a client changes
//! an object only if nobody else has changed it.
//!
//! Every other `ETag` is weak: a hash of the response body, so handlers don't compute tags. A proxy
//! that compresses responses leaves weak tags unchanged. With `If-None-Match`, a client that polls
//! receives 304 until the tag changes.

use std::future::{Ready, ready};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceResponse};
use actix_web::error::Error;
use actix_web::http::header::{
    self, CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header, HeaderName, HeaderValue, IF_MATCH,
    IfNoneMatch,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::server::tokens;
use crate::server::versions::{VersionHasher, Versioned};
use crate::store::Precondition;

/// Allows the client to store the response, but requires revalidation before each use.
const CACHE_CONTROL_REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The condition of the `If-Match` header.
pub(super) struct IfMatch(Option<header::IfMatch>);

impl FromRequest for IfMatch {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_sent = request.headers().contains_key(IF_MATCH);
        // An invalid header matches no object, because the client wants the change to be
        // conditional.
        let none = || header::IfMatch::Items(Vec::new());
        let sent = is_sent.then(|| header::IfMatch::parse(request).unwrap_or_else(|_| none()));
        ready(Ok(Self(sent)))
    }
}

impl IfMatch {
    /// Returns the condition that the stored object has one of the versions in the header. Without
    /// the header, and with `*`, there is no condition. Weak tags never match (RFC 9110, section
    /// 13.1.1).
    pub(super) fn into_precondition<T: Versioned + Clone>(
        self,
        versions: &VersionHasher,
    ) -> Precondition<T> {
        match self.0 {
            None | Some(header::IfMatch::Any) => Precondition::none(),
            Some(header::IfMatch::Items(tags)) => {
                let versions = versions.clone();
                Precondition::new(move |stored: &T| {
                    let version = EntityTag::new_strong(stored.version(&versions));
                    tags.iter().any(|tag| tag.strong_eq(&version))
                })
            }
        }
    }
}

/// Returns the `ETag` header with the version of an object.
pub(super) fn etag_header(
    object: &impl Versioned,
    versions: &VersionHasher,
) -> (HeaderName, String) {
    let tag = EntityTag::new_strong(object.version(versions));
    (ETAG, tag.to_string())
}

/// Adds `ETag` and `Cache-Control` to a JSON response of `GET` or `HEAD` with status 200, or
/// returns 304 if `If-None-Match` contains the tag. Leaves other responses unchanged.
pub(super) fn add_etag(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let headers = response.headers();
    let is_json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    // Skip responses with their own `Cache-Control`, such as responses that contain a secret.
    let is_cacheable = matches!(*request.method(), Method::GET | Method::HEAD)
        && response.status() == StatusCode::OK
        && is_json
        && !headers.contains_key(CACHE_CONTROL);
    if !is_cacheable {
        return ServiceResponse::new(request, response);
    }
    let own_tag = headers
        .get(ETAG)
        .and_then(|tag| tag.to_str().ok()?.parse().ok());
    let (mut head, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return ServiceResponse::new(request, head.set_body(body)),
    };
    let hash = || URL_SAFE_NO_PAD.encode(&tokens::sha256(&bytes)[..12]);
    let tag = own_tag.unwrap_or_else(|| EntityTag::new_weak(hash()));
    let is_match = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(&tag)),
        // Ignore an invalid `If-None-Match`.
        Err(_) => false,
    };
    if is_match {
        let not_modified = HttpResponse::NotModified()
            .insert_header((ETAG, tag.to_string()))
            .insert_header((CACHE_CONTROL, CACHE_CONTROL_REVALIDATE))
            .finish();
        return ServiceResponse::new(request, not_modified);
    }
    if let Ok(value) = HeaderValue::from_str(&tag.to_string()) {
        head.headers_mut().insert(ETAG, value);
    }
    head.headers_mut()
        .insert(CACHE_CONTROL, CACHE_CONTROL_REVALIDATE);
    ServiceResponse::new(request, head.set_body(BoxBody::new(bytes)))
}
