//! Replies of the mail server, and the failures that they cause.

use std::error::Error;
use std::io;

use lettre::transport::smtp;
use lettre::transport::smtp::response::{Response, Severity};

use super::progress::MailProgress;
use crate::domain::mail_failure::{MailFailure, MailStep};

/// The reply of a mail server: its code and text.
pub(super) struct MailReply {
    pub code: u16,
    pub text: String,
}

/// A failure, and the reply that caused it, if there is one.
pub(super) struct MailError {
    pub failure: MailFailure,
    pub reply: Option<MailReply>,
}

impl From<MailFailure> for MailError {
    fn from(failure: MailFailure) -> Self {
        Self {
            failure,
            reply: None,
        }
    }
}

/// Returns a 2xx reply. All other replies are failures of the current step.
pub(super) fn expect_success(
    reply: Result<Response, smtp::Error>,
    progress: &MailProgress,
) -> Result<MailReply, MailError> {
    expect(reply, Severity::PositiveCompletion, progress)
}

/// Returns a reply of this severity. lettre returns all 2xx and 3xx replies.
pub(super) fn expect(
    reply: Result<Response, smtp::Error>,
    severity: Severity,
    progress: &MailProgress,
) -> Result<MailReply, MailError> {
    let reply = reply.map_err(|error| from_smtp_error(&error, progress))?;
    let code = reply.code().into();
    let text = reply.message().collect::<Vec<_>>().join("\n");
    let mail_reply = MailReply { code, text };
    if reply.code().severity == severity {
        return Ok(mail_reply);
    }
    let step = progress.step();
    Err(MailError {
        failure: MailFailure::Reply { step, code },
        reply: Some(mail_reply),
    })
}

/// Converts an error during the current step.
pub(super) fn from_smtp_error(error: &smtp::Error, progress: &MailProgress) -> MailError {
    let step = progress.step();
    let source = error.source();
    if let Some(code) = error.status() {
        let code = code.into();
        let text = source.map(ToString::to_string).unwrap_or_default();
        return MailError {
            failure: MailFailure::Reply { step, code },
            reply: Some(MailReply { code, text }),
        };
    }
    // lettre has no other sign of a connection that was closed between two replies.
    let is_closed = || source.is_some_and(|source| source.to_string() == "incomplete response");
    let failure = match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) if error.kind() == io::ErrorKind::InvalidData => {
            MailFailure::InvalidReply(step)
        }
        Some(_) => MailFailure::Closed(step),
        None if is_closed() => MailFailure::Closed(step),
        // The server sent a challenge that isn't part of PLAIN or LOGIN.
        None if error.is_client() && step == MailStep::SignIn => MailFailure::NoSignIn,
        None => MailFailure::InvalidReply(step),
    };
    // The error can contain a reply, and a reply can contain the password.
    tracing::debug!(?failure, "sending an email failed");
    failure.into()
}
