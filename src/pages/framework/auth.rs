//! Middleware of every page. Checks the session, the permission, and the origin of forms. Adds
//! security headers, and renders errors as pages.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::context::{FailingWebhooks, RequestContext};
use super::idempotent_form;
use super::interrupted_form::{self, EnteredText, ResumeResult, entered_texts, logged_request_id};
use super::layout::{ErrorPage, render};
use super::page_error::PageError;
use super::session;
use crate::domain::account::{Role, Scope};
use crate::server::form_data::{FormError, RaisedLimitFormData};
use crate::server::html;
use crate::server::permissions::{Permission, is_allowed};
use crate::server::request_origin::{cross_origin_message, is_cross_origin};
use crate::server::security_events::Actor;
use crate::server::security_headers::add_security_headers;
use crate::store::Session;

/// Checks a request and passes it to the route's handler. Renders errors as pages, and adds
/// security headers to the response.
pub async fn middleware(
    permission: Permission,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let rejection = authorize(permission, &request).await.err();
    let mut response = match rejection {
        Some(rejection) => {
            let (http, mut payload) = request.into_parts();
            if rejection.can_show_form() {
                // Read the form, so that the response can contain it. If reading fails, the
                // response doesn't contain the form.
                let _ = RaisedLimitFormData::from_request(&http, &mut payload).await;
            }
            ServiceResponse::new(http.clone(), reject_request(rejection, &http).await)
        }
        None if is_safe_method(request.method()) => {
            let response = next.call(request).await?.map_into_boxed_body();
            render_error_or_restore_form(response).await
        }
        None => {
            let http = request.request().clone();
            let response = idempotent_form::run_handler(request, next).await;
            render_error_or_restore_form(
                response.unwrap_or_else(|error| ServiceResponse::from_err(error, http)),
            )
            .await
        }
    };
    let signed_in = response.request().extensions().contains::<Session>();
    // Public pages change after sign-in, so caches must revalidate them.
    let cache_control = if signed_in || !is_safe_method(response.request().method()) {
        "no-store"
    } else {
        "no-cache"
    };
    // A website may load a misspelled URL of the widget. Its developer sees the 404 only if other
    // origins may load the response.
    if response.request().match_pattern().is_none() && !signed_in {
        let any_origin = HeaderValue::from_static("cross-origin");
        response
            .headers_mut()
            .insert(CROSS_ORIGIN_RESOURCE_POLICY, any_origin);
    }
    add_security_headers(response.headers_mut(), cache_control);
    if signed_in && session::has_sign_in_progress_cookie(response.request()) {
        let context = RequestContext::from_http_request(response.request())?;
        session::remove_sign_in_progress_cookie(&context, response.response_mut());
    }
    Ok(response)
}

/// The reason a request isn't passed to its handler.
enum AuthRejection {
    /// The user must sign in. The sign-in page then redirects to the URL of the request.
    SignIn,
    Error(PageError),
}

impl From<PageError> for AuthRejection {
    fn from(error: PageError) -> Self {
        Self::Error(error)
    }
}

impl AuthRejection {
    /// Returns whether the response may contain the submitted form. A form from another origin
    /// isn't read.
    fn can_show_form(&self) -> bool {
        matches!(
            self,
            Self::Error(PageError::SignedOut | PageError::Forbidden | PageError::Store(_))
        )
    }
}

/// Returns whether the method is `GET` or `HEAD`, which are safe methods (RFC 9110, section 9.2.1).
fn is_safe_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Returns the first session that a cookie of the request belongs to. Skips cookies of other
/// programs.
async fn find_session(context: &RequestContext) -> Result<Option<Session>, PageError> {
    let now = context.app.clock.now();
    let headers = context.request.headers();
    for hash in session::candidate_token_hashes(&context.state.cookie_names, headers) {
        if let Some(session) = context.app.store.session(hash, now).await? {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

async fn authorize(permission: Permission, request: &ServiceRequest) -> Result<(), AuthRejection> {
    let context = RequestContext::from_http_request(request.request())?;
    let changes_state = !is_safe_method(request.method());
    if changes_state
        && is_cross_origin(
            context.trusted_proxies(),
            &context.app.urls,
            request.request(),
        )
    {
        let (proxies, urls) = (context.trusted_proxies(), &context.app.urls);
        let message = cross_origin_message(proxies, urls, request.request());
        return Err(PageError::CrossOrigin(message).into());
    }
    let Some(session) = find_session(&context).await? else {
        return match permission {
            Permission::Public => Ok(()),
            _ if changes_state => Err(PageError::SignedOut.into()),
            _ => Err(AuthRejection::SignIn),
        };
    };
    let allowed = is_allowed(permission, session.user.role, Scope::Full);
    if session.needs_touch
        && !context.is_from_hidden_page()
        && let Err(error) = context.app.store.touch_session(session.token_hash).await
    {
        // A failed write doesn't make the request fail. The next request tries again to record the
        // last use.
        tracing::warn!(%error, "recording the last use of a session failed");
    }
    if session.user.role == Role::Admin {
        match context.app.store.count_failing_webhooks().await {
            Ok(count) => {
                request.extensions_mut().insert(FailingWebhooks(count));
            }
            Err(error) => tracing::warn!(%error, "counting the failing webhooks failed"),
        }
    }
    request.extensions_mut().insert(Actor {
        user: session.user.id,
        token: None,
    });
    request.extensions_mut().insert(session);
    if allowed {
        Ok(())
    } else {
        Err(PageError::Forbidden.into())
    }
}

async fn reject_request(rejection: AuthRejection, request: &HttpRequest) -> HttpResponse {
    match (rejection, RequestContext::from_http_request(request)) {
        (AuthRejection::SignIn, Ok(context)) => {
            let next = [("next", context.local_path_and_query())];
            let next = serde_urlencoded::to_string(next).unwrap_or_default();
            HttpResponse::SeeOther()
                .insert_header((LOCATION, context.app.urls.path(&format!("/login?{next}"))))
                .finish()
        }
        (AuthRejection::Error(error), Ok(context)) => build_error_response(&error, &context).await,
        (_, Err(error)) => error.error_response(),
    }
}

/// Renders a handler's error as a page. Fills the form of a page with the submitted values if the
/// handler rejected them, or if the session had ended when they were submitted.
async fn render_error_or_restore_form(
    response: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let context = match RequestContext::from_http_request(&request) {
        Ok(context) => context,
        Err(error) => return ServiceResponse::new(request, error.error_response()),
    };
    let form_error;
    let response = match response.error() {
        Some(error) => {
            let error = if let Some(error) = error.as_error::<PageError>() {
                error
            } else if let Some(error) = error.as_error::<FormError>() {
                form_error = PageError::from(*error);
                &form_error
            } else {
                return ServiceResponse::new(request, response);
            };
            build_error_response(error, &context).await
        }
        None if is_safe_method(request.method()) => response,
        None if response.status().as_u16() >= 400 => {
            interrupted_form::fill_in_form(response, &context)
        }
        None => response,
    };
    if !is_safe_method(request.method()) {
        return ServiceResponse::new(request, response);
    }
    let response = match interrupted_form::resume_form(response, &context) {
        ResumeResult::Page(page) => page,
        ResumeResult::Missing(form) => render_error_page(
            &PageError::ItemNotFound,
            &context,
            entered_texts(&form.fields),
        ),
    };
    ServiceResponse::new(request, response)
}

/// Returns the response to a failed request: the page of the submitted form, the sign-in page with
/// the form, or an error page.
async fn build_error_response(error: &PageError, context: &RequestContext) -> HttpResponse {
    let status = error.status_code();
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(?error, "page failed");
    }
    let mut response = match interrupted_form::respond_with_form(error, context).await {
        Some(response) => response,
        None => {
            let texts = if is_safe_method(context.request.method()) {
                // The page of an interrupted form isn't available anymore, so show only the typed
                // text.
                let form = context.take_interrupted_form();
                form.map(|form| entered_texts(&form.fields))
            } else {
                let form = interrupted_form::submitted_form(&context.request);
                form.map(|form| entered_texts(form.fields()))
            };
            render_error_page(error, context, texts.unwrap_or_default())
        }
    };
    let (allow, is_compressed) = match error {
        PageError::MethodNotAllowed(allow) => (Some(allow.as_str()), false),
        PageError::Form(FormError::UnsupportedEncoding) => (None, true),
        _ => (None, false),
    };
    html::add_error_headers(response.headers_mut(), status, allow, is_compressed);
    response
}

fn render_error_page(
    error: &PageError,
    context: &RequestContext,
    texts: Vec<EnteredText>,
) -> HttpResponse {
    let status = error.status_code();
    let (layout, _) = context.build_layout(error.title(), None);
    let page = ErrorPage {
        layout,
        status: status.as_u16(),
        message: error.to_string(),
        request_id: logged_request_id(error, &context.request),
        texts,
    };
    render(status, &page).unwrap_or_else(|error| error.error_response())
}
