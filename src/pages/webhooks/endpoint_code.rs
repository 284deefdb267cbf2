//! The "Endpoint code" page: example code for a webhook's endpoint, for the framework in `?with=`.
//! The page also exists for a webhook that isn't saved yet.
//!
//! The page never contains the webhook's secret.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::PATH;
use crate::domain::egress_policy::addresses_without_dns;
use crate::domain::endpoint_url::{EndpointUrl, Scheme};
use crate::domain::webhook::Webhook;
use crate::pages::examples::{Example, Receiver};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::{Breadcrumb, NavSection};
use crate::pages::framework::page_error::PageError;
use crate::server::tokens;

/// The port of a receiver behind a reverse proxy.
const DEFAULT_PORT: u16 = 3000;
/// The path in the examples.
const DEFAULT_PATH: &str = "/webhooks/miniback";

#[derive(Template)]
#[template(path = "endpoint_code.html")]
struct EndpointCodePage {
    layout: Layout,
    /// `None` for a webhook that isn't saved yet.
    webhook: Option<Webhook>,
    /// The id of the draft of a webhook that isn't saved yet.
    draft: String,
    /// The selected example; `None` for `miniback listen`.
    selected: Option<AdaptedExample>,
    path: String,
    /// The host of the webhook's URL; empty for a webhook that isn't saved yet.
    host: String,
    port: u16,
    is_local: bool,
    /// Whether the example can verify signatures with the webhook's secret.
    is_verifiable: bool,
}

/// An example, adapted to the path of the webhook's URL.
struct AdaptedExample {
    example: &'static Example,
    receiver: Receiver,
    file: String,
    code: String,
}

/// The `?with=` value and the label of the tab for `miniback listen`, which accepts any path.
const LISTEN_TAB: (&str, &str) = ("listen", "miniback listen");

impl EndpointCodePage {
    /// Returns the `?with=` value and name of each tab, and whether the tab is selected.
    fn example_tabs(&self) -> Vec<(&'static str, &'static str, bool)> {
        let selected = self.selected.as_ref();
        let selected = selected.map_or(LISTEN_TAB.0, |selected| selected.example.key);
        Example::receivers()
            .map(|(example, _)| (example.key, example.short_name()))
            .chain([LISTEN_TAB])
            .map(|(key, name)| (key, name, key == selected))
            .collect()
    }

    fn selected_tab_name(&self) -> &'static str {
        self.selected
            .as_ref()
            .map_or(LISTEN_TAB.1, |selected| selected.example.name)
    }

    fn action_path(&self, action: &str) -> String {
        match &self.webhook {
            Some(webhook) => format!("{PATH}/{}/{action}", webhook.id),
            None => format!("{PATH}/{action}"),
        }
    }

    /// Returns the path of this page with a different framework.
    fn tab_path(&self, key: &str) -> String {
        let draft = match self.webhook {
            Some(_) => String::new(),
            None => format!("&add={}", self.draft),
        };
        format!("{}?with={key}{draft}", self.action_path("endpoint-code"))
    }

    /// Returns whether the framework redirects the webhook's requests, so that deliveries fail.
    /// Next.js redirects paths with a trailing slash.
    fn is_path_redirected(&self) -> bool {
        let selected = self.selected.as_ref();
        selected.is_some_and(|selected| selected.example.key == "nextjs")
            && self.path.len() > 1
            && self.path.ends_with('/')
    }
}

pub async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.signed_webhook(id.into_inner()).await?;
    // Only endpoints that verify signatures need code.
    let url = webhook.url.endpoint().ok_or(PageError::NotFound)?;
    let path = url.path_and_query().split('?').next().unwrap_or_default();
    let selected = select_example(context.query_param("with").as_deref(), path)?;
    let secrets = context.webhook_secrets(webhook.id).await?;
    let is_local = is_local_http(url);
    let (mut layout, _) = context.build_layout("Endpoint code", NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications(), Breadcrumb::webhook(&webhook)];
    let page = EndpointCodePage {
        is_verifiable: secrets.current.standard_key().is_some()
            || !selected
                .as_ref()
                .is_some_and(|selected| selected.receiver.needs_standard_secret),
        selected,
        path: path.to_owned(),
        port: if is_local { url.port() } else { DEFAULT_PORT },
        is_local,
        layout,
        host: url.host_text().to_owned(),
        webhook: Some(webhook.clone()),
        draft: String::new(),
    };
    render(StatusCode::OK, &page)
}

/// Shows the page for a webhook that isn't saved yet. `?add` contains the id of its draft.
pub async fn show_for_draft(context: RequestContext) -> Result<HttpResponse, PageError> {
    let selected = select_example(context.query_param("with").as_deref(), DEFAULT_PATH)?;
    let (mut layout, _) = context.build_layout("Endpoint code", NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications()];
    let draft = context.query_param("add");
    let draft = draft.filter(|id| tokens::has_random_token_format(id));
    let page = EndpointCodePage {
        draft: draft.unwrap_or_else(tokens::random_token),
        webhook: None,
        selected,
        path: DEFAULT_PATH.to_owned(),
        host: String::new(),
        port: DEFAULT_PORT,
        is_local: true,
        is_verifiable: true,
        layout,
    };
    render(StatusCode::OK, &page)
}

/// Returns the example for a `?with=` value, or the first example if there is no value. Returns
/// `None` for `miniback listen`. Fails with [`PageError::NotFound`] if the value is unknown.
fn select_example(key: Option<&str>, path: &str) -> Result<Option<AdaptedExample>, PageError> {
    if key == Some(LISTEN_TAB.0) {
        return Ok(None);
    }
    let (example, receiver) = Example::receivers()
        .find(|(example, _)| key.is_none_or(|key| key == example.key))
        .ok_or(PageError::NotFound)?;
    let (file, code) = example.adapt_to_path(path);
    Ok(Some(AdaptedExample {
        example,
        receiver,
        file,
        code,
    }))
}

/// Returns whether the webhook sends plain HTTP requests to this machine. The receiver then needs
/// no reverse proxy.
fn is_local_http(url: &EndpointUrl) -> bool {
    let addresses = addresses_without_dns(url).unwrap_or_default();
    url.scheme() == Scheme::Http && addresses.iter().any(|address| address.ip().is_loopback())
}
