//! `/f/{slug}`: a project's feedback form as a plain page, for links in emails and for browsers
//! without JavaScript.
//!
//! The form has the same rate limits as the widget, and no session. Its language comes from
//! `Accept-Language`.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderValue, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;

use super::error_page::IntakeError;
use super::translations::Translations;
use super::{Intake, PROJECT_SLUG_FIELD, RawSubmission, SubmissionError, SubmissionSource};
use crate::clock::Clock;
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::validation::ValidationErrors;
use crate::server::form_data::{FormData, FormError};
use crate::server::urls::Urls;
use crate::server::{AppState, html, tokens};

/// The `Retry-After` after a store error, in seconds.
const STORE_ERROR_RETRY_AFTER_SECONDS: u64 = 5;

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    urls: Urls,
    strings: &'static Translations,
    /// `None` if no project has the slug in the URL.
    project: Option<Project>,
    state: FormState,
    form: FormFields,
    /// An error that doesn't belong to a field.
    error: Option<String>,
    message_error: Option<String>,
    email_error: Option<String>,
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
        let project = project.filter(|project| project.slug == slug);
        let accept_language = request
            .headers()
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let state = match &project {
            Some(project) if project.status == ProjectStatus::Paused => FormState::Paused,
            _ => FormState::Open,
        };
        let form = FormFields {
            stamp: intake.form_tokens.issue_token(app.clock.now()),
            key: tokens::random_token(),
            ..FormFields::default()
        };
        Ok(Self {
            urls: app.urls.clone(),
            strings: Translations::for_accept_language(accept_language),
            project,
            state,
            form,
            error: None,
            message_error: None,
            email_error: None,
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
        let slug = self.project.as_ref().map_or("", |project| &project.slug);
        self.urls.path(&format!("/f/{slug}"))
    }

    fn render_response(&self, status: StatusCode) -> Result<HttpResponse, IntakeError> {
        let mut response = html::render(status, self)?;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_LANGUAGE,
            HeaderValue::from_static(&self.strings.lang),
        );
        headers.insert(VARY, ACCEPT_LANGUAGE.into());
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
                self.error = Some(self.strings.too_many.to_string());
                retry_after = Some(exceeded.wait_seconds());
                StatusCode::TOO_MANY_REQUESTS
            }
            SubmissionError::Store(error) => {
                if error.http_status() == StatusCode::INTERNAL_SERVER_ERROR {
                    tracing::error!(?error, "form request failed");
                }
                self.error = Some(self.strings.failed.to_string());
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
            self.error = Some(self.strings.too_fast.to_string());
        }
    }

    /// Copies the person's input into the form that the page shows again.
    fn restore_input(&mut self, intake: &Intake, data: &FormData, clock: &Clock) {
        self.form.message = submitted_message(data);
        self.form.email = submitted_email(data);
        // Keep a token that is valid or will be valid soon. Otherwise, the page contains a new
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
    if page.project.is_none() {
        return page.render_response(StatusCode::NOT_FOUND);
    }
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
            let data = data.filter(|_| page.project.is_some()).ok_or(error)?;
            page.restore_input(&intake, &data, &app.clock);
            page.error = Some(error.to_string());
            return page.render_response(error.status_code());
        }
    };
    let Some(project) = &page.project else {
        return page.render_response(StatusCode::NOT_FOUND);
    };
    let source = SubmissionSource::from_request(&app, &request);
    let submission = submission_from_form(project, &data);
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
        // The project was deleted in the meantime.
        page.project = None;
        return page.render_response(StatusCode::NOT_FOUND);
    }
    page.error_response(&error)
}
