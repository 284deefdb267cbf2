//! Checks a webhook's settings and last deliveries: one check for each item of the checklist.
//!
//! The checks use only data that is already loaded. They don't query the database or send requests.

use std::time::Duration;

use super::checklist::{CheckStatus, ChecklistItem, ITEM_NAMES, curl_test_command};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::egress_policy::addresses_without_dns;
use crate::domain::endpoint_url::Scheme;
use crate::domain::explanation::{attempt_advice, format_duration, is_auth_failure, status_text};
use crate::domain::format::Format;
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::webhook::{Topic, Webhook};
use crate::pages::framework::format::{DisplayTime, time_until};
use crate::store::{DeliverySummary, LoggedAttempt};

/// Runs the checks of one webhook. The fields contain all data that the checks use.
pub(super) struct WebhookChecker<'a> {
    pub(super) webhook: &'a Webhook,
    /// The last deliveries, newest first.
    pub(super) deliveries: &'a [DeliverySummary],
    pub(super) projects: &'a [Project],
    /// Number of feedback items in the projects whose events the webhook receives.
    pub(super) feedback_count: u64,
    pub(super) timeout: Duration,
    pub(super) now: Timestamp,
}

/// The status of a check, its explanation, and the path and label of an optional link.
type CheckReport = (CheckStatus, String, Option<(String, &'static str)>);

impl WebhookChecker<'_> {
    pub(super) fn run_all_checks(&self) -> Vec<ChecklistItem> {
        let reports = [
            self.check_reachability(),
            self.check_encryption(),
            self.check_response_time(),
            self.check_enabled(),
            self.check_topics(),
            self.check_projects(),
            self.check_paused_projects(),
            self.check_feedback_exists(),
            self.check_last_error(),
        ];
        let mut items: Vec<ChecklistItem> = ITEM_NAMES
            .into_iter()
            .zip(reports)
            .map(|(name, (status, text, link))| ChecklistItem {
                name,
                status: Some(status),
                text,
                curl: None,
                link,
            })
            .collect();
        let (id, url) = (self.webhook.id.to_string(), self.webhook.url.endpoint());
        if let Some(first) = items.first_mut() {
            first.curl = url.map(|url| curl_test_command(&id, url.as_str()));
        }
        items
    }

    /// Returns the attempts of all deliveries, each with its delivery, latest first.
    fn attempts_latest_first(&self) -> Vec<(&DeliverySummary, &LoggedAttempt)> {
        let mut all: Vec<_> = self
            .deliveries
            .iter()
            .flat_map(|delivery| {
                delivery
                    .attempts
                    .iter()
                    .map(move |attempt| (delivery, attempt))
            })
            .collect();
        all.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.started_at));
        all
    }

    fn time_ago(&self, attempt: &LoggedAttempt) -> String {
        DisplayTime::new(attempt.started_at, self.now).relative
    }

    fn check_reachability(&self) -> CheckReport {
        let Some((delivery, last)) = self.attempts_latest_first().into_iter().next() else {
            let text = "No deliveries yet. Press “Test” to send one and see the result.";
            return (CheckStatus::Unknown, text.into(), self.webhook_link("Test"));
        };
        if has_connected(last) {
            let result = last.status.map_or_else(
                || "connected".to_owned(),
                |status| match self.webhook.format {
                    Format::Email => format!("the mail server replied with {status}"),
                    _ => format!("responded with {}", status_text(status)),
                },
            );
            let text = format!("Last attempt {}: {result}.", self.time_ago(last));
            return (CheckStatus::Ok, text, None);
        }
        let text = format!(
            "{} Last attempt {}.",
            describe_failure(self.webhook, last),
            self.time_ago(last)
        );
        (CheckStatus::Problem, text, self.delivery_link(delivery))
    }

    fn check_encryption(&self) -> CheckReport {
        let Some(url) = self.webhook.url.endpoint() else {
            let text = "--smtp-url sets the encryption.";
            return (CheckStatus::Ok, text.into(), None);
        };
        let attempts = self.attempts_latest_first();
        if url.scheme() == Scheme::Https {
            return match attempts.first() {
                Some((delivery, last)) if is_tls_failure(last) => (
                    CheckStatus::Problem,
                    describe_failure(self.webhook, last),
                    self.delivery_link(delivery),
                ),
                Some((_, last)) if last.timings.waiting.is_some() || last.status.is_some() => {
                    let text = "The URL starts with https://, and the certificate was accepted.";
                    (CheckStatus::Ok, text.into(), None)
                }
                _ => {
                    let text = "The URL starts with https://. The certificate is checked on the next attempt.";
                    (CheckStatus::Ok, text.into(), None)
                }
            };
        }
        if addresses_without_dns(url)
            .is_some_and(|all| all.iter().all(|address| address.ip().is_loopback()))
        {
            let text = "Plain http:// to this machine, for testing. An endpoint on another machine needs https://.";
            return (CheckStatus::Ok, text.into(), None);
        }
        let text = "Plain http://, allowed by --allow-target. Others on the network can read the feedback. Use https:// if possible.";
        (CheckStatus::Problem, text.into(), self.settings_link())
    }

    fn check_response_time(&self) -> CheckReport {
        let limit = format_duration(self.timeout);
        let attempts = self.attempts_latest_first();
        let Some((delivery, last)) = attempts.iter().find(|(_, attempt)| has_connected(attempt))
        else {
            let text = format!("No responses in the delivery log. The time limit is {limit}.");
            return (CheckStatus::Unknown, text, None);
        };
        if last.status.is_none() && last.error_code.as_deref() == Some("timeout") {
            return (
                CheckStatus::Problem,
                describe_failure(self.webhook, last),
                self.delivery_link(delivery),
            );
        }
        let with_response = || {
            attempts
                .iter()
                .filter(|(_, attempt)| attempt.status.is_some())
        };
        let slowest = with_response().map(|(_, attempt)| attempt.duration).max();
        let Some(slowest) = slowest else {
            let text =
                format!("No complete responses in the delivery log. The time limit is {limit}.");
            return (CheckStatus::Unknown, text, None);
        };
        let text = match with_response().count() {
            1 => format!(
                "The last response took {} (limit: {limit}).",
                format_duration(last.duration)
            ),
            count => format!(
                "The last response took {} (limit: {limit}). The slowest of the last {count} took {}.",
                format_duration(last.duration),
                format_duration(slowest)
            ),
        };
        if slowest > self.timeout / 2 {
            let text = format!(
                "{text} That is more than half of the limit. Respond first, then process the event."
            );
            return (CheckStatus::Problem, text, self.delivery_log_link());
        }
        (CheckStatus::Ok, text, None)
    }

    fn check_enabled(&self) -> CheckReport {
        if self.webhook.enabled {
            return (CheckStatus::Ok, "Enabled.".into(), None);
        }
        let text = "Disabled. Only tests are sent. Events that happen now won’t be sent later.";
        let link = self.webhook_link("Enable");
        (CheckStatus::Problem, text.into(), link)
    }

    fn check_topics(&self) -> CheckReport {
        let missing: Vec<&str> = Topic::ALL
            .into_iter()
            .filter(|topic| !self.webhook.topics.contains(topic))
            .map(Topic::label)
            .collect();
        let all = Topic::join_labels(&Topic::ALL);
        if missing.is_empty() {
            let text = format!("All topics are selected: {all}.");
            (CheckStatus::Ok, text, None)
        } else if self.webhook.topics.is_empty() {
            let text =
                format!("No topics selected, so only tests are sent. Select at least one: {all}.");
            (
                CheckStatus::Problem,
                text,
                self.webhook_link("Select topics"),
            )
        } else {
            let text = format!(
                "Not selected: {}. Those events aren’t sent.",
                missing.join(", ")
            );
            (CheckStatus::Ok, text, self.webhook_link("Topics"))
        }
    }

    /// Returns the projects whose events the webhook receives.
    fn subscribed_projects(&self) -> Vec<&Project> {
        let selected = &self.webhook.projects;
        let is_subscribed =
            |project: &&Project| selected.is_empty() || selected.contains(&project.id);
        self.projects.iter().filter(is_subscribed).collect()
    }

    fn check_projects(&self) -> CheckReport {
        let subscribed = self.subscribed_projects();
        let create_link = || Some(("/settings/projects?add".to_owned(), "New project"));
        match (self.webhook.projects.is_empty(), subscribed.is_empty()) {
            (_, true) if self.projects.is_empty() => {
                let text = "No projects yet. Create one to receive feedback.";
                (CheckStatus::Problem, text.into(), create_link())
            }
            (true, _) => (
                CheckStatus::Ok,
                "Receives events from all projects.".into(),
                None,
            ),
            (false, true) => {
                let text = "The selected projects were deleted, so no events are sent. Select other projects, or none to receive events from all.";
                (CheckStatus::Problem, text.into(), self.settings_link())
            }
            (false, false) => {
                let text = format!(
                    "Receives events from {} only.",
                    join_project_names(&subscribed)
                );
                let link = (subscribed.len() < self.projects.len()).then(|| self.settings_link());
                (CheckStatus::Ok, text, link.flatten())
            }
        }
    }

    fn check_paused_projects(&self) -> CheckReport {
        let subscribed = self.subscribed_projects();
        if subscribed.is_empty() {
            let text = "No projects to receive events from.";
            return (CheckStatus::Unknown, text.into(), None);
        }
        let paused: Vec<&Project> = subscribed
            .into_iter()
            .filter(|project| project.status == ProjectStatus::Paused)
            .collect();
        if paused.is_empty() {
            return (CheckStatus::Ok, "No projects are paused.".into(), None);
        }
        let text = format!(
            "Paused: {}. Paused projects don’t accept feedback.",
            join_project_names(&paused)
        );
        let link = ("/settings/projects".to_owned(), "Resume");
        (CheckStatus::Problem, text, Some(link))
    }

    fn check_feedback_exists(&self) -> CheckReport {
        let link = |name| Some(("/feedback".to_owned(), name));
        match self.feedback_count {
            0 => {
                let text = "No feedback in the webhook’s projects yet. Check the widget, or the API call that submits feedback.";
                let snippet = ("/settings/projects".to_owned(), "Widget snippet");
                (CheckStatus::Problem, text.into(), Some(snippet))
            }
            1 => (
                CheckStatus::Ok,
                "1 feedback item received.".into(),
                link("Show feedback"),
            ),
            count => {
                let text = format!("{count} feedback items received.");
                (CheckStatus::Ok, text, link("Show feedback"))
            }
        }
    }

    fn check_last_error(&self) -> CheckReport {
        if let Some(until) = self
            .webhook
            .held_until
            .filter(|until| self.webhook.enabled && *until > self.now)
        {
            let end = time_until(until, self.now);
            let text = format!(
                "The endpoint sent Retry-After, so the webhook is on hold. The hold ends {end}, or after a successful test."
            );
            return (CheckStatus::Problem, text, self.webhook_link("Test"));
        }
        let attempts = self.attempts_latest_first();
        let failed = attempts
            .iter()
            .enumerate()
            .find(|(_, (_, attempt))| !is_success(attempt));
        match failed {
            None if attempts.is_empty() => {
                (CheckStatus::Unknown, "No deliveries yet.".into(), None)
            }
            None => {
                let text = "All recent attempts succeeded.";
                (CheckStatus::Ok, text.into(), self.delivery_log_link())
            }
            Some((0, (delivery, last))) => {
                let link = if self.webhook.format.is_signed() && is_auth_failure(last.status) {
                    Some((self.webhook_path("signature-check"), "Check a signature"))
                } else {
                    self.delivery_link(delivery)
                };
                let state = match delivery.state {
                    DeliveryState::Failed => {
                        "No retries are left. You can redeliver this delivery."
                    }
                    DeliveryState::Pending => "The delivery will be retried automatically.",
                    DeliveryState::Delivered | DeliveryState::Canceled => "",
                };
                let text = format!(
                    "{}, {}: {} {state}",
                    delivery.event.as_str(),
                    self.time_ago(last),
                    describe_failure(self.webhook, last)
                );
                (CheckStatus::Problem, text.trim_end().to_owned(), link)
            }
            Some((_, (delivery, last))) => {
                let text = format!(
                    "Last failure, {}: {} No failures since then.",
                    self.time_ago(last),
                    last.error.as_deref().unwrap_or_default()
                );
                (CheckStatus::Ok, text, self.delivery_link(delivery))
            }
        }
    }
}

fn is_success(attempt: &LoggedAttempt) -> bool {
    attempt.error_code.is_none()
}

/// Returns whether the attempt established a connection to the endpoint.
fn has_connected(attempt: &LoggedAttempt) -> bool {
    attempt.status.is_some()
        || matches!(
            attempt.error_code.as_deref(),
            None | Some("timeout" | "send_timeout" | "connection_closed" | "broken_answer")
        )
        || is_tls_failure(attempt)
}

fn is_tls_failure(attempt: &LoggedAttempt) -> bool {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    code.starts_with("tls") || code.starts_with("certificate")
}

/// Returns a description of the failure, with advice for fixing it.
fn describe_failure(webhook: &Webhook, attempt: &LoggedAttempt) -> String {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    let error = attempt.error.as_deref().unwrap_or_default();
    let advice = attempt_advice(webhook.format, false, code, attempt.status, &[]);
    format!("{error} {advice}").trim().to_owned()
}

/// Joins project names: `“Shop”, “Blog”`. Lists at most 5 names, followed by the number of other
/// projects: `3 more`.
fn join_project_names(projects: &[&Project]) -> String {
    const PROJECT_NAMES_SHOWN: usize = 5;
    let mut names: Vec<String> = projects
        .iter()
        .take(PROJECT_NAMES_SHOWN)
        .map(|project| format!("“{}”", project.name))
        .collect();
    if projects.len() > PROJECT_NAMES_SHOWN {
        names.push(format!("{} more", projects.len() - PROJECT_NAMES_SHOWN));
    }
    names.join(", ")
}
