//! Logs security events, such as a changed role or a revoked token, with the ids of the user and of
//! the changed object. A line never contains an email, a password, or a token.
//!
//! Most events are successful requests to the routes in [`SECURITY_EVENT_ROUTES`].

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};

use super::AppState;
use crate::domain::id::{TokenId, UserId};
use crate::metrics::METRICS;

/// The routes whose successful requests are security events: method, path, and event name.
pub const SECURITY_EVENT_ROUTES: &[(Method, &str, &str)] = &[
    (Method::POST, "/logout", "sign_out"),
    (Method::POST, "/setup", "user_added"),
    (Method::POST, "/invitation", "user_added"),
    (Method::POST, "/reset", "password_changed"),
    (
        Method::POST,
        "/settings/account/password",
        "password_changed",
    ),
    (
        Method::POST,
        "/settings/account/sessions/{id}/end",
        "session_ended",
    ),
    (
        Method::POST,
        "/settings/account/sign-out-everywhere",
        "sessions_ended",
    ),
    (Method::POST, "/settings/people", "invitation_created"),
    (
        Method::POST,
        "/settings/people/links/{id}/revoke",
        "link_revoked",
    ),
    (
        Method::POST,
        "/settings/people/{id}/reset",
        "reset_link_created",
    ),
    (Method::POST, "/settings/people/{id}/role", "role_changed"),
    (Method::POST, "/settings/people/{id}/remove", "user_removed"),
    (Method::POST, "/settings/tokens", "token_created"),
    (
        Method::POST,
        "/settings/tokens/{id}/revoke",
        "token_revoked",
    ),
    (Method::POST, "/settings/notifications", "webhook_created"),
    (
        Method::POST,
        "/settings/notifications/email",
        "webhook_created",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/enabled",
        "webhook_changed",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/topics",
        "webhook_changed",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/edit",
        "webhook_changed",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/delete",
        "webhook_removed",
    ),
    (
        Method::GET,
        "/settings/notifications/{id}/secret",
        "secret_revealed",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/rotate",
        "secret_rotated",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/switch-now",
        "secret_rotated",
    ),
    (
        Method::POST,
        "/settings/notifications/recover",
        "deliveries_redelivered",
    ),
    (
        Method::POST,
        "/settings/notifications/{id}/recover",
        "deliveries_redelivered",
    ),
    (Method::GET, "/feedback/export.csv", "feedback_exported"),
    (Method::GET, "/feedback/export.json", "feedback_exported"),
    (Method::POST, "/feedback/delete", "feedback_removed"),
    (
        Method::POST,
        "/settings/privacy/export",
        "personal_data_exported",
    ),
    (
        Method::POST,
        "/settings/privacy/erase",
        "personal_data_erased",
    ),
    (
        Method::POST,
        "/settings/projects/{id}/delete",
        "project_removed",
    ),
    (
        Method::DELETE,
        "/api/v1/projects/{project}",
        "project_removed",
    ),
    (Method::DELETE, "/api/v1/feedback/{id}", "feedback_removed"),
    (Method::POST, "/api/v1/webhooks", "webhook_created"),
    (Method::PATCH, "/api/v1/webhooks/{id}", "webhook_changed"),
    (Method::DELETE, "/api/v1/webhooks/{id}", "webhook_removed"),
    (
        Method::GET,
        "/api/v1/webhooks/{id}/secret",
        "secret_revealed",
    ),
    (
        Method::POST,
        "/api/v1/webhooks/{id}/secret/rotate",
        "secret_rotated",
    ),
    (
        Method::POST,
        "/api/v1/webhooks/{id}/secret/rotate/finish",
        "secret_rotated",
    ),
    (
        Method::POST,
        "/api/v1/webhooks/{id}/recover",
        "deliveries_redelivered",
    ),
];

/// The log target of security events.
pub const LOG_TARGET: &str = "miniback::security_events";
/// The log target of security events that anybody can cause without signing in. The number of these
/// log lines is limited.
pub const UNAUTHENTICATED_LOG_TARGET: &str = "miniback::security_events::unauthenticated";

/// The path of the page that shows a webhook's secret if the query contains `reveal=ID`.
const NOTIFICATIONS_PATH: &str = "/settings/notifications";

/// The user who sent a request, stored in the request's extensions.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: UserId,
    /// The API token that authenticated the request; `None` for a session.
    pub token: Option<TokenId>,
}

/// The id of the object that an event is about, stored in the request's extensions. Only needed if
/// neither the path nor the `Location` header contains the id.
struct EventSubject(String);

/// More fields of an event's log line, stored in the request's extensions.
#[derive(Clone, Copy, Default)]
struct EventDetails {
    change: Option<&'static str>,
    count: Option<usize>,
}

/// Sets the id of the object that the request's event is about.
pub fn set_event_subject(request: &HttpRequest, id: impl ToString) {
    request
        .extensions_mut()
        .insert(EventSubject(id.to_string()));
}

/// Adds to the request's event whether the object was enabled or disabled.
pub fn record_enabled_change(request: &HttpRequest, enabled: bool) {
    let change = if enabled { "enabled" } else { "disabled" };
    request.extensions_mut().insert(EventDetails {
        change: Some(change),
        count: None,
    });
}

/// Sets the number of objects that the request's event is about.
pub fn set_event_count(request: &HttpRequest, count: usize) {
    request.extensions_mut().insert(EventDetails {
        change: None,
        count: Some(count),
    });
}

/// Logs a security event of a request. `subject` is the id of the object that the event is about.
pub fn log_event(event: &str, subject: Option<&str>, actor: Option<&Actor>, client_ip: IpAddr) {
    log_event_with_details(event, subject, EventDetails::default(), actor, client_ip);
}

fn log_event_with_details(
    event: &str,
    subject: Option<&str>,
    EventDetails { change, count }: EventDetails,
    actor: Option<&Actor>,
    client_ip: IpAddr,
) {
    let by = actor.map(|actor| actor.user.to_string());
    let token = actor.and_then(|actor| Some(actor.token?.to_string()));
    tracing::info!(target: LOG_TARGET, security_event = event, subject, change, count, by, token, %client_ip, "security event");
}

/// Counts and logs that a wrong password was entered, without the password. `account` is the id of
/// the account, or `None` if there is no such account. `actor` is the signed-in user, if there is
/// one.
pub fn log_failed_sign_in(account: Option<&str>, actor: Option<&Actor>, client_ip: IpAddr) {
    METRICS.sign_ins.increment("failure");
    let by = actor.map(|actor| actor.user.to_string());
    tracing::info!(target: UNAUTHENTICATED_LOG_TARGET, security_event = "sign_in_failed", subject = account, by, %client_ip, "security event");
}

/// Logs a security event that no request caused. `by` is `command_line` or `configuration`.
pub fn log_local_event(event: &str, subject: &str, by: &str) {
    tracing::info!(target: LOG_TARGET, security_event = event, subject, by, "security event");
}

/// Middleware that logs the security events of successful requests.
pub async fn log_request_events(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let status = response.status();
    // A successful form submission redirects. A `GET` that redirects, such as an export without a
    // session, isn't successful.
    let is_form = response.request().method() == Method::POST;
    let is_success = status.is_success() || (status.is_redirection() && is_form);
    // The response to a repeated form submission is a redirect with an error. Don't log the event
    // again.
    if is_success
        && response.response().error().is_none()
        && let Some(app) = response.request().app_data::<web::Data<AppState>>()
        && let Some((event, subject)) = find_event(&response, app.urls.base_path())
    {
        let (actor, details) = {
            let extensions = response.request().extensions();
            let details = extensions.get::<EventDetails>().copied();
            (
                extensions.get::<Actor>().cloned(),
                details.unwrap_or_default(),
            )
        };
        // Don't log a sign-out without a session, because anybody can send any number of such
        // requests.
        if actor.is_some() || event != "sign_out" {
            let client_ip = app.proxies.client_ip(response.request());
            let subject = subject.as_deref();
            log_event_with_details(event, subject, details, actor.as_ref(), client_ip);
        }
    }
    Ok(response)
}

/// Returns the event of a successful request, and the id of its subject.
fn find_event<B>(
    response: &ServiceResponse<B>,
    base_path: &str,
) -> Option<(&'static str, Option<String>)> {
    let request = response.request();
    let pattern = request.match_pattern()?;
    let path = pattern.strip_prefix(base_path).unwrap_or(&pattern);
    let method = match *request.method() {
        Method::HEAD => &Method::GET,
        ref method => method,
    };
    let route = SECURITY_EVENT_ROUTES
        .iter()
        .find(|(of, route, _)| of == method && *route == path);
    if let Some((.., event)) = route {
        let subject = request
            .extensions()
            .get::<EventSubject>()
            .map(|s| s.0.clone());
        let in_path = || {
            request
                .match_info()
                .iter()
                .next()
                .map(|(_, id)| id.to_owned())
        };
        let created = || {
            let location = response.headers().get(LOCATION)?.to_str().ok()?;
            let id = location.strip_prefix('/')?.rsplit('/').next()?;
            (response.status().as_u16() == 201).then(|| id.to_owned())
        };
        return Some((
            event,
            subject
                .or_else(in_path)
                .or_else(created)
                .filter(|id| is_loggable_id(id)),
        ));
    }
    if *method == Method::GET && path == NOTIFICATIONS_PATH {
        let query: Vec<(String, String)> =
            serde_urlencoded::from_str(request.query_string()).ok()?;
        let (_, id) = query.into_iter().find(|(name, _)| name == "reveal")?;
        return is_loggable_id(&id).then_some(("secret_revealed", Some(id)));
    }
    None
}

/// Returns whether the text consists of at most 64 ASCII letters, digits, `_`, and `-`. Such an id
/// can't forge other fields of the log line.
fn is_loggable_id(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
