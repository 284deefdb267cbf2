//! The layout around every page, and how a template becomes an answer.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::flash::Message;
use super::format::DisplayTime;
use super::page_error::PageError;
use crate::clock::Timestamp;
use crate::domain::account::{Role, User};
use crate::server::html;
use crate::server::urls::Urls;

/// What the base template shows: navigation, who is signed in, messages.
pub struct Layout {
    urls: Urls,
    pub title: String,
    /// Which entry of the navigation is current.
    pub section: &'static str,
    pub user: Option<LayoutUser>,
    pub messages: Vec<Message>,
    pub now: Timestamp,
    /// The number of the newest change that this page shows.
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
        section: &'static str,
        user: Option<&User>,
        now: Timestamp,
    ) -> Self {
        Self {
            urls: urls.clone(),
            title: title.to_owned(),
            section,
            user: user.map(|user| LayoutUser {
                email: user.email.clone(),
                is_admin: user.role == Role::Admin,
            }),
            messages: Vec::new(),
            now,
            last_change: 0,
        }
    }

    /// The link to one of our own addresses.
    pub fn path(&self, path: impl AsRef<str>) -> String {
        self.urls.path(path.as_ref())
    }

    /// The link to a file of `static/`.
    pub fn asset(&self, name: &str) -> String {
        html::asset_path(&self.urls, name)
    }

    pub fn time(&self, at: &Timestamp) -> DisplayTime {
        DisplayTime::new(*at, self.now)
    }

    pub fn is_admin(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.is_admin)
    }
}

/// A whole page.
pub fn render(status: StatusCode, page: &impl Template) -> Result<HttpResponse, PageError> {
    html::render(status, page).map_err(|error| PageError::Internal(error.to_string()))
}

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub layout: Layout,
    pub status: u16,
    pub message: String,
    /// By which the log tells more; `None` where there is nothing more to tell.
    pub request_id: Option<String>,
}
