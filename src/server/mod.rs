//! Code that the HTTP modules (`intake`, `api`, and `pages`) share: the application state, routing,
//! permissions, request parsing, and responses.

pub mod content_type;
pub mod cookies;
pub mod form_data;
pub mod health;
pub mod html;
pub mod idempotency_key;
pub mod inbound;
pub mod json_body;
pub mod long_reads;
mod lossless_json;
pub mod permissions;
pub mod problem;
pub mod proxy_test;
pub mod rate_limit_headers;
pub mod request_id;
pub mod request_origin;
pub mod routing;
pub mod schemas;
pub mod security_events;
pub mod security_headers;
pub mod static_files;
mod store_error_status;
pub mod tokens;
pub mod urls;
pub mod user_agent;
pub mod versions;

use crate::clock::Clock;
use crate::delivery;
use crate::domain::webhook_url::WebhookUrl;
use crate::store::Store;
use request_origin::TrustedProxies;
use urls::Urls;
use versions::VersionHasher;

/// Maximum time for a request body to arrive. Without a limit, slow senders would occupy
/// connections.
pub const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// The reason a `mailto:` URL can't be saved if no mail server is configured.
pub const NO_MAIL_SERVER: &str = "Emails can’t be sent, because no mail server is set up. Start Miniback with --smtp-url and --mail-from.";

/// The state that all handlers use. The HTTP server's worker threads share one instance.
pub struct AppState {
    pub store: Store,
    pub clock: Clock,
    pub delivery: delivery::DispatcherHandle,
    pub urls: Urls,
    pub proxies: TrustedProxies,
    pub proxy_tests: proxy_test::ProxyTestTokens,
    pub long_reads: long_reads::LongReadLimiter,
    pub versions: VersionHasher,
    /// The endpoint of alerts about failing webhooks, if `--alert-url` is set.
    pub alerts: Option<delivery::AlertEndpoint>,
    /// Whether emails can be sent, because `--smtp-url` is set.
    pub can_send_email: bool,
    /// How long finished deliveries are kept.
    pub delivery_retention: std::time::Duration,
}

impl AppState {
    /// Parses a webhook's URL and checks whether Miniback can send to it. The error is a message
    /// for the person who entered the URL.
    pub async fn parse_and_check_webhook_url(&self, text: &str) -> Result<WebhookUrl, String> {
        let url = WebhookUrl::parse(text).map_err(|error| error.to_string())?;
        match &url {
            WebhookUrl::Endpoint(endpoint) => self
                .delivery
                .check_target(endpoint)
                .await
                .map_err(|denied| denied.to_string())?,
            WebhookUrl::Mailto(_) if !self.can_send_email => return Err(NO_MAIL_SERVER.to_owned()),
            WebhookUrl::Mailto(_) => {}
        }
        Ok(url)
    }
}
