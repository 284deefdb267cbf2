//! Fills the form of a rendered page with submitted values.
//!
//! This module rewrites the HTML, so templates and handlers need no code for this purpose.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::CONTENT_TYPE;
use askama::Template;
use askama::filters::{Escaper, Html};
use lol_html::html_content::{ContentType, Element};
use lol_html::{HandlerResult, RewriteStrSettings, element, rewrite_str};

use super::form_edits::{FieldConflict, LOADED_FIELD_PREFIX};

/// Hidden fields that are filled in, because they identify a submission. Loaded values are filled
/// in too. Other hidden fields keep the values of the page.
const RESTORED_HIDDEN_FIELDS: [&str; 3] = ["submission_key", "key", "stamp"];
/// CSS classes of forms with room for a notice. Other forms are buttons within rows, and their
/// notices are shown with the page's messages.
const CLASSES_OF_FORMS_WITH_NOTICE: [&str; 4] = ["panel", "card", "card-body", "form-section"];
/// The HTML id of the notice in `form_notice.html`.
const NOTICE_ID: &str = "form-notice";

/// The values to fill in, and the notice to show.
pub struct FormRestoration<'a> {
    /// The `action` attribute of the form. The first form with this action is filled.
    pub action: &'a str,
    pub fields: &'a [(String, String)],
    /// The names of the fields to fill; `None` for all fields. Passwords are never filled, nor are
    /// the hidden fields that keep the values of the page.
    pub only: Option<&'a [&'a str]>,
    /// Names of the invalid fields that the notice describes.
    pub invalid: &'a [&'a str],
    pub notice: Option<&'a FormNotice<'a>>,
}

/// A message about the form.
#[derive(Template)]
#[template(path = "form_notice.html")]
pub struct FormNotice<'a> {
    pub is_error: bool,
    pub message: String,
    pub conflicts: &'a [FieldConflict],
    /// The request id to look up in the log; `None` if the log has no details.
    pub request_id: Option<String>,
}

/// The state of the rewriter while it processes the page.
#[derive(Default)]
struct RewriterState {
    is_in_form: Cell<bool>,
    /// The `id` of the form, which controls outside the form can refer to.
    form_id: RefCell<Option<String>>,
    was_found: Cell<bool>,
    is_notice_shown: Cell<bool>,
    /// The name of the `<select>` that is being filled; `None` outside such an element.
    select: RefCell<Option<String>>,
}

impl FormRestoration<'_> {
    /// Fills the form, and adds the notice. Returns `None` if the page doesn't contain the form or
    /// can't be rewritten.
    pub fn restore_form(&self, html: &str) -> Option<String> {
        let state = Rc::new(RewriterState::default());
        let settings = RewriteStrSettings::new()
            .append_element_content_handler(element!("form", |form| {
                self.on_form_start(form, &state)
            }))
            .append_element_content_handler(element!("input", |input| {
                self.fill_input(input, &state)
            }))
            .append_element_content_handler(element!("textarea", |area| {
                self.fill_textarea(area, &state)
            }))
            .append_element_content_handler(element!("select", |select| {
                self.on_select_start(select, &state)
            }))
            .append_element_content_handler(element!("option", |option| {
                self.fill_option(option, &state)
            }));
        let rewritten = rewrite_str(html, settings);
        let rewritten = rewritten.inspect_err(|error| {
            tracing::error!(%error, "restoring a form failed");
        });
        let rewritten = rewritten.ok().filter(|_| state.was_found.get())?;
        match self.notice {
            Some(notice) if !state.is_notice_shown.get() => {
                Some(add_notice_to_messages(&rewritten, notice).unwrap_or(rewritten))
            }
            _ => Some(rewritten),
        }
    }

    fn on_form_start(
        &self,
        form: &mut Element<'_, '_>,
        state: &Rc<RewriterState>,
    ) -> HandlerResult {
        let action = form.get_attribute("action").unwrap_or_default();
        if state.was_found.get() || action != escape_html(self.action) {
            return Ok(());
        }
        state.was_found.set(true);
        state.is_in_form.set(true);
        *state.form_id.borrow_mut() = form.get_attribute("id");

        // This attribute tells the page's script that the form contains unsaved input.
        form.set_attribute("data-unsaved", "")?;
        let class = form.get_attribute("class").unwrap_or_default();
        if let Some(notice) = self.notice
            && class
                .split(' ')
                .any(|name| CLASSES_OF_FORMS_WITH_NOTICE.contains(&name))
        {
            form.prepend(&notice.render()?, ContentType::Html);
            state.is_notice_shown.set(true);
        }
        let state = Rc::clone(state);
        form.on_end_tag(lol_html::end_tag!(move |_| {
            state.is_in_form.set(false);
            Ok(())
        }))?;
        Ok(())
    }

    /// Returns the submitted values with the control's name. The list is empty for an unchecked
    /// checkbox. Returns `None` if the control must stay unchanged.
    fn submitted_values_for_control(
        &self,
        control: &Element<'_, '_>,
        state: &RewriterState,
    ) -> Option<Vec<&str>> {
        let belongs = match control.get_attribute("form") {
            Some(id) => state.form_id.borrow().as_ref() == Some(&id),
            None => state.is_in_form.get(),
        };
        let name = control.get_attribute("name").filter(|_| belongs)?;
        self.submitted_values(&name)
    }

    fn submitted_values(&self, name: &str) -> Option<Vec<&str>> {
        if self.only.is_some_and(|only| !only.contains(&name)) {
            return None;
        }
        let values = self.fields.iter().filter(|(n, _)| n == name);
        Some(values.map(|(_, value)| value.as_str()).collect())
    }

    fn fill_input(&self, input: &mut Element<'_, '_>, state: &RewriterState) -> HandlerResult {
        let Some(values) = self.submitted_values_for_control(input, state) else {
            return Ok(());
        };
        let name = input.get_attribute("name").unwrap_or_default();
        match input.get_attribute("type").as_deref() {
            Some("password" | "submit" | "button" | "image" | "file") => return Ok(()),
            Some("checkbox" | "radio") => {
                let own = input.get_attribute("value").unwrap_or("on".into());
                if values.iter().any(|value| escape_html(value) == own) {
                    input.set_attribute("checked", "")?;
                } else {
                    input.remove_attribute("checked");
                }
            }
            Some("hidden")
                if !RESTORED_HIDDEN_FIELDS.contains(&name.as_str())
                    && !name.starts_with(LOADED_FIELD_PREFIX) => {}
            _ => {
                if let Some(value) = values.first() {
                    input.set_attribute("value", &escape_html(value))?;
                }
            }
        }
        self.mark_invalid(input)
    }

    fn fill_textarea(&self, area: &mut Element<'_, '_>, state: &RewriterState) -> HandlerResult {
        if let Some(values) = self.submitted_values_for_control(area, state)
            && let Some(value) = values.first()
        {
            // HTML parsers drop a line break at the start of a `<textarea>`.
            area.set_inner_content(&format!("\n{value}"), ContentType::Text);
            self.mark_invalid(area)?;
        }
        Ok(())
    }

    fn on_select_start(
        &self,
        select: &mut Element<'_, '_>,
        state: &Rc<RewriterState>,
    ) -> HandlerResult {
        let values = self.submitted_values_for_control(select, state);
        if values.is_some_and(|values| !values.is_empty()) {
            *state.select.borrow_mut() = select.get_attribute("name");
            let state = Rc::clone(state);
            select.on_end_tag(lol_html::end_tag!(move |_| {
                *state.select.borrow_mut() = None;
                Ok(())
            }))?;
            self.mark_invalid(select)?;
        }
        Ok(())
    }

    fn fill_option(&self, option: &mut Element<'_, '_>, state: &RewriterState) -> HandlerResult {
        let select = state.select.borrow();
        let Some(values) = select
            .as_deref()
            .and_then(|name| self.submitted_values(name))
        else {
            return Ok(());
        };
        let own = option.get_attribute("value").unwrap_or_default();
        if values.iter().any(|value| escape_html(value) == own) {
            option.set_attribute("selected", "")?;
        } else {
            option.remove_attribute("selected");
        }
        Ok(())
    }

    /// If `invalid` contains the field's name, marks the field as invalid and adds the notice to
    /// its `aria-describedby`.
    fn mark_invalid(&self, control: &mut Element<'_, '_>) -> HandlerResult {
        let name = control.get_attribute("name").unwrap_or_default();
        if self.invalid.contains(&name.as_str()) {
            let descriptions = control.get_attribute("aria-describedby");
            let descriptions = format!("{} {NOTICE_ID}", descriptions.unwrap_or_default());
            control.set_attribute("aria-describedby", descriptions.trim())?;
            control.set_attribute("aria-invalid", "true")?;
        }
        Ok(())
    }
}

/// Adds a notice to the messages of the page.
fn add_notice_to_messages(html: &str, notice: &FormNotice<'_>) -> Option<String> {
    let settings = RewriteStrSettings::new().append_element_content_handler(element!(
        "#messages",
        |messages| {
            messages.append(&notice.render()?, ContentType::Html);
            Ok(())
        }
    ));
    rewrite_str(html, settings).ok()
}

/// Escapes text in the same way as the templates, so that it can be compared with their attributes.
pub(super) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Writing to a string can't fail.
    let _ = Html.write_escaped_str(&mut escaped, text);
    escaped
}

/// Applies `restoration` to a response. Also returns whether the response is a page with the form.
/// Other responses are unchanged.
pub(super) fn restore_form_in_response(
    response: HttpResponse,
    restoration: &FormRestoration<'_>,
) -> (HttpResponse, bool) {
    let is_html = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_html {
        return (response, false);
    }
    let (head, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return (head.set_body(body), false),
    };
    let restored = str::from_utf8(&bytes)
        .ok()
        .and_then(|html| restoration.restore_form(html));
    match restored {
        Some(html) => (head.set_body(BoxBody::new(html)), true),
        None => (head.set_body(BoxBody::new(bytes)), false),
    }
}
