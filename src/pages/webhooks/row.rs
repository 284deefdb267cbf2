//! The data that the templates of a webhook's row and of a test result show.

use crate::clock::Timestamp;
use crate::delivery::TestReport;
use crate::domain::explanation::{format_duration, is_auth_failure, status_text};
use crate::domain::format::Format;
use crate::domain::id::{Id, WebhookId};
use crate::domain::project::Project;
use crate::domain::secret::Secret;
use crate::domain::webhook::{RetryPolicy, Topic, Webhook};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::form_edits::LoadedField;
use crate::pages::framework::format::DisplayTime;
use crate::pages::framework::layout::Layout;
use crate::pages::framework::page_error::PageError;

use super::activity::WebhookActivity;
pub use super::activity::held_until;
use super::edit;
use super::settings_form::SettingsForm;

/// Maximum length of the response body in a test result, in characters.
const BODY_CHARS_SHOWN: usize = 500;

/// Whether each section of a webhook's row is open.
pub(super) struct OpenSections {
    /// Whether one of the query parameters that open a section contains the webhook's id.
    pub(super) is_requested: bool,
    pub(super) details: bool,
    pub(super) secret: bool,
    pub(super) rotation: bool,
    pub(super) disabling: bool,
    pub(super) deletion: bool,
}

impl OpenSections {
    pub(super) fn from_query(context: &RequestContext, id: &WebhookId) -> Self {
        let is_requested =
            |name| context.query_param(name).map(WebhookId::parse_or_nil) == Some(*id);
        Self {
            is_requested: ["open", "reveal", "rotate", "disable", "delete"]
                .into_iter()
                .any(is_requested),
            details: ["open", "reveal", "rotate"].into_iter().any(is_requested),
            secret: is_requested("reveal"),
            rotation: is_requested("rotate"),
            disabling: is_requested("disable"),
            deletion: is_requested("delete"),
        }
    }
}

/// One webhook on the page.
pub(super) struct WebhookRow {
    pub(super) webhook: Webhook,
    pub(super) open: OpenSections,
    pub(super) activity: WebhookActivity,
    pub(super) topics: Vec<TopicChoice>,
    pub(super) projects: Vec<ProjectChoice>,
    /// `None` unless deliveries are signed.
    pub(super) secret: Option<SecretView>,
    pub(super) test_report: Option<TestReportView>,
    /// The settings: as saved, or as submitted if validation failed.
    pub(super) form: SettingsForm,
    pub(super) loaded_settings: Vec<LoadedField>,
    pub(super) loaded_topics: Vec<LoadedField>,
}

pub(super) struct TopicChoice {
    pub(super) topic: Topic,
    pub(super) checked: bool,
}

pub(super) struct ProjectChoice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) checked: bool,
}

pub(super) struct SecretView {
    /// Empty until "Reveal" is pressed.
    pub(super) current: String,
    pub(super) next: String,
    pub(super) overlap_ends: Option<DisplayTime>,
    /// Whether Standard Webhooks libraries can verify signatures with the secret.
    pub(super) is_standard: bool,
}

/// The result of a test.
pub struct TestReportView {
    pub is_success: bool,
    pub headline: String,
    pub advice: &'static str,
    pub duration: String,
    pub body: String,
    /// Whether the endpoint responded with the status 401 or 403. These statuses often mean that
    /// the endpoint uses a different secret.
    pub is_auth_failure: bool,
}

impl WebhookRow {
    pub(super) async fn load(
        context: &RequestContext,
        webhook: Webhook,
        projects: &[Project],
        activity: WebhookActivity,
        open: OpenSections,
        report: Option<TestReportView>,
        rejected: Option<SettingsForm>,
    ) -> Result<Self, PageError> {
        let now = context.app.clock.now();
        let secret = match webhook.format.is_signed() {
            true => Some(SecretView::load(context, &webhook, open.secret, now).await?),
            false => None,
        };
        Ok(Self {
            activity,
            topics: Topic::ALL
                .map(|topic| TopicChoice {
                    topic,
                    checked: webhook.topics.contains(&topic),
                })
                .into(),
            projects: project_choices(&webhook, projects),
            secret,
            test_report: report,
            loaded_settings: edit::loaded_settings(&webhook, &context.app.versions),
            loaded_topics: edit::loaded_topics(&webhook),
            form: rejected.unwrap_or_else(|| SettingsForm::for_webhook(context, &webhook)),
            open,
            webhook,
        })
    }

    pub(super) fn is_email(&self) -> bool {
        self.webhook.format.is_email()
    }

    /// Returns the path of the page that checks signatures; empty if deliveries aren't signed.
    pub(super) fn signature_check_path(&self, layout: &Layout) -> String {
        match self.webhook.format.is_signed() {
            true => layout.path(self.subpage_path("/signature-check")),
            false => String::new(),
        }
    }

    pub(super) fn has_patient_retry_policy(&self) -> bool {
        self.webhook.retries == RetryPolicy::Patient
    }

    /// Returns the path of the webhook's page, followed by the path of a subpage or form.
    pub(super) fn subpage_path(&self, subpath: &str) -> String {
        format!("{}/{}{subpath}", super::PATH, self.webhook.id)
    }
}

/// Returns all projects, followed by selected projects that were deleted.
fn project_choices(webhook: &Webhook, projects: &[Project]) -> Vec<ProjectChoice> {
    let mut choices: Vec<ProjectChoice> = projects
        .iter()
        .map(|project| ProjectChoice {
            id: project.id.to_string(),
            name: project.name.clone(),
            checked: webhook.projects.contains(&project.id),
        })
        .collect();
    for deleted in webhook
        .projects
        .iter()
        .filter(|id| !projects.iter().any(|project| project.id == **id))
    {
        choices.push(ProjectChoice {
            id: deleted.to_string(),
            name: "(deleted project)".into(),
            checked: true,
        });
    }
    choices
}

impl SecretView {
    async fn load(
        context: &RequestContext,
        webhook: &Webhook,
        reveal: bool,
        now: Timestamp,
    ) -> Result<Self, PageError> {
        let secrets = context.webhook_secrets(webhook.id).await?;
        let next = secrets.next.as_ref();
        let text = |secret: &Secret| {
            if reveal {
                secret.as_str().to_owned()
            } else {
                String::new()
            }
        };
        Ok(Self {
            is_standard: secrets.current.standard_key().is_some(),
            current: text(&secrets.current),
            next: next.map(|next| text(&next.secret)).unwrap_or_default(),
            overlap_ends: next.map(|next| DisplayTime::new(next.overlap_ends_at, now)),
        })
    }
}

impl TestReportView {
    pub fn new(report: &TestReport, format: Format) -> Self {
        let is_success = report.is_success();
        let mut body: String = report
            .response_body
            .chars()
            .take(BODY_CHARS_SHOWN)
            .collect();
        if body.len() < report.response_body.len() {
            body.push('…');
        }
        Self {
            is_success,
            headline: match report.status {
                Some(_) if is_success && format.is_email() => {
                    "The mail server accepted the email".to_owned()
                }
                Some(status) if is_success => {
                    format!("The endpoint responded with {}", status_text(status))
                }
                _ => report.outcome.summary(),
            },
            advice: report.advice(),
            is_auth_failure: is_auth_failure(report.status),
            duration: format_duration(report.duration),
            body,
        }
    }
}
