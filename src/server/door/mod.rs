//! The public door: feedback from the widget and from the form of `/f/SLUG`, for which nobody signs in.
//!
//! What is wrong with a feedback is told before anything is counted. Then the limits of its address are weighed, whether
//! its origin may send, whether the project takes any, and the project's own limits; then it is stored like any other.

pub mod limits;
pub mod loads;
pub mod stamps;

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::ORIGIN;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::limits::{Left, Limited, Limits};
use self::loads::Loads;
use self::stamps::Stamps;
use super::{AppState, tokens};
use crate::clock::Clock;
use crate::domain::feedback::{Feedback, FeedbackStatus, NewFeedback, RawFeedback};
use crate::domain::id::{FeedbackId, IdSequence};
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::rate_limit::RateLimits;
use crate::domain::validation::{ValidationErrors, all, check};
use crate::store::{CreateFeedbackError, IdempotencyKey, StoreError};

/// What the door keeps in memory, and the key of its stamps.
pub struct Door {
    pub stamps: Stamps,
    pub loads: Loads,
    limits: Limits,
}

impl Door {
    pub fn new(clock: Clock, stamp_key: &[u8], address: &RateLimits, project: &RateLimits) -> Self {
        Self {
            stamps: Stamps::new(stamp_key),
            loads: Loads::default(),
            limits: Limits::new(clock, address, project),
        }
    }
}

/// A feedback as it was sent, not yet checked.
pub struct Given {
    pub slug: String,
    pub message: String,
    pub email: Option<String>,
    pub url: Option<String>,
    pub context: Option<Map<String, Value>>,
    /// A field that people do not see.
    pub website: Option<String>,
    pub stamp: Option<String>,
    /// By which the same feedback, sent again, is known.
    pub key: Option<String>,
    /// To what the key belongs beside the project.
    pub call: &'static str,
}

/// Who sends it.
pub struct Sender {
    client: IpAddr,
    /// What a browser says of the page that sends; `null` for one without an origin.
    origin: Option<String>,
    /// Whether that page is one of ours.
    is_own: bool,
}

impl Sender {
    pub fn of(app: &AppState, request: &HttpRequest) -> Self {
        let origin = request
            .headers()
            .get(ORIGIN)
            .map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
        let seen = app.proxies.own_origin(request);
        let ours = [Some(seen.as_str()), app.urls.origin()];
        Self {
            client: app.proxies.client_ip(request),
            is_own: origin.is_some() && ours.contains(&origin.as_deref()),
            origin,
        }
    }

    fn may_send_to(&self, project: &Project) -> bool {
        let allowed = &project.allowed_origins;
        match &self.origin {
            Some(origin) => allowed.is_empty() || self.is_own || allowed.contains(origin),
            None => true,
        }
    }
}

/// A feedback that was stored (or thrown away without a word).
pub struct Taken {
    /// `{"id": …, "status": …}`.
    pub answer: String,
    /// Of each limit.
    pub left: Vec<Left>,
}

/// Why a feedback is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Invalid(#[from] ValidationErrors),
    #[error(transparent)]
    Limited(Limited),
    #[error("Pages of {0} may not send feedback to this project; its settings can allow them.")]
    Origin(String),
    #[error("{}", CreateFeedbackError::Paused)]
    Paused,
    #[error("{}", CreateFeedbackError::IdempotentFeedbackDeleted)]
    IdempotentFeedbackDeleted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where in what was sent the project stands.
pub const PROJECT_FIELD: &str = "projectSlug";

#[derive(Serialize, ToSchema)]
#[schema(as = Submitted)]
pub struct Answer<'a> {
    id: &'a FeedbackId,
    status: FeedbackStatus,
}

fn render(feedback: &Feedback) -> String {
    // Two strings always serialise.
    serde_json::to_string(&Answer {
        id: &feedback.id,
        status: feedback.status,
    })
    .unwrap_or_default()
}

impl AppState {
    /// Takes a feedback at the public door.
    pub async fn take_feedback(&self, given: Given, sender: Sender) -> Result<Taken, Refusal> {
        let slug = given.slug.clone();
        let found = self.store.project(slug.clone()).await?;
        // An id finds a project too; here its slug is asked for.
        let found = found.filter(|project| project.slug == slug);
        let (new, idempotency, is_bait) = self.check(given, found.as_ref())?;
        let Some(project) = found else {
            return Err(unknown_project(&slug));
        };

        let limits = &self.door.limits;
        let mut left = limits.address(sender.client).map_err(Refusal::Limited)?;
        if is_bait {
            return Ok(Taken {
                answer: self.answer_to_bait(),
                left,
            });
        }
        if !sender.may_send_to(&project) {
            let origin = sender.origin.unwrap_or_default();
            if let Err(error) = self
                .store
                .record_rejected_origin(project.id, origin.clone())
                .await
            {
                tracing::warn!(%error, "a refused origin could not be noted");
            }
            return Err(Refusal::Origin(origin));
        }
        if project.status == ProjectStatus::Paused {
            return Err(Refusal::Paused);
        }
        left.extend(limits.project(&project.id).map_err(Refusal::Limited)?);

        // Asked for together, the two share a commit.
        let (created, noted) = tokio::join!(
            self.store.create_feedback(new, idempotency, render),
            async {
                match sender.origin {
                    Some(origin) => self.store.record_accepted_origin(project.id, origin).await,
                    None => Ok(()),
                }
            }
        );
        if let Err(error) = noted {
            tracing::warn!(%error, "the origin of a feedback could not be noted");
        }
        match created {
            Ok(created) => Ok(Taken {
                answer: created.response,
                left,
            }),
            Err(CreateFeedbackError::UnknownProject(_)) => Err(unknown_project(&slug)),
            Err(CreateFeedbackError::Paused) => Err(Refusal::Paused),
            Err(error @ CreateFeedbackError::IdempotencyKeyReused) => {
                Err(ValidationErrors::single("Idempotency-Key", error).into())
            }
            Err(CreateFeedbackError::IdempotentFeedbackDeleted) => {
                Err(Refusal::IdempotentFeedbackDeleted)
            }
            Err(CreateFeedbackError::Store(error)) => Err(error.into()),
        }
    }

    /// All that is wrong with it, each at its field.
    fn check(
        &self,
        given: Given,
        project: Option<&Project>,
    ) -> Result<(NewFeedback, Option<IdempotencyKey>, bool), ValidationErrors> {
        let known = project
            .map(|_| ())
            .ok_or_else(|| CreateFeedbackError::UnknownProject(given.slug.clone()));
        let raw = RawFeedback {
            project: project.map_or(given.slug, |project| project.id.as_str().to_owned()),
            message: given.message,
            email: given.email,
            url: given.url,
            metadata: given.context,
        };
        let stamp = given.stamp.map_or(Ok(()), |stamp| {
            self.door.stamps.check(&stamp, self.clock.now())
        });
        let ((), new, ()) = all((
            check(PROJECT_FIELD, known),
            NewFeedback::check(raw, "context"),
            check("stamp", stamp),
        ))?;
        let idempotency = given.key.map(|key| IdempotencyKey {
            owner: new.project.clone(),
            operation: given.call,
            key,
            request_hash: tokens::sha256(serde_json::to_vec(&new).unwrap_or_default()),
        });
        let is_bait = given.website.is_some_and(|text| !text.trim().is_empty());
        Ok((new, idempotency, is_bait))
    }

    /// What a feedback that was stored would be answered.
    fn answer_to_bait(&self) -> String {
        let id: FeedbackId = IdSequence::after(None).next(self.clock.now());
        serde_json::to_string(&Answer {
            id: &id,
            status: FeedbackStatus::New,
        })
        .unwrap_or_default()
    }
}

fn unknown_project(slug: &str) -> Refusal {
    let error = CreateFeedbackError::UnknownProject(slug.to_owned());
    ValidationErrors::single(PROJECT_FIELD, error).into()
}
