//! Settings → Account: the user's own password and sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::format::DisplayTime;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use super::framework::session;
use super::getting_started;
use super::sign_in::password_check::{PasswordCheckResult, verify_password};
use super::sign_in::throttle::Client;
use crate::domain::account::{Role, User};
use crate::domain::id::{Id, SessionId};
use crate::domain::password_rules::{PASSWORD_MIN_BYTES, check_password};
use crate::domain::validation::ValidationErrors;
use crate::server::security_events::set_event_subject;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    email: String,
    role: &'static str,
    /// Whether the user dismissed the "Getting started" checklist, and some steps aren't done.
    has_dismissed_checklist: bool,
    sessions: Vec<SessionRow>,
    current_error: Option<String>,
    password_error: Option<String>,
    password_min: usize,
}

struct SessionRow {
    id: String,
    browser: String,
    started: DisplayTime,
    last_seen: DisplayTime,
    /// Whether the session belongs to the browser that requested the page.
    is_current: bool,
}

impl AccountPage {
    async fn new(
        context: &RequestContext,
        errors: Option<&ValidationErrors>,
    ) -> Result<Self, PageError> {
        let error = |field| Some(errors?.message_for(field)?.to_owned());
        let user = context.user()?;
        let current = context.session().map(|session| session.token_hash);
        let records = context
            .app
            .store
            .sessions(user.id, context.app.clock.now())
            .await?;
        let (layout, _) = context.build_layout("Account", NavSection::Account);
        let mut sessions: Vec<SessionRow> = records
            .into_iter()
            .map(|record| SessionRow {
                started: layout.display_time(&record.created_at),
                last_seen: layout.display_time(&record.last_used_at),
                is_current: current == Some(record.token_hash),
                browser: Some(record.browser)
                    .filter(|browser| !browser.is_empty())
                    .unwrap_or_else(|| "Unknown browser".to_owned()),
                id: record.id.to_string(),
            })
            .collect();
        sessions.sort_by_key(|session| !session.is_current);
        Ok(Self {
            layout,
            email: user.email.clone(),
            role: match user.role {
                Role::Admin => "Admin",
                Role::Member => "Member",
            },
            has_dismissed_checklist: getting_started::can_be_shown_again(context).await?,
            sessions,
            current_error: error("current"),
            password_error: error("password"),
            password_min: PASSWORD_MIN_BYTES,
        })
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &AccountPage::new(&context, None).await?)
}

/// Changes the user's password and ends all other sessions, if the current password is correct and
/// the new password is valid.
pub(super) async fn set_password(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let user = context.user()?.clone();
    let keep = context.session().map(|session| session.token_hash);
    // The password check is throttled like a sign-in, so a stolen session can't be used to guess
    // the password. A session is a known client, so other clients' failures don't delay its first
    // check.
    let client = |_: Option<&User>| match keep {
        Some(session) => Client::from_identity(session),
        None => Client::from_ip(context.client_ip()),
    };
    let current = fields.get("current");
    let verified = match verify_password(&context, &user.email, current, client).await? {
        PasswordCheckResult::Correct(verified) => verified,
        PasswordCheckResult::Wrong => {
            return render_rejected_form(
                &context,
                ValidationErrors::for_field("current", "That isn’t your current password."),
            )
            .await;
        }
        PasswordCheckResult::Rejected(rejection) => {
            let errors = ValidationErrors::for_field("current", rejection.message());
            let mut response = render_rejected_form(&context, errors).await?;
            rejection.set_status_and_retry_after(&mut response);
            return Ok(response);
        }
    };
    let password = fields.get("password");
    if let Err(error) = check_password(password, &user.email) {
        return render_rejected_form(&context, ValidationErrors::for_field("password", error))
            .await;
    }
    let hash = verified.permit.hash_password(password.to_owned()).await?;
    let store = &context.app.store;
    set_event_subject(&context.request, user.id);
    store.set_password(user.email, hash, keep).await?;
    context.add_flash_message("Password changed. You’re signed out of all other browsers.");
    Ok(context.redirect("/settings/account"))
}

async fn render_rejected_form(
    context: &RequestContext,
    errors: ValidationErrors,
) -> Result<HttpResponse, PageError> {
    render(
        StatusCode::UNPROCESSABLE_ENTITY,
        &AccountPage::new(context, Some(&errors)).await?,
    )
}

/// Ends one of the user's sessions. The page has no button for the current session.
pub(super) async fn end_session(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let user = context.user()?.id;
    let store = &context.app.store;
    let ended = store
        .end_user_session(user, SessionId::parse_or_nil(id.into_inner()))
        .await?;
    if ended {
        context.add_flash_message("Session ended.");
    }
    Ok(context.redirect("/settings/account"))
}

pub(super) async fn sign_out_everywhere(
    context: RequestContext,
) -> Result<HttpResponse, PageError> {
    context
        .app
        .store
        .end_all_sessions(context.user()?.id)
        .await?;
    let mut response = context.redirect("/login?signed-out");
    session::clear_session_cookies(&context, &mut response);
    Ok(response)
}
