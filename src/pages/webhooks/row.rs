//! What the template shows of a webhook, of its last deliveries and of a test.

use crate::clock::Timestamp;
use crate::delivery::TestReport;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::explanation::{format_duration, status_text};
use crate::domain::project::Project;
use crate::domain::webhook::{RetryPolicy, Topic, Webhook};
use crate::pages::deliveries::totals::AccountingView;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::pages::framework::idempotent_form::SubmissionKeys;
use crate::pages::framework::page_error::PageError;
use crate::store::{DeliveryFilter, DeliverySummary, DeliveryTotals, LoggedAttempt, PageRequest};

use super::Refused;
use super::headers;
use super::sparkline::Strip;

/// How many of the last deliveries an open row shows.
const RECENT: usize = 5;
/// How many of them the strip shows, a bar each.
const STRIP: usize = 50;
/// How much of an answer's body a test shows, in characters.
const BODY_SHOWN: usize = 500;

/// Which parts of a row are open.
pub(super) struct Opened {
    pub(super) row: bool,
    pub(super) reveal: bool,
    pub(super) rotate: bool,
    pub(super) delete: bool,
}

pub(super) struct HookView {
    pub(super) webhook: Webhook,
    pub(super) opened: Opened,
    /// By which two presses of the rotation are known to be one.
    pub(super) rotation_key: String,
    pub(super) state: StateView,
    pub(super) held: Option<DisplayTime>,
    pub(super) strip: Option<Strip>,
    pub(super) topics: Vec<TopicView>,
    pub(super) projects: Vec<ProjectView>,
    pub(super) secret: SecretView,
    pub(super) accounting: AccountingView,
    pub(super) recent: Vec<DeliveryRow>,
    pub(super) report: Option<ReportView>,
    /// What stands in the fields: as saved, or as it was typed and refused.
    pub(super) url: String,
    pub(super) description: String,
    pub(super) url_problem: Option<String>,
    pub(super) description_problem: Option<String>,
    pub(super) headers: String,
    pub(super) headers_problem: Option<String>,
}

/// A state is a shape and a word; the kind gives the colour, which only repeats it.
pub struct StateView {
    pub kind: &'static str,
    pub icon: &'static str,
    pub text: String,
    /// Follows the text, told as time ago.
    pub at: Option<DisplayTime>,
    /// Follows the text, told by the clock.
    pub since: Option<DisplayTime>,
    /// Follows the time.
    pub more: String,
}

pub(super) struct TopicView {
    pub(super) topic: Topic,
    pub(super) checked: bool,
}

pub(super) struct ProjectView {
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
    pub state: StateView,
    pub event: &'static str,
    /// `1`, or of one that is on its way `1 of 4`.
    pub attempts: String,
    pub answer: String,
    pub at: DisplayTime,
}

/// What came of a test, in words.
pub struct ReportView {
    pub good: bool,
    pub headline: String,
    pub advice: &'static str,
    pub duration: String,
    pub body: String,
    /// The endpoint refuses what it gets: its secret may be another one.
    pub refused: bool,
}

impl HookView {
    pub(super) async fn load(
        context: &RequestContext,
        webhook: Webhook,
        projects: &[Project],
        accounting: DeliveryTotals,
        opened: Opened,
        report: Option<ReportView>,
        refused: Option<&Refused>,
    ) -> Result<Self, PageError> {
        let now = context.app.clock.now();
        let recent = PageRequest {
            limit: STRIP,
            before: None,
        };
        let deliveries = context
            .app
            .store
            .deliveries(webhook.id.clone(), DeliveryFilter::default(), recent)
            .await?
            .items;
        let at_most = context.app.delivery.max_attempts(webhook.retries);
        let problem = |field| {
            refused
                .and_then(|r| r.invalid.message_for(field))
                .map(str::to_owned)
        };
        Ok(Self {
            state: state_of(&webhook, &deliveries, now),
            held: held(&webhook, now),
            strip: Strip::of(&deliveries),
            topics: Topic::ALL
                .map(|topic| TopicView {
                    topic,
                    checked: webhook.topics.contains(&topic),
                })
                .into(),
            projects: project_views(&webhook, projects),
            secret: SecretView::load(context, &webhook, opened.reveal, now).await?,
            accounting: AccountingView::of(&webhook.id, accounting),
            recent: deliveries
                .iter()
                .take(RECENT)
                .map(|delivery| DeliveryRow::of(delivery, at_most, now))
                .collect(),
            report,
            url: refused.map_or_else(|| webhook.url.as_str().to_owned(), |r| r.url.clone()),
            description: refused
                .map_or_else(|| webhook.description.clone(), |r| r.description.clone()),
            url_problem: problem("url"),
            description_problem: problem("description"),
            headers: refused.map_or_else(|| headers::show(&webhook.headers), |r| r.headers.clone()),
            headers_problem: problem("headers"),
            opened,
            rotation_key: SubmissionKeys::key(),
            webhook,
        })
    }

    pub(super) fn is_patient(&self) -> bool {
        self.webhook.retries == RetryPolicy::Patient
    }

    /// Where an address of this webhook's forms stands.
    pub(super) fn address(&self, form: &str) -> String {
        format!("{}/{}/{form}", super::ADDRESS, self.webhook.id)
    }
}

/// The chosen projects and those that could be; one that was deleted is named as what it is.
fn project_views(webhook: &Webhook, projects: &[Project]) -> Vec<ProjectView> {
    let mut views: Vec<ProjectView> = projects
        .iter()
        .map(|project| ProjectView {
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
        views.push(ProjectView {
            id: gone.as_str().to_owned(),
            name: "(a deleted project)".into(),
            checked: true,
        });
    }
    views
}

/// Until when nothing is sent to a webhook because its endpoint asked for time.
pub fn held(webhook: &Webhook, now: Timestamp) -> Option<DisplayTime> {
    let until = webhook.held_until.filter(|until| *until > now)?;
    webhook.enabled.then(|| DisplayTime::new(until, now))
}

fn state_of(webhook: &Webhook, deliveries: &[DeliverySummary], now: Timestamp) -> StateView {
    let state = |kind, icon, text: &str| StateView {
        kind,
        icon,
        text: text.to_owned(),
        at: None,
        since: None,
        more: String::new(),
    };
    if !webhook.enabled {
        return state("", "off", "Off: saved, receives nothing");
    }
    if let Some(until) = held(webhook, now) {
        return StateView {
            since: Some(until),
            ..state("wait", "wait", "Held until")
        };
    }
    // A test says nothing about what was really sent.
    let mut sent = deliveries
        .iter()
        .filter(|delivery| delivery.event != EventType::Test);
    if let Some(since) = webhook.failing_since {
        let reason = sent.find_map(|delivery| delivery.attempts.last().and_then(reason));
        return StateView {
            since: Some(DisplayTime::new(since, now)),
            more: reason
                .map(|reason| format!("· {reason}"))
                .unwrap_or_default(),
            ..state("bad", "bad", "Failing since")
        };
    }
    if webhook.topics.is_empty() {
        return state("", "off", "No topic chosen: receives nothing");
    }
    match sent.find(|delivery| delivery.state == DeliveryState::Delivered) {
        Some(last) => StateView {
            at: last
                .attempts
                .last()
                .map(|attempt| DisplayTime::new(attempt.started_at, now)),
            ..state("good", "ok", "Delivered")
        },
        None => state("", "wait", "Nothing sent yet"),
    }
}

/// Why an attempt failed, in few words: `404 Not Found`, `connection refused`. `None` for a success.
fn reason(attempt: &LoggedAttempt) -> Option<String> {
    let words = match attempt.error_code.as_deref()? {
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
    Some(words.to_owned())
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
pub fn attempts_at_most(delivery: &DeliverySummary, by_retries: usize) -> usize {
    match delivery.event {
        EventType::Test => 1,
        EventType::Topic(_) => by_retries,
    }
}

impl DeliveryRow {
    /// `at_most`: how many attempts its webhook's retries allow.
    pub fn of(delivery: &DeliverySummary, at_most: usize, now: Timestamp) -> Self {
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
        let answer = delivery.attempts.last().map_or_else(String::new, |last| {
            let what = match last.status {
                Some(status) => status.to_string(),
                None => reason(last).unwrap_or_default(),
            };
            format!("{what} in {}", format_duration(last.duration))
        });
        Self {
            id: delivery.id.as_str().to_owned(),
            state: StateView {
                kind,
                icon,
                text,
                at: None,
                since: None,
                more: String::new(),
            },
            event: delivery.event.as_str(),
            attempts: match delivery.attempts.len() {
                made if delivery.state == DeliveryState::Pending
                    && made == delivery.round_attempts =>
                {
                    format!("{made} of {}", attempts_at_most(delivery, at_most))
                }
                made => made.to_string(),
            },
            answer,
            at: DisplayTime::new(delivery.created_at, now),
        }
    }
}

impl ReportView {
    pub fn of(report: &TestReport) -> Self {
        let good = report.is_success();
        let mut body: String = report.response_body.chars().take(BODY_SHOWN).collect();
        if body.len() < report.response_body.len() {
            body.push('…');
        }
        Self {
            good,
            headline: match report.status {
                Some(status) if good => format!("The endpoint answered {}", status_text(status)),
                _ => report.outcome.summary(),
            },
            advice: report.advice(),
            refused: matches!(report.status, Some(401 | 403)),
            duration: format_duration(report.duration),
            body,
        }
    }
}
