//! Restores forms that were submitted but couldn't be processed, so that no typed text is lost. The
//! response has the status of the error and shows the form with the submitted values.
//!
//! If the session has expired, hidden fields of the sign-in page carry the form, and the form is
//! shown again after the sign-in. The server stores no form before the sign-in, and never submits a
//! form again automatically. Passwords and secrets aren't carried.

use std::collections::{HashMap, HashSet};

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::context::RequestContext;
use super::form_edits::{FieldConflict, LOADED_FIELD_PREFIX, is_equal_to_loaded};
use super::form_page::FormPage;
use super::form_restore::{FormNotice, FormRestoration, restore_form_in_response};
use super::page_error::PageError;
use crate::pages::sign_in;
use crate::server::form_data::FormData;
use crate::server::request_id::RequestId;

const RESUMED_MESSAGE: &str =
    "You’re signed in again. Nothing has been sent yet. Enter passwords and secrets again.";
/// Fields with passwords and secrets, which are never carried.
const SECRET_FIELDS: [&str; 3] = ["password", "current", "secret"];
/// The prefix of the carried fields in the sign-in form.
const CARRIED_FIELD_PREFIX: &str = "carried.";
/// The field of the sign-in form with the `action` of the carried form.
const CARRIED_ACTION_FIELD: &str = "carried_action";
/// Fields whose values people don't type. They aren't listed as typed text.
const FIELDS_WITHOUT_ENTERED_TEXT: [&str; 18] = [
    "at_once",
    "back",
    "change",
    "do",
    "draft",
    "enabled",
    "encoding",
    "hours",
    "id",
    "key",
    "open",
    "return_to_item",
    "role",
    "scope",
    "stamp",
    "status",
    "submission_key",
    "token",
];

/// A submitted form that is restored after the person signs in again.
#[derive(Clone, Debug)]
pub struct InterruptedForm {
    /// Path and query of the form's page, without the base path.
    pub url: String,
    /// The `action` of the form, without the base path.
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// Text that the person typed, shown for copying if the form can't be shown.
pub struct EnteredText {
    pub label: String,
    pub value: String,
}

impl InterruptedForm {
    fn new(context: &RequestContext, form: &FormData) -> Self {
        let request = &context.request;
        let path = context.local_path();
        let page = FormPage::for_request(request);
        let is_secret = |name: &str| SECRET_FIELDS.contains(&name);
        Self {
            url: page
                .as_ref()
                .map_or_else(|| "/".to_owned(), |page| page.url(request, form)),
            action: page.map_or(path.clone(), |page| page.action(&path, request, form)),
            fields: form
                .iter()
                .filter(|(name, _)| !is_secret(name))
                .cloned()
                .collect(),
        }
    }

    /// Reads the form that a sign-in form carries. Returns `None` if it carries no form.
    pub fn from_sign_in_form(form: &FormData) -> Option<Self> {
        let action = form.get(CARRIED_ACTION_FIELD).to_owned();
        let fields = form.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(CARRIED_FIELD_PREFIX)?;
            Some((name.to_owned(), value.clone()))
        });
        (!action.is_empty()).then(|| Self {
            url: form.get("next").to_owned(),
            action,
            fields: fields.collect(),
        })
    }

    /// The hidden fields of a sign-in form that carries this form.
    pub fn carried_fields(&self) -> Vec<(String, &str)> {
        let action = (CARRIED_ACTION_FIELD.to_owned(), self.action.as_str());
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (format!("{CARRIED_FIELD_PREFIX}{name}"), value.as_str()));
        std::iter::once(action).chain(fields).collect()
    }
}

/// Returns the text that the person typed, without passwords, secrets, and unchanged fields.
pub fn entered_texts(fields: &[(String, String)]) -> Vec<EnteredText> {
    let loaded: HashSet<(&str, &str)> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(LOADED_FIELD_PREFIX)?, value.as_str())))
        .collect();
    let typed = fields.iter().filter(|(name, value)| {
        let is_technical = FIELDS_WITHOUT_ENTERED_TEXT.contains(&name.as_str())
            || SECRET_FIELDS.contains(&name.as_str())
            || name.contains('.');
        !value.trim().is_empty() && !is_technical && !loaded.contains(&(name, value))
    });
    typed
        .map(|(name, value)| EnteredText {
            label: field_label(name),
            value: value.clone(),
        })
        .collect()
}

/// Returns a label for a field, such as `URL` or `Description`.
fn field_label(name: &str) -> String {
    if name == "url" {
        return "URL".to_owned();
    }
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The submitted form of the request, if it was read.
pub fn submitted_form(request: &HttpRequest) -> Option<FormData> {
    request.extensions().get::<FormData>().cloned()
}

/// Responds to a form that failed with `error`: shows the form again or, after the session has
/// expired, the sign-in page. Returns `None` if the form can't be shown.
pub async fn respond_with_form(
    error: &PageError,
    context: &RequestContext,
) -> Option<HttpResponse> {
    let request = &context.request;
    if *request.method() != Method::POST {
        return None;
    }
    let form = submitted_form(request).unwrap_or_default();
    match error {
        PageError::SignedOut => {
            let interrupted = InterruptedForm::new(context, &form);
            let page = sign_in::show_for_expired_session(context, interrupted).await;
            return page.ok();
        }
        PageError::CrossOrigin(_)
        | PageError::Forbidden
        | PageError::NotFound
        | PageError::MethodNotAllowed(_) => return None,
        _ => {}
    }
    let page = FormPage::for_request(request)?;
    let response = page.render(request, &page.url(request, &form)).await;
    if !response.status().is_success() {
        return None;
    }
    let conflicts: &[FieldConflict] = match error {
        PageError::Conflict(conflicts) => conflicts,
        _ => &[],
    };
    // After a conflict, fields that the person didn't change show their current values.
    let changed = changed_fields(&form);
    let invalid: Vec<&str> = conflicts.iter().map(|conflict| conflict.name).collect();
    let request_id = logged_request_id(error, request);
    let message = match request_id {
        Some(_) => format!("{}. {error}", error.title()),
        None => error.to_string(),
    };
    let notice = FormNotice {
        is_error: true,
        message,
        conflicts,
        request_id,
    };
    let restoration = FormRestoration {
        action: &context
            .app
            .urls
            .path(&page.action(&context.local_path(), request, &form)),
        fields: form.fields(),
        only: (!conflicts.is_empty()).then_some(changed.as_slice()),
        invalid: &invalid,
        notice: Some(&notice),
    };
    let (mut response, is_shown) = restore_form_in_response(response, &restoration);
    *response.status_mut() = error.status_code();
    is_shown.then_some(response)
}

fn changed_fields(form: &FormData) -> Vec<&str> {
    // A form can contain any number of fields, so read each field only once.
    let mut values: HashMap<&str, (Option<&str>, Vec<&str>)> = HashMap::new();
    for (name, value) in form.iter() {
        match name.strip_prefix(LOADED_FIELD_PREFIX) {
            Some(name) => {
                values.entry(name).or_default().0.get_or_insert(value);
            }
            None => values.entry(name).or_default().1.push(value),
        }
    }
    values.retain(|name, (loaded, submitted)| {
        !name.contains('.')
            && !is_equal_to_loaded(submitted.iter().copied(), loaded.unwrap_or_default())
    });
    values.into_keys().collect()
}

/// Fills submitted values into the form of a page that a handler rendered with an error status.
pub fn fill_in_form(response: HttpResponse, context: &RequestContext) -> HttpResponse {
    let request = &context.request;
    let Some(form) = submitted_form(request).filter(|_| *request.method() == Method::POST) else {
        return response;
    };
    let path = context.local_path();
    let action = FormPage::for_request(request);
    let action = action.map_or(path.clone(), |page| page.action(&path, request, &form));
    let restoration = FormRestoration {
        action: &context.app.urls.path(&action),
        fields: form.fields(),
        only: None,
        invalid: &[],
        notice: None,
    };
    restore_form_in_response(response, &restoration).0
}

/// The result of [`resume_form`].
pub enum ResumeResult {
    /// The page. If it contains the interrupted form, the form's values are filled in.
    Page(HttpResponse),
    /// The interrupted form, which contains typed text but isn't on the page.
    Missing(InterruptedForm),
}

/// Fills the form of a page with the values that were submitted after the session had ended.
pub fn resume_form(response: HttpResponse, context: &RequestContext) -> ResumeResult {
    let Some(form) = context.take_interrupted_form() else {
        return ResumeResult::Page(response);
    };
    let notice = FormNotice {
        is_error: false,
        message: RESUMED_MESSAGE.to_owned(),
        conflicts: &[],
        request_id: None,
    };
    let restoration = FormRestoration {
        action: &context.app.urls.path(&form.action),
        fields: &form.fields,
        only: None,
        invalid: &[],
        notice: Some(&notice),
    };
    let (response, is_shown) = restore_form_in_response(response, &restoration);
    if is_shown || entered_texts(&form.fields).is_empty() {
        ResumeResult::Page(response)
    } else {
        ResumeResult::Missing(form)
    }
}

/// Returns the id of the request if `error` is in the log.
pub fn logged_request_id(error: &PageError, request: &HttpRequest) -> Option<String> {
    let is_logged = error.status_code() == StatusCode::INTERNAL_SERVER_ERROR;
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().filter(|_| is_logged)?;
    Some(id.0.clone())
}
