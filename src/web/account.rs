//! Settings → Account: one's password and sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::page::{Frame, render};
use super::session;
use super::sign_in::{self, Checked};
use super::times::Time;
use super::visit::Visit;
use crate::domain::account::{PASSWORD_MIN_BYTES, check_password};
use crate::domain::id::SessionId;
use crate::domain::validation::ValidationErrors;
use crate::store::AccountStoreError;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    email: String,
    role: &'static str,
    sessions: Vec<SessionRow>,
    current_problem: Option<String>,
    password_problem: Option<String>,
    password_min: usize,
}

struct SessionRow {
    id: String,
    browser: String,
    started: Time,
    seen: Time,
    /// The one by which this page is looked at.
    is_here: bool,
}

impl AccountPage {
    async fn new(visit: &Visit, invalid: Option<&ValidationErrors>) -> Result<Self, PageError> {
        let problem = |field| {
            invalid
                .and_then(|i| i.message_for(field))
                .map(str::to_owned)
        };
        let (current_problem, password_problem) = (problem("current"), problem("password"));
        let user = visit.user()?;
        let here = visit.session().map(|session| session.token_hash);
        let records = visit
            .site
            .store
            .sessions(user.id.clone(), visit.site.clock.now())
            .await?;
        let (frame, _) = visit.frame("Account", "account");
        let mut sessions: Vec<SessionRow> = records
            .into_iter()
            .map(|record| SessionRow {
                started: frame.time(&record.created_at),
                seen: frame.time(&record.seen_at),
                is_here: here == Some(record.token_hash),
                browser: Some(record.browser)
                    .filter(|browser| !browser.is_empty())
                    .unwrap_or_else(|| "A browser".to_owned()),
                id: record.id.to_string(),
            })
            .collect();
        sessions.sort_by_key(|session| !session.is_here);
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
    match sign_in::check(&visit, &user.email, fields.get("current")).await? {
        Checked::Right(..) => {}
        Checked::Wrong => {
            return refuse(
                &visit,
                ValidationErrors::single("current", "This is not your password."),
            )
            .await;
        }
        Checked::Wait(seconds) => {
            let mut response = refuse(
                &visit,
                ValidationErrors::single("current", sign_in::wait_sentence(seconds)),
            )
            .await?;
            sign_in::slow_down(&mut response, seconds);
            return Ok(response);
        }
    }
    let password = fields.get("password");
    if let Err(error) = check_password(password) {
        return refuse(&visit, ValidationErrors::single("password", error)).await;
    }
    let hash = visit
        .state
        .password_checks
        .turn()
        .await?
        .hash(password.to_owned())
        .await?;
    let keep = visit.session().map(|session| session.token_hash);
    match visit.site.store.set_password(user.email, hash, keep).await {
        Ok(()) => {}
        Err(AccountStoreError::Store(error)) => return Err(error.into()),
        Err(_) => return Err(PageError::Gone),
    }
    visit.say("Your password is changed. You are signed out everywhere else.");
    Ok(visit.redirect("/settings/account"))
}

async fn refuse(visit: &Visit, invalid: ValidationErrors) -> Result<HttpResponse, PageError> {
    render(
        StatusCode::UNPROCESSABLE_ENTITY,
        &AccountPage::new(visit, Some(&invalid)).await?,
    )
}

/// Ends one session. The page offers it for the others; asked of its own, the next page is the sign-in.
pub(super) async fn end_session(
    visit: Visit,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let user = visit.user()?.id.clone();
    let store = &visit.site.store;
    let ended = store
        .end_session_of(user, SessionId::new(id.into_inner()))
        .await?;
    if ended {
        visit.say("That browser is signed out.");
    }
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
