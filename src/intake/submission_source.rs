//! The client, the browser, and the page that a submission comes from.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::ORIGIN;

use crate::domain::project::Project;
use crate::domain::user_agent::UserAgent;
use crate::server::AppState;
use crate::server::request_origin::is_own_origin;
use crate::server::user_agent::user_agent;

/// The client, the browser, and the page that a submission comes from.
pub(super) struct SubmissionSource {
    pub(super) client_ip: IpAddr,
    pub(super) user_agent: UserAgent,
    /// The `Origin` header, sent by browsers. It is `null` for a page without an origin.
    pub(super) origin: Option<String>,
    /// Whether `origin` is Miniback's own origin.
    pub(super) is_own_origin: bool,
}

impl SubmissionSource {
    pub(super) fn from_request(app: &AppState, request: &HttpRequest) -> Self {
        let origin = request.headers().get(ORIGIN);
        Self {
            client_ip: app.proxies.client_ip(request),
            user_agent: user_agent(request.headers()),
            is_own_origin: origin
                .is_some_and(|origin| is_own_origin(&app.proxies, &app.urls, request, origin)),
            origin: origin.map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned()),
        }
    }

    pub(super) fn is_allowed_by(&self, project: &Project) -> bool {
        let allowed = &project.allowed_origins;
        match &self.origin {
            Some(origin) => allowed.is_empty() || self.is_own_origin || allowed.contains(origin),
            None => true,
        }
    }
}
