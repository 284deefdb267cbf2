//! `X-Request-Id`: a short id for each request, in the response and in the log. Also counts and
//! logs responses.
//!
//! Malformed requests (an invalid, oversized, or slow head) are rejected before a request object
//! exists. The responses to malformed requests (400, 408, and 431) have no id.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use tracing::Instrument;

use super::AppState;
use crate::clock::saturating_millis;
use crate::domain::egress_policy::non_global_reason;
use crate::metrics::METRICS;
use crate::random;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The paths to which clients submit feedback.
const FEEDBACK_PATHS: [&str; 4] = [
    "/api/feedback",
    "/api/v1/feedback",
    "/api/projects/{projectId}/feedback",
    "/f/{slug}",
];

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
/// lines. Counts the response.
pub async fn assign_request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = next_request_id();
    let started = Instant::now();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::error_span!("request", request_id = id);
    let handled = async {
        let response = next.call(request).await?;
        count_and_log_response(&response, started.elapsed());
        Ok::<_, Error>(response)
    };
    let mut response = handled.instrument(span).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    Ok(response)
}

/// Counts and logs a response.
///
/// Only the pattern of the matching route is logged, because paths and queries can contain secrets
/// such as one-time tokens. Only the kind of the client's network is logged, because Miniback
/// doesn't store the IP addresses of visitors.
fn count_and_log_response(response: &ServiceResponse<impl MessageBody>, duration: Duration) {
    let request = response.request();
    let (method, status) = (request.method(), response.status());
    let pattern = request.match_pattern();
    let route = pattern.as_deref().unwrap_or("none");
    // The base path may precede the path.
    let is_feedback = method == Method::POST && FEEDBACK_PATHS.iter().any(|p| route.ends_with(p));
    METRICS.count_response(status.as_str(), is_feedback, duration);
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let response_bytes = match response.response().body().size() {
        BodySize::Sized(bytes) => Some(bytes),
        _ => None,
    };
    let request_bytes = request.headers().get(CONTENT_LENGTH);
    let request_bytes = request_bytes.and_then(|bytes| bytes.to_str().ok()?.parse::<u64>().ok());
    let app = request.app_data::<web::Data<AppState>>();
    tracing::debug!(
        %method,
        route,
        status = status.as_u16(),
        ms = saturating_millis(duration),
        request_bytes,
        response_bytes,
        client = app.map(|app| network_kind(app.proxies.client_ip(request))),
        "request handled"
    );
}

/// Returns the kind of network that an IP address belongs to.
fn network_kind(ip: IpAddr) -> &'static str {
    if ip.is_loopback() {
        "loopback"
    } else if non_global_reason(ip).is_some() {
        "private"
    } else {
        "public"
    }
}
