//! The session cookies, which are created at sign-in, read on every request, and deleted at
//! sign-out.
//!
//! Programs on other ports, paths, and subdomains of the same host can set or delete cookies with
//! the same name. So each session has a second cookie, whose name contains a tag of this
//! installation. Over HTTPS, the name has the `__Secure-` prefix, so plain HTTP pages can't set
//! this cookie.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse};
use ring::hmac;

use super::context::RequestContext;
use crate::server::user_agent::user_agent;
use crate::server::{cookies, tokens};
use crate::store::NewSession;

const SESSION_COOKIE_NAME: &str = "miniback_session";
const SIGN_IN_PROGRESS_COOKIE_NAME: &str = "miniback_signing_in";
/// The maximum lifetime of a session and its cookies, in days.
const SESSION_MAX_AGE_DAYS: i64 = 90;

/// Maximum number of cookie values that are looked up for one request.
const TOKEN_CANDIDATES_MAX: usize = 8;

/// The names of the session's second cookie, over HTTP and over HTTPS.
pub struct SessionCookieNames {
    http: String,
    https: String,
}

impl SessionCookieNames {
    /// Derives the names from `key`, a stored key of this installation.
    pub fn new(key: &hmac::Key) -> Self {
        let tag = hmac::sign(key, b"cookie name");
        let http = format!("{SESSION_COOKIE_NAME}_{}", hex::encode(&tag.as_ref()[..4]));
        Self {
            https: format!("__Secure-{http}"),
            http,
        }
    }

    /// Returns the values that may be the session's token, most trustworthy first.
    fn token_candidates<'a>(&'a self, headers: &'a HeaderMap) -> Vec<&'a str> {
        let names = [&self.https, &self.http, SESSION_COOKIE_NAME];
        let values = names.map(|name| cookies::cookie_values(headers, name));
        let mut candidates: Vec<_> = values.into_iter().flatten().collect();
        candidates.retain(|value| tokens::has_random_token_format(value));
        candidates.dedup();
        candidates.truncate(TOKEN_CANDIDATES_MAX);
        candidates
    }
}

/// Returns the hashes of the tokens in the request's cookies that may belong to a session.
pub fn candidate_token_hashes(names: &SessionCookieNames, headers: &HeaderMap) -> Vec<[u8; 32]> {
    let candidates = names.token_candidates(headers);
    candidates.into_iter().map(tokens::sha256).collect()
}

/// Generates a session: the cookies for the browser and the record for the store.
pub fn generate_session(context: &RequestContext) -> ([Cookie<'static>; 2], NewSession) {
    let token = tokens::random_token();
    let new_session = NewSession {
        token_hash: tokens::sha256(&token),
        browser: user_agent(context.request.headers()).names(),
    };
    let max_age = CookieDuration::days(SESSION_MAX_AGE_DAYS);
    (build_session_cookies(context, &token, max_age), new_session)
}

pub fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    // Can't fail: name, value, and path are valid in a header.
    let _ = response.add_cookie(cookie);
}

pub fn set_session_cookies(response: &mut HttpResponse, cookies: &[Cookie<'_>; 2]) {
    for cookie in cookies {
        set_cookie(response, cookie);
    }
}

/// Adds the cookies of a new session. Also adds a cookie that marks a sign-in in progress and isn't
/// restricted to HTTPS. If the browser returns this cookie without a session cookie, the sign-in
/// has failed.
pub fn set_sign_in_cookies(
    context: &RequestContext,
    response: &mut HttpResponse,
    cookies: &[Cookie<'_>; 2],
) {
    set_session_cookies(response, cookies);
    set_sign_in_progress_cookie(context, response, CookieDuration::minutes(1));
}

/// Returns whether the browser has the cookie that marks a sign-in in progress.
pub fn has_sign_in_progress_cookie(request: &HttpRequest) -> bool {
    cookies::cookie_values(request.headers(), SIGN_IN_PROGRESS_COOKIE_NAME)
        .next()
        .is_some()
}

/// Removes the cookie that marks a sign-in in progress.
pub fn remove_sign_in_progress_cookie(context: &RequestContext, response: &mut HttpResponse) {
    set_sign_in_progress_cookie(context, response, CookieDuration::ZERO);
}

fn set_sign_in_progress_cookie(
    context: &RequestContext,
    response: &mut HttpResponse,
    age: CookieDuration,
) {
    let mut cookie = build_cookie(
        context,
        SIGN_IN_PROGRESS_COOKIE_NAME.to_owned(),
        "1".to_owned(),
    );
    cookie.set_secure(false);
    cookie.set_max_age(age);
    set_cookie(response, &cookie);
}

/// Tells the browser to delete the session's cookies.
pub fn clear_session_cookies(context: &RequestContext, response: &mut HttpResponse) {
    set_session_cookies(
        response,
        &build_session_cookies(context, "", CookieDuration::ZERO),
    );
}

fn build_session_cookies(
    context: &RequestContext,
    value: &str,
    max_age: CookieDuration,
) -> [Cookie<'static>; 2] {
    let names = &context.state.cookie_names;
    let own = if is_cookie_secure(context) {
        &names.https
    } else {
        &names.http
    };
    [SESSION_COOKIE_NAME, own].map(|name| {
        let mut cookie = build_cookie(context, name.to_owned(), value.to_owned());
        cookie.set_max_age(max_age);
        cookie
    })
}

/// Returns whether cookies are restricted to HTTPS.
pub fn is_cookie_secure(context: &RequestContext) -> bool {
    let origin = context.app.urls.origin();
    origin.is_some_and(|origin| origin.starts_with("https:"))
        || context.trusted_proxies().is_https(&context.request)
}

/// Builds a host-only cookie that scripts can't read.
pub fn build_cookie(context: &RequestContext, name: String, value: String) -> Cookie<'static> {
    let mut cookie = Cookie::new(name, value);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path(context.app.urls.cookie_path());
    if is_cookie_secure(context) {
        cookie.set_secure(true);
    }
    cookie
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{COOKIE, HeaderValue};

    use super::*;

    #[test]
    fn finds_the_token_among_cookies_of_other_programs() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let names = SessionCookieNames::new(&key);
        let (token, foreign) = (tokens::random_token(), tokens::random_token());
        let (http, https) = (&names.http, &names.https);
        let of = |line: String| {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_str(&line).unwrap());
            let found = names
                .token_candidates(&headers)
                .into_iter()
                .map(str::to_owned);
            found.collect::<Vec<_>>()
        };
        assert_eq!(of(format!("miniback_session={token}")), [&*token]);
        // The second cookie is enough if another program sets or deletes the first cookie.
        let line = format!("miniback_session=x; {http}={token}");
        assert_eq!(of(line), [&*token]);
        assert_eq!(of(format!("{https}={token}")), [&*token]);
        assert_eq!(of(format!("{http}={token}")), [&*token]);
        let line = format!("garbage; miniback_session={foreign}; miniback_session={token}");
        assert_eq!(of(line), [foreign.clone(), token.clone()]);
        let line = format!("miniback_session={foreign}; {https}={token}");
        assert_eq!(of(line), [token, foreign]);
    }

    #[test]
    fn looks_up_a_limited_number_of_values() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let cookies: Vec<_> = (0..50)
            .map(|_| format!("miniback_session={}", tokens::random_token()))
            .collect();
        let mut headers = HeaderMap::new();
        let line = HeaderValue::from_str(&cookies.join("; ")).unwrap();
        headers.append(COOKIE, line);
        assert_eq!(
            candidate_token_hashes(&SessionCookieNames::new(&key), &headers).len(),
            8
        );
    }
}
