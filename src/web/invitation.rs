//! The one-time links that an admin hands over: an invitation, and a new password. Looking at one spends nothing; the
//! post does what it is for and spends it in one transaction, and signs the browser in.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::page::{Frame, render};
use super::session;
use super::visit::Visit;
use crate::domain::account::{PASSWORD_MIN_BYTES, check_password};
use crate::server::tokens;
use crate::store::{AccountStoreError, LinkPurpose, OneTimeLink};

#[derive(Template)]
#[template(path = "invitation.html")]
struct LinkPage {
    frame: Frame,
    link: OneTimeLink,
    token: String,
    problem: Option<String>,
    password_min: usize,
}

impl LinkPage {
    fn new(visit: &Visit, link: OneTimeLink, token: &str, problem: Option<String>) -> Self {
        let title = if link.user.is_some() {
            "New password"
        } else {
            "Welcome"
        };
        let (frame, _) = visit.frame(title, "");
        Self {
            frame,
            link,
            token: token.to_owned(),
            problem,
            password_min: PASSWORD_MIN_BYTES,
        }
    }

    fn is_invitation(&self) -> bool {
        self.link.user.is_none()
    }

    fn address(&self) -> &'static str {
        if self.is_invitation() {
            "/invitation"
        } else {
            "/reset"
        }
    }
}

pub(super) async fn show_invitation(visit: Visit) -> Result<HttpResponse, PageError> {
    show(&visit, LinkPurpose::Invitation).await
}

pub(super) async fn show_reset(visit: Visit) -> Result<HttpResponse, PageError> {
    show(&visit, LinkPurpose::Reset).await
}

pub(super) async fn accept_invitation(
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, PageError> {
    accept(&visit, &fields, LinkPurpose::Invitation).await
}

pub(super) async fn reset(visit: Visit, fields: Fields) -> Result<HttpResponse, PageError> {
    accept(&visit, &fields, LinkPurpose::Reset).await
}

async fn show(visit: &Visit, purpose: LinkPurpose) -> Result<HttpResponse, PageError> {
    let token = visit.query("token").unwrap_or_default();
    let link = in_force(visit, purpose, &token).await?;
    render(StatusCode::OK, &LinkPage::new(visit, link, &token, None))
}

async fn accept(
    visit: &Visit,
    fields: &Fields,
    purpose: LinkPurpose,
) -> Result<HttpResponse, PageError> {
    let (token, password) = (fields.get("token"), fields.get("password"));
    let link = in_force(visit, purpose, token).await?;
    if let Err(error) = check_password(password) {
        let page = LinkPage::new(visit, link, token, Some(error.to_string()));
        return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let turn = visit.state.password_checks.turn().await?;
    let password_hash = turn.hash(password.to_owned()).await?;
    let (cookie, new) = session::new(visit);
    let (store, hash) = (&visit.site.store, tokens::hash(token));
    let done = match purpose {
        LinkPurpose::Reset => store.reset_password(hash, password_hash, new).await,
        _ => store
            .accept_invitation(hash, password_hash, new)
            .await
            .map(|_| ()),
    };
    match done {
        Ok(()) => {
            if let Some(session) = visit.session() {
                // The one before ends: a browser has one session.
                store.end_session(session.token_hash).await?;
            }
            let mut response = visit.redirect("/feedback");
            // A cookie of ours holds nothing that a header could not.
            let _ = response.add_cookie(&cookie);
            Ok(response)
        }
        Err(AccountStoreError::Store(error)) => Err(error.into()),
        Err(_) => Err(PageError::HandedLinkVoid),
    }
}

async fn in_force(
    visit: &Visit,
    purpose: LinkPurpose,
    token: &str,
) -> Result<OneTimeLink, PageError> {
    let now = visit.site.clock.now();
    let store = &visit.site.store;
    let link = store.valid_link(purpose, tokens::hash(token), now).await?;
    link.ok_or(PageError::HandedLinkVoid)
}
