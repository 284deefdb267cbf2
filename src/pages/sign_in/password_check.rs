//! Checks passwords and hashes new passwords, within the limits for clients and for the machine.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpMessage, HttpResponse};

use super::password_hashing_limiter::HashingPermit;
use super::throttle::{Client, SignInAttempt};
use crate::domain::account::User;
use crate::domain::email::normalize_email;
use crate::metrics::METRICS;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::server::security_events::{self, Actor};

/// The account name for the throttle when a new password is hashed. No user can have this email.
const NO_ACCOUNT_EMAIL: &str = " ";

/// The result of checking a password.
pub enum PasswordCheckResult {
    Correct(VerifiedPassword),
    Wrong,
    Rejected(SignInRejection),
}

pub struct VerifiedPassword {
    pub user: User,
    /// The hash that the password matches.
    pub hash: String,
    /// The permit of the check, which can be reused for hashing a new password.
    pub permit: HashingPermit,
}

/// The reason a client has to wait before its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInRejection {
    /// Too many failures. Contains the seconds to wait, from 1 to 60.
    Throttled(u64),
    /// Too many people are signing in. Contains the seconds after which a new attempt will
    /// certainly be checked; `None` if that isn't certain.
    Busy(Option<u64>),
}

impl SignInRejection {
    fn from_wait(wait: Duration) -> Self {
        Self::Throttled(round_up_to_seconds(wait))
    }

    pub fn message(self) -> String {
        match self {
            Self::Throttled(seconds) => {
                let plural = if seconds == 1 { "" } else { "s" };
                format!("Too many wrong passwords. Wait {seconds} second{plural}, then try again.")
            }
            Self::Busy(_) => {
                "Too many people are signing in. Try again in a few seconds.".to_owned()
            }
        }
    }

    /// Sets the status of the response, and its `Retry-After`.
    pub fn set_status_and_retry_after(self, response: &mut HttpResponse) {
        let (status, seconds) = match self {
            Self::Throttled(seconds) => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
            Self::Busy(seconds) => (StatusCode::SERVICE_UNAVAILABLE, seconds),
        };
        *response.status_mut() = status;
        if let Some(seconds) = seconds {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// Rounds up to whole seconds, from 1 to 60, so that a client never tries again too early.
fn round_up_to_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000))
        .unwrap_or(60)
        .clamp(1, 60)
}

/// Checks the password of an account. The check takes the same time if there is no such account.
/// `client` returns the source of the attempt. The argument of `client` is the user with this
/// email, if such a user exists.
pub async fn verify_password(
    context: &RequestContext,
    email: &str,
    password: &str,
    client: impl Fn(Option<&User>) -> Client,
) -> Result<PasswordCheckResult, PageError> {
    let found = context.app.store.user_with_password_hash(email).await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
    let account: String = normalize_email(email).chars().take(254).collect();
    let started = start_attempt(context, client(user.as_ref()), &account).await;
    let (attempt, permit) = match started {
        Ok(started) => started,
        Err(rejection) => {
            METRICS.sign_ins.increment("rejected");
            return Ok(PasswordCheckResult::Rejected(rejection));
        }
    };
    let is_correct = permit
        .verify_password(password.to_owned(), hash.clone())
        .await?;
    let user = match (is_correct, user, hash) {
        (true, Some(user), Some(hash)) => {
            attempt.succeed();
            let verified = VerifiedPassword { user, hash, permit };
            return Ok(PasswordCheckResult::Correct(verified));
        }
        (_, user, _) => user,
    };
    let user = user.map(|user| user.id.to_string());
    let actor = context.request.extensions().get::<Actor>().cloned();
    let client_ip = context.client_ip();
    security_events::log_failed_sign_in(user.as_deref(), actor.as_ref(), client_ip);
    Ok(attempt.fail().map_or(PasswordCheckResult::Wrong, |wait| {
        PasswordCheckResult::Rejected(SignInRejection::from_wait(wait))
    }))
}

/// Hashes a new password that was submitted with a valid one-time link. Fails if too many checks
/// are waiting.
pub async fn hash_password(
    context: &RequestContext,
    link_token: &str,
    password: &str,
) -> Result<Result<String, SignInRejection>, PageError> {
    let (attempt, permit) =
        match start_attempt(context, Client::from_identity(link_token), NO_ACCOUNT_EMAIL).await {
            Ok(started) => started,
            Err(rejection) => return Ok(Err(rejection)),
        };
    let hash = permit.hash_password(password.to_owned()).await?;
    attempt.succeed();
    Ok(Ok(hash))
}

/// Starts an attempt and waits for a permit to check a password. Fails with `Throttled` if the
/// client has to wait, and with `Busy` if too many checks are waiting.
async fn start_attempt(
    context: &RequestContext,
    client: Client,
    account: &str,
) -> Result<(SignInAttempt, HashingPermit), SignInRejection> {
    let throttle = &context.state.sign_in_throttle;
    let mut attempt = throttle
        .start(client, account)
        .map_err(SignInRejection::from_wait)?;
    let limiter = &context.state.password_hashing_limiter;
    let Ok(permit) = limiter
        .acquire_permit(client.group(), attempt.is_guaranteed)
        .await
    else {
        return Err(SignInRejection::Busy(
            attempt.postpone().map(round_up_to_seconds),
        ));
    };
    attempt.recheck().map_err(SignInRejection::from_wait)?;
    Ok((attempt, permit))
}
