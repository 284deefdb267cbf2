//! Sends one-time links by email. The page shows each link too, so that no failure loses a link.

use std::time::Duration;

use crate::domain::account::Role;
use crate::domain::delivery::Outcome;
use crate::domain::explanation::format_duration;
use crate::domain::id::UserId;
use crate::formats::email::{Email, EmailLink, render_email};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::server::tokens;

/// The maximum time that the page waits for the mail server.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The result of sending a one-time link by email.
#[derive(Clone, Debug)]
pub struct LinkEmailReport {
    pub is_sent: bool,
    pub text: String,
}

/// An invitation that was just created.
pub(super) struct NewInvitation {
    pub(super) email: String,
    /// The link to share.
    pub(super) link: String,
    pub(super) sent: Option<LinkEmailReport>,
}

/// A password reset link that was just created.
pub(super) struct NewResetLink {
    pub(super) user: UserId,
    pub(super) link: String,
    pub(super) sent: Option<LinkEmailReport>,
}

/// The purpose of a one-time link.
pub(super) enum LinkPurpose {
    /// The inviting admin's email, and the role of the invited person.
    Invitation {
        by: String,
        role: Role,
    },
    PasswordReset,
}

/// Returns whether one-time links are sent by email.
///
/// Without `--base-url`, the link would start with the host of the request, which a stranger could
/// choose.
pub(super) fn is_available(context: &RequestContext) -> bool {
    context.app.delivery.sends_mail() && context.app.urls.origin().is_some()
}

/// Sends the one-time link at `path` to `to`. Returns `None` if links aren't sent by email.
pub(super) async fn send_link(
    context: &RequestContext,
    to: &str,
    path: &str,
    purpose: LinkPurpose,
) -> Result<Option<LinkEmailReport>, PageError> {
    let app = &context.app;
    let Some(origin) = app.urls.origin().filter(|_| app.delivery.sends_mail()) else {
        return Ok(None);
    };
    let url = app.urls.absolute_url(origin, path);
    let content = render_email(&purpose.to_email(url));
    // The id must not reveal the token of the link.
    let id = format!("link-{}", &tokens::random_token()[..20]);
    let sending = app.delivery.send_mail(&id, to, app.clock.now(), &content);
    let outcome = match tokio::time::timeout(WAIT_MAX, sending).await {
        Ok(result) => result?.outcome,
        Err(_) => {
            let after = format_duration(WAIT_MAX);
            return Ok(Some(LinkEmailReport {
                is_sent: false,
                text: format!(
                    "The mail server hasn’t accepted the email within {after}. Share the link yourself."
                ),
            }));
        }
    };
    Ok(Some(LinkEmailReport::new(to, &outcome)))
}

impl LinkEmailReport {
    fn new(to: &str, outcome: &Outcome) -> Self {
        let Some(code) = outcome.error_code() else {
            return Self {
                is_sent: true,
                text: format!("Sent to {to}."),
            };
        };
        tracing::warn!(code, "sending a one-time link by email failed");
        Self {
            is_sent: false,
            text: format!(
                "The email wasn’t sent. {} Share the link yourself.",
                outcome.summary()
            ),
        }
    }
}

impl LinkPurpose {
    fn to_email(&self, url: String) -> Email {
        match self {
            Self::Invitation { by, role } => Email {
                subject: "Invitation to Miniback".into(),
                heading: "Join Miniback".into(),
                intro: Some(format!(
                    "{by} invited you to Miniback as {}. Choose a password to join. The link works \
                     once and expires in 7 days.",
                    role.with_article()
                )),
                link: Some(EmailLink {
                    label: "Accept invitation",
                    url,
                }),
                footer: "If you don’t know why you received this email, ignore it.".into(),
                ..Email::default()
            },
            Self::PasswordReset => Email {
                subject: "Reset your Miniback password".into(),
                heading: "Choose a new password".into(),
                intro: Some(
                    "An admin created a link for you to choose a new password. The link works once \
                     and expires in 24 hours. Until you use it, your current password keeps working."
                        .into(),
                ),
                link: Some(EmailLink {
                    label: "Choose a new password",
                    url,
                }),
                footer: "If you don’t need a new password, ignore this email.".into(),
                ..Email::default()
            },
        }
    }
}
