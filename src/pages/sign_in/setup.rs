//! The setup link, which creates the first user.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::device_cookie;
use super::link_problem::LinkProblem;
use super::password_check::hash_password;
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
use crate::store::{LinkError, LinkPurpose, LinkState};

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
    if let Some(problem) = find_setup_problem(&context, &token).await? {
        return problem.render(&context);
    }
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
    if let Some(problem) = find_setup_problem(&context, token).await? {
        return problem.render(&context);
    }
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
            set_event_subject(&context.request, user.id);
            let mut response = context.redirect("/feedback");
            session::set_session_cookies(&mut response, &cookies);
            device_cookie::set_device_cookie(&context, &mut response, &user.id);
            Ok(response)
        }
        Err(LinkError::Store(error)) => Err(error.into()),
        // The link stopped working while the password was hashed.
        Err(_) => find_setup_problem(&context, token)
            .await?
            .unwrap_or(LinkProblem::AlreadySetUp)
            .render(&context),
    }
}

/// Returns the reason the setup link doesn't work; `None` if it works.
async fn find_setup_problem(
    context: &RequestContext,
    token: &str,
) -> Result<Option<LinkProblem>, PageError> {
    let (store, now) = (&context.app.store, context.app.clock.now());
    // The link can still be valid if the first user was created on the command line.
    if store.has_users().await? {
        return Ok(Some(LinkProblem::AlreadySetUp));
    }
    let purpose = LinkPurpose::Setup;
    let state = store
        .link_state(purpose, tokens::sha256(token), now)
        .await?;
    Ok((state != LinkState::Valid).then(|| LinkProblem::new(purpose, state)))
}
