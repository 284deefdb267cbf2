//! [`RequestContext`]: a request to a page, with who makes it; all that a page's handler needs.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};

use super::flash::{Flash, Message, OneTimeReveal};
use super::layout::Layout;
use super::live_updates;
use super::page_error::PageError;
use crate::domain::account::User;
use crate::intake::Intake;
use crate::pages::PageState;
use crate::server::AppState;
use crate::server::request_origin::TrustedProxies;
use crate::store::Session;

#[derive(Clone)]
pub struct RequestContext {
    pub app: web::Data<AppState>,
    pub intake: web::Data<Intake>,
    pub state: web::Data<PageState>,
    pub request: HttpRequest,
    session: Option<Session>,
    /// The newest change before anything was read for this visit.
    last_change: u64,
}

impl FromRequest for RequestContext {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::from_http_request(request))
    }
}

impl RequestContext {
    pub fn from_http_request(request: &HttpRequest) -> Result<Self, PageError> {
        let missing = || PageError::Internal("the app was built without its parts".into());
        let app = request
            .app_data::<web::Data<AppState>>()
            .ok_or_else(missing)?
            .clone();
        Ok(Self {
            last_change: app.store.change_feed().latest(),
            app,
            intake: request
                .app_data::<web::Data<Intake>>()
                .ok_or_else(missing)?
                .clone(),
            state: request
                .app_data::<web::Data<PageState>>()
                .ok_or_else(missing)?
                .clone(),
            request: request.clone(),
            session: request.extensions().get::<Session>().cloned(),
        })
    }

    /// The session by which the guard let this visit pass, if the page asked for one or there is one.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Who it is, on pages that need to know.
    pub fn user(&self) -> Result<&User, PageError> {
        self.session
            .as_ref()
            .map(|session| &session.user)
            .ok_or(PageError::SignedOut)
    }

    pub fn proxies(&self) -> &TrustedProxies {
        &self.app.proxies
    }

    pub fn client_ip(&self) -> IpAddr {
        self.proxies().client_ip(&self.request)
    }

    /// The value of `name` in the address.
    pub fn query_param(&self, name: &str) -> Option<String> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(self.request.query_string()).ok()?;
        pairs
            .into_iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// The layout of the page `title`, in the part of the program that `section` names; takes the messages that wait.
    pub fn layout(&self, title: &str, section: &'static str) -> (Layout, Flash) {
        // What waits is for the page that somebody goes to, not for one that brings itself up to date.
        let mut flash = self
            .session
            .as_ref()
            .filter(|_| !live_updates::is_refresh(&self.request))
            .map(|s| self.state.flash.take(s.token_hash))
            .unwrap_or_default();
        let user = self.session.as_ref().map(|session| &session.user);
        let mut layout = Layout::new(&self.app.urls, title, section, user, self.app.clock.now());
        layout.last_change = self.last_change;
        layout.messages = std::mem::take(&mut flash.messages);
        (layout, flash)
    }

    /// Keeps something for the next page of this session.
    pub fn update_flash(&self, change: impl FnOnce(&mut Flash)) {
        if let Some(session) = &self.session {
            self.state.flash.update(session.token_hash, change);
        }
    }

    /// What was made and is shown this once, if it is of the kind that this page shows.
    pub fn take_reveal(&self, is_shown: fn(&OneTimeReveal) -> bool) -> Option<OneTimeReveal> {
        let session = self.session.as_ref()?;
        self.state.flash.take_reveal(session.token_hash, is_shown)
    }

    /// One of our own addresses as it is given to somebody: whole, as this browser knows us or as configured.
    pub fn absolute_url(&self, path: &str) -> String {
        let own_origin = self.proxies().own_origin(&self.request);
        self.app.urls.absolute(&own_origin, path)
    }

    /// Says on the next page that something is done.
    pub fn push_message(&self, text: impl Into<String>) {
        let message = Message {
            text: text.into(),
            undo: None,
        };
        self.update_flash(|flash| flash.messages.push(message));
    }

    /// After a post: on to one of our own addresses.
    pub fn redirect(&self, path: &str) -> HttpResponse {
        HttpResponse::SeeOther()
            .insert_header((LOCATION, self.app.urls.path(path)))
            .finish()
    }
}
