//! `X-Request-Id`: a short name for each request, in its answer and in its log line.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;

use crate::random;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware: names the request, passes it on, and logs what came of it. The path is logged without its query, and
/// without the one-time tokens that stand in queries.
pub async fn name_requests(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id: String = random::bytes::<8>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let started = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let mut response = next.call(request).await?;
    tracing::debug!(
        request_id = id,
        %method,
        path,
        status = response.status().as_u16(),
        ms = started.elapsed().as_millis(),
        "request"
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    Ok(response)
}
