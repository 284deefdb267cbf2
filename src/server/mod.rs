//! What pages and API share: the parts that a handler works with, links, who a request comes from, and who may do what.

pub mod health;
pub mod json_body;
pub mod permissions;
pub mod problem;
pub mod request_id;
pub mod request_origin;
pub mod routing;
pub mod schemas;
mod store_error_status;
pub mod tokens;
pub mod urls;

use crate::clock::Clock;
use crate::delivery;
use crate::domain::endpoint_url::EndpointUrl;
use crate::intake::Door;
use crate::store::Store;
use request_origin::TrustedProxies;
use urls::Urls;

/// How long a request's body may take to come: a sender that drips holds a connection, and there are not endless ones.
pub const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// What every handler may need; one a process, shared by all workers.
pub struct AppState {
    pub store: Store,
    pub clock: Clock,
    pub delivery: delivery::DeliveryHandle,
    pub urls: Urls,
    pub proxies: TrustedProxies,
    /// Who is told of webhooks that keep failing.
    pub alerts: Option<delivery::AlertTarget>,
    pub door: Door,
}

impl AppState {
    /// A URL that a webhook may have, or a sentence for who entered it that says why not.
    pub async fn check_endpoint_url(&self, text: &str) -> Result<EndpointUrl, String> {
        let url = EndpointUrl::parse(text).map_err(|error| error.to_string())?;
        self.delivery
            .check_target(&url)
            .await
            .map_err(|refusal| refusal.to_string())?;
        Ok(url)
    }
}
