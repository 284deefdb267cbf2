//! Errors of the public form and the widget's script, shown as small pages without navigation.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderValue, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;

use super::translations::Translations;
use crate::server::AppState;
use crate::server::form_data::FormError;
use crate::server::html;
use crate::server::request_id::RequestId;
use crate::server::request_origin::{cross_origin_message, is_cross_origin};
use crate::server::security_headers::add_security_headers;
use crate::store::StoreError;

/// An error that prevents showing or submitting the form, or loading the script.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    /// The form came from another origin. The string is the message for the person.
    #[error("{0}")]
    CrossOrigin(String),
    /// No project has the slug in the URL. Contains the strings of the error page in the person's
    /// language.
    #[error("{}", .0.not_found)]
    FormNotFound(&'static Translations),
    #[error("This page accepts only these methods: {0}.")]
    MethodNotAllowed(String),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("{}", .0.public_message())]
    Store(#[from] StoreError),
    #[error("Try again later. The server log contains the details.")]
    Render(#[from] askama::Error),
}

impl IntakeError {
    fn title(&self) -> &'static str {
        match self {
            Self::FormNotFound(strings) => &strings.not_found_title,
            Self::CrossOrigin(_) => "Request blocked",
            Self::MethodNotAllowed(_) => "Method not allowed",
            Self::Form(error) => error.title(),
            Self::Store(_) | Self::Render(_) => "Something went wrong",
        }
    }
}

impl ResponseError for IntakeError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::CrossOrigin(_) => StatusCode::FORBIDDEN,
            Self::FormNotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Form(error) => error.status_code(),
            Self::Store(error) => error.http_status(),
            Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns a response without a body, which [`intake_page_middleware`] replaces with a page.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

#[derive(Template)]
#[template(path = "form_error.html")]
struct ErrorPage {
    lang: &'static str,
    stylesheet: String,
    icon: String,
    status: u16,
    title: &'static str,
    message: String,
    /// The request id to look up in the log; `None` if the log has no details.
    request_id: Option<String>,
}

/// Middleware that rejects cross-origin form posts, shows errors as pages, and adds the security
/// headers.
pub(super) async fn intake_page_middleware(
    app: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if !is_read && is_cross_origin(&app.proxies, &app.urls, request.request()) {
        let message = cross_origin_message(&app.proxies, &app.urls, request.request());
        let page = render_error_page(&IntakeError::CrossOrigin(message), &app, request.request());
        request.into_response(page)
    } else {
        let response = next.call(request).await?.map_into_boxed_body();
        replace_error_with_page(response, &app)
    };
    add_security_headers(response.headers_mut(), "no-cache");
    Ok(response)
}

/// Replaces the response to an [`IntakeError`] or a [`FormError`] with a page.
fn replace_error_with_page(
    response: ServiceResponse<BoxBody>,
    app: &AppState,
) -> ServiceResponse<BoxBody> {
    let request = response.request();
    let Some(error) = response.response().error() else {
        return response;
    };
    let page = if let Some(error) = error.as_error::<IntakeError>() {
        render_error_page(error, app, request)
    } else if let Some(error) = error.as_error::<FormError>() {
        render_error_page(&(*error).into(), app, request)
    } else {
        return response;
    };
    ServiceResponse::new(request.clone(), page)
}

fn render_error_page(error: &IntakeError, app: &AppState, request: &HttpRequest) -> HttpResponse {
    let status = error.status_code();
    let mut request_id = None;
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        request_id = request
            .extensions()
            .get::<RequestId>()
            .map(|id| id.0.clone());
        tracing::error!(?error, "form request failed");
    }
    let translations = match error {
        IntakeError::FormNotFound(translations) => Some(translations),
        _ => None,
    };
    let page = ErrorPage {
        lang: translations.map_or("en", |translations| &translations.lang),
        stylesheet: html::asset_path(&app.urls, "style.css"),
        icon: html::asset_path(&app.urls, "favicon.svg"),
        status: status.as_u16(),
        title: error.title(),
        message: error.to_string(),
        request_id,
    };
    let mut response = html::render(status, &page).unwrap_or_else(|_| HttpResponse::new(status));
    let (allow, is_compressed) = match error {
        IntakeError::MethodNotAllowed(allow) => (Some(allow.as_str()), false),
        IntakeError::Form(FormError::UnsupportedEncoding) => (None, true),
        _ => (None, false),
    };
    if let Some(translations) = translations {
        set_language_headers(&mut response, translations);
    }
    html::add_error_headers(response.headers_mut(), status, allow, is_compressed);
    response
}

/// Sets the headers of a page whose language depends on `Accept-Language`.
pub(super) fn set_language_headers(
    response: &mut HttpResponse,
    translations: &'static Translations,
) {
    let language = HeaderValue::from_static(&translations.lang);
    response.headers_mut().insert(CONTENT_LANGUAGE, language);
    response.headers_mut().insert(VARY, ACCEPT_LANGUAGE.into());
}
