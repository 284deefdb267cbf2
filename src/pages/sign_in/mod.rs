//! Signing in with email and password, and signing out.
//!
//! Text, timing, and throttling of responses are the same whether or not an account exists.

pub mod demo_link;
pub mod device_cookie;
mod link_problem;
pub mod one_time_links;
pub mod password_check;
pub mod password_hashing_limiter;
pub mod setup;
pub mod throttle;

use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::REFERER;
use askama::Template;
use url::Url;

use self::password_check::{PasswordCheckResult, verify_password};
use super::framework::context::RequestContext;
use super::framework::interrupted_form::InterruptedForm;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use super::framework::session;
use crate::domain::account::User;
use crate::metrics::{METRICS, SUCCESS};
use crate::server::form_data::RaisedLimitFormData;
use crate::server::security_events;

const WRONG_CREDENTIALS_MESSAGE: &str = "Wrong email or password.";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    layout: Layout,
    email: String,
    /// The path to redirect to after signing in.
    next: String,
    problem: Option<String>,
    /// Whether to explain how to create the first account.
    has_no_users: bool,
    /// Whether the person has just pressed "Sign out everywhere".
    is_signed_out_everywhere: bool,
    /// The form that wasn't processed because the session had ended.
    interrupted: Option<InterruptedForm>,
}

impl SignInPage {
    async fn new(
        context: &RequestContext,
        email: &str,
        next: &str,
        problem: Option<String>,
    ) -> Result<Self, PageError> {
        let has_no_users = !context.app.store.has_users().await?;
        let (layout, _) = context.build_layout("Sign in", None);
        Ok(Self {
            layout,
            email: email.to_owned(),
            next: next.to_owned(),
            problem,
            has_no_users,
            is_signed_out_everywhere: context.query_param("signed-out").is_some(),
            interrupted: None,
        })
    }

    fn with_interrupted_form(mut self, form: Option<InterruptedForm>) -> Self {
        self.interrupted = form;
        self
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let next = context.query_param("next").unwrap_or_default();
    if context.session().is_some() {
        return Ok(context.redirect(local_path_or_home(&next)));
    }
    let is_incomplete = is_session_cookie_missing(&context);
    let problem = is_incomplete.then(|| lost_cookie_message(&context));
    let page = SignInPage::new(&context, "", &next, problem).await?;
    let mut response = render(StatusCode::OK, &page)?;
    if is_incomplete {
        session::remove_sign_in_progress_cookie(&context, &mut response);
    }
    Ok(response)
}

/// Returns whether the browser has just signed in but didn't return the session's cookie. It has
/// only the cookie that marks a sign-in in progress, or a page redirected it back to the sign-in
/// page.
fn is_session_cookie_missing(context: &RequestContext) -> bool {
    let referer = context.request.headers().get(REFERER);
    let referer = referer.and_then(|referer| Url::parse(referer.to_str().ok()?).ok());
    let sign_in = context.app.urls.path("/login");
    let is_redirect = context.query_param("next").is_some()
        && referer.is_some_and(|referer| referer.path() == sign_in);
    session::has_sign_in_progress_cookie(&context.request) || is_redirect
}

/// Returns the message for a browser that didn't keep the sign-in cookie. Logs the first such
/// failure if the cookie needs HTTPS.
fn lost_cookie_message(context: &RequestContext) -> String {
    let is_https = context.trusted_proxies().is_https(&context.request);
    match context.app.urls.origin() {
        Some(origin) if origin.starts_with("https:") && !is_https => {
            let visited = context.trusted_proxies().own_origin(&context.request);
            if !context
                .state
                .has_warned_of_http
                .swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    base_url = origin,
                    visited,
                    "a browser dropped the sign-in cookie, which needs HTTPS; \
                     open --base-url, or change it"
                );
            }
            let url = context.app.urls.absolute_url(origin, "/login");
            format!(
                "Your browser didn’t keep the sign-in cookie, because it works only over HTTPS. \
                 Open {url}, or change --base-url to the URL that you use."
            )
        }
        _ => "Your browser didn’t keep the sign-in cookie. Allow cookies for this site, then sign \
              in again."
            .to_owned(),
    }
}

/// Shows the sign-in page in response to a form whose session has expired. The page carries the
/// form.
pub(super) async fn show_for_expired_session(
    context: &RequestContext,
    form: InterruptedForm,
) -> Result<HttpResponse, PageError> {
    let page = SignInPage::new(context, "", &form.url, None).await?;
    render(
        StatusCode::UNAUTHORIZED,
        &page.with_interrupted_form(Some(form)),
    )
}

pub(super) async fn sign_in(
    context: RequestContext,
    RaisedLimitFormData(fields): RaisedLimitFormData,
) -> Result<HttpResponse, PageError> {
    let (email, next) = (fields.get("email"), fields.get("next"));
    let interrupted = InterruptedForm::from_sign_in_form(&fields);
    let page = async |problem: String| {
        let page = SignInPage::new(&context, email, next, Some(problem)).await?;
        Ok::<_, PageError>(page.with_interrupted_form(interrupted.clone()))
    };
    let password = fields.get("password");
    let client = |user: Option<&User>| device_cookie::sign_in_client(&context, user);
    let verified = match verify_password(&context, email, password, client).await? {
        PasswordCheckResult::Correct(verified) => verified,
        PasswordCheckResult::Wrong => {
            let page = page(WRONG_CREDENTIALS_MESSAGE.into()).await?;
            return render(StatusCode::UNAUTHORIZED, &page);
        }
        PasswordCheckResult::Rejected(rejection) => {
            let page = page(rejection.message()).await?;
            let mut response = render(StatusCode::OK, &page)?;
            rejection.set_status_and_retry_after(&mut response);
            return Ok(response);
        }
    };
    if let Some(session) = context.session() {
        // A browser can have only one session, so end the previous session.
        context.app.store.end_session(session.token_hash).await?;
    }
    let (cookies, new_session) = session::generate_session(&context);
    let new_token_hash = new_session.token_hash;
    if !context
        .app
        .store
        .start_session(verified.user.id, verified.hash, new_session)
        .await?
    {
        let page = page(WRONG_CREDENTIALS_MESSAGE.into()).await?;
        return render(StatusCode::UNAUTHORIZED, &page);
    }
    if let Some(form) = interrupted.clone() {
        let flash = &context.state.flash;
        flash.update_flash(new_token_hash, |flash| flash.interrupted = Some(form));
    }
    let mut response = context.redirect(local_path_or_home(next));
    session::set_sign_in_cookies(&context, &mut response, &cookies);
    device_cookie::set_device_cookie(&context, &mut response, &verified.user.id);
    let (user, client_ip) = (verified.user.id.to_string(), context.client_ip());
    METRICS.sign_ins.increment(SUCCESS);
    security_events::log_event("sign_in", Some(&user), None, client_ip);
    Ok(response)
}

pub(super) async fn sign_out(context: RequestContext) -> Result<HttpResponse, PageError> {
    if let Some(session) = context.session() {
        context.app.store.end_session(session.token_hash).await?;
    }
    let mut response = context.redirect("/login");
    session::clear_session_cookies(&context, &mut response);
    session::remove_sign_in_progress_cookie(&context, &mut response);
    Ok(response)
}

/// Returns `next` if it is a local path, otherwise the path of the feedback list.
fn local_path_or_home(next: &str) -> &str {
    if is_local_path(next) {
        next
    } else {
        "/feedback"
    }
}

/// Returns whether every browser interprets `path` as a path on this host. With two leading
/// slashes, a backslash, or a control character, a browser may interpret `path` as a URL of a
/// different host.
fn is_local_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|c: char| c == '\\' || c.is_control())
        && path.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_only_to_local_paths() {
        assert_eq!(
            local_path_or_home("/settings/notifications?add"),
            "/settings/notifications?add"
        );
        for path in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "feedback",
        ] {
            assert_eq!(local_path_or_home(path), "/feedback", "{path:?}");
        }
    }
}
