//! The form with the settings of a webhook.

use super::format_field::FormatField;
use super::headers::format_headers;
use super::preview::MessagePreview;
use crate::domain::format::Format;
use crate::domain::validation::ValidationErrors;
use crate::domain::webhook::Webhook;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::form_field::FormField;
use crate::server::form_data::FormData;

/// The fields of the form that depend on the submitted values.
pub(super) struct SettingsForm {
    /// The URL or, for an email webhook, the email.
    pub(super) url: FormField,
    pub(super) format: FormatField,
    /// Whether "Include details" is checked.
    pub(super) details: bool,
    pub(super) description: FormField,
    pub(super) headers: FormField,
    /// The preview of a message; `None` if the format isn't a message.
    pub(super) preview: Option<MessagePreview>,
}

impl SettingsForm {
    /// Creates the form of a stored webhook.
    pub(super) fn for_webhook(context: &RequestContext, webhook: &Webhook) -> Self {
        Self {
            url: FormField::new(webhook.url.display_text()),
            format: FormatField::for_webhook(webhook),
            details: webhook.details,
            description: FormField::new(&webhook.description),
            headers: FormField::new(&format_headers(&webhook.headers)),
            preview: MessagePreview::new(context, webhook.format, webhook.details),
        }
    }

    /// Creates the form with submitted values and their errors.
    pub(super) fn from_submitted_values(
        context: &RequestContext,
        fields: &FormData,
        webhook: &Webhook,
        errors: &ValidationErrors,
    ) -> Self {
        let field = |name| FormField::from_submitted_value(name, fields.get(name), errors);
        let details = !fields.get("details").is_empty();
        let mut format = match webhook.format {
            Format::Email => FormatField::for_webhook(webhook),
            _ => FormatField::from_form(fields, fields.get("url")),
        };
        format.error = errors.message_for("format").map(str::to_owned);
        Self {
            url: field("url"),
            details,
            description: field("description"),
            headers: field("headers"),
            preview: MessagePreview::new(context, format.format(), details),
            format,
        }
    }
}
