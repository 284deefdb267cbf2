//! The forms "Add Webhook" and "Add Email": drafts of webhooks, with tests and previews.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use ring::hmac;

use super::actions::parse_test_event;
use super::format_field::{self, FormatField};
use super::preview::MessagePreview;
use super::row::TestReportView;
use super::{PATH, render_page};
use crate::delivery::UnsavedWebhook;
use crate::domain::email::{EmailError, check_email};
use crate::domain::format::Format;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, NewWebhook, RetryPolicy, Topic};
use crate::domain::webhook_url::WebhookUrl;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::flash::WebhookDraft;
use crate::pages::framework::form_field::FormField;
use crate::pages::framework::format::mailto_url;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::interrupted_form::fill_in_form;
use crate::pages::framework::page_error::PageError;
use crate::random;
use crate::server::form_data::FormData;
use crate::server::security_events::set_event_subject;
use crate::server::tokens;
use crate::store::{IdempotencyKey, SaveWebhookError};

/// The form that a person uses to add a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddKind {
    Endpoint,
    Email,
}

/// A form for a new webhook.
pub(super) struct AddForm {
    pub(super) kind: AddKind,
    /// The URL or, in the form "Add Email", the email.
    pub(super) url: FormField,
    pub(super) format: FormatField,
    pub(super) secret: String,
    pub(super) key: String,
    /// The id of the draft.
    pub(super) draft: String,
    pub(super) preview: Option<MessagePreview>,
    pub(super) test_report: Option<TestReportView>,
}

impl AddKind {
    /// The query parameter that opens the form. Its value is the id of the draft.
    const fn query_param(self) -> &'static str {
        match self {
            Self::Endpoint => "add",
            Self::Email => "add-email",
        }
    }

    const fn url_field(self) -> &'static str {
        match self {
            Self::Endpoint => "url",
            Self::Email => "email",
        }
    }

    /// Returns the URL for the text that the person entered.
    fn url(self, text: &str) -> Result<String, EmailError> {
        match self {
            Self::Endpoint => Ok(text.to_owned()),
            Self::Email => email_to_url(text),
        }
    }

    /// Returns the path of the page with the form.
    fn form_path(self, draft: &str) -> String {
        let query = serde_urlencoded::to_string([(self.query_param(), draft)]);
        format!("{PATH}?{}", query.unwrap_or_default())
    }
}

/// The values of a submitted form.
struct SubmittedForm {
    kind: AddKind,
    /// The text in the field for the URL or the email.
    target: String,
    chosen: Option<Format>,
    secret: Secret,
    key: String,
    draft: String,
}

/// A form whose values are valid.
struct CheckedForm {
    url: WebhookUrl,
    format: Format,
}

/// Error messages for the fields of a form.
#[derive(Default)]
struct FieldErrors {
    url: Option<String>,
    format: Option<String>,
}

impl SubmittedForm {
    /// Reads the form. The form contains no secret if the format isn't signed.
    async fn read(
        context: &RequestContext,
        fields: &FormData,
        kind: AddKind,
    ) -> Result<Self, PageError> {
        let draft = fields.get("draft").to_owned();
        let secret = match Secret::parse(fields.get("secret").to_owned()) {
            Ok(secret) => secret,
            Err(_) => draft_secret(context, &draft).await?,
        };
        Ok(Self {
            kind,
            target: fields.get(kind.url_field()).to_owned(),
            chosen: format_field::parse_choice(fields.get("format"))?,
            secret,
            key: fields.get("key").to_owned(),
            draft,
        })
    }

    async fn check(&self, context: &RequestContext) -> Result<CheckedForm, FieldErrors> {
        let reject = |error| FieldErrors {
            url: Some(error),
            ..FieldErrors::default()
        };
        let url = self.kind.url(&self.target);
        let url = url.map_err(|error| reject(error.to_string()))?;
        let url = context.app.parse_and_check_webhook_url(&url).await;
        let url = url.map_err(reject)?;
        let format = self.chosen.unwrap_or_else(|| Format::detect(&url));
        match format.check_url(&url) {
            Ok(()) => Ok(CheckedForm { url, format }),
            Err(error) => Err(FieldErrors {
                format: Some(error.to_string()),
                ..FieldErrors::default()
            }),
        }
    }

    fn into_draft(self) -> WebhookDraft {
        WebhookDraft {
            id: self.draft,
            url: self.target,
            format: self.chosen,
            secret: self.secret.as_str().to_owned(),
            key: self.key,
            report: None,
        }
    }

    /// Renders the form with error messages.
    async fn render_rejected(
        self,
        context: &RequestContext,
        errors: FieldErrors,
    ) -> Result<HttpResponse, PageError> {
        let mut form = AddForm::new(context, self.kind, self.into_draft());
        form.url.error = errors.url;
        form.format.error = errors.format;
        render_page(context, StatusCode::UNPROCESSABLE_ENTITY, Some(form), None).await
    }
}

impl AddForm {
    fn new(context: &RequestContext, kind: AddKind, draft: WebhookDraft) -> Self {
        let format = match kind {
            AddKind::Endpoint => FormatField::new(draft.format, &draft.url),
            AddKind::Email => FormatField::new(Some(Format::Email), ""),
        };
        Self {
            kind,
            url: FormField::new(&draft.url),
            preview: MessagePreview::new(context, format.format(), false),
            secret: draft.secret,
            key: draft.key,
            draft: draft.id,
            test_report: draft
                .report
                .as_ref()
                .map(|report| TestReportView::new(report, format.format())),
            format,
        }
    }

    /// Returns the form that the query string opens, with its draft: the stored draft or a new
    /// draft. Stores the draft, so reloading the page keeps the form. A background refresh doesn't
    /// store the draft.
    pub(super) async fn open(context: &RequestContext) -> Result<Option<Self>, PageError> {
        let stored = context.take_webhook_draft();
        let opened = [AddKind::Endpoint, AddKind::Email]
            .into_iter()
            .find_map(|kind| Some((kind, context.query_param(kind.query_param())?)));
        let Some((kind, id)) = opened else {
            return Ok(None);
        };
        let draft = match stored.filter(|draft| draft.id == id) {
            Some(draft) => draft,
            None => new_draft(context, id).await?,
        };
        if !context.is_background_refresh() {
            context.update_flash(|flash| flash.draft = Some(draft.clone()));
        }
        Ok(Some(Self::new(context, kind, draft)))
    }

    /// The command that receives events on the computer that runs it.
    pub(super) fn listen_command(&self) -> String {
        format!("miniback listen --port 3000 --secret {}", self.secret)
    }

    /// Returns the path of the page with endpoint code, from which the user returns to this form.
    pub(super) fn endpoint_code_path(&self) -> String {
        let query = serde_urlencoded::to_string([("add", &self.draft)]).unwrap_or_default();
        format!("{PATH}/endpoint-code?{query}")
    }
}

/// Returns the `mailto:` URL of an email that a person entered.
pub(super) fn email_to_url(text: &str) -> Result<String, EmailError> {
    let text = text.trim();
    let email = check_email(text.strip_prefix("mailto:").unwrap_or(text))?;
    Ok(mailto_url(&email))
}

async fn new_draft(context: &RequestContext, id: String) -> Result<WebhookDraft, PageError> {
    Ok(WebhookDraft {
        secret: draft_secret(context, &id).await?.as_str().to_owned(),
        id,
        url: String::new(),
        format: None,
        key: tokens::random_token(),
        report: None,
    })
}

/// Returns the secret of a new draft. For a generated id, the user always gets the same secret, so
/// a receiver that was configured with the secret keeps working after the form is opened again. If
/// a webhook was added with this secret, the form has a random secret.
async fn draft_secret(context: &RequestContext, id: &str) -> Result<Secret, PageError> {
    let random = || Secret::from_random(random::bytes());
    if !tokens::has_random_token_format(id) {
        return Ok(random());
    }
    let message = format!("{} {id}", context.user()?.id);
    let tag = hmac::sign(&context.state.draft_key, message.as_bytes());
    let secret = Secret::from_key(tag.as_ref());
    let is_in_use = context.app.store.is_secret_in_use(secret.clone()).await?;
    Ok(if is_in_use { random() } else { secret })
}

/// Handles "Add" in the form "Add Webhook".
pub async fn add(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    add_webhook(context, fields, AddKind::Endpoint).await
}

/// Handles "Add" in the form "Add Email".
pub async fn add_email(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    add_webhook(context, fields, AddKind::Email).await
}

/// Creates an enabled webhook with all topics and with the secret from the form.
async fn add_webhook(
    context: RequestContext,
    fields: IdempotentForm,
    kind: AddKind,
) -> Result<HttpResponse, PageError> {
    let form = SubmittedForm::read(&context, &fields, kind).await?;
    let CheckedForm { url, format } = match form.check(&context).await {
        Ok(checked) => checked,
        Err(errors) => return form.render_rejected(&context, errors).await,
    };
    let request_hash = tokens::sha256(url.as_str());
    // A double submit has the same key, so it creates only one webhook. A submission with a
    // different URL has a different key.
    let key = Some(form.key.as_str()).filter(|key| !key.is_empty());
    let key = key.map(|key| format!("{key} {}", hex::encode(request_hash)));
    let owner = context.user()?.id.to_string();
    let idempotency = key.map(|key| IdempotencyKey {
        owner,
        operation: "add webhook",
        key,
        request_hash,
    });
    let new = NewWebhook {
        url,
        format,
        details: false,
        description: String::new(),
        topics: Topic::ALL.to_vec(),
        projects: Vec::new(),
        enabled: true,
        retries: RetryPolicy::default_for(format),
        headers: CustomHeaders::new(),
        secret: form.secret.clone(),
    };
    match context.app.store.create_webhook(new, idempotency).await {
        Ok(webhook) => {
            set_event_subject(&context.request, webhook.id);
            context.add_flash_message(match webhook.format {
                Format::Email => "Email added.",
                _ => "Webhook added.",
            });
            Ok(context.redirect(&format!("{PATH}?open={0}#{0}", webhook.id)))
        }
        Err(SaveWebhookError::Store(error)) => Err(error.into()),
        Err(error) => {
            let errors = FieldErrors {
                url: Some(error.to_string()),
                ..FieldErrors::default()
            };
            form.render_rejected(&context, errors).await
        }
    }
}

/// Handles "Test" in the form "Add Webhook".
pub async fn test_draft(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    send_draft_test(context, fields, AddKind::Endpoint).await
}

/// Handles "Test" in the form "Add Email".
pub async fn test_email_draft(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    send_draft_test(context, fields, AddKind::Email).await
}

/// Sends a test, and keeps the form as a draft.
async fn send_draft_test(
    context: RequestContext,
    fields: IdempotentForm,
    kind: AddKind,
) -> Result<HttpResponse, PageError> {
    let event = parse_test_event(&fields)?;
    let form = SubmittedForm::read(&context, &fields, kind).await?;
    let CheckedForm { url, format } = match form.check(&context).await {
        Ok(checked) => checked,
        Err(errors) => return form.render_rejected(&context, errors).await,
    };
    let webhook = UnsavedWebhook {
        url,
        format,
        details: false,
        secret: form.secret.clone(),
    };
    let (delivery, user) = (&context.app.delivery, &context.user()?.email);
    let report = delivery.test_unsaved_webhook(&webhook, event, user).await?;
    let draft = WebhookDraft {
        report: Some(report),
        ..form.into_draft()
    };
    let path = kind.form_path(&draft.id);
    context.update_flash(|flash| flash.draft = Some(draft));
    Ok(context.redirect(&path))
}

/// Handles "Preview" in the form "Add Webhook": shows the format and the preview for the current
/// values. With JavaScript, the page's script presses the button while the person types.
pub async fn preview_draft(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let form = SubmittedForm::read(&context, &fields, AddKind::Endpoint).await?;
    let stored = context.take_webhook_draft();
    let mut draft = form.into_draft();
    // The result of a test stays until the person changes what was tested.
    let is_unchanged = |stored: &WebhookDraft| {
        (&stored.id, &stored.url, stored.format) == (&draft.id, &draft.url, draft.format)
    };
    draft.report = stored.filter(is_unchanged).and_then(|stored| stored.report);
    let form = AddForm::new(&context, AddKind::Endpoint, draft.clone());
    let response = render_page(&context, StatusCode::OK, Some(form), None).await?;
    // Rendering the page has removed the draft.
    context.update_flash(|flash| flash.draft = Some(draft));
    Ok(fill_in_form(response, &context))
}
