//! Signing in by e-mail and password, and out.
//!
//! Whether an account exists is told by nothing: not by words, not by time, not by who has to wait.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::page::{Frame, render};
use super::session;
use super::throttle::Key;
use super::visit::Visit;
use crate::domain::account::{User, email_key};
use crate::domain::password;

const WRONG: &str = "The e-mail address or the password is wrong.";

#[derive(Template)]
#[template(path = "login.html")]
struct SignInPage {
    frame: Frame,
    email: String,
    /// Where to go on afterwards: one of our own addresses.
    next: String,
    problem: Option<String>,
    /// Nobody has an account yet: the log says how to make the first one.
    nobody_yet: bool,
}

impl SignInPage {
    async fn new(
        visit: &Visit,
        email: &str,
        next: &str,
        problem: Option<String>,
    ) -> Result<Self, PageError> {
        let nobody_yet = !visit.site.store.has_users().await?;
        let (frame, _) = visit.frame("Sign in", "");
        Ok(Self {
            frame,
            email: email.to_owned(),
            next: next.to_owned(),
            problem,
            nobody_yet,
        })
    }
}

pub(super) async fn show(visit: Visit) -> Result<HttpResponse, PageError> {
    let next = visit.query("next").unwrap_or_default();
    if visit.session().is_some() {
        return Ok(visit.redirect(local(&next)));
    }
    render(
        StatusCode::OK,
        &SignInPage::new(&visit, "", &next, None).await?,
    )
}

pub(super) async fn sign_in(visit: Visit, fields: Fields) -> Result<HttpResponse, PageError> {
    let (email, next) = (fields.get("email"), fields.get("next"));
    let account = Key::Account(email_key(email).chars().take(254).collect());
    let keys = [account.clone(), Key::address(visit.client())];
    if let Some(wait) = visit.state.throttle.wait(&keys) {
        return too_many(&visit, email, next, wait.as_secs() + 1).await;
    }
    let Some(user) = check(&visit, email, fields.get("password")).await? else {
        visit.state.throttle.failed(&keys);
        if let Some(wait) = visit.state.throttle.wait(&keys) {
            return too_many(&visit, email, next, wait.as_secs().max(1)).await;
        }
        let page = SignInPage::new(&visit, email, next, Some(WRONG.into())).await?;
        return render(StatusCode::UNAUTHORIZED, &page);
    };
    visit.state.throttle.succeeded(&account);
    if let Some(session) = visit.session() {
        // The one before ends: a browser has one session.
        visit.site.store.end_session(session.token_hash).await?;
    }
    let (cookie, hash) = session::new(&visit);
    visit.site.store.start_session(user.id, hash).await?;
    let mut response = visit.redirect(local(next));
    let _ = response.add_cookie(&cookie);
    Ok(response)
}

pub(super) async fn sign_out(visit: Visit) -> Result<HttpResponse, PageError> {
    if let Some(session) = visit.session() {
        visit.site.store.end_session(session.token_hash).await?;
    }
    let mut response = visit.redirect("/login");
    session::clear(&visit, &mut response);
    Ok(response)
}

async fn too_many(
    visit: &Visit,
    email: &str,
    next: &str,
    seconds: u64,
) -> Result<HttpResponse, PageError> {
    let seconds = seconds.min(60);
    let plural = if seconds == 1 { "" } else { "s" };
    let problem =
        format!("Too many failed sign-ins. Wait {seconds} second{plural}, then try again.");
    let page = SignInPage::new(visit, email, next, Some(problem)).await?;
    let mut response = render(StatusCode::TOO_MANY_REQUESTS, &page)?;
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    Ok(response)
}

/// The user, if the password is theirs. A check is made for an unknown account too, and few of them at once.
pub(super) async fn check(
    visit: &Visit,
    email: &str,
    password: &str,
) -> Result<Option<User>, PageError> {
    let found = visit.site.store.user_with_hash(email).await?;
    let _place = visit
        .state
        .password_queue
        .try_acquire()
        .map_err(|_| PageError::SignInBusy)?;
    let _turn = visit
        .state
        .password_checks
        .acquire()
        .await
        .map_err(|e| PageError::Internal(e.to_string()))?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
    let password = password.to_owned();
    let verify = move || password::verify(&password, hash.as_deref());
    let right = tokio::task::spawn_blocking(verify)
        .await
        .map_err(|e| PageError::Internal(e.to_string()))?;
    Ok(user.filter(|_| right))
}

/// `next`, if it is an address of ours; else where one belongs. What begins with two slashes, or holds a backslash or
/// a control character, browsers may read as another host.
fn local(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control());
    if ours && next.is_ascii() {
        next
    } else {
        "/feedback"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_on_this_site() {
        assert_eq!(
            local("/settings/notifications?add"),
            "/settings/notifications?add"
        );
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "feedback",
        ] {
            assert_eq!(local(bad), "/feedback", "{bad:?}");
        }
    }
}
