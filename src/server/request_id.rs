//! `X-Request-Id`: a short id for each request, in the response and in the log.
//!
//! Malformed requests (an invalid, oversized, or slow head) are rejected before a request object
//! exists. The responses to malformed requests (400, 408, and 431) have no id.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing::Instrument;

use crate::random;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, stored in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Returns the next id. Ids count up from a random start, so that the ids of one process sort in
/// order of arrival.
fn next_request_id() -> String {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(u64::from_be_bytes(random::bytes())));
    format!("{:016x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Middleware that assigns an id to a request, and adds it to the response and to the request's log
/// lines.
///
/// Only the pattern of the matching route is logged, because paths and queries can contain secrets
/// such as one-time tokens.
pub async fn assign_request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = next_request_id();
    let started = Instant::now();
    let method = request.method().clone();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::error_span!("request", id);
    let handled = async {
        let response = next.call(request).await?;
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis());
        let route = response.request().match_pattern();
        let route = route.as_deref().unwrap_or("none");
        tracing::debug!(%method, route, status, ms, "request handled");
        Ok::<_, Error>(response)
    };
    let mut response = handled.instrument(span).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    Ok(response)
}
