//! "Endpoint code": example code for a webhook's endpoint in the framework of `?with=`.
//!
//! The page never contains the webhook's secret.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::PATH;
use super::receiver_examples::{Framework, ReceiverExample};
use crate::domain::egress_policy::addresses_without_dns;
use crate::domain::endpoint_url::{EndpointUrl, Scheme};
use crate::domain::webhook::Webhook;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::page_error::PageError;

/// The receiver's port if a reverse proxy forwards requests to it.
const DEFAULT_PORT: u16 = 3000;

#[derive(Template)]
#[template(path = "endpoint_code.html")]
struct EndpointCodePage {
    layout: Layout,
    webhook: Webhook,
    framework: Framework,
    path: String,
    port: u16,
    is_local: bool,
    example: Option<ReceiverExample>,
    /// Whether the selected library can verify signatures made with the webhook's secret.
    is_verifiable: bool,
}

impl EndpointCodePage {
    /// Path and name of each framework's tab, and whether it is selected.
    fn tabs(&self) -> Vec<(String, &'static str, bool)> {
        let tab = |framework: Framework| {
            (
                format!("{}?with={}", self.path("endpoint-code"), framework.key()),
                framework.name(),
                framework == self.framework,
            )
        };
        Framework::ALL.map(tab).into()
    }

    fn path(&self, action: &str) -> String {
        format!("{PATH}/{}/{action}", self.webhook.id)
    }

    /// Next.js redirects paths with a trailing slash, and a redirect is a failed delivery.
    fn is_redirected(&self) -> bool {
        self.framework == Framework::NextJs && self.path.len() > 1 && self.path.ends_with('/')
    }
}

pub async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let framework = match context.query_param("with") {
        Some(key) => Framework::parse(&key).ok_or(PageError::NotFound)?,
        None => Framework::Express,
    };
    let secrets = context.webhook_secrets(webhook.id.clone()).await?;
    let url = &webhook.url;
    let path = url.path_and_query().split('?').next().unwrap_or_default();
    let is_local = is_local(url);
    let (layout, _) = context.layout("Endpoint code", "notifications");
    let page = EndpointCodePage {
        framework,
        path: path.to_owned(),
        port: if is_local { url.port() } else { DEFAULT_PORT },
        is_local,
        example: framework.example(path),
        is_verifiable: !framework.needs_standard_secret()
            || secrets.current.standard_key().is_some(),
        layout,
        webhook,
    };
    render(StatusCode::OK, &page)
}

/// Whether the webhook calls a port of this machine directly, without a reverse proxy.
fn is_local(url: &EndpointUrl) -> bool {
    let addresses = addresses_without_dns(url).unwrap_or_default();
    url.scheme() == Scheme::Http && addresses.iter().any(|address| address.ip().is_loopback())
}
