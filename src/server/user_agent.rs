//! Reads the `User-Agent` header of a request.

use actix_web::http::header::{HeaderMap, USER_AGENT};

use crate::domain::user_agent::UserAgent;

/// Returns the browser and the operating system that the request comes from.
pub fn user_agent(headers: &HeaderMap) -> UserAgent {
    let header = headers.get(USER_AGENT).map(|value| value.as_bytes());
    UserAgent::parse(&String::from_utf8_lossy(header.unwrap_or_default()))
}
