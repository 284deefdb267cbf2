//! The page of a one-time link or demo sign-in link that doesn't work: the reason, and the next
//! step.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::page_error::PageError;
use crate::store::{LinkPurpose, LinkState};

/// The reason a link doesn't work.
#[derive(Clone, Copy)]
pub enum LinkProblem {
    /// The link is a setup link, but the first account already exists.
    AlreadySetUp,
    SetupExpired,
    SetupUnknown,
    InvitationUsed,
    InvitationExpired,
    InvitationUnknown,
    ResetUsed,
    ResetExpired,
    ResetUnknown,
    /// The demo's sign-in link, opened on a computer that doesn't run the demo.
    DemoElsewhere,
    /// A demo sign-in link with an unknown token, for example from an earlier run of the demo.
    DemoUnknown,
}

use LinkProblem::*;

#[derive(Template)]
#[template(path = "link_problem.html")]
struct LinkProblemPage {
    layout: Layout,
    text: &'static str,
    /// Whether the page has a "Sign in" button.
    can_sign_in: bool,
}

impl LinkProblem {
    /// Returns the reason a link didn't work, from its current state. A link can still be valid,
    /// for example because a user with the invited email already exists. Such a link is reported as
    /// used.
    pub fn new(purpose: LinkPurpose, state: LinkState) -> Self {
        match (purpose, state) {
            (LinkPurpose::Setup, LinkState::Expired) => SetupExpired,
            (LinkPurpose::Setup, LinkState::Unknown) => SetupUnknown,
            (LinkPurpose::Setup, LinkState::Valid | LinkState::Used) => AlreadySetUp,
            (LinkPurpose::Invitation, LinkState::Expired) => InvitationExpired,
            (LinkPurpose::Invitation, LinkState::Unknown) => InvitationUnknown,
            (LinkPurpose::Invitation, LinkState::Valid | LinkState::Used) => InvitationUsed,
            (LinkPurpose::Reset, LinkState::Expired) => ResetExpired,
            (LinkPurpose::Reset, LinkState::Unknown) => ResetUnknown,
            (LinkPurpose::Reset, LinkState::Valid | LinkState::Used) => ResetUsed,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            AlreadySetUp => "Miniback is already set up",
            SetupExpired => "This setup link has expired",
            SetupUnknown => "This setup link doesn’t work",
            InvitationUsed => "This invitation was already used",
            InvitationExpired => "This invitation has expired",
            InvitationUnknown => "This invitation doesn’t work",
            ResetUsed => "This reset link was already used",
            ResetExpired => "This reset link has expired",
            ResetUnknown => "This reset link doesn’t work",
            DemoElsewhere => "This link works only on the demo’s computer",
            DemoUnknown => "This sign-in link doesn’t work",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            AlreadySetUp => "Sign in. If you don’t have an account, ask an admin to invite you.",
            SetupExpired => {
                "A setup link is valid for 1 hour. Run “miniback setup-link” on the server to get a \
                 new one."
            }
            SetupUnknown => {
                "Open the newest setup link, and copy all of it. Each start replaces the link. Run \
                 “miniback setup-link” on the server to get a new one."
            }
            InvitationUsed => "Sign in with the password that you chose.",
            InvitationExpired => "An invitation is valid for 7 days. Ask an admin for a new one.",
            InvitationUnknown => {
                "The link was replaced or revoked, or part of it is missing. Copy all of it, or \
                 ask an admin for a new one."
            }
            ResetUsed => {
                "Sign in with the new password. If you don’t know it, ask an admin for another \
                 link."
            }
            ResetExpired => "A reset link is valid for 24 hours. Ask an admin for a new one.",
            ResetUnknown => {
                "The link was replaced or revoked, or part of it is missing. Copy all of it, or \
                 ask an admin for a new one."
            }
            DemoElsewhere => "Open the link on the computer that runs the demo.",
            DemoUnknown => {
                "Open the first link that the running demo printed. Each start prints a new one."
            }
        }
    }

    const fn can_sign_in(self) -> bool {
        matches!(self, AlreadySetUp | InvitationUsed | ResetUsed)
    }

    /// Renders the page with status 410.
    pub fn render(self, context: &RequestContext) -> Result<HttpResponse, PageError> {
        let (layout, _) = context.build_layout(self.title(), None);
        let page = LinkProblemPage {
            layout,
            text: self.text(),
            can_sign_in: self.can_sign_in(),
        };
        render(StatusCode::GONE, &page)
    }
}
