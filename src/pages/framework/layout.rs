//! The layout of all pages, and the rendering of templates into responses.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::flash::FlashMessage;
use super::format::{DisplayTime, mailto_url};
use super::interrupted_form::EnteredText;
use super::navigation::{Breadcrumb, NavLink, NavSection, sidebar_links, top_bar_links};
use super::page_error::PageError;
use crate::clock::Timestamp;
use crate::domain::account::{Role, User};
use crate::domain::text::escape_misleading_chars;
use crate::server::html;
use crate::server::tokens;
use crate::server::urls::Urls;
use crate::store::DatabaseProblem;

/// Data for the base template, such as the navigation, the signed-in user, and flash messages.
pub struct Layout {
    urls: Urls,
    pub title: String,
    /// The subject of the page, such as the name of a webhook. The subject comes first in the title
    /// of the browser tab, so that tabs can be told apart.
    pub subject: String,
    /// `None` if the page isn't in the navigation.
    section: Option<NavSection>,
    /// The pages above this page, outermost first.
    pub breadcrumb: Vec<Breadcrumb>,
    pub user: Option<LayoutUser>,
    pub messages: Vec<FlashMessage>,
    /// A database problem to show to the user.
    pub problem: Option<String>,
    pub now: Timestamp,
    /// The number of the latest change that this page shows.
    pub last_change: u64,
}

pub struct LayoutUser {
    pub email: String,
    pub is_admin: bool,
}

impl Layout {
    pub fn new(
        urls: &Urls,
        title: &str,
        section: Option<NavSection>,
        user: Option<&User>,
        now: Timestamp,
    ) -> Self {
        Self {
            urls: urls.clone(),
            title: title.to_owned(),
            subject: String::new(),
            section,
            breadcrumb: Vec::new(),
            user: user.map(|user| LayoutUser {
                email: user.email.clone(),
                is_admin: user.role == Role::Admin,
            }),
            messages: Vec::new(),
            problem: None,
            now,
            last_change: 0,
        }
    }

    /// Shows a database problem to a signed-in user. Admins see the details. Members see a message
    /// only if changes can't be saved.
    pub fn show_database_problem(&mut self, problem: &DatabaseProblem) {
        self.problem = match &self.user {
            Some(user) if user.is_admin => Some(problem.to_string()),
            Some(_) if problem.prevents_writes() => {
                Some("Changes can’t be saved right now. Contact an admin.".into())
            }
            _ => None,
        };
    }

    /// Returns the title of the browser tab.
    pub fn tab_title(&self) -> String {
        match self.subject.as_str() {
            "" => self.title.clone(),
            subject => format!("{} · {}", escape_misleading_chars(subject), self.title),
        }
    }

    /// Adds the base path to a path within Miniback.
    pub fn path(&self, path: impl AsRef<str>) -> String {
        self.urls.path(path.as_ref())
    }

    /// The path of a file in `static/`, with a version for caching.
    pub fn asset_path(&self, name: &str) -> String {
        html::asset_path(&self.urls, name)
    }

    /// Escapes misleading characters, such as controls of the text direction, in the text of an
    /// attribute such as `title`. The element `<bdi>` can't isolate text in attributes.
    pub fn escape_attribute<'a>(&self, text: &'a str) -> Cow<'a, str> {
        escape_misleading_chars(text)
    }

    pub fn mailto_url(&self, email: &str) -> String {
        mailto_url(email)
    }

    pub fn display_time(&self, at: &Timestamp) -> DisplayTime {
        DisplayTime::new(*at, self.now)
    }

    /// Generates a key for a form that must not be processed twice
    /// (see [`idempotent_form`](super::idempotent_form)).
    pub fn generate_submission_key(&self) -> String {
        tokens::random_token()
    }

    pub fn top_bar_links(&self) -> Vec<NavLink> {
        top_bar_links(self.section, self.user.is_some())
    }

    pub fn sidebar_links(&self) -> Vec<NavLink> {
        sidebar_links(self.section, self.is_admin())
    }

    pub fn is_admin(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.is_admin)
    }
}

pub fn render(status: StatusCode, page: &impl Template) -> Result<HttpResponse, PageError> {
    html::render(status, page).map_err(|error| PageError::Internal(error.to_string()))
}

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub layout: Layout,
    pub status: u16,
    pub message: String,
    /// Request id to look up in the log; `None` if the log has no details.
    pub request_id: Option<String>,
    /// The text that the person typed into a form that can't be shown.
    pub texts: Vec<EnteredText>,
}
