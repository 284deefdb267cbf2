//! What the record of a webhook says of each thing on the checklist.
//!
//! Findings are made from what was read before: nothing is asked of the network, and nothing is sent.

use std::time::Duration;

use super::checklist::{ChecklistItem, Finding, ITEM_NAMES, curl};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::egress_policy::addresses_without_dns;
use crate::domain::endpoint_url::Scheme;
use crate::domain::explanation::{advice, format_duration, status_text};
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::webhook::{Topic, Webhook};
use crate::pages::framework::format::DisplayTime;
use crate::store::{DeliverySummary, LoggedAttempt};

/// What is known of a webhook.
pub(super) struct WebhookHistory<'a> {
    pub(super) webhook: &'a Webhook,
    /// The last ones, newest first.
    pub(super) deliveries: &'a [DeliverySummary],
    pub(super) projects: &'a [Project],
    /// How much feedback the projects have of which it hears.
    pub(super) feedback_count: u64,
    pub(super) timeout: Duration,
    pub(super) now: Timestamp,
}

type CheckOutcome = (Finding, String, Option<(String, &'static str)>);

impl WebhookHistory<'_> {
    pub(super) fn check_all(&self) -> Vec<ChecklistItem> {
        let found = [
            self.check_reachable(),
            self.check_encrypted(),
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
            .zip(found)
            .map(|(name, (finding, text, link))| ChecklistItem {
                name,
                finding: Some(finding),
                text,
                curl: None,
                link,
            })
            .collect();
        if let Some(first) = items.first_mut() {
            first.curl = Some(curl(self.webhook.url.as_str()));
        }
        items
    }

    /// Attempts of all deliveries with the delivery of each, the last one first.
    fn attempts(&self) -> Vec<(&DeliverySummary, &LoggedAttempt)> {
        let mut all: Vec<_> = self
            .deliveries
            .iter()
            .flat_map(|delivery| delivery.attempts.iter().map(move |one| (delivery, one)))
            .collect();
        all.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.started_at));
        all
    }

    fn ago(&self, attempt: &LoggedAttempt) -> String {
        DisplayTime::new(attempt.started_at, self.now).relative
    }

    fn check_reachable(&self) -> CheckOutcome {
        let Some((delivery, last)) = self.attempts().into_iter().next() else {
            let text =
                "Nothing was sent yet. Press Test: it is sent at once, and says what came of it.";
            return (Finding::Unknown, text.into(), self.row_link("Test it"));
        };
        if is_connected(last) {
            let answer = last.status.map_or_else(
                || "it was connected to".to_owned(),
                |status| format!("it answered {}", status_text(status)),
            );
            return (
                Finding::Ok,
                format!("Last tried {}: {answer}.", self.ago(last)),
                None,
            );
        }
        let text = format!("{} Last tried {}.", describe_failure(last), self.ago(last));
        (Finding::Problem, text, self.delivery_link(delivery))
    }

    fn check_encrypted(&self) -> CheckOutcome {
        let url = &self.webhook.url;
        let attempts = self.attempts();
        if url.scheme() == Scheme::Https {
            return match attempts.first() {
                Some((delivery, last)) if is_tls_failure(last) => (
                    Finding::Problem,
                    describe_failure(last),
                    self.delivery_link(delivery),
                ),
                Some((_, last)) if last.timings.tls.is_some() || last.status.is_some() => {
                    let text = "The address is https://, and its certificate was accepted.";
                    (Finding::Ok, text.into(), None)
                }
                _ => {
                    let text = "The address is https://; its certificate is seen at the next try.";
                    (Finding::Ok, text.into(), None)
                }
            };
        }
        if addresses_without_dns(url)
            .is_some_and(|all| all.iter().all(|address| address.ip().is_loopback()))
        {
            let text = "Plain http:// to this machine, which is for testing. An endpoint on another machine needs https://.";
            return (Finding::Ok, text.into(), None);
        }
        let text = "Plain http://: whoever is on the way can read the feedback. Allowed by --allow-target; https:// is better.";
        (Finding::Problem, text.into(), self.settings_link())
    }

    fn check_response_time(&self) -> CheckOutcome {
        let limit = format_duration(self.timeout);
        let attempts = self.attempts();
        let Some((delivery, last)) = attempts.iter().find(|(_, one)| is_connected(one)) else {
            let text = format!("No answer is in the log; {limit} are given.");
            return (Finding::Unknown, text, None);
        };
        if last.status.is_none() && last.error_code.as_deref() == Some("timeout") {
            return (
                Finding::Problem,
                describe_failure(last),
                self.delivery_link(delivery),
            );
        }
        let answered = || attempts.iter().filter(|(_, one)| one.status.is_some());
        let slowest = answered().map(|(_, one)| one.duration).max();
        let Some(slowest) = slowest else {
            let text = format!("No whole answer is in the log; {limit} are given.");
            return (Finding::Unknown, text, None);
        };
        let text = match answered().count() {
            1 => format!(
                "The last answer took {} of the {limit}.",
                format_duration(last.duration)
            ),
            count => format!(
                "The last answer took {} of the {limit}; the slowest of the last {count} took {}.",
                format_duration(last.duration),
                format_duration(slowest)
            ),
        };
        if slowest > self.timeout / 2 {
            let text = format!("{text} That is close: answer first, and do the work afterwards.");
            return (Finding::Problem, text, self.deliveries_link());
        }
        (Finding::Ok, text, None)
    }

    fn check_enabled(&self) -> CheckOutcome {
        if self.webhook.enabled {
            return (Finding::Ok, "The switch is ON.".into(), None);
        }
        let text = "The switch is OFF: nothing is sent but tests, and what happens now is not sent later. Turn it on.";
        (Finding::Problem, text.into(), self.row_link("Turn it on"))
    }

    fn check_topics(&self) -> CheckOutcome {
        let missing: Vec<&str> = Topic::ALL
            .into_iter()
            .filter(|topic| !self.webhook.topics.contains(topic))
            .map(Topic::label)
            .collect();
        let all = Topic::all_labels();
        if missing.is_empty() {
            let text = format!("All topics are selected: {all}.");
            (Finding::Ok, text, None)
        } else if self.webhook.topics.is_empty() {
            let text = format!(
                "No topic is selected, so only tests are sent. Select at least one: {all}."
            );
            (Finding::Problem, text, self.row_link("Select topics"))
        } else {
            let text = format!("Not selected: {}.", missing.join(", "));
            (Finding::Ok, text, self.row_link("Topics"))
        }
    }

    /// The projects of which it hears.
    fn subscribed_projects(&self) -> Vec<&Project> {
        let chosen = &self.webhook.projects;
        let is_subscribed = |project: &&Project| chosen.is_empty() || chosen.contains(&project.id);
        self.projects.iter().filter(is_subscribed).collect()
    }

    fn check_projects(&self) -> CheckOutcome {
        let subscribed = self.subscribed_projects();
        let create_link = || Some(("/settings/projects?add".to_owned(), "New project"));
        match (self.webhook.projects.is_empty(), subscribed.is_empty()) {
            (_, true) if self.projects.is_empty() => {
                let text = "There is no project yet, so there can be no feedback. Make one.";
                (Finding::Problem, text.into(), create_link())
            }
            (true, _) => (Finding::Ok, "It hears of all projects.".into(), None),
            (false, true) => {
                let text = "The chosen projects are deleted, so it hears of nothing. Choose others, or none for all.";
                (Finding::Problem, text.into(), self.settings_link())
            }
            (false, false) => {
                let text = format!("It hears of {} alone.", join_names(&subscribed));
                let link = (subscribed.len() < self.projects.len()).then(|| self.settings_link());
                (Finding::Ok, text, link.flatten())
            }
        }
    }

    fn check_paused_projects(&self) -> CheckOutcome {
        let subscribed = self.subscribed_projects();
        if subscribed.is_empty() {
            let text = "There is no project of which it hears.";
            return (Finding::Unknown, text.into(), None);
        }
        let paused: Vec<&Project> = subscribed
            .into_iter()
            .filter(|project| project.status == ProjectStatus::Paused)
            .collect();
        if paused.is_empty() {
            return (Finding::Ok, "None is paused.".into(), None);
        }
        let text = format!(
            "Paused: {}. No feedback is taken there, so none is sent.",
            join_names(&paused)
        );
        let link = ("/settings/projects".to_owned(), "Resume it");
        (Finding::Problem, text, Some(link))
    }

    fn check_feedback_exists(&self) -> CheckOutcome {
        let link = |name| Some(("/feedback".to_owned(), name));
        match self.feedback_count {
            0 => {
                let text = "There is none of which it could hear. What is missing never came to Miniback: look at the widget, or at the call that sends it.";
                let snippet = ("/settings/projects".to_owned(), "The widget’s snippet");
                (Finding::Problem, text.into(), Some(snippet))
            }
            1 => (
                Finding::Ok,
                "There is one. If yours is not, it never came to Miniback.".into(),
                link("Look for yours"),
            ),
            count => {
                let text =
                    format!("There are {count}. If yours is not, it never came to Miniback.");
                (Finding::Ok, text, link("Look for yours"))
            }
        }
    }

    fn check_last_error(&self) -> CheckOutcome {
        if let Some(until) = self
            .webhook
            .held_until
            .filter(|until| self.webhook.enabled && *until > self.now)
        {
            let clock = DisplayTime::new(until, self.now).clock;
            let text = format!(
                "The endpoint asked for time (Retry-After): nothing is sent until {clock}. A test that succeeds ends this."
            );
            return (Finding::Problem, text, self.row_link("Test it"));
        }
        let attempts = self.attempts();
        let failed = attempts
            .iter()
            .enumerate()
            .find(|(_, (_, one))| !is_success(one));
        match failed {
            None if attempts.is_empty() => (Finding::Unknown, "Nothing was sent yet.".into(), None),
            None => {
                let text = "None of the last attempts failed.";
                (Finding::Ok, text.into(), self.deliveries_link())
            }
            Some((0, (delivery, last))) => {
                let link = if matches!(last.status, Some(401 | 403)) {
                    Some((self.path("signature-check"), "Check a signature"))
                } else {
                    self.delivery_link(delivery)
                };
                let state = match delivery.state {
                    DeliveryState::Failed => "RetryPolicy are used up; it can be redelivered.",
                    DeliveryState::Pending => "It is tried again by itself.",
                    DeliveryState::Delivered | DeliveryState::Canceled => "",
                };
                let text = format!(
                    "{}, {}: {} {state}",
                    delivery.event.as_str(),
                    self.ago(last),
                    describe_failure(last)
                );
                (Finding::Problem, text.trim_end().to_owned(), link)
            }
            Some((_, (delivery, last))) => {
                let text = format!(
                    "Well since then; the last one, {}: {}",
                    self.ago(last),
                    last.error.as_deref().unwrap_or_default()
                );
                (Finding::Ok, text, self.delivery_link(delivery))
            }
        }
    }

    fn path(&self, part: &str) -> String {
        format!("/settings/notifications/{}/{part}", self.webhook.id)
    }

    fn delivery_link(&self, delivery: &DeliverySummary) -> Option<(String, &'static str)> {
        let path = format!("{}/{}", self.path("deliveries"), delivery.id);
        Some((path, "See the delivery"))
    }

    fn deliveries_link(&self) -> Option<(String, &'static str)> {
        Some((self.path("deliveries"), "Deliveries"))
    }

    fn row_link(&self, name: &'static str) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        Some((format!("/settings/notifications?open={id}#{id}"), name))
    }

    fn settings_link(&self) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        let path = format!("/settings/notifications?open={id}#{id}-url");
        Some((path, "Address and choices"))
    }
}

fn is_success(attempt: &LoggedAttempt) -> bool {
    attempt.error_code.is_none()
}

/// Whether a connection to the endpoint came about; what fails after that is on its side.
fn is_connected(attempt: &LoggedAttempt) -> bool {
    attempt.status.is_some()
        || matches!(
            attempt.error_code.as_deref(),
            None | Some("timeout" | "connection_closed" | "broken_answer")
        )
        || is_tls_failure(attempt)
}

fn is_tls_failure(attempt: &LoggedAttempt) -> bool {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    code == "tls" || code.starts_with("certificate")
}

/// What happened, and what to do about it.
fn describe_failure(attempt: &LoggedAttempt) -> String {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    let error = attempt.error.as_deref().unwrap_or_default();
    format!("{error} {}", advice(code, attempt.status))
        .trim()
        .to_owned()
}

/// `“Shop”, “Blog”`; of many, the first ones.
fn join_names(projects: &[&Project]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = projects
        .iter()
        .take(SHOWN)
        .map(|project| format!("“{}”", project.name))
        .collect();
    if projects.len() > SHOWN {
        names.push(format!("{} more", projects.len() - SHOWN));
    }
    names.join(", ")
}
