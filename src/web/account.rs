//! Settings → Account: one's password and sessions.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::page::{Frame, render};
use super::throttle::Key;
use super::visit::Visit;
use super::{session, setup, sign_in};
use crate::domain::account::{PASSWORD_MIN_BYTES, check_password, email_key};
use crate::domain::invalid::Invalid;
use crate::store::AccountStoreError;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    email: String,
    role: &'static str,
    sessions: usize,
    current_problem: Option<String>,
    password_problem: Option<String>,
    password_min: usize,
}

impl AccountPage {
    async fn new(visit: &Visit, invalid: Option<&Invalid>) -> Result<Self, PageError> {
        let problem = |field| invalid.and_then(|i| i.about(field)).map(str::to_owned);
        let (current_problem, password_problem) = (problem("current"), problem("password"));
        let user = visit.user()?;
        let sessions = visit
            .site
            .store
            .count_sessions(user.id.clone(), visit.site.clock.now())
            .await?;
        let (frame, _) = visit.frame("Account", "account");
        Ok(Self {
            frame,
            email: user.email.clone(),
            role: user.role.as_str(),
            sessions,
            current_problem,
            password_problem,
            password_min: PASSWORD_MIN_BYTES,
        })
    }
}

pub(super) async fn show(visit: Visit) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &AccountPage::new(&visit, None).await?)
}

/// A new password ends all sessions but this one.
pub(super) async fn set_password(visit: Visit, fields: Fields) -> Result<HttpResponse, PageError> {
    let user = visit.user()?.clone();
    // Who has found an open browser must not be able to guess on.
    let account = Key::Account(email_key(&user.email));
    let refused = if visit
        .state
        .throttle
        .wait(std::slice::from_ref(&account))
        .is_some()
    {
        Some(Invalid::field(
            "current",
            "Too many wrong passwords. Wait a minute, then try again.",
        ))
    } else if sign_in::check(&visit, &user.email, fields.get("current"))
        .await?
        .is_none()
    {
        visit.state.throttle.failed(std::slice::from_ref(&account));
        Some(Invalid::field("current", "This is not your password."))
    } else {
        check_password(fields.get("password"))
            .err()
            .map(|error| Invalid::field("password", error))
    };
    if let Some(invalid) = refused {
        return render(
            StatusCode::UNPROCESSABLE_ENTITY,
            &AccountPage::new(&visit, Some(&invalid)).await?,
        );
    }
    let hash = setup::hash(&visit, fields.get("password")).await?;
    let keep = visit.session().map(|session| session.token_hash);
    match visit.site.store.set_password(user.email, hash, keep).await {
        Ok(()) => {}
        Err(AccountStoreError::Store(error)) => return Err(error.into()),
        Err(_) => return Err(PageError::Gone),
    }
    visit.say("Your password is changed. You are signed out everywhere else.");
    Ok(visit.redirect("/settings/account"))
}

pub(super) async fn sign_out_everywhere(visit: Visit) -> Result<HttpResponse, PageError> {
    visit
        .site
        .store
        .end_sessions(visit.user()?.id.clone())
        .await?;
    let mut response = visit.redirect("/login");
    session::clear(&visit, &mut response);
    Ok(response)
}
