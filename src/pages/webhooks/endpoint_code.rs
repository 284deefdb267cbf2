//! The "Endpoint code" page: example code for a webhook's endpoint, for the framework in `?with=`.
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

/// The port of a receiver behind a reverse proxy.
const DEFAULT_PORT: u16 = 3000;

#[derive(Template)]
#[template(path = "endpoint_code.html")]
struct EndpointCodePage {
    layout: Layout,
    webhook: Webhook,
    /// The selected example; `None` for `miniback listen`.
    selected: Option<AdaptedExample>,
    path: String,
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
        format!("{PATH}/{}/{action}", self.webhook.id)
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
    let webhook = context.webhook(id.into_inner()).await?;
    let url = &webhook.url;
    let path = url.path_and_query().split('?').next().unwrap_or_default();
    let selected = select_example(context.query_param("with").as_deref(), path)?;
    let secrets = context.webhook_secrets(webhook.id.clone()).await?;
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
        webhook,
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
