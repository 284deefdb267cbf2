//! [`RequestContext`]: the request, its session, and the state that all requests share.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, LOCATION};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};

use super::flash::{Flash, FlashMessage, OneTimeValue, WebhookDraft};
use super::form_page::FormPageQuery;
use super::interrupted_form::InterruptedForm;
use super::layout::Layout;
use super::navigation::NavSection;
use super::page_error::PageError;
use crate::domain::account::User;
use crate::domain::id::{Id, WebhookId};
use crate::domain::project::Project;
use crate::domain::webhook::{Secrets, Webhook};
use crate::intake::Intake;
use crate::pages::PageState;
use crate::server::AppState;
use crate::server::request_origin::TrustedProxies;
use crate::store::Session;

/// The header of requests that a page's script sends to refresh the page in the background. The
/// value is `hidden` if the page is hidden, otherwise `live`.
const BACKGROUND_REFRESH_HEADER: HeaderName = HeaderName::from_static("miniback-refresh");

/// The number of failing webhooks, an extension of each request of an admin.
#[derive(Clone, Copy, Default)]
pub struct FailingWebhooks(pub u64);

#[derive(Clone)]
pub struct RequestContext {
    pub app: web::Data<AppState>,
    pub intake: web::Data<Intake>,
    pub state: web::Data<PageState>,
    pub request: HttpRequest,
    session: Option<Session>,
    /// The number of the latest change before the request read any data. Live updates need to
    /// report only later changes.
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
        let missing = || PageError::Internal("application state is missing".into());
        let app = request
            .app_data::<web::Data<AppState>>()
            .ok_or_else(missing)?
            .clone();
        Ok(Self {
            last_change: app.store.change_feed().latest_number(),
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

    /// The session that the middleware found. Always `Some` in handlers of routes that aren't
    /// public.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Returns the signed-in user. Fails with [`PageError::SignedOut`] if there is no session.
    pub fn user(&self) -> Result<&User, PageError> {
        self.session
            .as_ref()
            .map(|session| &session.user)
            .ok_or(PageError::SignedOut)
    }

    /// Loads a webhook. Fails with [`PageError::ItemNotFound`] if there is no such webhook.
    pub async fn webhook(&self, id: impl AsRef<str>) -> Result<Webhook, PageError> {
        let webhook = self.app.store.webhook(WebhookId::parse_or_nil(id)).await?;
        webhook.ok_or(PageError::ItemNotFound)
    }

    /// Loads a webhook whose deliveries are signed. Fails with a conflict if they aren't.
    pub async fn signed_webhook(&self, id: impl AsRef<str>) -> Result<Webhook, PageError> {
        let webhook = self.webhook(id).await?;
        match webhook.format.is_signed() {
            true => Ok(webhook),
            false => Err(PageError::UNSIGNED_WEBHOOK),
        }
    }

    /// Loads the current secrets of a webhook. Fails with [`PageError::ItemNotFound`] if there is
    /// no such webhook.
    pub async fn webhook_secrets(&self, id: WebhookId) -> Result<Secrets, PageError> {
        let now = self.app.clock.now();
        let secrets = self.app.store.webhook_secrets(id, now).await?;
        secrets.ok_or(PageError::ItemNotFound)
    }

    /// Loads a project by id or slug. Fails with [`PageError::ItemNotFound`] if there is no
    /// such project.
    pub async fn project(&self, id_or_slug: String) -> Result<Project, PageError> {
        let project = self.app.store.project(id_or_slug).await?;
        project.ok_or(PageError::ItemNotFound)
    }

    /// The path of the request, without the base path.
    pub fn local_path(&self) -> String {
        let path = self.request.path();
        let local = path.strip_prefix(self.app.urls.base_path());
        local.unwrap_or(path).to_owned()
    }

    /// Path and query of the request, without the base path.
    pub fn local_path_and_query(&self) -> String {
        match self.request.query_string() {
            "" => self.local_path(),
            query => format!("{}?{query}", self.local_path()),
        }
    }

    pub fn trusted_proxies(&self) -> &TrustedProxies {
        &self.app.proxies
    }

    pub fn client_ip(&self) -> IpAddr {
        self.trusted_proxies().client_ip(&self.request)
    }

    /// The first value of the query parameter `name`. If the request has a [`FormPageQuery`], it is
    /// used instead of the query string.
    pub fn query_param(&self, name: &str) -> Option<String> {
        let pairs: Vec<(String, String)> = match self.request.extensions().get::<FormPageQuery>() {
            Some(query) => serde_urlencoded::from_str(&query.0),
            None => serde_urlencoded::from_str(self.request.query_string()),
        }
        .ok()?;
        pairs
            .into_iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// Removes the session's messages and test report from the flash store. Returns the layout with
    /// the messages, and the other removed data. A background refresh removes nothing.
    pub fn build_layout(
        &self,
        title: &str,
        section: impl Into<Option<NavSection>>,
    ) -> (Layout, Flash) {
        // During a background refresh, keep the flash data for the next navigation.
        let mut flash = self
            .session
            .as_ref()
            .filter(|_| !self.is_background_refresh())
            .map(|session| self.state.flash.take_flash(session.token_hash))
            .unwrap_or_default();
        let user = self.session.as_ref().map(|session| &session.user);
        let mut layout = Layout::new(
            &self.app.urls,
            title,
            section.into(),
            user,
            self.app.clock.now(),
        );
        layout.last_change = self.last_change;
        let failing = self.request.extensions().get().copied();
        let FailingWebhooks(count) = failing.unwrap_or_default();
        layout.failing_webhooks = count;
        if let Some(problem) = self.app.store.database_problem() {
            layout.show_database_problem(&problem);
        }
        layout.messages = std::mem::take(&mut flash.messages);
        (layout, flash)
    }

    /// Returns whether the page's script sent the request: after a live update, or from a hidden
    /// page.
    pub fn is_background_refresh(&self) -> bool {
        self.request
            .headers()
            .contains_key(BACKGROUND_REFRESH_HEADER)
    }

    /// Returns whether the script of a hidden page sent the request. Such a request doesn't count
    /// as use of the session, so a forgotten tab doesn't keep the session alive.
    pub fn is_from_hidden_page(&self) -> bool {
        let header = self.request.headers().get(BACKGROUND_REFRESH_HEADER);
        header.is_some_and(|value| value == "hidden")
    }

    /// Changes the flash data for the session's next page. Does nothing without a session.
    pub fn update_flash(&self, change: impl FnOnce(&mut Flash)) {
        if let Some(session) = &self.session {
            self.state.flash.update_flash(session.token_hash, change);
        }
    }

    /// Removes and returns the session's one-time value if `is_shown` returns true for it. Returns
    /// `None` during a background refresh, which would discard the value.
    pub fn take_one_time_value(&self, is_shown: fn(&OneTimeValue) -> bool) -> Option<OneTimeValue> {
        let session = self.session.as_ref()?;
        if self.is_background_refresh() {
            return None;
        }
        self.state
            .flash
            .take_one_time_value(session.token_hash, is_shown)
    }

    /// Removes and returns the session's webhook draft. Returns `None` during a background refresh.
    pub fn take_webhook_draft(&self) -> Option<WebhookDraft> {
        let session = self.session.as_ref()?;
        if self.is_background_refresh() {
            return None;
        }
        self.state.flash.take_webhook_draft(session.token_hash)
    }

    /// Removes and returns the form of this page that was submitted after the previous session had
    /// ended. Returns `None` if there is no such form, and during a background refresh.
    pub fn take_interrupted_form(&self) -> Option<InterruptedForm> {
        let session = self.session.as_ref()?;
        if self.is_background_refresh() {
            return None;
        }
        let (flash, url) = (&self.state.flash, self.local_path_and_query());
        flash.take_interrupted_form(session.token_hash, &url)
    }

    /// Returns the absolute URL of a path, under the base URL or, without a base URL, under the
    /// request's origin.
    pub fn absolute_url(&self, path: &str) -> String {
        let own_origin = self.trusted_proxies().own_origin(&self.request);
        self.app.urls.absolute_url(&own_origin, path)
    }

    /// Adds a message that the session's next page shows. Does nothing without a session.
    pub fn add_flash_message(&self, text: impl Into<String>) {
        let message = FlashMessage {
            text: text.into(),
            undo: None,
        };
        self.update_flash(|flash| flash.messages.push(message));
    }

    /// Redirects to a path within Miniback with status 303, so the browser sends a GET next.
    pub fn redirect(&self, path: &str) -> HttpResponse {
        HttpResponse::SeeOther()
            .insert_header((LOCATION, self.app.urls.path(path)))
            .finish()
    }
}
