//! Intake: everything that accepts feedback without authentication. It consists of the widget's
//! endpoint, the widget's script, and the public form.
//!
//! A submission passes these checks in order. Then it is stored like any other feedback.
//!
//! 1. The fields.
//! 2. The idempotency key.
//! 3. The rate limits of the IP address.
//! 4. The origin.
//! 5. The status of the project.
//! 6. The rate limits of the project.
//!
//! Stored feedback counts toward all limits. Discarded spam and submissions from rejected origins
//! count only toward the limits of the IP address. All other rejected submissions count toward no
//! limit.

pub(crate) mod endpoint;
mod error_page;
mod form_token;
mod public_form;
mod rate_limits;
mod routes;
mod script_loads;
mod submission_source;
pub mod translations;
mod widget_script;

pub use routes::{configure, routes};
pub use script_loads::ScriptLoad;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::form_token::FormTokens;
use self::rate_limits::IntakeLimits;
use self::script_loads::ScriptLoads;
use self::submission_source::SubmissionSource;
use crate::clock::{Clock, Timestamp};
use crate::domain::context::context_metadata;
use crate::domain::feedback::{Feedback, FeedbackStatus, NewFeedback, RawFeedback};
use crate::domain::id::{FeedbackId, IdSequence};
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::rate_limit::RateLimits;
use crate::domain::validation::{ValidationErrors, check_all_fields, check_field};
use crate::metrics::METRICS;
use crate::server::rate_limit_headers::{RateLimitExceeded, RemainingQuota};
use crate::server::{AppState, tokens};
use crate::store::{CreateFeedbackError, CreatedFeedback, IdempotencyKey, StoreError};

/// The intake's state in memory, and the key of its form tokens.
pub struct Intake {
    pub script_loads: ScriptLoads,
    form_tokens: FormTokens,
    limits: IntakeLimits,
}

impl Intake {
    pub fn new(
        clock: Clock,
        form_token_key: &[u8],
        per_ip_address: &RateLimits,
        per_project: &RateLimits,
    ) -> Self {
        Self {
            script_loads: ScriptLoads::default(),
            form_tokens: FormTokens::new(form_token_key),
            limits: IntakeLimits::new(clock, per_ip_address, per_project),
        }
    }
}

/// Feedback as it was sent, before validation.
struct RawSubmission {
    slug: String,
    message: String,
    email: Option<String>,
    url: Option<String>,
    context: Option<Map<String, Value>>,
    /// The honeypot.
    website: Option<String>,
    /// The form token.
    stamp: Option<String>,
    idempotency_key: Option<String>,
    /// The operation that the idempotency key belongs to.
    operation: &'static str,
}

/// The result of a submission that was stored (now or by an earlier request), or silently discarded
/// as spam.
struct AcceptedSubmission {
    /// The JSON of a [`SubmissionReceipt`].
    receipt: String,
    /// The remaining quota of each rate limit that the submission counts toward. Empty if the
    /// receipt of an earlier request was found before counting.
    quotas: Vec<RemainingQuota>,
}

/// The reason why a submission was rejected.
#[derive(Debug, thiserror::Error)]
enum SubmissionError {
    #[error(transparent)]
    Invalid(#[from] ValidationErrors),
    #[error(transparent)]
    RateLimited(#[from] RateLimitExceeded),
    #[error("{}", origin_not_allowed_message(.0))]
    OriginNotAllowed(String),
    #[error("{}", CreateFeedbackError::Paused)]
    Paused,
    #[error("{}", CreateFeedbackError::IdempotentFeedbackDeleted)]
    IdempotentFeedbackDeleted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn origin_not_allowed_message(origin: &str) -> String {
    if origin == "null" {
        "This project accepts feedback only from its allowed origins, and this page has no origin."
            .into()
    } else {
        format!(
            "{origin} isn’t an allowed origin of this project. Allow it in the project’s settings."
        )
    }
}

/// Name of the field that identifies the project.
const PROJECT_SLUG_FIELD: &str = "projectSlug";

/// The response to accepted feedback.
#[derive(Serialize, ToSchema)]
#[schema(as = Submitted)]
pub(crate) struct SubmissionReceipt<'a> {
    id: &'a FeedbackId,
    status: FeedbackStatus,
}

impl SubmissionReceipt<'_> {
    fn to_json(&self) -> String {
        // Serializing two strings can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn feedback_receipt(feedback: &Feedback) -> String {
    SubmissionReceipt {
        id: &feedback.id,
        status: feedback.status,
    }
    .to_json()
}

/// Returns a receipt for discarded spam. It looks like the receipt of stored feedback.
fn honeypot_receipt(clock: &Clock) -> String {
    let id: FeedbackId = IdSequence::starting_after(None).next(clock.now());
    SubmissionReceipt {
        id: &id,
        status: FeedbackStatus::New,
    }
    .to_json()
}

/// A submission that passed validation.
struct ValidSubmission {
    project: Project,
    feedback: NewFeedback,
    idempotency: Option<IdempotencyKey>,
    is_honeypot_hit: bool,
}

impl Intake {
    /// Validates a submission, checks the limits, the origin, and the project's status, and stores
    /// it.
    async fn submit(
        &self,
        app: &AppState,
        submission: RawSubmission,
        source: SubmissionSource,
    ) -> Result<AcceptedSubmission, SubmissionError> {
        let valid = self.validate_submission(app, submission, &source).await?;
        if let Some(receipt) = find_earlier_receipt(app, &valid).await? {
            let quotas = Vec::new();
            return Ok(AcceptedSubmission { receipt, quotas });
        }
        let counted = self.limits.count_client_request(source.client_ip)?;
        if valid.is_honeypot_hit {
            METRICS.feedback_discarded.inc();
            return Ok(AcceptedSubmission {
                receipt: honeypot_receipt(&app.clock),
                quotas: counted.quotas,
            });
        }
        if let Err(error) = check_origin_and_status(app, &valid.project, &source).await {
            // A rejected origin is recorded, so the submission counts toward the IP address's
            // limits.
            if !matches!(error, SubmissionError::OriginNotAllowed(_)) {
                self.limits.undo_count(&counted);
            }
            return Err(error);
        }
        let counted = self
            .limits
            .count_project_request(counted, &valid.project.id)?;
        let stored = store_submission(app, valid, source.origin).await;
        if !matches!(&stored, Ok(created) if !created.replayed) {
            self.limits.undo_count(&counted);
        }
        Ok(AcceptedSubmission {
            receipt: stored?.response,
            quotas: counted.quotas,
        })
    }

    /// Records that a page loaded the widget's script, and the project slug of its widget if the
    /// slug is known.
    fn record_script_load(
        &self,
        app: &AppState,
        referrer: &str,
        slug: Option<String>,
        at: Timestamp,
    ) {
        let Some(load) = self.script_loads.record(referrer, slug, at) else {
            return;
        };
        let store = app.store.clone();
        // The response doesn't wait for the commit.
        actix_web::rt::spawn(async move {
            if let Err(error) = store.record_widget_load(load.origin, load.slug).await {
                tracing::warn!(%error, "recording a load of the widget failed");
            }
        });
    }

    /// Checks all fields and reports every error, not only the first.
    async fn validate_submission(
        &self,
        app: &AppState,
        submission: RawSubmission,
        source: &SubmissionSource,
    ) -> Result<ValidSubmission, SubmissionError> {
        // `Store::project` also finds a project by its id, but only the slug is accepted here.
        let project = app.store.project(submission.slug.clone()).await?;
        let project = project.filter(|project| project.slug == submission.slug);
        if project.is_none()
            && let Some(origin) = source.origin.as_deref()
            && !source.is_own_origin
        {
            let slug = Some(submission.slug.clone());
            self.record_script_load(app, origin, slug, app.clock.now());
        }
        let project_id = project
            .as_ref()
            .map_or_else(String::new, |project| project.id.to_string());
        let project = project.ok_or(CreateFeedbackError::UnknownProject(submission.slug));
        let raw = RawFeedback {
            project: project_id,
            message: submission.message,
            email: submission.email,
            url: submission.url,
            metadata: None,
        };
        let token = submission.stamp.map_or(Ok(()), |token| {
            self.form_tokens.check_token(&token, &app.clock)
        });
        let (project, mut feedback, ()) = check_all_fields((
            check_field(PROJECT_SLUG_FIELD, project),
            NewFeedback::validate(raw, "context"),
            check_field("stamp", token),
        ))?;
        // The hash doesn't depend on the browser: the browser can be updated before it sends the
        // feedback again.
        feedback.metadata = submission.context;
        let idempotency = submission.idempotency_key.map(|key| IdempotencyKey {
            owner: feedback.project.clone(),
            operation: submission.operation,
            key,
            request_hash: tokens::sha256(serde_json::to_vec(&feedback).unwrap_or_default()),
        });
        feedback.metadata = context_metadata(&source.user_agent, feedback.metadata);
        let is_honeypot_hit = submission
            .website
            .is_some_and(|text| !text.trim().is_empty());
        Ok(ValidSubmission {
            project,
            feedback,
            idempotency,
            is_honeypot_hit,
        })
    }
}

/// Checks the origin of a submission and the status of its project. Records a rejected origin.
async fn check_origin_and_status(
    app: &AppState,
    project: &Project,
    source: &SubmissionSource,
) -> Result<(), SubmissionError> {
    if !source.is_allowed_by(project) {
        let origin = source.origin.clone().unwrap_or_default();
        let recorded = app
            .store
            .record_rejected_origin(project.id, origin.clone())
            .await;
        if let Err(error) = recorded {
            tracing::warn!(%error, "recording a rejected origin failed");
        }
        return Err(SubmissionError::OriginNotAllowed(origin));
    }
    match project.status {
        ProjectStatus::Active => Ok(()),
        ProjectStatus::Paused => Err(SubmissionError::Paused),
    }
}

/// Returns the receipt of an earlier request with the same idempotency key, if there is one.
async fn find_earlier_receipt(
    app: &AppState,
    valid: &ValidSubmission,
) -> Result<Option<String>, SubmissionError> {
    let Some(key) = valid.idempotency.clone() else {
        return Ok(None);
    };
    let found = app.store.find_created_feedback(key, app.clock.now()).await;
    let found = found.map_err(|error| to_submission_error(error, &valid.project.slug))?;
    Ok(found.map(|created| created.response))
}

/// Stores a submission and records its origin.
async fn store_submission(
    app: &AppState,
    valid: ValidSubmission,
    origin: Option<String>,
) -> Result<CreatedFeedback, SubmissionError> {
    let Project { id, slug, .. } = valid.project;
    // Start both writes at the same time, so that they share a commit.
    let (created, recorded) = tokio::join!(
        app.store
            .create_feedback(valid.feedback, valid.idempotency, feedback_receipt),
        async {
            match origin {
                Some(origin) => app.store.record_accepted_origin(id, origin).await,
                None => Ok(()),
            }
        }
    );
    if let Err(error) = recorded {
        tracing::warn!(%error, "recording an accepted origin failed");
    }
    created.map_err(|error| to_submission_error(error, &slug))
}

fn to_submission_error(error: CreateFeedbackError, slug: &str) -> SubmissionError {
    match error {
        CreateFeedbackError::UnknownProject(_) => unknown_project_error(slug).into(),
        CreateFeedbackError::Paused => SubmissionError::Paused,
        error @ CreateFeedbackError::IdempotencyKeyReused => {
            ValidationErrors::for_field("Idempotency-Key", error).into()
        }
        CreateFeedbackError::IdempotentFeedbackDeleted => {
            SubmissionError::IdempotentFeedbackDeleted
        }
        CreateFeedbackError::Store(error) => error.into(),
    }
}

fn unknown_project_error(slug: &str) -> ValidationErrors {
    ValidationErrors::for_field(
        PROJECT_SLUG_FIELD,
        CreateFeedbackError::UnknownProject(slug.to_owned()),
    )
}
