//! `/f/{slug}`: a project's feedback form as a plain page, for links in emails and for browsers
//! without JavaScript.
//!
//! The form has the same rate limits as the widget, and no session. Its language comes from
//! `Accept-Language`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, LOCATION, RETRY_AFTER};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;

use super::error_page::{IntakeError, set_language_headers};
use super::submission_source::SubmissionSource;
use super::translations::Translations;
use super::{Intake, PROJECT_SLUG_FIELD, RawSubmission, SubmissionError};
use crate::clock::Clock;
use crate::domain::context::derived_members;
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::validation::ValidationErrors;
use crate::server::form_data::{FormData, FormError};
use crate::server::urls::Urls;
use crate::server::user_agent::user_agent;
use crate::server::{AppState, html, tokens};

/// The `Retry-After` after a store error, in seconds.
const STORE_ERROR_RETRY_AFTER_SECONDS: u64 = 5;

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    urls: Urls,
    strings: &'static Translations,
    project: Project,
    state: FormState,
    form: FormFields,
    notice: Option<FormNotice>,
    message_error: Option<String>,
    email_error: Option<String>,
    /// The browser and the operating system, which are stored with the feedback.
    context: Vec<String>,
}

/// A message that doesn't belong to a field.
struct FormNotice {
    css_class: &'static str,
    text: String,
}

impl FormNotice {
    /// Returns a notice that asks the person to wait. It doesn't look like an error.
    fn wait_notice(text: &str) -> Option<Self> {
        Self::with_css_class("", text)
    }

    fn error_notice(text: &str) -> Option<Self> {
        Self::with_css_class("bad", text)
    }

    fn with_css_class(css_class: &'static str, text: &str) -> Option<Self> {
        let text = text.to_owned();
        Some(Self { css_class, text })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FormState {
    Open,
    Sent,
    Paused,
}

#[derive(Default)]
struct FormFields {
    message: String,
    email: String,
    /// The form token.
    stamp: String,
    /// The idempotency key. A double submit sends the same key.
    key: String,
}

impl FormPage {
    async fn load(
        app: &AppState,
        intake: &Intake,
        request: &HttpRequest,
        slug: &str,
    ) -> Result<Self, IntakeError> {
        let project = app.store.project(slug.to_owned()).await?;
        let accept_language = request
            .headers()
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let strings = Translations::for_accept_language(accept_language);
        let project = project
            .filter(|project| project.slug == slug)
            .ok_or(IntakeError::FormNotFound(strings))?;
        let state = match project.status {
            ProjectStatus::Paused => FormState::Paused,
            ProjectStatus::Active => FormState::Open,
        };
        let form = FormFields {
            stamp: intake.form_tokens.issue_token(app.clock.now()),
            key: tokens::random_token(),
            ..FormFields::default()
        };
        Ok(Self {
            urls: app.urls.clone(),
            strings,
            project,
            state,
            form,
            notice: None,
            message_error: None,
            email_error: None,
            context: derived_members(&user_agent(request.headers()))
                .into_iter()
                .map(|(_, value)| value)
                .collect(),
        })
    }

    fn is_sent(&self) -> bool {
        self.state == FormState::Sent
    }

    fn is_paused(&self) -> bool {
        self.state == FormState::Paused
    }

    fn asset_path(&self, name: &str) -> String {
        html::asset_path(&self.urls, name)
    }

    fn form_path(&self) -> String {
        self.urls.path(&format!("/f/{}", self.project.slug))
    }

    fn render_response(&self, status: StatusCode) -> Result<HttpResponse, IntakeError> {
        let mut response = html::render(status, self)?;
        set_language_headers(&mut response, self.strings);
        Ok(response)
    }

    /// Returns the page with an error. If the project is paused or the origin isn't allowed, the
    /// page contains no form.
    fn error_response(mut self, error: &SubmissionError) -> Result<HttpResponse, IntakeError> {
        let mut retry_after = None;
        let status = match error {
            SubmissionError::Invalid(errors) => {
                self.show_errors(errors);
                StatusCode::UNPROCESSABLE_ENTITY
            }
            SubmissionError::RateLimited(exceeded) => {
                self.notice = FormNotice::wait_notice(&self.strings.too_many);
                retry_after = Some(exceeded.wait_seconds());
                StatusCode::TOO_MANY_REQUESTS
            }
            SubmissionError::Store(error) => {
                if error.http_status() == StatusCode::INTERNAL_SERVER_ERROR {
                    tracing::error!(?error, "form request failed");
                }
                self.notice = FormNotice::error_notice(&self.strings.failed);
                retry_after = Some(STORE_ERROR_RETRY_AFTER_SECONDS);
                error.http_status()
            }
            _ => {
                self.state = FormState::Paused;
                StatusCode::FORBIDDEN
            }
        };
        let mut response = self.render_response(status)?;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Ok(response)
    }

    fn show_errors(&mut self, errors: &ValidationErrors) {
        let message_for = |field| errors.message_for(field).map(str::to_owned);
        self.message_error = message_for("message");
        self.email_error = message_for("email");
        if errors.message_for("stamp").is_some() {
            self.notice = FormNotice::wait_notice(&self.strings.too_fast);
        }
    }

    /// Copies the person's input into the form that the page shows again.
    fn restore_input(&mut self, intake: &Intake, data: &FormData, clock: &Clock) {
        self.form.message = submitted_message(data);
        self.form.email = submitted_email(data);
        // Keep a token that is valid now or will be valid soon. Otherwise, the page contains a new
        // token.
        if let Some(token) = non_empty_field(data, "stamp")
            && intake.form_tokens.is_valid_now_or_soon(&token, clock)
        {
            self.form.stamp = token;
        }
        if let Some(key) = non_empty_field(data, "key") {
            self.form.key = key;
        }
    }
}

/// Returns the message with LF as line breaks. Browsers send CR LF.
fn submitted_message(data: &FormData) -> String {
    data.get("message").replace("\r\n", "\n")
}

fn submitted_email(data: &FormData) -> String {
    data.get("email").trim().to_owned()
}

fn non_empty_field(data: &FormData, name: &str) -> Option<String> {
    Some(data.get(name).to_owned()).filter(|text| !text.is_empty())
}

fn submission_from_form(project: &Project, data: &FormData) -> RawSubmission {
    let (message, email) = (submitted_message(data), submitted_email(data));
    // A double submit has the same key. If the person edits the message or email, the key changes.
    let idempotency_key = non_empty_field(data, "key").map(|key| {
        let json = serde_json::to_vec(&[&key, &email, &message]).unwrap_or_default();
        hex::encode(tokens::sha256(json))
    });
    RawSubmission {
        slug: project.slug.clone(),
        message,
        email: Some(email).filter(|email| !email.is_empty()),
        url: None,
        context: None,
        website: non_empty_field(data, "website"),
        stamp: non_empty_field(data, "stamp"),
        idempotency_key,
        operation: "send by form",
    }
}

pub(super) async fn show(
    app: web::Data<AppState>,
    intake: web::Data<Intake>,
    request: HttpRequest,
    slug: web::Path<String>,
) -> Result<HttpResponse, IntakeError> {
    let mut page = FormPage::load(&app, &intake, &request, &slug).await?;
    if has_query_parameter(&request, "sent") {
        page.state = FormState::Sent;
    }
    page.render_response(StatusCode::OK)
}

fn has_query_parameter(request: &HttpRequest, name: &str) -> bool {
    serde_urlencoded::from_str::<Vec<(String, String)>>(request.query_string())
        .is_ok_and(|pairs| pairs.iter().any(|(n, _)| n == name))
}

pub(super) async fn submit(
    app: web::Data<AppState>,
    intake: web::Data<Intake>,
    request: HttpRequest,
    slug: web::Path<String>,
    data: Result<FormData, FormError>,
) -> Result<HttpResponse, IntakeError> {
    let mut page = FormPage::load(&app, &intake, &request, &slug).await?;
    let data = match data {
        Ok(data) => data,
        Err(error) => {
            // If the fields could be read, show them again.
            let data = request.extensions().get::<FormData>().cloned();
            let data = data.ok_or(error)?;
            page.restore_input(&intake, &data, &app.clock);
            page.notice = FormNotice::error_notice(&error.to_string());
            return page.render_response(error.status_code());
        }
    };
    let source = SubmissionSource::from_request(&app, &request);
    let submission = submission_from_form(&page.project, &data);
    let error = match intake.submit(&app, submission, source).await {
        Ok(_) | Err(SubmissionError::IdempotentFeedbackDeleted) => {
            return Ok(HttpResponse::SeeOther()
                .insert_header((LOCATION, format!("{}?sent", page.form_path())))
                .finish());
        }
        Err(error) => error,
    };
    page.restore_input(&intake, &data, &app.clock);
    if let SubmissionError::Invalid(errors) = &error
        && errors.message_for(PROJECT_SLUG_FIELD).is_some()
    {
        // The project was deleted after this handler loaded the page's data.
        return Err(IntakeError::FormNotFound(page.strings));
    }
    page.error_response(&error)
}
