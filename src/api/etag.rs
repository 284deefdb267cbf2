//! `ETag` and `If-None-Match`: a list that is asked for again and again is sent again only where it has changed.
//!
//! The tag is made from the answer itself, so it is right whatever the answer is made of. It is a weak one: a proxy
//! that compresses answers leaves it alone.

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

/// May be kept by who asked, and has to be asked for anew each time.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Tags the JSON that a `GET` or `HEAD` answers; to who has it already, says 304.
pub(super) fn add_etag(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let headers = response.headers();
    let is_json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    // What has a rule of its own (secrets: `no-store`) is not to be kept.
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
    let tag = EntityTag::new_weak(URL_SAFE_NO_PAD.encode(&tokens::hash(&bytes)[..12]));
    let is_match = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(&tag)),
        // What cannot be read is no condition.
        Err(_) => false,
    };
    if is_match {
        let answer = HttpResponse::NotModified()
            .insert_header((ETAG, tag.to_string()))
            .insert_header((CACHE_CONTROL, REVALIDATE))
            .finish();
        return ServiceResponse::new(request, answer);
    }
    if let Ok(value) = HeaderValue::from_str(&tag.to_string()) {
        head.headers_mut().insert(ETAG, value);
    }
    head.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    ServiceResponse::new(request, head.set_body(BoxBody::new(bytes)))
}
