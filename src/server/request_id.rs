//! `X-Request-Id`: a short name for each request, in its answer and in the log.
//!
//! What is no HTTP request (a broken head, one that is too large or too slow) is answered by actix's dispatcher before
//! there is a request: that 400, 408 or 431 has no name, and there is no place where one could be given.

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

/// The name of a request, for those who show it.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Counts up from where chance began, so that those of one run stand in the order in which they came.
fn next_id() -> String {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(u64::from_be_bytes(random::bytes())));
    format!("{:016x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Middleware: names the request and passes it on; each line that is logged on its way has the name. Of its address
/// only the pattern is logged, as the routes have it: a path, or its query, may hold anything, one-time tokens too.
pub async fn assign_request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = next_id();
    let started = Instant::now();
    let method = request.method().clone();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::error_span!("request", id);
    let answered = async {
        let response = next.call(request).await?;
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis());
        let address = response.request().match_pattern();
        let address = address.as_deref().unwrap_or("none of ours");
        tracing::debug!(%method, address, status, ms, "answered");
        Ok::<_, Error>(response)
    };
    let mut response = answered.instrument(span).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    Ok(response)
}
