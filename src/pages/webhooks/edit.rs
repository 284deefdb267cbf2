//! The forms that edit a webhook: its settings, and its topics.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::actions::{redirect_to_open_row, update_webhook};
use super::add::email_to_url;
use super::format_field;
use super::headers::{self, HeaderLineError, format_headers};
use super::render_page;
use super::settings_form::SettingsForm;
use crate::domain::format::{Format, FormatMismatch};
use crate::domain::id::{Id, ProjectId};
use crate::domain::validation::{ValidationErrors, check_all_fields, check_field};
use crate::domain::webhook::{self, RetryPolicy, Topic, Webhook, WebhookError, WebhookPatch};
use crate::domain::webhook_url::WebhookUrl;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::form_edits::{self, EditField, FieldConflict, FormEdits, LoadedField};
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::interrupted_form::fill_in_form;
use crate::pages::framework::page_error::PageError;
use crate::server::versions::VersionHasher;
use crate::store::Precondition;

const EDIT_FIELDS: [EditField; 7] = [
    ("url", "Endpoint URL"),
    ("format", "Format"),
    ("details", "Include details"),
    ("description", "Description"),
    ("retries", "Retries"),
    ("headers", "Headers"),
    ("project", "Projects"),
];
/// The hidden field with the version of the headers when the form was loaded. The form doesn't
/// contain the header values, so only the version shows whether they have changed.
const HEADERS_VERSION_FIELD: &str = "loaded.headers_version";

/// Returns a field's stored value in the format of the settings form.
fn stored_field_value(webhook: &Webhook, name: &str) -> String {
    match name {
        "url" => webhook.url.display_text().to_owned(),
        "format" => format_field::stored_choice(webhook).to_owned(),
        "details" if webhook.details => "true".to_owned(),
        "description" => webhook.description.clone(),
        "retries" => webhook.retries.as_str().to_owned(),
        "headers" => format_headers(&webhook.headers),
        "project" => {
            let ids: Vec<_> = webhook.projects.iter().map(ToString::to_string).collect();
            form_edits::join_checkbox_values(ids.iter().map(String::as_str))
        }
        _ => String::new(),
    }
}

pub(super) fn loaded_settings(webhook: &Webhook, versions: &VersionHasher) -> Vec<LoadedField> {
    let mut loaded =
        form_edits::loaded_values(&EDIT_FIELDS, |name| stored_field_value(webhook, name));
    let version = versions.headers_version(&webhook.headers);
    loaded.push((HEADERS_VERSION_FIELD.to_owned(), version));
    loaded
}

pub(super) fn loaded_topics(webhook: &Webhook) -> Vec<LoadedField> {
    let topics = webhook.topics.iter().map(|topic| topic.as_str());
    form_edits::loaded_values(&[("topic", "Topics")], |_| {
        form_edits::join_checkbox_values(topics.clone())
    })
}

/// The changes that the person made in the settings form.
#[derive(Clone)]
struct SettingsEdits {
    edits: FormEdits,
    headers: String,
    /// The version of the headers when the form was loaded; empty if the form doesn't contain it.
    headers_version: String,
    versions: VersionHasher,
}

impl SettingsEdits {
    fn find_conflicts(&self, stored: &Webhook) -> Vec<FieldConflict> {
        let mut conflicts = self
            .edits
            .conflicts(|name| stored_field_value(stored, name));
        conflicts.retain(|conflict| conflict.name != "headers");
        if self.has_headers_conflict(stored) {
            let current = format_headers(&stored.headers);
            conflicts.extend(self.edits.field_conflict("headers", &current));
        }
        conflicts
    }

    fn has_headers_conflict(&self, stored: &Webhook) -> bool {
        self.edits.is_changed("headers")
            && !self.headers_version.is_empty()
            && self.headers_version != self.versions.headers_version(&stored.headers)
            && !headers::are_headers_unchanged(&self.headers, &stored.headers)
    }
}

/// Handles "Preview" in the settings: shows the format and the preview for the current values.
pub async fn preview_settings(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let errors = ValidationErrors(Vec::new());
    let form = SettingsForm::from_submitted_values(&context, &fields, &webhook, &errors);
    let edited = Some((webhook.id, form));
    let response = render_page(&context, StatusCode::OK, None, edited).await?;
    Ok(fill_in_form(response, &context))
}

/// Handles "Save changes" of the settings: URL, format, details, description, headers, projects,
/// and retries.
pub async fn edit(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let mut settings = SettingsEdits {
        edits: FormEdits::from_form(&fields, &EDIT_FIELDS),
        headers: fields.get("headers").to_owned(),
        headers_version: fields.get(HEADERS_VERSION_FIELD).to_owned(),
        versions: context.app.versions.clone(),
    };
    let retries = fields.get_all("retries").next().map(RetryPolicy::parse);
    if retries == Some(None) {
        return Err(PageError::InvalidForm);
    }
    let retries = retries.flatten();
    let choice = fields.get_all("format").next();
    let choice = choice.map(format_field::parse_choice).transpose()?;
    let parsed = parse_settings_changes(&context, &fields, choice, &settings, &webhook).await;
    let change = match parsed {
        Ok(change) => WebhookPatch {
            retries: retries.filter(|_| settings.edits.is_changed("retries")),
            ..change
        },
        Err(form) => {
            let (status, rejected) = (StatusCode::UNPROCESSABLE_ENTITY, (webhook.id, form));
            return render_page(&context, status, None, Some(rejected)).await;
        }
    };
    if let Some(url) = &change.url {
        settings
            .edits
            .set_canonical_value("url", url.display_text());
    }
    if let Some(description) = &change.description {
        settings
            .edits
            .set_canonical_value("description", description);
    }
    let conflicts = settings.find_conflicts(&webhook);
    if !conflicts.is_empty() {
        return Err(conflict_error(&context, conflicts).await?);
    }
    let checked = settings.clone();
    let unchanged = Precondition::new(move |stored| checked.find_conflicts(stored).is_empty());
    match update_webhook(&context, webhook.id, change, unchanged).await? {
        Ok(_) => {
            context.add_flash_message("Saved.");
            Ok(redirect_to_open_row(&context, &webhook.id))
        }
        Err(stored) => Err(conflict_error(&context, settings.find_conflicts(&stored)).await?),
    }
}

/// Checks the changed fields except the retries, and returns the changes. If a value is invalid,
/// the error is the form with its error messages.
async fn parse_settings_changes(
    context: &RequestContext,
    fields: &IdempotentForm,
    format_choice: Option<Option<Format>>,
    settings: &SettingsEdits,
    stored: &Webhook,
) -> Result<WebhookPatch, SettingsForm> {
    let edits = &settings.edits;
    let url = match edits.value_if_changed("url", fields.get("url")) {
        Some(url) => check_url(context, url, stored).await.map(Some),
        None => Ok(None),
    };
    let format = match &url {
        Ok(url) => choose_format(format_choice, edits, url.as_ref().unwrap_or(&stored.url)),
        Err(_) => Ok(None),
    };
    let description = edits.value_if_changed("description", fields.get("description"));
    let headers = edits
        .value_if_changed("headers", fields.get("headers"))
        .map(|text| headers::parse_headers(text, &stored.headers))
        // A stored value that somebody else removed is a conflict, not an invalid header.
        .filter(|parsed| {
            let is_missing = matches!(
                parsed,
                Err(HeaderLineError::Header(WebhookError::NoStoredValue(_)))
            );
            !is_missing || !settings.has_headers_conflict(stored)
        });
    let checked = check_all_fields((
        check_field("url", url),
        check_field("format", format),
        check_field(
            "description",
            description.map(webhook::check_description).transpose(),
        ),
        check_field("headers", headers.transpose()),
    ));
    let (url, format, description, headers) = checked
        .map_err(|errors| SettingsForm::from_submitted_values(context, fields, stored, &errors))?;
    let projects = fields.get_all("project").map(str::to_owned).collect();
    Ok(WebhookPatch {
        url,
        format,
        details: edits.value_if_changed("details", !fields.get("details").is_empty()),
        description,
        headers,
        projects: edits.value_if_changed("project", projects),
        ..WebhookPatch::default()
    })
}

/// Checks the URL or, for an email webhook, the email.
async fn check_url(
    context: &RequestContext,
    text: &str,
    stored: &Webhook,
) -> Result<WebhookUrl, String> {
    let url = match stored.format {
        Format::Email => email_to_url(text).map_err(|error| error.to_string())?,
        _ => text.to_owned(),
    };
    context.app.parse_and_check_webhook_url(&url).await
}

/// Returns the format to save; `None` if it stays. `choice` is the value of the field "Format",
/// which the settings of an email webhook don't have. A chosen format is saved with each new URL,
/// because otherwise the format of the new URL would replace it.
fn choose_format(
    choice: Option<Option<Format>>,
    edits: &FormEdits,
    url: &WebhookUrl,
) -> Result<Option<Format>, FormatMismatch> {
    let is_changed = edits.is_changed("format") || edits.is_changed("url");
    let format = choice.filter(|_| is_changed);
    let format = format.map(|chosen| chosen.unwrap_or_else(|| Format::detect(url)));
    if let Some(format) = format {
        format.check_url(url)?;
    }
    Ok(format)
}

/// Returns the error for the conflicts, with names instead of ids.
async fn conflict_error(
    context: &RequestContext,
    mut conflicts: Vec<FieldConflict>,
) -> Result<PageError, PageError> {
    let projects = context.app.store.projects_by_name().await?;
    let name_of = |id: &str| match projects
        .iter()
        .find(|project| ProjectId::parse(id) == Some(project.id))
    {
        Some(project) => project.name.clone(),
        None => "(deleted project)".to_owned(),
    };
    let join_names = |value: &str| match value.lines().map(name_of).collect::<Vec<_>>() {
        names if names.is_empty() => "all projects".to_owned(),
        names => names.join(", "),
    };
    for conflict in &mut conflicts {
        for value in [&mut conflict.current, &mut conflict.submitted] {
            match conflict.name {
                "project" => *value = join_names(value),
                "format" => *value = format_field::describe_choice(value),
                "details" => *value = if value.is_empty() { "off" } else { "on" }.to_owned(),
                _ => {}
            }
        }
    }
    Ok(PageError::Conflict(conflicts))
}

/// Saves the topic checkboxes. Each checkbox is a separate field, so only the checkboxes that the
/// person changed are saved.
pub async fn set_topics(
    context: RequestContext,
    id: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let parse = |topics: &mut dyn Iterator<Item = &str>| -> Result<Vec<Topic>, PageError> {
        let topics: Option<_> = topics.map(Topic::parse).collect();
        topics.ok_or(PageError::InvalidForm)
    };
    let submitted = parse(&mut fields.get_all("topic"))?;
    let loaded = match form_edits::read_loaded_value(&fields, "topic") {
        Some(loaded) => Some(parse(&mut loaded.lines())?),
        None => None,
    };
    let is_selected = |topic: &Topic, stored: &[Topic]| match &loaded {
        Some(loaded) if loaded.contains(topic) == submitted.contains(topic) => {
            stored.contains(topic)
        }
        _ => submitted.contains(topic),
    };
    let mut stored = context.webhook(id.into_inner()).await?;
    let webhook = loop {
        let topics = stored.topics.clone();
        let change = WebhookPatch {
            topics: Some(
                Topic::ALL
                    .into_iter()
                    .filter(|t| is_selected(t, &topics))
                    .collect(),
            ),
            ..WebhookPatch::default()
        };
        let unchanged = Precondition::new(move |webhook: &Webhook| webhook.topics == topics);
        match update_webhook(&context, stored.id, change, unchanged).await? {
            Ok(webhook) => break webhook,
            Err(changed) => stored = changed,
        }
    };
    context.add_flash_message(match webhook.topics.as_slice() {
        [] => "Saved. No topics selected, so no events are sent.".to_owned(),
        topics => format!("Topics saved: {}.", Topic::join_labels(topics)),
    });
    Ok(redirect_to_open_row(&context, &webhook.id))
}
