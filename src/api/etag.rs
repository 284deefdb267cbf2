//! `ETag` and `If-None-Match`: a client that polls gets 304 until the response changes.
//!
//! The tag is a hash of the response body, so handlers don't have to compute it. The tag is weak,
//! so a proxy that compresses responses leaves it unchanged.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch,
};
use actix_web::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::server::tokens;

/// The client may store the response, but must revalidate it before each use.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Adds an `ETag` to a JSON response of `GET` or `HEAD`, or returns 304 if the tag matches.
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
    let (mut head, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return ServiceResponse::new(request, head.set_body(body)),
    };
    let tag = EntityTag::new_weak(URL_SAFE_NO_PAD.encode(&tokens::sha256(&bytes)[..12]));
    let is_match = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(&tag)),
        // Ignore an invalid header.
        Err(_) => false,
    };
    if is_match {
        let not_modified = HttpResponse::NotModified()
            .insert_header((ETAG, tag.to_string()))
            .insert_header((CACHE_CONTROL, REVALIDATE))
            .finish();
        return ServiceResponse::new(request, not_modified);
    }
    if let Ok(value) = HeaderValue::from_str(&tag.to_string()) {
        head.headers_mut().insert(ETAG, value);
    }
    head.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    ServiceResponse::new(request, head.set_body(BoxBody::new(bytes)))
}
