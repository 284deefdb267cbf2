//! The setup link, which creates the first user, and the sign-in link of the demo.

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode};
use askama::Template;

use super::password_check::hash_password;
use super::{device_cookie, link_expired_error};
use crate::domain::email::check_email;
use crate::domain::password_rules::{PASSWORD_MIN_BYTES, check_password};
use crate::domain::validation::{check_all_fields, check_field};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::form_field::FormField;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::page_error::PageError;
use crate::pages::framework::session;
use crate::server::security_events::set_event_subject;
use crate::server::tokens;
use crate::store::{LinkError, LinkPurpose};

const SETUP_LINK_EXPIRED: PageError =
    link_expired_error("This setup link has expired. Restart Miniback to get a new one.");
const ACCOUNT_EXISTS: PageError = link_expired_error("An account already exists. Sign in.");
const SIGN_IN_LINK_EXPIRED: PageError = link_expired_error(
    "This link works once, on the computer that runs the demo. Restart the demo to get a new one.",
);

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    layout: Layout,
    token: String,
    email: FormField,
    password_error: Option<String>,
    password_min: usize,
}

impl SetupPage {
    fn new(
        context: &RequestContext,
        token: &str,
        email: FormField,
        password_error: Option<String>,
    ) -> Self {
        let (layout, _) = context.build_layout("Welcome", None);
        Self {
            layout,
            token: token.to_owned(),
            email,
            password_error,
            password_min: PASSWORD_MIN_BYTES,
        }
    }
}

/// Shows the setup form. Opening the link doesn't use it up.
pub async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let token = context.query_param("token").unwrap_or_default();
    check_setup_link(&context, &token).await?;
    let page = SetupPage::new(&context, &token, FormField::default(), None);
    render(StatusCode::OK, &page)
}

pub async fn create_first_user(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let (token, email, password) = (
        fields.get("token"),
        fields.get("email").trim(),
        fields.get("password"),
    );
    check_setup_link(&context, token).await?;
    let checked = check_all_fields((
        check_field("email", check_email(email)),
        check_field("password", check_password(password, email)),
    ));
    let email = match checked {
        Ok((email, ())) => email,
        Err(errors) => {
            let email = FormField::from_submitted_value("email", email, &errors);
            let password_error = errors.message_for("password").map(str::to_owned);
            let page = SetupPage::new(&context, token, email, password_error);
            return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let password_hash = match hash_password(&context, token, password).await? {
        Ok(hash) => hash,
        Err(rejection) => {
            let email = FormField::new(&email);
            let page = SetupPage::new(&context, token, email, Some(rejection.message()));
            let mut response = render(StatusCode::OK, &page)?;
            rejection.set_status_and_retry_after(&mut response);
            return Ok(response);
        }
    };
    let (cookies, new_session) = session::generate_session(&context);
    let created = context
        .app
        .store
        .set_up_with_link(tokens::sha256(token), email, password_hash, new_session)
        .await;
    match created {
        Ok(user) => {
            set_event_subject(&context.request, &user.id);
            let mut response = context.redirect("/feedback");
            session::set_session_cookies(&mut response, &cookies);
            device_cookie::set_device_cookie(&context, &mut response, &user.id);
            Ok(response)
        }
        Err(LinkError::Store(error)) => Err(error.into()),
        Err(_) => Err(SETUP_LINK_EXPIRED),
    }
}

/// Signs in a browser on this machine with the demo's link, once.
pub async fn sign_in_with_link(context: RequestContext) -> Result<HttpResponse, PageError> {
    let forwarded = context.request.headers().contains_key("x-forwarded-for");
    let is_local = context
        .request
        .peer_addr()
        .is_some_and(|peer| peer.ip().is_loopback())
        && !forwarded;
    let token = context.query_param("token").unwrap_or_default();
    if !is_local {
        return Err(SIGN_IN_LINK_EXPIRED);
    }
    // Programs that preview links send `HEAD`, which must not use up the link.
    if context.request.method() == Method::HEAD {
        let (hash, now) = (tokens::sha256(token), context.app.clock.now());
        let purpose = LinkPurpose::SignIn;
        return match context.app.store.is_link_valid(purpose, hash, now).await? {
            true => Ok(context.redirect("/feedback")),
            false => Err(SIGN_IN_LINK_EXPIRED),
        };
    }
    let (cookies, new_session) = session::generate_session(&context);
    match context
        .app
        .store
        .sign_in_with_link(tokens::sha256(token), new_session)
        .await
    {
        Ok(()) => {
            let mut response = context.redirect("/feedback");
            session::set_session_cookies(&mut response, &cookies);
            Ok(response)
        }
        // The browser is signed in, usually because it has already used the link.
        Err(LinkError::Invalid) if context.session().is_some() => Ok(context.redirect("/feedback")),
        Err(LinkError::Store(error)) => Err(error.into()),
        Err(_) => Err(SIGN_IN_LINK_EXPIRED),
    }
}

async fn check_setup_link(context: &RequestContext, token: &str) -> Result<(), PageError> {
    let now = context.app.clock.now();
    let is_valid = context
        .app
        .store
        .is_link_valid(LinkPurpose::Setup, tokens::sha256(token), now)
        .await?;
    // The link may still be valid, because the first user can also be created on the command line.
    if context.app.store.has_users().await? {
        Err(ACCOUNT_EXISTS)
    } else if is_valid {
        Ok(())
    } else {
        Err(SETUP_LINK_EXPIRED)
    }
}
