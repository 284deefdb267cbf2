//! The session cookie: created at sign-in, read on every request, cleared at sign-out.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, HttpResponse};

use super::context::RequestContext;
use super::user_agent;
use crate::server::tokens;
use crate::store::NewSession;

const COOKIE_NAME: &str = "miniback_session";
/// The maximum lifetime of a session and its cookie, in days.
const MAX_AGE_DAYS: i64 = 90;

/// The hash of the session token in the request's cookie.
pub fn token_hash(request: &HttpRequest) -> Option<[u8; 32]> {
    request
        .cookie(COOKIE_NAME)
        .map(|cookie| tokens::sha256(cookie.value()))
}

/// Generates a session: the cookie for the browser and the record for the store.
pub fn generate(context: &RequestContext) -> (Cookie<'static>, NewSession) {
    let token = tokens::random_token();
    let user_agent = context.request.headers().get(USER_AGENT);
    let new_session = NewSession {
        token_hash: tokens::sha256(&token),
        browser: user_agent::browser_name(
            user_agent.and_then(|v| v.to_str().ok()).unwrap_or_default(),
        ),
    };
    let mut cookie = build_cookie(context, COOKIE_NAME.to_owned(), token);
    cookie.set_max_age(CookieDuration::days(MAX_AGE_DAYS));
    (cookie, new_session)
}

/// Adds a cookie to a response.
pub fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    // Can't fail: name, value, and path are valid in a header.
    let _ = response.add_cookie(cookie);
}

/// Tells the browser to delete the session cookie.
pub fn clear_cookie(context: &RequestContext, response: &mut HttpResponse) {
    let mut cookie = build_cookie(context, COOKIE_NAME.to_owned(), String::new());
    cookie.set_max_age(CookieDuration::ZERO);
    set_cookie(response, &cookie);
}

/// Builds a host-only cookie that scripts can't read.
pub fn build_cookie(context: &RequestContext, name: String, value: String) -> Cookie<'static> {
    let is_configured_https = context
        .app
        .urls
        .origin()
        .is_some_and(|origin| origin.starts_with("https:"));
    let mut cookie = Cookie::new(name, value);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path(context.app.urls.cookie_path());
    if is_configured_https || context.proxies().is_https(&context.request) {
        cookie.set_secure(true);
    }
    cookie
}
