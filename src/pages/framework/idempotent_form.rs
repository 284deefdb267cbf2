//! Idempotent forms: submitting a form twice has the effect of submitting it once.
//!
//! Forms contain a random `submission_key`. If a session sends the same key and fields again within
//! 10 minutes, the POST waits for the first POST and receives the same redirect. If the first POST
//! was rejected, the form can be sent again. A POST with different fields is a new submission,
//! because a browser can restore a page with its key. Without a session, every POST is processed.
//! [`IdempotentForm`] looks up the key and [`run_handler`] records the redirect, so handlers
//! contain no code for this purpose. Keys are stored in memory. A form that must not be processed
//! twice even after a restart uses an idempotency key in the database.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, rt};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::context::RequestContext;
use super::page_error::PageError;
use crate::clock::Clock;
use crate::server::form_data::FormData;
use crate::server::tokens;

const KEY_LIFETIME: Duration = Duration::from_secs(600);
/// Maximum number of stored keys. At the limit, a new key replaces the oldest key.
const KEYS_MAX: usize = 1000;

/// The redirect of the first successful POST; `None` if no POST has succeeded. The mutex is locked
/// while a POST is in progress.
type SubmissionRedirect = Arc<AsyncMutex<Option<HeaderValue>>>;

pub struct SubmissionKeys {
    clock: Clock,
    /// The submissions of the last 10 minutes, oldest first.
    seen: Mutex<VecDeque<Submission>>,
}

struct Submission {
    /// Hash of the session, the path, and the form's key and fields.
    key: [u8; 32],
    /// The monotonic time of the first POST.
    first_seen: Duration,
    redirect: SubmissionRedirect,
}

impl SubmissionKeys {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            seen: Mutex::default(),
        }
    }

    /// Waits until no other POST with this key is in progress. Returns the locked redirect of the
    /// first successful POST; `None` if no POST has succeeded.
    async fn lock_submission(&self, key: [u8; 32]) -> OwnedMutexGuard<Option<HeaderValue>> {
        self.find_or_insert_submission(key).lock_owned().await
    }

    /// Returns the redirect of a submission. Adds the submission if its key isn't stored.
    fn find_or_insert_submission(&self, key: [u8; 32]) -> SubmissionRedirect {
        let now = self.clock.monotonic_time();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|submission| now.saturating_sub(submission.first_seen) < KEY_LIFETIME);
        if let Some(submission) = seen.iter().find(|submission| submission.key == key) {
            return submission.redirect.clone();
        }
        if seen.len() >= KEYS_MAX {
            seen.pop_front();
        }
        let redirect = SubmissionRedirect::default();
        seen.push_back(Submission {
            key,
            first_seen: now,
            redirect: redirect.clone(),
        });
        redirect
    }
}

/// The fields of a page's form. A repetition of a successful POST doesn't reach the handler.
pub struct IdempotentForm(FormData);

impl Deref for IdempotentForm {
    type Target = FormData;

    fn deref(&self) -> &FormData {
        &self.0
    }
}

impl FromRequest for IdempotentForm {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = FormData::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let form = form.await?;
            let context = RequestContext::from_http_request(&request)?;
            let key = form.get("submission_key");
            if let Some(session) = context.session().filter(|_| !key.is_empty()) {
                let session = hex::encode(session.token_hash);
                let fields = serde_json::to_string(form.fields()).unwrap_or_default();
                let key = tokens::sha256(format!("{session} {} {key} {fields}", request.path()));
                let redirect = context.state.submission_keys.lock_submission(key).await;
                if let Some(location) = &*redirect {
                    return Err(redirect_repeated_submission(location.clone()));
                }
                request.extensions_mut().insert(SubmissionLock(redirect));
            }
            Ok(Self(form))
        })
    }
}

/// The lock that a POST holds until its response is recorded. It is stored in the request's
/// extensions.
struct SubmissionLock(OwnedMutexGuard<Option<HeaderValue>>);

fn redirect_repeated_submission(location: HeaderValue) -> Error {
    let response = HttpResponse::SeeOther()
        .insert_header((LOCATION, location))
        .finish();
    InternalError::from_response("form submitted twice", response).into()
}

/// Runs the handler of a form to completion, even if the browser disconnects, and records the
/// redirect.
pub async fn run_handler(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let handler = rt::spawn(async move {
        let response = next.call(request).await?.map_into_boxed_body();
        let lock = response
            .request()
            .extensions_mut()
            .remove::<SubmissionLock>();
        if let Some(SubmissionLock(mut redirect)) = lock
            && response.status() == StatusCode::SEE_OTHER
        {
            *redirect = response.headers().get(LOCATION).cloned();
        }
        Ok(response)
    });
    let panicked = |error: rt::task::JoinError| PageError::Internal(error.to_string());
    handler.await.map_err(panicked)?
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn keys() -> (SubmissionKeys, ManualClock) {
        let clock = ManualClock::starting_at(Timestamp::from_millis(0));
        (SubmissionKeys::new(Clock::manual(&clock)), clock)
    }

    #[actix_web::test]
    async fn a_repeated_post_waits_for_the_first_and_gets_its_redirect() {
        let (keys, _) = keys();
        let mut first = keys.lock_submission([1; 32]).await;
        assert_eq!(*first, None);
        let mut second = Box::pin(keys.lock_submission([1; 32]));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(*keys.lock_submission([2; 32]).await, None);
        let location = Some(HeaderValue::from_static("/feedback"));
        *first = location.clone();
        drop(first);
        assert_eq!(*second.await, location);
    }

    #[actix_web::test]
    async fn a_rejected_form_can_be_sent_again() {
        let (keys, _) = keys();
        drop(keys.lock_submission([1; 32]).await);
        assert_eq!(*keys.lock_submission([1; 32]).await, None);
    }

    #[actix_web::test]
    async fn forgets_keys_after_10_minutes_and_above_the_maximum() {
        let (keys, clock) = keys();
        let location = Some(HeaderValue::from_static("/feedback"));
        *keys.lock_submission([1; 32]).await = location.clone();
        clock.advance(KEY_LIFETIME - Duration::from_secs(1));
        assert_eq!(*keys.lock_submission([1; 32]).await, location);
        clock.advance(Duration::from_secs(1));
        assert_eq!(*keys.lock_submission([1; 32]).await, None);
        *keys.lock_submission([1; 32]).await = location.clone();
        for number in 0..KEYS_MAX {
            assert_eq!(
                *keys
                    .lock_submission(tokens::sha256(number.to_string()))
                    .await,
                None
            );
        }
        assert_eq!(*keys.lock_submission([1; 32]).await, None);
    }
}
