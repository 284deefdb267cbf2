//! What the template shows of a webhook, of its last deliveries and of a test.

use crate::clock::Timestamp;
use crate::delivery::TestReport;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::{format_duration, status_text};
use crate::domain::project::Project;
use crate::domain::webhook::{RetryPolicy, Topic, Webhook};
use crate::pages::deliveries::totals::DeliveryTotalsView;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::pages::framework::idempotent_form::SubmissionKeys;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, DeliverySummary, DeliveryTotals, LoggedAttempt, PageRequest};

use super::RejectedWebhookForm;
use super::headers;
use super::sparkline::Sparkline;

/// How many of the last deliveries an open row shows.
const RECENT_DELIVERIES: usize = 5;
/// How many of them the strip shows, a bar each.
const SPARKLINE_DELIVERIES: usize = 50;
/// How much of an answer's body a test shows, in characters.
const BODY_CHARS_SHOWN: usize = 500;

/// Which parts of a row are open.
pub(super) struct OpenSections {
    pub(super) details: bool,
    pub(super) secret: bool,
    pub(super) rotation: bool,
    pub(super) deletion: bool,
}

pub(super) struct WebhookRow {
    pub(super) webhook: Webhook,
    pub(super) open: OpenSections,
    /// By which two presses of the rotation are known to be one.
    pub(super) rotation_form_key: String,
    pub(super) state: StateLabel,
    pub(super) held_until: Option<DisplayTime>,
    pub(super) sparkline: Option<Sparkline>,
    pub(super) topics: Vec<TopicChoice>,
    pub(super) projects: Vec<ProjectChoice>,
    pub(super) secret: SecretView,
    pub(super) totals: DeliveryTotalsView,
    pub(super) recent: Vec<DeliveryRow>,
    pub(super) test_report: Option<TestReportView>,
    /// What stands in the fields: as saved, or as it was typed and refused.
    pub(super) url: String,
    pub(super) description: String,
    pub(super) url_problem: Option<String>,
    pub(super) description_problem: Option<String>,
    pub(super) headers: String,
    pub(super) headers_problem: Option<String>,
}

/// A state is a shape and a word; the kind gives the colour, which only repeats it.
pub struct StateLabel {
    pub kind: &'static str,
    pub icon: &'static str,
    pub text: String,
    /// Follows the text, told as time ago.
    pub ago: Option<DisplayTime>,
    /// Follows the text, told by the clock.
    pub clock: Option<DisplayTime>,
    /// Follows the time.
    pub detail: String,
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
    /// Empty before "Reveal".
    pub(super) current: String,
    pub(super) next: String,
    pub(super) overlap_ends: Option<DisplayTime>,
    /// Libraries of the Standard Webhooks specification can verify with it.
    pub(super) is_standard: bool,
}

pub struct DeliveryRow {
    pub id: String,
    pub state: StateLabel,
    pub event: &'static str,
    /// `1`, or of one that is on its way `1 of 4`.
    pub attempts: String,
    pub response: String,
    pub at: DisplayTime,
}

/// What came of a test, in words.
pub struct TestReportView {
    pub is_success: bool,
    pub headline: String,
    pub advice: &'static str,
    pub duration: String,
    pub body: String,
    /// The endpoint refuses what it gets: its secret may be another one.
    pub is_rejected: bool,
}

impl WebhookRow {
    pub(super) async fn load(
        context: &RequestContext,
        webhook: Webhook,
        projects: &[Project],
        totals: DeliveryTotals,
        open: OpenSections,
        report: Option<TestReportView>,
        rejected: Option<&RejectedWebhookForm>,
    ) -> Result<Self, PageError> {
        let now = context.app.clock.now();
        let recent = PageRequest {
            limit: SPARKLINE_DELIVERIES,
            before: None,
        };
        let deliveries = context
            .app
            .store
            .deliveries(webhook.id.clone(), DeliveryFilter::default(), recent)
            .await?
            .items;
        let max_attempts = context.app.delivery.max_attempts(webhook.retries);
        let problem = |field| {
            rejected
                .and_then(|r| r.invalid.message_for(field))
                .map(str::to_owned)
        };
        Ok(Self {
            state: state_label(&webhook, &deliveries, now),
            held_until: held_until(&webhook, now),
            sparkline: Sparkline::new(&deliveries),
            topics: Topic::ALL
                .map(|topic| TopicChoice {
                    topic,
                    checked: webhook.topics.contains(&topic),
                })
                .into(),
            projects: project_choices(&webhook, projects),
            secret: SecretView::load(context, &webhook, open.secret, now).await?,
            totals: DeliveryTotalsView::new(&webhook.id, totals),
            recent: deliveries
                .iter()
                .take(RECENT_DELIVERIES)
                .map(|delivery| DeliveryRow::of(delivery, max_attempts, now))
                .collect(),
            test_report: report,
            url: rejected.map_or_else(|| webhook.url.as_str().to_owned(), |r| r.url.clone()),
            description: rejected
                .map_or_else(|| webhook.description.clone(), |r| r.description.clone()),
            url_problem: problem("url"),
            description_problem: problem("description"),
            headers: rejected.map_or_else(
                || headers::format_headers(&webhook.headers),
                |r| r.headers.clone(),
            ),
            headers_problem: problem("headers"),
            open,
            rotation_form_key: SubmissionKeys::key(),
            webhook,
        })
    }

    pub(super) fn is_patient(&self) -> bool {
        self.webhook.retries == RetryPolicy::Patient
    }

    /// Where an address of this webhook's forms stands.
    pub(super) fn path(&self, action: &str) -> String {
        format!("{}/{}/{action}", super::PATH, self.webhook.id)
    }
}

/// The chosen projects and those that could be; one that was deleted is named as what it is.
fn project_choices(webhook: &Webhook, projects: &[Project]) -> Vec<ProjectChoice> {
    let mut views: Vec<ProjectChoice> = projects
        .iter()
        .map(|project| ProjectChoice {
            id: project.id.as_str().to_owned(),
            name: project.name.clone(),
            checked: webhook.projects.contains(&project.id),
        })
        .collect();
    for gone in webhook
        .projects
        .iter()
        .filter(|id| !projects.iter().any(|project| project.id == **id))
    {
        views.push(ProjectChoice {
            id: gone.as_str().to_owned(),
            name: "(a deleted project)".into(),
            checked: true,
        });
    }
    views
}

/// Until when nothing is sent to a webhook because its endpoint asked for time.
pub fn held_until(webhook: &Webhook, now: Timestamp) -> Option<DisplayTime> {
    let until = webhook.held_until.filter(|until| *until > now)?;
    webhook.enabled.then(|| DisplayTime::new(until, now))
}

fn state_label(webhook: &Webhook, deliveries: &[DeliverySummary], now: Timestamp) -> StateLabel {
    let state = |kind, icon, text: &str| StateLabel {
        kind,
        icon,
        text: text.to_owned(),
        ago: None,
        clock: None,
        detail: String::new(),
    };
    if !webhook.enabled {
        return state("", "off", "Off: saved, receives nothing");
    }
    if let Some(until) = held_until(webhook, now) {
        return StateLabel {
            clock: Some(until),
            ..state("wait", "wait", "Held until")
        };
    }
    // A test says nothing about what was really sent.
    let mut sent = deliveries
        .iter()
        .filter(|delivery| delivery.event != EventType::Test);
    if let Some(since) = webhook.failing_since {
        let reason = sent.find_map(|delivery| delivery.attempts.last().and_then(failure_label));
        return StateLabel {
            clock: Some(DisplayTime::new(since, now)),
            detail: reason
                .map(|reason| format!("· {reason}"))
                .unwrap_or_default(),
            ..state("bad", "bad", "Failing since")
        };
    }
    if webhook.topics.is_empty() {
        return state("", "off", "No topic chosen: receives nothing");
    }
    match sent.find(|delivery| delivery.state == DeliveryState::Delivered) {
        Some(last) => StateLabel {
            ago: last
                .attempts
                .last()
                .map(|attempt| DisplayTime::new(attempt.started_at, now)),
            ..state("good", "ok", "Delivered")
        },
        None => state("", "wait", "Nothing sent yet"),
    }
}

/// Why an attempt failed, in few words: `404 Not Found`, `connection refused`. `None` for a success.
fn failure_label(attempt: &LoggedAttempt) -> Option<String> {
    let label = match attempt.error_code.as_deref()? {
        "status" => return attempt.status.map(status_text),
        "redirect" => return attempt.status.map(|status| format!("redirects ({status})")),
        "timeout" => "no answer in time",
        "name_not_found" => "name not found",
        "name_lookup" => "name lookup failed",
        "connection_refused" => "connection refused",
        "unreachable" => "address cannot be reached",
        "connection_closed" => "closed without an answer",
        "certificate_expired" => "certificate expired",
        "certificate_not_yet_valid" => "certificate not valid yet",
        "certificate_wrong_name" => "certificate for another name",
        "certificate_unknown_issuer" => "certificate by an unknown issuer",
        "certificate" => "certificate not accepted",
        "tls" => "no encrypted connection",
        "broken_answer" => "answer is not valid HTTP",
        "target_not_allowed" => "target not allowed",
        _ => return attempt.error.clone(),
    };
    Some(label.to_owned())
}

impl SecretView {
    async fn load(
        context: &RequestContext,
        webhook: &Webhook,
        reveal: bool,
        now: Timestamp,
    ) -> Result<Self, PageError> {
        let secrets = context
            .app
            .store
            .webhook_secrets(webhook.id.clone(), now)
            .await?
            .ok_or(PageError::ItemNotFound)?;
        let next = secrets.next.as_ref();
        let shown = |secret: &crate::domain::secret::Secret| {
            if reveal {
                secret.as_str().to_owned()
            } else {
                String::new()
            }
        };
        Ok(Self {
            is_standard: secrets.current.standard_key().is_some(),
            current: shown(&secrets.current),
            next: next.map(|next| shown(&next.secret)).unwrap_or_default(),
            overlap_ends: next.map(|next| DisplayTime::new(next.overlap_ends_at, now)),
        })
    }
}

/// A test that is sent again is one attempt, as ever.
pub fn max_attempts_of(delivery: &DeliverySummary, webhook_max: usize) -> usize {
    match delivery.event {
        EventType::Test => 1,
        EventType::Topic(_) => webhook_max,
    }
}

impl DeliveryRow {
    /// `max_attempts`: how many attempts its webhook's retries allow.
    pub fn of(delivery: &DeliverySummary, max_attempts: usize, now: Timestamp) -> Self {
        let (kind, icon, text) = match delivery.state {
            DeliveryState::Pending => (
                "wait",
                "wait",
                match delivery.next_attempt_at {
                    Some(due) if !delivery.attempts.is_empty() => {
                        format!("Next try {}", time_until(due, now))
                    }
                    Some(due) if due > now => format!("First try {}", time_until(due, now)),
                    _ => "On its way".to_owned(),
                },
            ),
            DeliveryState::Delivered => ("good", "ok", "Delivered".into()),
            DeliveryState::Failed => ("bad", "bad", "Failed".into()),
            DeliveryState::Canceled => ("", "off", "Canceled".into()),
        };
        let response = delivery.attempts.last().map_or_else(String::new, |last| {
            let what = match last.status {
                Some(status) => status.to_string(),
                None => failure_label(last).unwrap_or_default(),
            };
            format!("{what} in {}", format_duration(last.duration))
        });
        Self {
            id: delivery.id.as_str().to_owned(),
            state: StateLabel {
                kind,
                icon,
                text,
                ago: None,
                clock: None,
                detail: String::new(),
            },
            event: delivery.event.as_str(),
            attempts: match delivery.attempts.len() {
                made if delivery.state == DeliveryState::Pending
                    && made == delivery.round_attempts =>
                {
                    format!("{made} of {}", max_attempts_of(delivery, max_attempts))
                }
                made => made.to_string(),
            },
            response,
            at: DisplayTime::new(delivery.created_at, now),
        }
    }
}

impl TestReportView {
    pub fn of(report: &TestReport) -> Self {
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
                Some(status) if is_success => {
                    format!("The endpoint answered {}", status_text(status))
                }
                _ => report.outcome.summary(),
            },
            advice: report.advice(),
            is_rejected: matches!(report.status, Some(401 | 403)),
            duration: format_duration(report.duration),
            body,
        }
    }
}
