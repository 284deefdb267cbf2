//! The one-time links that an admin shares: invitations and password resets.
//!
//! Opening a link doesn't use it up. Submitting the form uses the link up, creates the account or
//! changes the password, and starts a session, all in one transaction.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::device_cookie;
use super::link_problem::LinkProblem;
use super::password_check::hash_password;
use crate::domain::password_rules::{PASSWORD_MIN_BYTES, check_password};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::layout::{Layout, LayoutUser, render};
use crate::pages::framework::page_error::PageError;
use crate::pages::framework::session;
use crate::server::security_events::set_event_subject;
use crate::server::tokens;
use crate::store::{LinkError, LinkPurpose, OneTimeLink};

#[derive(Template)]
#[template(path = "invitation.html")]
struct OneTimeLinkPage {
    layout: Layout,
    link: OneTimeLink,
    token: String,
    problem: Option<String>,
    password_min: usize,
}

impl OneTimeLinkPage {
    fn new(
        context: &RequestContext,
        link: OneTimeLink,
        token: &str,
        problem: Option<String>,
    ) -> Self {
        let title = if link.user.is_some() {
            "New password"
        } else {
            "Welcome"
        };
        let (layout, _) = context.build_layout(title, None);
        Self {
            layout,
            link,
            token: token.to_owned(),
            problem,
            password_min: PASSWORD_MIN_BYTES,
        }
    }

    fn is_invitation(&self) -> bool {
        self.link.user.is_none()
    }

    /// Returns the signed-in user, unless the link is for this user.
    fn other_user(&self) -> Option<&LayoutUser> {
        let user = self.layout.user.as_ref();
        user.filter(|user| user.email != self.link.email)
    }

    fn form_path(&self) -> &'static str {
        if self.is_invitation() {
            "/invitation"
        } else {
            "/reset"
        }
    }
}

pub async fn show_invitation(context: RequestContext) -> Result<HttpResponse, PageError> {
    show_link_form(&context, LinkPurpose::Invitation).await
}

pub async fn show_password_reset(context: RequestContext) -> Result<HttpResponse, PageError> {
    show_link_form(&context, LinkPurpose::Reset).await
}

pub async fn accept_invitation(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    redeem_link(&context, &fields, LinkPurpose::Invitation).await
}

pub async fn reset_password(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    redeem_link(&context, &fields, LinkPurpose::Reset).await
}

async fn show_link_form(
    context: &RequestContext,
    purpose: LinkPurpose,
) -> Result<HttpResponse, PageError> {
    let token = context.query_param("token").unwrap_or_default();
    let Some(link) = find_valid_link(context, purpose, &token).await? else {
        return render_link_problem(context, purpose, &token).await;
    };
    render(
        StatusCode::OK,
        &OneTimeLinkPage::new(context, link, &token, None),
    )
}

async fn redeem_link(
    context: &RequestContext,
    fields: &IdempotentForm,
    purpose: LinkPurpose,
) -> Result<HttpResponse, PageError> {
    let (token, password) = (fields.get("token"), fields.get("password"));
    let Some(link) = find_valid_link(context, purpose, token).await? else {
        return render_link_problem(context, purpose, token).await;
    };
    if let Err(error) = check_password(password, &link.email) {
        let page = OneTimeLinkPage::new(context, link, token, Some(error.to_string()));
        return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let password_hash = match hash_password(context, token, password).await? {
        Ok(hash) => hash,
        Err(rejection) => {
            let page = OneTimeLinkPage::new(context, link, token, Some(rejection.message()));
            let mut response = render(StatusCode::OK, &page)?;
            rejection.set_status_and_retry_after(&mut response);
            return Ok(response);
        }
    };
    let (cookies, new_session) = session::generate_session(context);
    let (store, hash) = (&context.app.store, tokens::sha256(token));
    let result = match link.user {
        Some(user) => store
            .reset_password(hash, password_hash, new_session)
            .await
            .map(|()| user),
        None => store
            .accept_invitation(hash, password_hash, new_session)
            .await
            .map(|user| user.id),
    };
    match result {
        Ok(user) => {
            set_event_subject(&context.request, user);
            if let Some(session) = context.session() {
                // A browser can have only one session, so end the previous session.
                store.end_session(session.token_hash).await?;
            }
            let mut response = context.redirect("/feedback");
            session::set_session_cookies(&mut response, &cookies);
            device_cookie::set_device_cookie(context, &mut response, &user);
            Ok(response)
        }
        Err(LinkError::Store(error)) => Err(error.into()),
        Err(_) => render_link_problem(context, purpose, token).await,
    }
}

/// Renders the page of a link that doesn't work.
async fn render_link_problem(
    context: &RequestContext,
    purpose: LinkPurpose,
    token: &str,
) -> Result<HttpResponse, PageError> {
    let (store, now) = (&context.app.store, context.app.clock.now());
    let state = store
        .link_state(purpose, tokens::sha256(token), now)
        .await?;
    LinkProblem::new(purpose, state).render(context)
}

async fn find_valid_link(
    context: &RequestContext,
    purpose: LinkPurpose,
    token: &str,
) -> Result<Option<OneTimeLink>, PageError> {
    let now = context.app.clock.now();
    let store = &context.app.store;
    Ok(store
        .valid_link(purpose, tokens::sha256(token), now)
        .await?)
}
