//! What the record of a webhook says of each thing on the checklist.
//!
//! Findings are made from what was read before: nothing is asked of the network, and nothing is sent.

use std::time::Duration;

use super::checklist::{Finding, Item, NAMES, curl};
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::egress_policy::addresses_without_dns;
use crate::domain::endpoint_url::Scheme;
use crate::domain::explanation::{advice, format_duration, status_text};
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::webhook::{Topic, Webhook};
use crate::pages::framework::format::DisplayTime;
use crate::store::{DeliveryRecord, LoggedAttempt};

/// What is known of a webhook.
pub(super) struct Known<'a> {
    pub(super) webhook: &'a Webhook,
    /// The last ones, newest first.
    pub(super) deliveries: &'a [DeliveryRecord],
    pub(super) projects: &'a [Project],
    /// How much feedback the projects have of which it hears.
    pub(super) feedback: u64,
    pub(super) timeout: Duration,
    pub(super) now: Timestamp,
}

type Found = (Finding, String, Option<(String, &'static str)>);

impl Known<'_> {
    pub(super) fn examine(&self) -> Vec<Item> {
        let found = [
            self.reached(),
            self.encrypted(),
            self.in_time(),
            self.enabled(),
            self.topics(),
            self.project(),
            self.paused(),
            self.on_the_dashboard(),
            self.last_error(),
        ];
        let mut items: Vec<Item> = NAMES
            .into_iter()
            .zip(found)
            .map(|(name, (finding, words, link))| Item {
                name,
                finding: Some(finding),
                words,
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
    fn attempts(&self) -> Vec<(&DeliveryRecord, &LoggedAttempt)> {
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

    fn reached(&self) -> Found {
        let Some((delivery, last)) = self.attempts().into_iter().next() else {
            let words =
                "Nothing was sent yet. Press Test: it is sent at once, and says what came of it.";
            return (Finding::Unknown, words.into(), self.row("Test it"));
        };
        if is_reached(last) {
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
        let words = format!("{} Last tried {}.", in_words(last), self.ago(last));
        (Finding::LookHere, words, self.delivery(delivery))
    }

    fn encrypted(&self) -> Found {
        let url = &self.webhook.url;
        let attempts = self.attempts();
        if url.scheme() == Scheme::Https {
            return match attempts.first() {
                Some((delivery, last)) if is_about_tls(last) => {
                    (Finding::LookHere, in_words(last), self.delivery(delivery))
                }
                Some((_, last)) if last.timings.tls.is_some() || last.status.is_some() => {
                    let words = "The address is https://, and its certificate was accepted.";
                    (Finding::Ok, words.into(), None)
                }
                _ => {
                    let words = "The address is https://; its certificate is seen at the next try.";
                    (Finding::Ok, words.into(), None)
                }
            };
        }
        if addresses_without_dns(url)
            .is_some_and(|all| all.iter().all(|address| address.ip().is_loopback()))
        {
            let words = "Plain http:// to this machine, which is for testing. An endpoint on another machine needs https://.";
            return (Finding::Ok, words.into(), None);
        }
        let words = "Plain http://: whoever is on the way can read the feedback. Allowed by --allow-target; https:// is better.";
        (Finding::LookHere, words.into(), self.edit())
    }

    fn in_time(&self) -> Found {
        let limit = format_duration(self.timeout);
        let attempts = self.attempts();
        let Some((delivery, last)) = attempts.iter().find(|(_, one)| is_reached(one)) else {
            let words = format!("No answer is in the log; {limit} are given.");
            return (Finding::Unknown, words, None);
        };
        if last.status.is_none() && last.error_code.as_deref() == Some("timeout") {
            return (Finding::LookHere, in_words(last), self.delivery(delivery));
        }
        let answered = || attempts.iter().filter(|(_, one)| one.status.is_some());
        let slowest = answered().map(|(_, one)| one.duration).max();
        let Some(slowest) = slowest else {
            let words = format!("No whole answer is in the log; {limit} are given.");
            return (Finding::Unknown, words, None);
        };
        let words = match answered().count() {
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
            let words = format!("{words} That is close: answer first, and do the work afterwards.");
            return (Finding::LookHere, words, self.log());
        }
        (Finding::Ok, words, None)
    }

    fn enabled(&self) -> Found {
        if self.webhook.enabled {
            return (Finding::Ok, "The switch is ON.".into(), None);
        }
        let words = "The switch is OFF: nothing is sent but tests, and what happens now is not sent later. Turn it on.";
        (Finding::LookHere, words.into(), self.row("Turn it on"))
    }

    fn topics(&self) -> Found {
        let missing: Vec<&str> = Topic::ALL
            .into_iter()
            .filter(|topic| !self.webhook.topics.contains(topic))
            .map(Topic::label)
            .collect();
        match missing.as_slice() {
            [] => (
                Finding::Ok,
                "New Feedback and Status Changed are chosen.".into(),
                None,
            ),
            [one] => {
                let words = format!("Chosen, but for {one}: of that nothing is sent.");
                (Finding::Ok, words, self.row("Topics"))
            }
            _ => {
                let words = "No topic is chosen: nothing is sent but tests. Tick New Feedback, Status Changed or both.";
                (Finding::LookHere, words.into(), self.row("Choose topics"))
            }
        }
    }

    /// The projects of which it hears.
    fn heard(&self) -> Vec<&Project> {
        let chosen = &self.webhook.projects;
        let is_heard = |project: &&Project| chosen.is_empty() || chosen.contains(&project.id);
        self.projects.iter().filter(is_heard).collect()
    }

    fn project(&self) -> Found {
        let heard = self.heard();
        let make = || Some(("/settings/projects?add".to_owned(), "New project"));
        match (self.webhook.projects.is_empty(), heard.is_empty()) {
            (_, true) if self.projects.is_empty() => {
                let words = "There is no project yet, so there can be no feedback. Make one.";
                (Finding::LookHere, words.into(), make())
            }
            (true, _) => (Finding::Ok, "It hears of all projects.".into(), None),
            (false, true) => {
                let words = "The chosen projects are deleted, so it hears of nothing. Choose others, or none for all.";
                (Finding::LookHere, words.into(), self.edit())
            }
            (false, false) => {
                let words = format!("It hears of {} alone.", names(&heard));
                let link = (heard.len() < self.projects.len()).then(|| self.edit());
                (Finding::Ok, words, link.flatten())
            }
        }
    }

    fn paused(&self) -> Found {
        let heard = self.heard();
        if heard.is_empty() {
            let words = "There is no project of which it hears.";
            return (Finding::Unknown, words.into(), None);
        }
        let paused: Vec<&Project> = heard
            .into_iter()
            .filter(|project| project.status == ProjectStatus::Paused)
            .collect();
        if paused.is_empty() {
            return (Finding::Ok, "None is paused.".into(), None);
        }
        let words = format!(
            "Paused: {}. No feedback is taken there, so none is sent.",
            names(&paused)
        );
        let link = ("/settings/projects".to_owned(), "Resume it");
        (Finding::LookHere, words, Some(link))
    }

    fn on_the_dashboard(&self) -> Found {
        let link = |name| Some(("/feedback".to_owned(), name));
        match self.feedback {
            0 => {
                let words = "There is none of which it could hear. What is missing never came to Miniback: look at the widget, or at the call that sends it.";
                let snippet = ("/settings/projects".to_owned(), "The widget’s snippet");
                (Finding::LookHere, words.into(), Some(snippet))
            }
            1 => (
                Finding::Ok,
                "There is one. If yours is not, it never came to Miniback.".into(),
                link("Look for yours"),
            ),
            count => {
                let words =
                    format!("There are {count}. If yours is not, it never came to Miniback.");
                (Finding::Ok, words, link("Look for yours"))
            }
        }
    }

    fn last_error(&self) -> Found {
        if let Some(until) = self
            .webhook
            .held_until
            .filter(|until| self.webhook.enabled && *until > self.now)
        {
            let clock = DisplayTime::new(until, self.now).clock;
            let words = format!(
                "The endpoint asked for time (Retry-After): nothing is sent until {clock}. A test that succeeds ends this."
            );
            return (Finding::LookHere, words, self.row("Test it"));
        }
        let attempts = self.attempts();
        let failed = attempts
            .iter()
            .enumerate()
            .find(|(_, (_, one))| !is_success(one));
        match failed {
            None if attempts.is_empty() => (Finding::Unknown, "Nothing was sent yet.".into(), None),
            None => {
                let words = "None of the last attempts failed.";
                (Finding::Ok, words.into(), self.log())
            }
            Some((0, (delivery, last))) => {
                let link = if matches!(last.status, Some(401 | 403)) {
                    Some((self.address("doctor"), "Check a signature"))
                } else {
                    self.delivery(delivery)
                };
                let state = match delivery.state {
                    DeliveryState::Failed => "Retries are used up; it can be redelivered.",
                    DeliveryState::Pending => "It is tried again by itself.",
                    DeliveryState::Delivered | DeliveryState::Canceled => "",
                };
                let words = format!(
                    "{}, {}: {} {state}",
                    delivery.event.as_str(),
                    self.ago(last),
                    in_words(last)
                );
                (Finding::LookHere, words.trim_end().to_owned(), link)
            }
            Some((_, (delivery, last))) => {
                let words = format!(
                    "Well since then; the last one, {}: {}",
                    self.ago(last),
                    last.error.as_deref().unwrap_or_default()
                );
                (Finding::Ok, words, self.delivery(delivery))
            }
        }
    }

    fn address(&self, part: &str) -> String {
        format!("/settings/notifications/{}/{part}", self.webhook.id)
    }

    fn delivery(&self, delivery: &DeliveryRecord) -> Option<(String, &'static str)> {
        let address = format!("{}/{}", self.address("deliveries"), delivery.id);
        Some((address, "See the delivery"))
    }

    fn log(&self) -> Option<(String, &'static str)> {
        Some((self.address("deliveries"), "Deliveries"))
    }

    fn row(&self, name: &'static str) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        Some((format!("/settings/notifications?open={id}#{id}"), name))
    }

    fn edit(&self) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        let address = format!("/settings/notifications?open={id}#{id}-url");
        Some((address, "Address and choices"))
    }
}

fn is_success(attempt: &LoggedAttempt) -> bool {
    attempt.error_code.is_none()
}

/// Whether a connection to the endpoint came about; what fails after that is on its side.
fn is_reached(attempt: &LoggedAttempt) -> bool {
    attempt.status.is_some()
        || matches!(
            attempt.error_code.as_deref(),
            None | Some("timeout" | "connection_closed" | "broken_answer")
        )
        || is_about_tls(attempt)
}

fn is_about_tls(attempt: &LoggedAttempt) -> bool {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    code == "tls" || code.starts_with("certificate")
}

/// What happened, and what to do about it.
fn in_words(attempt: &LoggedAttempt) -> String {
    let code = attempt.error_code.as_deref().unwrap_or_default();
    let error = attempt.error.as_deref().unwrap_or_default();
    format!("{error} {}", advice(code, attempt.status))
        .trim()
        .to_owned()
}

/// `“Shop”, “Blog”`; of many, the first ones.
fn names(projects: &[&Project]) -> String {
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
